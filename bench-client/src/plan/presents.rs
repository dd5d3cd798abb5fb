//! In which state the credentials are that a variant's requests present.

use std::time::Duration;

use bench_server::contract::{ApiKeyConfig, BasicConfig, JwtConfig, MethodConfig, OAuth2Config, TokenValidation};
use serde::{Deserialize, Serialize};

use super::Variant;
use crate::outcome::Wanted;

/// The state of a variant's credentials. All but the first are refused, each at another point of the validation: what that
/// takes is what a flood of bad credentials costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presents {
    /// As issued.
    #[default]
    Valid,
    /// Not of the form that the method's credentials have.
    Malformed,
    /// Of the right form, and never issued.
    Unknown,
    /// A user who exists, with another password.
    WrongSecret,
    /// A token whose signature is another.
    BadSignature,
    /// Past its end.
    Expired,
    /// Taken back before the measurement.
    Revoked,
}

impl Presents {
    /// Lifetime of credentials that are to have expired: the shortest that can be asked for.
    const SHORT: Duration = Duration::from_secs(1);

    /// Times are in whole seconds: it may take so much longer until a credential has ended.
    const GRAIN: Duration = Duration::from_secs(1);

    /// Whether it is what a scenario means that says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Its word in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong-secret",
            Self::BadSignature => "bad-signature",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// What is to come of the requests.
    pub fn wanted(self) -> Wanted {
        if self == Self::Valid { Wanted::Accepted } else { Wanted::Refused }
    }

    /// The bad states that credentials of a method can be in, by what requests present: the method `none` has no
    /// credential, and client certificates are refused in the handshake.
    pub fn of(method: &MethodConfig) -> &'static [Self] {
        match method {
            MethodConfig::ApiKey(ApiKeyConfig { .. }) => {
                &[Self::Malformed, Self::Unknown, Self::Expired, Self::Revoked]
            }
            // What is presented of a session is its token.
            MethodConfig::Basic(BasicConfig { session: Some(_), .. }) => &[Self::Malformed, Self::Unknown],
            MethodConfig::Basic(BasicConfig { session: None, .. }) => {
                &[Self::Malformed, Self::Unknown, Self::WrongSecret]
            }
            MethodConfig::Jwt(config) if config.denylist.is_some() => {
                &[Self::Malformed, Self::BadSignature, Self::Expired, Self::Revoked]
            }
            MethodConfig::OAuth2(OAuth2Config { validation: TokenValidation::Opaque { .. }, .. }) => {
                &[Self::Unknown, Self::Expired, Self::Revoked]
            }
            // What is taken back without a list works to its end.
            MethodConfig::Jwt(_) | MethodConfig::OAuth2(_) => &[Self::Malformed, Self::BadSignature, Self::Expired],
            MethodConfig::None | MethodConfig::Mtls(_) => &[],
            // What is spoilt in them is told by none of these words.
            MethodConfig::Signed(_) | MethodConfig::Mixed(_) | MethodConfig::Layered(_) => &[],
        }
    }

    /// The reason that the server's counters have for a refusal of such a credential; `None` where it is none. A caller cannot
    /// tell one reason from another, and what is timed must not be another refusal than the one that the report names.
    pub fn reason(self, method: &MethodConfig) -> Option<&'static str> {
        // Who asks the issuer hears that a token is not active, and not why (RFC 7662 §2.2).
        let asks = matches!(
            method,
            MethodConfig::OAuth2(OAuth2Config { validation: TokenValidation::Opaque { .. }, .. })
                | MethodConfig::Jwt(JwtConfig { introspection: true, .. })
        );
        Some(match self {
            Self::Valid => return None,
            _ if asks => "unknown",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong_secret",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        })
    }

    /// Whether a credential in this state gets into another one by its end: what is refused before anybody looks at the time
    /// stays as it is, and what has ended cannot end again.
    pub fn is_lost_by_its_end(self) -> bool {
        match self {
            Self::Valid | Self::Revoked => true,
            Self::Malformed | Self::Unknown | Self::WrongSecret | Self::BadSignature | Self::Expired => false,
        }
    }
}

impl Variant {
    /// The lifetime that its credentials are issued with, where it is not the method's own.
    pub fn issued_for(&self) -> Option<Duration> {
        (self.presents == Presents::Expired).then_some(Presents::SHORT)
    }

    /// How long after they are issued its credentials are in the state in which they are presented.
    pub fn ripens_in(&self) -> Duration {
        let Some(lifetime) = self.issued_for() else { return Duration::ZERO };
        let leeway = match self.method.reference() {
            Some(MethodConfig::Jwt(config)) => config.rules.leeway,
            Some(MethodConfig::OAuth2(OAuth2Config { validation: TokenValidation::Jwt { .. }, rules, .. })) => {
                rules.leeway
            }
            _ => Duration::ZERO,
        };
        lifetime + leeway + Presents::GRAIN
    }
}
