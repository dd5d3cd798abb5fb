//! The third way to take a JWT back, beside none and a deny-list: each token is asked about at its issuer (RFC 7662), as an
//! opaque one would be. The issuer reads for each question what was revoked since the last, in whichever process.
//!
//! It is the profile's own issuer, reached over HTTP on the loopback interface by the code that asks any authorization server,
//! so that the same token on the same route can be measured in all three modes.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method as Verb, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::{TrustedKeys, Validator, random_id};
use crate::auth::oauth2::discovery::Discovery;
use crate::auth::oauth2::introspection::{Introspection, client_secret_basic};
use crate::auth::outbound::Http;
use crate::auth::{BuildError, Principal, Rejection};
use crate::clock::{Clock, UnixTime};
use crate::config::{AUDIENCE, KnownIssuer, REALM};
use crate::contract::Secret;
use crate::credential::digest::Digest;
use crate::issuer::authorization_server::WELL_KNOWN;
use crate::store::denylist::{self, DenyList};
use crate::store::follow::LocalCopy as _;
use crate::store::record::Position;
use crate::store::{Store, StoreError};
use crate::telemetry::Meter;

/// Who asks.
const CLIENT: &str = "resource-server";

/// Longest question, in bytes: a token of 24 KiB, and what is written around it.
const MAX_QUESTION: usize = 32 * 1024;

/// Pause after a failed `accept`, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Asks the issuer about tokens, which answers for as long as this is there.
pub(super) struct AskedIssuer {
    asking: Introspection,
    issuer: Arc<Issuer>,
    serving: JoinHandle<()>,
}

impl Drop for AskedIssuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl AskedIssuer {
    /// Listens, in the runtime of the caller.
    pub(super) async fn start(
        (validator, keys): (Validator, TrustedKeys),
        store: Arc<Store>,
        clock: Clock,
        meter: Arc<Meter>,
    ) -> Result<Self, BuildError> {
        let failed = |source: std::io::Error| super::state("listening for introspections", source);
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let secret = || random_id().map_err(|error| super::state("a secret to introspect with", error));
        let secret = Secret::new(secret()? + &secret()?);
        let http = Arc::new(Http::new(None, meter.clone())?);
        let discovery = Arc::new(Discovery::new(&url, http.clone(), &KnownIssuer::default())?);
        let asking = Introspection::new(&url, discovery, http, meter, false, (CLIENT, &secret), None)?;
        let issuer = Arc::new(Issuer {
            metadata: json!({ "issuer": url, "introspection_endpoint": format!("{url}/introspect") }),
            caller: digest(client_secret_basic(CLIENT, &secret).as_bytes()),
            validator,
            keys,
            store,
            revoked: DenyList::default(),
            position: Mutex::default(),
            clock,
            meter: Meter::default(),
        });
        Ok(Self { asking, serving: tokio::spawn(serve(listener, issuer.clone())), issuer })
    }

    /// What the issuer knows to be revoked takes in memory.
    pub(super) fn denylist_size(&self) -> denylist::Size {
        self.issuer.revoked.size()
    }

    /// What the issuer says of a token.
    pub(super) async fn validate(&self, token: &str, now: UnixTime) -> Result<Principal, Rejection> {
        self.asking.validate(token, now).await?.bearer()
    }
}

/// The issuer's side.
struct Issuer {
    metadata: Value,
    /// SHA-256 of the one acceptable `Authorization`.
    caller: Digest,
    validator: Validator,
    keys: TrustedKeys,
    store: Arc<Store>,
    /// What the store was known to hold at the last question.
    revoked: DenyList,
    position: Mutex<Position>,
    clock: Clock,
    /// What the issuer does is not what the resource server is measured by.
    meter: Meter,
}

impl Issuer {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Verb::GET, WELL_KNOWN) => json_answer(&self.metadata),
            (&Verb::POST, "/introspect") if !self.is_caller(&request) => {
                let mut answer = empty(StatusCode::UNAUTHORIZED);
                let challenge = format!("Basic realm=\"{REALM}\"");
                let challenge = HeaderValue::try_from(challenge).expect("REALM is a plain word");
                answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                answer
            }
            (&Verb::POST, "/introspect") => match Limited::new(request.into_body(), MAX_QUESTION).collect().await {
                Ok(form) => self.introspect(&form.to_bytes()).await,
                Err(_) => empty(StatusCode::BAD_REQUEST),
            },
            _ => empty(StatusCode::NOT_FOUND),
        }
    }

    fn is_caller(&self, request: &Request<Incoming>) -> bool {
        let said = request.headers().get(AUTHORIZATION).map(|value| digest(value.as_bytes()));
        said.is_some_and(|said| said.constant_time_eq(&self.caller))
    }

    async fn introspect(&self, form: &[u8]) -> Response<Full<Bytes>> {
        let mut tokens = form_urlencoded::parse(form).filter(|(name, _)| name == "token").map(|(_, token)| token);
        let (Some(token), None) = (tokens.next(), tokens.next()) else { return empty(StatusCode::BAD_REQUEST) };
        let now = self.clock.now();
        if let Err(error) = self.catch_up(now).await {
            tracing::error!(%error, "what is revoked was not read");
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        }
        let meaning = self.validator.check(&token, &self.keys, now, &self.meter, |claims| {
            let revoked = self.revoked.refuses(&claims.jti, &claims.sub, claims.iat);
            Ok((!revoked).then(|| {
                json!({
                    "active": true, "sub": claims.sub, "client_id": claims.client_id, "scope": claims.scope,
                    "jti": claims.jti, "aud": AUDIENCE, "token_type": "Bearer",
                    "iat": claims.iat.as_secs(), "exp": claims.exp.as_secs(),
                })
            }))
        });
        json_answer(&meaning.ok().flatten().unwrap_or_else(|| json!({ "active": false })))
    }

    /// Reads what was revoked since the last question.
    async fn catch_up(&self, now: UnixTime) -> Result<(), StoreError> {
        let mut position = self.position.lock().await;
        loop {
            let page = self.store.revocations_after(*position).await?;
            let Some(last) = page.last() else { break };
            let next = last.position;
            page.iter().for_each(|entry| self.revoked.revoke(&entry.revocation, Some(entry.until)));
            *position = next;
        }
        self.revoked.prune(now);
        Ok(())
    }
}

async fn serve(listener: TcpListener, issuer: Arc<Issuer>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let issuer = issuer.clone();
        let service = service_fn(move |request| {
            let issuer = issuer.clone();
            async move { Ok::<_, Infallible>(issuer.answer(request).await) }
        });
        tokio::spawn(async move {
            // It ends when whoever asked hangs up.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn json_answer(value: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
