//! Requests that are not measured: to the target when it is tried, to the server that hands out tokens, and to the one
//! that takes credentials back.

use std::path::PathBuf;
use std::time::Duration;

use bench_server::contract::{HttpVersion, Issued, Material, Transport};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Certificate, Client, ClientBuilder, Identity, RequestBuilder, StatusCode, redirect, tls};

use super::super::control::chain;
use super::environment::Environment;
use super::pem_roots;
use crate::load::Endpoint;
use crate::plan::TargetPlan;

/// Longest wait for one answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// So much of an answer is read, and so much of it is quoted.
const READ: usize = 64 << 10;
const QUOTED: usize = 300;

/// A client that trusts what the scenario says, and goes nowhere else: no proxy, no redirect.
#[derive(Clone)]
pub(super) struct Http {
    pub(super) client: Client,
    roots: Option<PathBuf>,
    environment: Environment,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    challenges: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl Http {
    pub(super) fn new(target: &TargetPlan, environment: &Environment) -> Result<Self, String> {
        let roots = target.roots.as_ref().map(|path| target.folder.join(path));
        let client = build(builder(roots.as_ref())?)?;
        Ok(Self { client, roots, environment: environment.clone() })
    }

    /// Sends a request; `asked` names it in errors.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn send(&self, asked: &str, request: RequestBuilder) -> Result<Answer, String> {
        let failed = |error: reqwest::Error| format!("{asked} failed: {}", chain(&error.without_url()));
        let mut response = request.send().await.map_err(failed)?;
        let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges = challenges.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > READ {
                body.truncate(READ);
                break;
            }
        }
        Ok(Answer { status, challenges, body })
    }

    /// What the target answers to one credential, in words without secrets: status, challenge, begin of the body; or why
    /// there is no answer.
    pub(super) async fn ask(&self, endpoint: &Endpoint, credential: &Issued) -> String {
        let answered = async {
            let mut builder = builder(self.roots.as_ref())?.resolve(&endpoint.host, endpoint.address);
            let version = match endpoint.transport {
                Transport::Plaintext => None,
                Transport::Tls12 => Some(tls::Version::TLS_1_2),
                Transport::Tls13 => Some(tls::Version::TLS_1_3),
            };
            if let Some(version) = version {
                builder = builder.tls_version_min(version).tls_version_max(version);
            }
            builder = match endpoint.http {
                HttpVersion::Http1 => builder.http1_only(),
                HttpVersion::Http2 => builder.http2_prior_knowledge(),
            };
            if let Material::Certificate { chain_pem, key_pem } = &credential.material {
                let both = format!("{chain_pem}\n{}", key_pem.expose());
                // The cause is left out: it might quote the key.
                let identity = Identity::from_pem(both.as_bytes()).map_err(|_| "certificate and key do not serve")?;
                builder = builder.identity(identity);
            }
            let request = endpoint.request(credential).map_err(|error| error.to_string())?;
            let (parts, ()) = request.into_parts();
            let request = build(builder)?.get(parts.uri.to_string()).headers(parts.headers);
            self.send("the request", request).await
        };
        match answered.await {
            Ok(answer) => self.describe(&answer, Some(credential)),
            Err(message) => self.environment.redact(&message, Some(credential)),
        }
    }

    /// Status, challenge and begin of the body, without secrets.
    pub(super) fn describe(&self, answer: &Answer, credential: Option<&Issued>) -> String {
        let mut parts = vec![format!("answered {}", answer.status)];
        parts.extend(answer.challenges.iter().map(|challenge| format!("WWW-Authenticate: {challenge}")));
        let body = String::from_utf8_lossy(&answer.body);
        if !body.trim().is_empty() {
            parts.push(body.trim().to_owned());
        }
        // First redacted, then cut: half a secret would not be found.
        self.environment.redact(&parts.join("; "), credential).chars().take(QUOTED).collect()
    }
}

fn builder(roots: Option<&PathBuf>) -> Result<ClientBuilder, String> {
    let builder = Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(TIMEOUT);
    let Some(path) = roots else { return Ok(builder) };
    let certificates = pem_roots(path)?.iter().map(|root| Certificate::from_der(root)).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| format!("roots {}: {}", path.display(), chain(&error)))?;
    Ok(builder.tls_certs_only(certificates))
}

fn build(builder: ClientBuilder) -> Result<Client, String> {
    builder.build().map_err(|error| format!("no HTTP client: {}", chain(&error)))
}
