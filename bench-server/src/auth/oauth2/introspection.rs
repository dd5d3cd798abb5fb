//! Opaque tokens: the authorization server is asked what they mean (RFC 7662).

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use ::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::discovery::{Discovery, Metadata};
use super::{Token, unavailable};
use crate::auth::outbound::{self, Http, OncePerSecond, Trouble};
use crate::auth::{BuildError, Cause, Principal, PrincipalKind, Rejection};
use crate::clock::UnixTime;
use crate::config::{AUDIENCE, CacheConfig, KeyEnvironment};
use crate::contract::Secret;
use crate::credential::digest::{Digest, DigestState};
use crate::issuer::authorization_server::opaque;
use crate::store::cache::TtlCache;
use crate::store::distance::Distance;
use crate::telemetry::Meter;

/// What is asked about to see whether anybody answers: that it is active nobody will say.
const NO_TOKEN: &str = "none";

/// An introspection answer (RFC 7662 §2.2).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    active: bool,
    scope: String,
    sub: Option<String>,
    client_id: Option<String>,
    aud: Option<Audience>,
    iss: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    token_type: Option<String>,
    jti: Option<String>,
    /// What the token is bound to (RFC 9449 §6.2, RFC 8705 §3.2).
    cnf: Option<Cnf>,
    /// [`ENVIRONMENT_CLAIM`](crate::config::ENVIRONMENT_CLAIM).
    #[serde(rename = "https://api.authbench.test/environment")]
    environment: KeyEnvironment,
}

/// The key of DPoP proofs, the certificate of the connection, or both. To anything else nobody proves to hold it here.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Cnf {
    Known(Bound),
    Other(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bound {
    jkt: Option<Arc<str>>,
    #[serde(rename = "x5t#S256")]
    x5t: Option<Arc<str>>,
}

/// One audience or several (RFC 7519 §4.1.3).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

/// Asks about tokens.
pub(in crate::auth) struct Introspection {
    pub(super) issuer: Arc<str>,
    pub(super) discovery: Arc<Discovery>,
    pub(super) http: Arc<Http>,
    pub(super) meter: Arc<Meter>,
    /// Whether tokens are known to have [`opaque`]'s form, so that anything else needs no question.
    pub(super) own_tokens: bool,
    /// What a token's `aud` has to contain.
    audience: Box<str>,
    /// From here to the authorization server, beside the way that a request really goes.
    distance: Distance,
    authorization: HeaderValue,
    /// Positive answers by the token's SHA-256: nothing that could be presented (RFC 7662 §4).
    cache: Option<TtlCache<Digest, Token, DigestState>>,
    logged: OncePerSecond,
}

impl Introspection {
    pub(in crate::auth) fn new(
        issuer: &str,
        discovery: Arc<Discovery>,
        http: Arc<Http>,
        meter: Arc<Meter>,
        own_tokens: bool,
        (client_id, client_secret): (&str, &Secret),
        cache: Option<CacheConfig>,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            issuer: issuer.into(),
            discovery,
            http,
            meter,
            own_tokens,
            audience: AUDIENCE.into(),
            distance: Distance::NONE,
            authorization: client_secret_basic(client_id, client_secret),
            cache: cache.map(|cache| TtlCache::new(&cache, DigestState::default())).transpose()?,
            logged: OncePerSecond::default(),
        })
    }

    /// The same, for a resource that the issuer calls otherwise.
    pub(super) fn called(self, audience: &str) -> Self {
        Self { audience: audience.into(), ..self }
    }

    /// The same, with the authorization server further away.
    pub(super) fn away_by(self, distance: Distance) -> Self {
        Self { distance, ..self }
    }

    /// What a token stands for.
    pub(in crate::auth) async fn validate(&self, token: &str, now: UnixTime) -> Result<Token, Rejection> {
        if self.own_tokens && !opaque::is_access_token(token) {
            return Err(Rejection::Invalid(Cause::Malformed));
        }
        let Some(cache) = &self.cache else {
            return self.ask(token, now).await.map(|(known, _)| known);
        };
        let key = Digest(Sha256::digest(token.as_bytes()).into());
        if let Some(known) = cache.get(&key, now) {
            self.meter.cache_hits.add();
            return Ok(known);
        }
        let load = cache.begin(key, now);
        match self.ask(token, now).await {
            Ok((known, exp)) => {
                let load = match exp {
                    Some(exp) => load.no_later_than(exp),
                    None => load,
                };
                cache.insert(load, known.clone());
                Ok(known)
            }
            // Nothing was learned about the token.
            Err(unavailable @ Rejection::Unavailable { .. }) => match cache.get_stale(&key, now) {
                Some(known) => {
                    self.meter.stale_hits.add();
                    Ok(known)
                }
                None => Err(unavailable),
            },
            Err(rejection) => {
                cache.refuse(&key);
                Err(rejection)
            }
        }
    }

    async fn ask(&self, token: &str, now: UnixTime) -> Result<(Token, Option<UnixTime>), Rejection> {
        let metadata = self.discovery.metadata(now).await.ok_or_else(unavailable)?;
        let asked = match endpoint(&metadata) {
            Ok(endpoint) => self.post(endpoint, token).await,
            Err(trouble) => Err(trouble),
        };
        match asked {
            Ok(answer) => self.judge(answer, token, now),
            Err(trouble) => {
                self.log(&trouble, now);
                Err(unavailable())
            }
        }
    }

    async fn post(&self, endpoint: &str, token: &str) -> Result<Answer, Trouble> {
        self.meter.store_lookups.add();
        self.meter.introspections.add();
        let answer = self.question(endpoint, token).await?;
        self.distance.cross().await.map_err(|error| Trouble::Content(format!("it does not arrive: {error}")))?;
        Ok(answer)
    }

    async fn question(&self, endpoint: &str, token: &str) -> Result<Answer, Trouble> {
        let request = self.http.client()?.post(endpoint).header(AUTHORIZATION, self.authorization.clone());
        let body = outbound::send(request.form(&[("token", token), ("token_type_hint", "access_token")])).await?;
        serde_json::from_slice(&body).map_err(|error| Trouble::Content(error.to_string()))
    }

    /// Whether tokens can be asked about now, whatever is kept of earlier answers. Where the metadata say whom to ask, it is
    /// those that are asked for; no request waits for this, so it is not counted.
    pub(super) async fn probe(&self) -> Result<(), Trouble> {
        match self.discovery.known() {
            Some(known) => self.question(endpoint(known)?, NO_TOKEN).await.map(drop),
            None => self.discovery.probe().await,
        }
    }

    /// Holds an answer to the rules of a resource server: being active is not enough.
    fn judge(&self, answer: Answer, token: &str, now: UnixTime) -> Result<(Token, Option<UnixTime>), Rejection> {
        let invalid = |cause| Err(Rejection::Invalid(cause));
        if !answer.active {
            // Expired, revoked or never issued: RFC 7662 §2.2 keeps us from knowing.
            return invalid(Cause::Unknown);
        }
        let (jkt, x5t) = match answer.cnf {
            None => (None, None),
            Some(Cnf::Known(Bound { jkt: None, x5t: None }) | Cnf::Other(_)) => return invalid(Cause::Claims),
            Some(Cnf::Known(Bound { jkt, x5t })) => (jkt, x5t),
        };
        let kind = if jkt.is_some() { "DPoP" } else { "Bearer" };
        if answer.token_type.is_some_and(|told| !told.eq_ignore_ascii_case(kind))
            || answer.iss.is_some_and(|iss| iss != *self.issuer)
            || !answer.aud.is_some_and(|aud| aud.contains(&self.audience))
        {
            return invalid(Cause::Claims);
        }
        let exp = match answer.exp.map(time) {
            Some(None) => return invalid(Cause::Claims),
            exp => exp.flatten(),
        };
        if exp.is_some_and(|exp| now >= exp) {
            return invalid(Cause::Expired);
        }
        match answer.nbf.map(time) {
            Some(None) => return invalid(Cause::Claims),
            Some(Some(nbf)) if now < nbf => return invalid(Cause::NotYetValid),
            _ => {}
        }
        let Some(sub) = answer.sub else { return invalid(Cause::Claims) };
        let kind = PrincipalKind::of_token(&sub, answer.client_id.as_deref());
        let credential_id: Arc<str> = match answer.jti {
            Some(jti) => jti.into(),
            // The member is optional; a digest still tells tokens apart, and gives none away.
            None => opaque::hex(&opaque::digest(token)[..16]).into(),
        };
        let principal = Principal::new(kind, sub, answer.scope, credential_id);
        Ok((Token { principal, jkt, x5t, environment: answer.environment }, exp))
    }

    fn log(&self, trouble: &Trouble, now: UnixTime) {
        if self.logged.is_due(now) {
            tracing::warn!(issuer = &*self.issuer, %trouble, "introspection failed");
        }
    }
}

fn endpoint(metadata: &Metadata) -> Result<&str, Trouble> {
    let endpoint = metadata.introspection_endpoint.as_deref();
    endpoint.ok_or_else(|| Trouble::Content("the metadata name no introspection_endpoint".to_owned()))
}

/// A NumericDate; `None` when it is none.
fn time(seconds: f64) -> Option<UnixTime> {
    Duration::try_from_secs_f64(seconds).ok().map(UnixTime)
}

/// `client_secret_basic` (RFC 6749 §2.3.1): both parts form-urlencoded, then joined and base64-encoded.
pub(in crate::auth) fn client_secret_basic(id: &str, secret: &Secret) -> HeaderValue {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = STANDARD.encode(format!("{}:{}", encode(id), encode(secret.expose())));
    let mut value = HeaderValue::try_from(format!("Basic {credentials}")).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}
