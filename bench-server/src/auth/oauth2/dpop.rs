//! Tokens that come with a proof (RFC 9449 §7): scheme `DPoP`, and a proof for this very request by the key that the token is
//! bound to.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Token;
use crate::auth::{BuildError, Cause, Principal, Rejection, Request, header};
use crate::clock::UnixTime;
use crate::config::DpopConfig;
use crate::credential::dpop::{self, Expected, Fault, Nonces, Proof};
use crate::credential::possession::Seen;
use crate::telemetry::Meter;

/// A resource that is served to who proves to hold a key.
pub(super) struct Dpop {
    /// What proofs have to be made for.
    url: Url,
    nonces: Option<Nonces>,
    seen: Seen,
    meter: Arc<Meter>,
}

impl Dpop {
    pub(super) fn build(config: &DpopConfig, meter: Arc<Meter>) -> Result<Self, BuildError> {
        let url = config.url.as_deref().and_then(|url| Url::parse(url).ok());
        let url = url.filter(|url| url.query().is_none() && url.fragment().is_none()).ok_or_else(|| {
            let remedy = "name the resource as callers do, by an absolute URL without query and fragment";
            BuildError::Config(format!("dpop.url is {:?}; {remedy}", config.url))
        })?;
        Ok(Self { url, nonces: config.nonce.then(Nonces::new), seen: Seen::default(), meter })
    }

    /// The token and the proof of a request. The proof is good for the request and for this token.
    pub(super) fn presented<'r>(&self, request: &Request<'r>) -> Result<(&'r str, Proof), Rejection> {
        header::refuse_credential_in_url(request.head)?;
        let token = match header::authorization(request.head, "DPoP") {
            Ok(Some(token)) => token,
            // Whatever is presented so is bound to no key, or its bearer does not prove to hold it (§7.2).
            Err(Rejection::Missing) if matches!(header::authorization(request.head, "Bearer"), Ok(Some(_))) => {
                return Err(Rejection::Invalid(Cause::Claims));
            }
            Ok(None) => return Err(Rejection::Missing),
            Err(rejection) => return Err(rejection),
        };
        if token.is_empty() || token.len() > header::MAX_TOKEN || token.contains([' ', ',']) {
            return Err(Rejection::Invalid(Cause::Malformed));
        }
        let read = || {
            let proof = Proof::read(dpop::required(request.head)?, &self.meter)?;
            let (method, nonces) = (request.head.method.as_str(), self.nonces.as_ref());
            proof.check(&Expected { method, url: &self.url, token: Some(token), nonces, now: request.now })?;
            Ok(proof)
        };
        read().map(|proof| (token, proof)).map_err(refused)
    }

    /// Accepts a token that is bound to the key of the proof, and uses the proof up.
    pub(super) fn accept(&self, token: Token, proof: &Proof, now: UnixTime) -> Result<Principal, Rejection> {
        if token.jkt.as_deref() != Some(&*proof.jkt) {
            return Err(Rejection::Invalid(Cause::Claims));
        }
        proof.first_use(&self.seen, now).map_err(refused)?;
        Ok(token.principal)
    }
}

fn refused(fault: Fault) -> Rejection {
    match fault {
        Fault::Proof => Rejection::Invalid(Cause::Proof),
        Fault::Nonce(nonce) => Rejection::UseNonce(nonce.into()),
        Fault::Full => {
            Rejection::Unavailable { dependency: "memory of DPoP proofs", retry_after: Duration::from_secs(1) }
        }
    }
}
