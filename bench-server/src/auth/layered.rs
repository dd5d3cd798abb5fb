//! Two credentials in one request, each for a question of its own: who calls, and for which user.
//!
//! An application outside shows its API key in `X-API-Key`, a service inside its certificate; the user is in an access token
//! (RFC 9068) in `Authorization: Bearer`. The order is cheap before expensive, and known before unknown: who calls is
//! established before anything of the token is looked at, so that whoever has no key buys no signature check.
//!
//! What the two may do together is no more than either may (RFC 6750 §3.1): the scopes that both have. A token counts only
//! in the hands of the client that it was issued to: the application is called like its OAuth client.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::HeaderName;

use super::api_key::{ApiKey, check_environments};
use super::mtls::Mtls;
use super::oauth2::{OAuth2, User};
use super::{AdminError, BuildError, Environment, Layer, Principal, Rejection, Request, Through, header};
use crate::clock::UnixTime;
use crate::config::{CallerConfig, LayeredConfig, TokenValidation};
use crate::contract::{IssueRequest, Issued, KeyRollover};
use crate::credential::x509;

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Names of clients as subjects, which no user can have.
const CLIENT: &str = "client:";

/// The method `layered`.
pub struct Layered {
    caller: Caller,
    users: OAuth2,
}

#[allow(clippy::large_enum_variant)] // one for each profile, made once
enum Caller {
    Application(ApiKey),
    Service { certificates: Mtls, may_act: BTreeSet<Box<str>> },
}

impl Layered {
    pub(crate) async fn build(
        name: &str,
        config: &LayeredConfig,
        environment: &Environment,
    ) -> Result<Self, BuildError> {
        if !matches!(config.user.validation, TokenValidation::Jwt { .. }) {
            let remedy = "user: introspection need not tell whose token it is; write token = \"jwt\" with an algorithm";
            return Err(BuildError::Config(remedy.to_owned()));
        }
        let caller = match &config.caller {
            CallerConfig::Application(keys) => {
                check_environments(("caller.application", keys), ("user", &config.user))?;
                Caller::Application(ApiKey::build(name, keys, environment).await?.of_clients())
            }
            CallerConfig::Service(service) => {
                if let Some(wrong) = service.may_act.iter().find(|id| !x509::is_spiffe_id(id)) {
                    let remedy = "is not a SPIFFE ID, like \"spiffe://authbench.test/client/0\"";
                    return Err(BuildError::Config(format!("caller.service.may-act: {wrong:?} {remedy}")));
                }
                let may_act = service.may_act.iter().map(|id| id.as_str().into()).collect();
                Caller::Service { certificates: Mtls::build(name, &service.certificates, environment)?, may_act }
            }
        };
        Ok(Self { caller, users: OAuth2::build(&config.user, environment)? })
    }

    pub(crate) async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        header::refuse_credential_in_url(request.head)?;
        let caller = self.caller.identify(request).await?;
        let User { principal: user, client_id } = self.users.user(request).await?;
        let through = match &self.caller {
            Caller::Application(_) if *caller.id != *client_id => {
                return Err(Rejection::Forbidden("credential-binding-mismatch"));
            }
            Caller::Application(_) => Through::Application { id: caller.id, key: caller.credential_id },
            Caller::Service { .. } => Through::Service(caller.id),
        };
        // A client that has a token of its own is not a user (RFC 9068 §2.2).
        if *user.id == *client_id || user.id.starts_with(CLIENT) {
            return Err(Rejection::Forbidden("user-authorization-required"));
        }
        let scopes = common(&caller.scopes, &user.scopes);
        Ok(Principal { scopes, through: Some(through), quota: caller.quota, ..user })
    }

    /// One line for each request that was answered with the resource: who called, and for whom.
    pub(crate) fn audit(principal: &Principal) {
        let (application, service) = match &principal.through {
            Some(Through::Application { id, .. }) => (Some(&**id), None),
            Some(Through::Service(id)) => (None, Some(&**id)),
            None => (None, None),
        };
        let credential = &*principal.credential_id;
        tracing::info!(target: "audit", application, service, user = &*principal.id, credential, "accepted");
    }

    /// Counts a request on the account of the key that it came with. Who was refused for the user's sake is none of them, and was
    /// counted by the limit alone.
    pub(crate) fn bill(&self, principal: &Principal, now: UnixTime) {
        if let (Caller::Application(keys), Some(Through::Application { key, .. })) = (&self.caller, &principal.through)
        {
            keys.bill(key, now);
        }
    }

    /// The keys of applications, where those call.
    pub(crate) fn api_key(&self) -> Option<&ApiKey> {
        match &self.caller {
            Caller::Application(keys) => Some(keys),
            Caller::Service { .. } => None,
        }
    }

    /// A key belongs to somebody in particular.
    pub(crate) async fn issue(&self, request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        match &self.caller {
            Caller::Application(_) => Err(AdminError::NotHere(
                "name the OAuth client that the key is for: POST /profiles/{name}/principals/{client}/credentials",
            )),
            Caller::Service { certificates, .. } => certificates.issue(request).await,
        }
    }

    /// A key for the application that is this OAuth client, or a certificate for the service of this identity.
    pub(crate) async fn renew(&self, caller: &str, request: &IssueRequest) -> Result<Issued, AdminError> {
        match &self.caller {
            Caller::Application(keys) => keys.renew(caller, request).await,
            Caller::Service { certificates, .. } => certificates.renew(caller, request).await,
        }
    }

    /// Takes back a key or a certificate; tokens are taken back at the revocation endpoint.
    pub(crate) async fn revoke(&self, id: &str) -> Result<(), AdminError> {
        match &self.caller {
            Caller::Application(keys) => keys.revoke(id).await,
            Caller::Service { certificates, .. } => certificates.revoke(id).await,
        }
    }

    pub(crate) async fn roll_over(&self, rollover: &KeyRollover) -> Result<(), AdminError> {
        match &self.caller {
            Caller::Application(_) => Err(AdminError::NotHere("ask for the authorization server's next key")),
            Caller::Service { certificates, .. } => certificates.roll_over(rollover).await,
        }
    }

    /// Whether what a decision needs gives an answer.
    pub(crate) async fn probe(&self) -> Result<(), &'static str> {
        if let Caller::Application(keys) = &self.caller {
            keys.probe().await?;
        }
        self.users.probe().await
    }

    /// Removes what is in the store of keys, where that is a server of its own.
    pub(crate) async fn discard(&self) -> Result<(), AdminError> {
        match &self.caller {
            Caller::Application(keys) => keys.discard().await,
            Caller::Service { .. } => Ok(()),
        }
    }

    /// What checks the certificates of services, where services call.
    pub(crate) fn services(&self) -> Option<&Mtls> {
        match &self.caller {
            Caller::Application(_) => None,
            Caller::Service { certificates, .. } => Some(certificates),
        }
    }
}

impl Caller {
    /// Who calls, whoever the user is.
    async fn identify(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        let (layer, caller) = match self {
            Self::Application(keys) => (
                Layer::Application,
                match header::single(request.head, &X_API_KEY) {
                    Ok(Some(key)) => keys.identify(key, request.connection.peer.ip(), request.now).await,
                    Ok(None) => Err(Rejection::Missing),
                    Err(rejection) => Err(rejection),
                },
            ),
            Self::Service { certificates, .. } => (Layer::Service, certificates.authenticate(request).await),
        };
        let caller = caller.map_err(|rejection| match rejection {
            Rejection::Missing => Rejection::Caller(layer, None),
            Rejection::Invalid(cause) => Rejection::Caller(layer, Some(cause)),
            other => other,
        })?;
        match self {
            Self::Service { may_act, .. } if !may_act.contains(&*caller.id) => {
                Err(Rejection::Forbidden("service-may-not-act"))
            }
            _ => Ok(caller),
        }
    }
}

/// The scopes that stand in both lists, in the order of the second.
fn common(one: &str, other: &str) -> Arc<str> {
    let in_both = other.split(' ').filter(|scope| one.split(' ').any(|held| held == *scope));
    in_both.collect::<Vec<_>>().join(" ").into()
}

#[cfg(test)]
mod tests;
