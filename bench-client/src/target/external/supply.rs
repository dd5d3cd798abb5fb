//! Where a variant's credentials come from. Each is handed out once: what a measurement revokes is in no other's pool.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use bench_server::contract::{Issued, Material, RegisteredClient, Secret};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::super::oauth::{CONCURRENCY, TokenResponse, token_request};
use super::environment::Environment;
use super::http::Http;
use crate::plan::{CredentialSource, ExternalMethod, MethodWord, Revoke, Slot, TargetPlan, Template, TokenRequest};

/// The credentials of one variant.
pub(super) enum Supply {
    /// Nobody presents any.
    None,
    /// All that there are.
    Listed {
        issued: Vec<Issued>,
        next: AtomicUsize,
        /// Where they come from.
        source: String,
    },
    /// Asked for one by one.
    Tokens(Box<Tokens>),
}

/// Access tokens by the client credentials grant.
pub(super) struct Tokens {
    http: Http,
    request: TokenRequest,
    client: RegisteredClient,
    /// Numbers the tokens: an opaque token has no name, and a part of it would be a part of a secret.
    issued: AtomicUsize,
}

/// What the scenario fills in, so that every credential must have it.
#[derive(Clone, Copy)]
struct Needs {
    principal: bool,
    id: bool,
}

impl Supply {
    /// # Errors
    /// What is missing or wrong, with file and line; no secret is in it.
    pub(super) fn open(
        target: &TargetPlan,
        external: &ExternalMethod,
        environment: &Environment,
        http: Http,
    ) -> Result<Self, String> {
        let Some(source) = &external.credentials else { return Ok(Self::None) };
        let needs = Needs::of(external);
        let at = |path: &PathBuf| target.folder.join(path);
        let issued = match source {
            CredentialSource::File(path) => lines(&at(path), external.method, needs)?,
            CredentialSource::Folder(path) => certificates(&at(path))?,
            CredentialSource::Env { variable, principal } => {
                let credential = environment.get(variable)?.expose();
                let principal = principal.as_deref();
                vec![
                    line(credential, principal, principal, external.method)
                        .map_err(|why| format!("{variable}: {why}"))?,
                ]
            }
            CredentialSource::Certificate { certificate, key, principal } => {
                let principal = principal.clone().unwrap_or_default();
                vec![pair(&at(certificate), &at(key), "certificate".to_owned(), principal)?]
            }
            CredentialSource::TokenRequest(request) => {
                let client = RegisteredClient {
                    client_id: environment.fill(&request.client_id)?.expose().to_owned(),
                    client_secret: Some(environment.fill(&request.client_secret)?),
                };
                let tokens = Tokens { http, request: request.clone(), client, issued: AtomicUsize::new(0) };
                return Ok(Self::Tokens(Box::new(tokens)));
            }
        };
        Ok(Self::Listed { issued, next: AtomicUsize::new(0), source: source.to_string() })
    }

    /// The next `count` credentials.
    ///
    /// # Errors
    /// When there are not so many, or no token is given.
    pub(super) async fn take(&self, count: usize) -> Result<Vec<Issued>, String> {
        match self {
            Self::None => Ok(vec![nobody(); count]),
            Self::Listed { issued, next, source } => {
                let begin = next.load(Ordering::Relaxed);
                let Some(taken) = issued.get(begin..begin.saturating_add(count)) else {
                    return Err(format!(
                        "{source} holds {} credentials, and the run needs {} by now: pool.count for the load, and trials \
                         + 1 for each revocation measurement; add some, or lower the one or the other",
                        issued.len(),
                        begin.saturating_add(count)
                    ));
                };
                next.store(begin + count, Ordering::Relaxed);
                Ok(taken.to_vec())
            }
            Self::Tokens(tokens) => {
                stream::iter((0..count).map(|_| tokens.ask())).buffer_unordered(CONCURRENCY).try_collect().await
            }
        }
    }

    /// Whether there is more than one.
    pub(super) fn can_spare_one(&self) -> bool {
        match self {
            Self::None => false,
            Self::Listed { issued, next, .. } => issued.len() > next.load(Ordering::Relaxed),
            Self::Tokens(_) => true,
        }
    }

    /// One credential to try; of a list the first, which stays in it.
    pub(super) async fn sample(&self) -> Result<Issued, String> {
        match self {
            Self::None => Ok(nobody()),
            Self::Listed { issued, .. } => Ok(issued[0].clone()), // an empty list was refused
            Self::Tokens(tokens) => tokens.ask().await,
        }
    }
}

impl Tokens {
    async fn ask(&self) -> Result<Issued, String> {
        let TokenRequest { url, scope, principal, .. } = &self.request;
        let request = token_request(&self.http.client, url, &self.client, scope.as_deref());
        let asked = format!("the token request to {url}");
        let answer = self.http.send(&asked, request).await?;
        if !answer.status.is_success() {
            return Err(format!("{asked} was {}", self.http.describe(&answer, None)));
        }
        // Nothing of it is quoted: a token may be in it, under whatever name.
        let response: TokenResponse = serde_json::from_slice(&answer.body)
            .map_err(|_| format!("{asked} was answered {} without an access_token (RFC 6749 §5.1)", answer.status))?;
        Ok(Issued {
            id: format!("token-{}", self.issued.fetch_add(1, Ordering::Relaxed)),
            principal: principal.clone().unwrap_or_default(),
            material: Material::Bearer { token: response.access_token },
        })
    }
}

impl Needs {
    fn of(external: &ExternalMethod) -> Self {
        let mut templates: Vec<&Template> = external.convention.accepted.body_contains.iter().collect();
        match &external.revoke {
            Some(Revoke::Request(request)) => {
                templates.push(&request.url);
                templates.extend(request.header.iter().map(|field| &field.value));
                templates.extend(request.form.values());
            }
            Some(Revoke::Command(words)) => templates.extend(words),
            None => {}
        }
        let needs = |slot: Slot| templates.iter().any(|template| template.slots().any(|found| *found == slot));
        Self { principal: needs(Slot::Principal), id: needs(Slot::Id) }
    }
}

/// Who presents no credential.
pub(super) fn nobody() -> Issued {
    Issued { id: "none".to_owned(), principal: String::new(), material: Material::None }
}

/// A file of credentials: `CREDENTIAL [TAB PRINCIPAL [TAB ID]]` per line; empty lines are passed over.
fn lines(path: &Path, method: MethodWord, needs: Needs) -> Result<Vec<Issued>, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("credentials {shown}: {error}"))?;
    let mut issued = Vec::new();
    for (index, written) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let place = |why: &str| format!("{shown}:{}: {why}", index + 1);
        let mut columns = written.split('\t');
        let credential = columns.next().unwrap_or_default();
        let (principal, id) = (columns.next().filter(|it| !it.is_empty()), columns.next().filter(|it| !it.is_empty()));
        if columns.next().is_some() {
            return Err(place("more than three columns; write CREDENTIAL, PRINCIPAL and ID, with tabs between them"));
        }
        let mut found = line(credential, principal, id, method).map_err(|why| place(&why))?;
        if needs.principal && found.principal.is_empty() {
            return Err(place("no principal, which the scenario asks for; write it behind the credential and a tab"));
        }
        if found.id.is_empty() {
            if needs.id {
                return Err(place("no id, which the revocation asks for; write it in the third column"));
            }
            found.id = format!("line-{}", index + 1);
        }
        issued.push(found);
    }
    if issued.is_empty() {
        return Err(format!("credentials {shown}: nothing in it; write one credential per line"));
    }
    Ok(issued)
}

/// One credential as text. A user is its own principal unless told otherwise; an id is the principal unless told otherwise.
fn line(credential: &str, principal: Option<&str>, id: Option<&str>, method: MethodWord) -> Result<Issued, String> {
    if credential.is_empty() {
        return Err("no credential".to_owned());
    }
    let (own, material) = match method {
        MethodWord::Basic => {
            let (username, password) = credential.split_once(':').ok_or("no colon; write user:password")?;
            let password = Secret::new(password);
            (Some(username), Material::Password { username: username.to_owned(), password })
        }
        MethodWord::Jwt | MethodWord::OAuth2 => (None, Material::Bearer { token: Secret::new(credential) }),
        MethodWord::Signed => {
            let (key_id, key) =
                credential.split_once(':').ok_or("no colon; write KEYID:KEY, the key in hexadecimal")?;
            (Some(key_id), Material::SigningKey { key_id: key_id.to_owned(), key: Secret::new(key) })
        }
        MethodWord::None | MethodWord::ApiKey | MethodWord::Mtls | MethodWord::Layered => {
            (None, Material::ApiKey { key: Secret::new(credential) })
        }
    };
    let principal = principal.or(own).unwrap_or_default().to_owned();
    let id = id.map_or_else(|| principal.clone(), str::to_owned);
    Ok(Issued { id, principal, material })
}

/// Every `NAME.pem` of a folder with its `NAME.key`, in the order of their names; the name is principal and id.
fn certificates(folder: &Path) -> Result<Vec<Issued>, String> {
    let unreadable = |error: std::io::Error| format!("credentials {}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    if paths.is_empty() {
        return Err(format!("credentials {}: no NAME.pem in it", folder.display()));
    }
    let named = paths.iter().map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        pair(path, &path.with_extension("key"), name.clone(), name)
    });
    named.collect()
}

fn pair(certificate: &Path, key: &Path, id: String, principal: String) -> Result<Issued, String> {
    let read =
        |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("credentials {}: {error}", path.display()));
    let material = Material::Certificate { chain_pem: read(certificate)?, key_pem: Secret::new(read(key)?) };
    Ok(Issued { id, principal, material })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn certificates_come_in_pairs_by_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(certificates(folder.path()).expect_err("it is empty").contains("no NAME.pem"));
        for name in ["b", "a"] {
            fs::write(folder.path().join(format!("{name}.pem")), format!("chain {name}")).expect("writable");
        }
        fs::write(folder.path().join("a.key"), "key a").expect("writable");
        let error = certificates(folder.path()).expect_err("b has no key");
        assert!(error.contains("b.key"), "{error}");
        fs::write(folder.path().join("b.key"), "key b").expect("writable");
        let found = certificates(folder.path()).expect("two pairs");
        let names: Vec<&str> = found.iter().map(|credential| credential.principal.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let material = Material::Certificate { chain_pem: "chain b".to_owned(), key_pem: Secret::new("key b") };
        assert_eq!(found[1].material, material);
    }
}
