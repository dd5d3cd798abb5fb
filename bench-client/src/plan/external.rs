//! A server of the user's as a plan holds it: where requests go, how credentials are presented and where they come from,
//! what answers mean. Where secrets come from is stored, the secrets never are.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ForgeKey, Template};

/// The target, as far as all variants share it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPlan {
    /// Where requests go unless a variant says otherwise; `http` or `https`, with a path.
    pub url: String,
    /// PEM file with the roots that certificates must chain to, of the target and of every other server that is asked;
    /// absent means the system's.
    pub roots: Option<PathBuf>,
    /// Whose processor time the requests cost; absent means that nobody is asked.
    pub processes: Option<TargetProcesses>,
    /// Absolute path of the scenario's folder, which relative paths start from.
    pub folder: PathBuf,
}

/// Processes of this machine that are the target's, with all that they start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetProcesses {
    /// By process identifier.
    Pid(u32),
    /// By program name, as the system shows it.
    Process(String),
}

/// The method of a variant that a server of the user's implements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalMethod {
    /// What it is called in tables.
    pub method: MethodWord,
    /// Where its requests go.
    pub url: String,
    /// How requests and answers look.
    #[serde(flatten)]
    pub convention: Convention,
    /// Where credentials come from; absent with [`MethodWord::None`].
    pub credentials: Option<CredentialSource>,
    /// How one is revoked; absent means that nobody can.
    pub revoke: Option<Revoke>,
    /// What they are signed with; absent means that only their issuer knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge: Option<ForgeKey>,
    /// File with the private key that its tokens are bound to (RFC 9449), PKCS #8 in PEM; absent means bearer tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop: Option<PathBuf>,
}

/// The words for methods, as scenarios write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodWord {
    /// No authentication.
    None,
    /// A key per application.
    ApiKey,
    /// HTTP Basic (RFC 7617).
    Basic,
    /// A JWT as bearer token.
    Jwt,
    /// An OAuth 2.0 access token.
    #[serde(rename = "oauth2")]
    OAuth2,
    /// A client certificate.
    Mtls,
    /// Each request signed (RFC 9421).
    Signed,
    /// Who calls, and the user for whom.
    Layered,
}

impl MethodWord {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ApiKey => "api-key",
            Self::Basic => "basic",
            Self::Jwt => "jwt",
            Self::OAuth2 => "oauth2",
            Self::Mtls => "mtls",
            Self::Signed => "signed",
            Self::Layered => "layered",
        }
    }
}

/// How a server that is not the reference server is talked to: what presents a credential, and what answers mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Convention {
    /// The field that presents a credential. Passwords (RFC 7617) and certificates need none.
    pub header: Option<HeaderField>,
    /// What an accepted request is answered with.
    pub accepted: Accepted,
    /// Status codes that refuse a credential.
    pub rejected: Vec<u16>,
}

/// A header field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderField {
    /// Name, a token (RFC 9110 §5.1).
    pub name: String,
    /// Value.
    pub value: Template,
}

/// What an accepted request is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Status codes.
    pub status: Vec<u16>,
    /// What the body must contain; `{principal}` is the credential's.
    pub body_contains: Option<Template>,
}

/// Where a variant's credentials come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialSource {
    /// A file, one credential per line.
    File(PathBuf),
    /// A variable of the environment that holds one.
    Env {
        /// Its name.
        variable: String,
        /// For whom the server takes its bearer, where that is known.
        principal: Option<String>,
    },
    /// One client certificate.
    Certificate {
        /// PEM file with the chain, leaf first.
        certificate: PathBuf,
        /// PEM file with its key.
        key: PathBuf,
        /// For whom the server takes its holder, where that is known.
        principal: Option<String>,
    },
    /// A folder of client certificates `NAME.pem` with their keys `NAME.key`.
    Folder(PathBuf),
    /// Access tokens by the client credentials grant (RFC 6749 §4.4).
    TokenRequest(TokenRequest),
}

impl CredentialSource {
    /// Whether there is exactly one.
    pub fn is_single(&self) -> bool {
        matches!(self, Self::Env { .. } | Self::Certificate { .. })
    }

    /// Whether nobody says for whom the server takes their bearer. Of files that is known when they are read.
    pub fn lacks_principal(&self) -> bool {
        match self {
            Self::Env { principal, .. }
            | Self::Certificate { principal, .. }
            | Self::TokenRequest(TokenRequest { principal, .. }) => principal.is_none(),
            Self::File(_) | Self::Folder(_) => false,
        }
    }
}

/// How access tokens are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// Token endpoint.
    pub url: String,
    /// Client identifier.
    pub client_id: Template,
    /// Client secret: a variable of the environment.
    pub client_secret: Template,
    /// Scope asked for.
    pub scope: Option<String>,
    /// For whom the server takes the tokens' bearer, where that is known.
    pub principal: Option<String>,
}

/// How a credential is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revoke {
    /// By an HTTP request; its answer is the acknowledgement.
    Request(RevokeRequest),
    /// By a command, program first, executed without a shell; its successful exit is the acknowledgement. The credential
    /// is on its standard input, never among its arguments.
    Command(Vec<Template>),
}

/// A request that revokes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeRequest {
    /// Method, like `DELETE`.
    pub method: String,
    /// URL; `{id}` in it is percent-encoded.
    pub url: Template,
    /// Header fields.
    pub header: Vec<HeaderField>,
    /// Fields of a form in the body; none means that there is no body.
    pub form: BTreeMap<String, Template>,
    /// Status codes that acknowledge.
    pub status: Vec<u16>,
}

impl ExternalMethod {
    /// Variables of the environment that it takes values from.
    pub fn variables(&self) -> Vec<&str> {
        let mut templates: Vec<&Template> = Vec::new();
        let mut found = Vec::new();
        match &self.credentials {
            Some(CredentialSource::TokenRequest(request)) => {
                templates.extend([&request.client_id, &request.client_secret]);
            }
            Some(CredentialSource::Env { variable, .. }) => found.push(variable.as_str()),
            _ => {}
        }
        if let Some(Revoke::Request(request)) = &self.revoke {
            templates.push(&request.url);
            templates.extend(request.header.iter().map(|field| &field.value));
            templates.extend(request.form.values());
        }
        found.extend(templates.into_iter().flat_map(Template::slots).filter_map(|slot| match slot {
            super::Slot::Variable(name) => Some(name.as_str()),
            _ => None,
        }));
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl ExternalMethod {
    /// Where something is sent: requests, token requests, revocations.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        let tokens = match &self.credentials {
            Some(CredentialSource::TokenRequest(request)) => Some(request.url.as_str()),
            _ => None,
        };
        let revocations = match &self.revoke {
            Some(Revoke::Request(request)) => Some(request.url.text()),
            _ => None,
        };
        [Some(self.url.as_str()), tokens, revocations].into_iter().flatten()
    }

    /// What is sent and expected, in words, for tables. Nothing in it is secret: a plan holds no secrets.
    pub fn describe(&self) -> String {
        let mut parts = vec![format!("GET {}", self.url)];
        match (&self.convention.header, self.method) {
            (Some(field), _) => parts.push(format!("{}: {}", field.name, field.value.text())),
            (None, MethodWord::Basic) => parts.push("Authorization: Basic".to_owned()),
            (None, MethodWord::Mtls) => parts.push("client certificate".to_owned()),
            (None, _) => {}
        }
        parts.extend(self.credentials.as_ref().map(|source| format!("from {source}")));
        parts.push(format!("accepted {}", self.convention.accepted));
        if self.method != MethodWord::None {
            parts.push(format!("rejected {}", statuses(&self.convention.rejected)));
        }
        match &self.revoke {
            Some(Revoke::Request(request)) => {
                parts.push(format!("revoked by {} {}", request.method, request.url.text()));
            }
            Some(Revoke::Command(command)) => {
                let words: Vec<&str> = command.iter().map(Template::text).collect();
                parts.push(format!("revoked by {}", words.join(" ")));
            }
            None => {}
        }
        parts.join(", ")
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Env { variable, .. } => write!(f, "${{{variable}}}"),
            Self::Certificate { certificate, .. } => write!(f, "{}", certificate.display()),
            Self::TokenRequest(request) => write!(f, "{}", request.url),
        }
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&statuses(&self.status))?;
        self.body_contains.as_ref().map_or(Ok(()), |text| write!(f, " with {}", text.text()))
    }
}

fn statuses(codes: &[u16]) -> String {
    codes.iter().map(u16::to_string).collect::<Vec<_>>().join(" ")
}
