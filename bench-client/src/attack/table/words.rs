//! The words of the table.

use serde::{Deserialize, Serialize};

/// What a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MethodKind {
    /// Whatever is in a header field.
    Any,
    /// An API key.
    ApiKey,
    /// A user with a password.
    Basic,
    /// A bearer token of whatever form.
    Bearer,
    /// A bearer token that is a JWT.
    Jws,
    /// A token that only its issuer can read.
    Opaque,
    /// A client certificate.
    Mtls,
    /// The endpoints of an authorization server.
    #[serde(rename = "oauth2")]
    OAuth2,
    /// Requests signed by their sender.
    Signed,
    /// A token that is bound to a key, with a proof of holding it.
    Dpop,
    /// A token that is bound to its holder's certificate.
    Bound,
    /// Two credentials at once.
    Layered,
}

/// What a case takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Needs {
    /// Nothing.
    Nothing,
    /// A valid credential to change.
    Valid,
    /// The issuer's key, or its rights.
    Issuer,
}

/// How bad an acceptance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A nuisance, or a step towards worse.
    Medium,
    /// It lets in whom it should not, under conditions.
    High,
    /// It lets anyone in.
    Critical,
}

impl Severity {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// The usual answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// 401 with the challenge of the method, for Bearer with `error="invalid_token"`.
    #[default]
    Invalid,
    /// 401 with the challenge and no error: nothing was presented.
    Missing,
    /// 400, for Bearer with `error="invalid_request"`.
    Ambiguous,
    /// 403, for Bearer with `error="insufficient_scope"`.
    Forbidden,
    /// 431.
    TooLarge,
    /// The connection ends with a TLS alert.
    Alert,
    /// The connection ends, or is answered with an alert.
    Closed,
    /// An answer of an OAuth endpoint (RFC 6749 §5.2): `error` in its JSON.
    #[serde(rename = "oauth")]
    OAuth,
    /// 200 that says of a token nothing but that it is not active (RFC 7662 §2.2).
    Inactive,
    /// 401 with the challenge of who calls for a user, whatever became of the user's token.
    Caller,
    /// A status and nothing more.
    Refused,
    /// Either is right, as long as there is an answer.
    Either,
    /// 200, for whom the credential is.
    Accepted,
}

/// What the reference server counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Counter {
    StoreLookups,
    StoreWrites,
    VerifyCalls,
    HashCalls,
    JwksFetches,
}

/// Which valid credential is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// One that is good.
    #[default]
    Valid,
    /// One that was accepted, and then revoked.
    Revoked,
    /// One that was accepted, and then replaced by another of the same principal.
    Replaced,
    /// One that was accepted, and then replaced; the time in which both are good is over.
    Rotated,
    /// One that was replaced, in the time in which both are good.
    Overlapping,
    /// One that was accepted, and whose issuer then withdrew the key that it is signed with.
    KeyRemoved,
    /// One whose time is over.
    Expired,
    /// One without the scope that the route asks for.
    Unscoped,
}

/// Where it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    /// The protected route.
    #[default]
    Resource,
    /// The token endpoint.
    Token,
    /// The authorization endpoint.
    Authorize,
    /// The introspection endpoint.
    Introspect,
    /// The revocation endpoint.
    Revoke,
    /// Where the form of the consent page goes.
    Consent,
    /// Another listener of the same server, which asks for no certificate.
    Neighbour,
}

/// Who calls for a user, or holds the certificate that a token is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Caller {
    /// The one that may.
    #[default]
    Good,
    /// Nobody.
    None,
    /// One whose credential nobody issued.
    Unknown,
    /// Another, whose own credential is good.
    Another,
    /// The one that may, with a credential that lacks the scope of the route.
    Unscoped,
    /// The one that may, with a credential that was accepted, and then revoked.
    Revoked,
}

/// A user with a password of the table's choice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chosen {
    /// The password.
    pub(crate) password: String,
    /// How it is hashed; absent means as the target does.
    #[serde(default)]
    pub(crate) hash: Option<HashKind>,
}

/// A password hash with its usual costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HashKind {
    /// bcrypt, which looks at 72 bytes.
    Bcrypt,
}

/// What the client presents in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CertificateKind {
    /// Nothing.
    None,
    /// The valid one.
    Good,
    /// Signed by itself, with the names of the valid one.
    SelfSigned,
    /// Signed by a CA of the same name with another key.
    Impostor,
    /// The valid one with another key.
    WrongKey,
    /// Signed by the valid one, which is no CA.
    FromLeaf,
    // All others are signed with the CA's key.
    /// Like the valid one.
    Fresh,
    /// Ended.
    Expired,
    /// Not yet begun.
    Early,
    /// For servers only.
    ServerOnly,
    /// For every purpose that is left unsaid.
    NoPurpose,
    /// A CA's.
    Ca,
    /// With a critical extension that nobody knows.
    UnknownExtension,
    /// With two identities.
    TwoNames,
    /// With a name in its subject alone.
    SubjectOnly,
    /// Whose identity names a port.
    PortInName,
    /// Whose identity has a query.
    QueryInName,
    /// Whose identity has `..` in its path.
    DotsInName,
    /// Whose trust domain has capitals.
    CapitalsInName,
    /// Of another trust domain.
    OtherDomain,
    /// Signed by a CA below the one above the issuer, of which no CRL tells.
    UnlistedIssuer,
}

impl CertificateKind {
    /// Whether it takes the CA's key.
    pub(crate) fn needs_ca(self) -> bool {
        !matches!(self, Self::None | Self::Good | Self::SelfSigned | Self::Impostor | Self::WrongKey | Self::FromLeaf)
    }
}

/// On what connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Connection {
    /// A new one.
    #[default]
    Fresh,
    /// One that was there before the credential ended.
    Kept,
    /// A new one that resumes a session from before the credential ended.
    Resumed,
}

/// What a TLS port is greeted with in the place of a handshake of today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hello {
    /// A ClientHello of TLS 1.0.
    #[serde(rename = "tls1.0")]
    Tls10,
    /// Of TLS 1.1.
    #[serde(rename = "tls1.1")]
    Tls11,
    /// Of TLS 1.2 with NULL and export suites only.
    NullCiphers,
    /// An HTTP request.
    Plaintext,
}
