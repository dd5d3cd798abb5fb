//! The control socket: issue, revoke, register, counters, configuration, clock. The requests are listed in
//! [`crate::contract`].
//!
//! It is a Unix socket of mode 0600 inside a folder of mode 0700, so only the owner of the process reaches it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method as Verb, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixListener;

use crate::auth::{AdminError, Method};
use crate::clock::Clock;
use crate::config::ServerConfig;
use crate::contract::{ClockChange, Counters, IssueRequest, KeyRollover, SubjectRevocation, Telemetry};
use crate::issuer::authorization_server::AuthorizationServer;
use crate::net::problem::{self, Answer, problem};
use crate::server::{OwnCertificate, StartError};
use crate::telemetry::Meter;

mod accounts;
mod keys;

const SOCKET: &str = "control.sock";

/// Longest path of a Unix socket: `sockaddr_un.sun_path` without its terminating zero.
const MAX_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Largest request body in bytes; requests are a few hundred.
const MAX_BODY: usize = 64 * 1024;

/// Pause after a failed `accept`, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What an administrator works on.
pub(crate) struct Administration {
    /// The configuration in force, with the real addresses.
    pub(crate) config: ServerConfig,
    pub(crate) clock: Clock,
    pub(crate) meter: Arc<Meter>,
    /// By profile.
    pub(crate) methods: BTreeMap<String, Arc<Method>>,
    pub(crate) authorization_server: Option<Arc<AuthorizationServer>>,
    /// That of the listeners.
    pub(crate) certificate: Option<Arc<OwnCertificate>>,
}

/// The socket. Bound early, so that a second server over the same folder is noticed before it touches any file there;
/// it takes requests from [`ControlSocket::listen`] on. Dropping it removes the file.
pub(crate) struct ControlSocket {
    path: PathBuf,
    listener: Option<std::os::unix::net::UnixListener>,
}

impl ControlSocket {
    /// Binds `control.sock` in the state folder. What a killed server left there is replaced.
    pub(crate) fn bind(state_dir: &Path) -> Result<Self, StartError> {
        let path = state_dir.join(SOCKET);
        let length = path.as_os_str().len();
        if length > MAX_SOCKET_PATH {
            let what = format!("state_dir: the path of the control socket, {}, is too long", path.display());
            let why =
                format!("{length} bytes, and a Unix socket may have {MAX_SOCKET_PATH}; choose a shorter state_dir");
            return Err(StartError::state(what, why));
        }
        let bind = || -> io::Result<std::os::unix::net::UnixListener> {
            if fs::symlink_metadata(&path).is_ok() {
                if std::os::unix::net::UnixStream::connect(&path).is_ok() {
                    return Err(io::Error::new(
                        io::ErrorKind::AddrInUse,
                        "another server runs over this state_dir; end it or choose another folder",
                    ));
                }
                fs::remove_file(&path)?;
            }
            let listener = std::os::unix::net::UnixListener::bind(&path)?;
            // Until here the folder's mode has kept others out.
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listener = bind().map_err(|error| StartError::state(format!("bind {}", path.display()), error))?;
        Ok(Self { path, listener: Some(listener) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes requests from now on, in the runtime of the caller and as long as it lives.
    pub(crate) fn listen(&mut self, administration: &Arc<Administration>) -> Result<(), StartError> {
        let listener = self.listener.take().expect("called once");
        let listener = UnixListener::from_std(listener)
            .map_err(|error| StartError::state(format!("listen on {}", self.path.display()), error))?;
        tokio::spawn(accept(listener, administration.clone()));
        Ok(())
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // the folder may be gone already, and that is fine
    }
}

async fn accept(listener: UnixListener, administration: Arc<Administration>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the control socket; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let administration = administration.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let administration = administration.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let answer = match Limited::new(body, MAX_BODY).collect().await {
                        Ok(body) => administration.answer(&head.method, head.uri.path(), &body.to_bytes()).await,
                        Err(error) => problem(StatusCode::BAD_REQUEST, None, Some(&error.to_string())),
                    };
                    Ok::<_, Infallible>(answer)
                }
            });
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "control connection ended");
            }
        });
    }
}

impl Administration {
    /// Answers one request of the control socket.
    async fn answer(&self, verb: &Verb, path: &str, body: &[u8]) -> Answer {
        self.route(verb, path, body).await.unwrap_or_else(|error| refuse(&error))
    }

    async fn route(&self, verb: &Verb, path: &str, body: &[u8]) -> Result<Answer, AdminError> {
        let segments = path
            .strip_prefix('/')
            .unwrap_or(path)
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| AdminError::BadRequest("the path is not UTF-8".to_owned()))?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        match (segments.as_slice(), verb) {
            (["health"], &Verb::GET) => Ok(self.health().await),
            (["counters"], &Verb::GET) => Ok(json(&self.counters())),
            (["config"], &Verb::GET) => Ok(json(&self.config)),
            (["telemetry", "take"], &Verb::POST) => {
                Ok(json(&Telemetry { counters: self.counters(), validation: self.meter.take_validation() }))
            }
            (["profiles", name, "credentials"], &Verb::POST) => {
                let request: IssueRequest = parse(body)?;
                if request.count == 0 {
                    return Err(AdminError::BadRequest("count is 0; ask for at least 1".to_owned()));
                }
                Ok(json(&self.method(name)?.issue(&request).await?))
            }
            (["profiles", name, "principals", principal, "credentials"], &Verb::POST) => {
                let request: IssueRequest = parse(body)?;
                if request.count != 1 {
                    let count = request.count;
                    return Err(AdminError::BadRequest(format!("count is {count}; a principal is given 1 at a time")));
                }
                Ok(json(&[self.method(name)?.renew(principal, &request).await?]))
            }
            (["profiles", name, "credentials", id], &Verb::DELETE) => {
                self.method(name)?.revoke(id).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            (["profiles", name, "revocations"], &Verb::POST) => {
                let revocation: SubjectRevocation = parse(body)?;
                self.method(name)?.revoke_subject(&revocation).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            (["profiles", name, place @ ("keys" | "owners" | "leaks" | "usage" | "events"), rest @ ..], _) => {
                let place: Vec<&str> = std::iter::once(*place).chain(rest.iter().copied()).collect();
                keys::answer(self.method(name)?, verb, &place, body).await
            }
            (["profiles", name, "records"], &Verb::DELETE) => {
                self.method(name)?.discard().await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            (["profiles", name, "users", rest @ ..], _) => {
                accounts::of_profile(self.method(name)?, verb, rest, body).await
            }
            (["clients", rest @ ..], _) => accounts::clients(self.authorization_server()?, verb, rest, body),
            (["users", rest @ ..], _) => accounts::users(self.authorization_server()?, verb, rest, body),
            (["signing-keys"], &Verb::POST) => {
                let rollover: KeyRollover = parse(body)?;
                self.authorization_server()?.rotate_signing_key(&rollover)?;
                Ok(empty(StatusCode::CREATED))
            }
            (["profiles", name, "issuer-key"], &Verb::GET) => {
                self.may_forge()?;
                Ok(json(&self.method(name)?.issuer_key()?))
            }
            (["issuer-key"], &Verb::GET) => {
                self.may_forge()?;
                Ok(json(&self.authorization_server()?.issuer_key()?))
            }
            (["profiles", name, "signing-keys"], &Verb::POST) => {
                let rollover: KeyRollover = parse(body)?;
                self.method(name)?.roll_over(&rollover).await?;
                Ok(empty(StatusCode::CREATED))
            }
            (["server-certificate"], &Verb::POST) => {
                let certificate = self.certificate.clone();
                let certificate =
                    certificate.ok_or_else(|| AdminError::NotFound("a certificate in this process".to_owned()))?;
                let renewed = tokio::task::spawn_blocking(move || certificate.renew()).await;
                renewed.map_err(|_| AdminError::Store("the thread that signed it stopped".to_owned()))??;
                Ok(empty(StatusCode::CREATED))
            }
            (["clock"], &Verb::POST) => {
                let change: ClockChange = parse(body)?;
                Ok(match self.clock.change(change) {
                    Ok(()) => empty(StatusCode::NO_CONTENT),
                    Err(error) => problem(StatusCode::CONFLICT, None, Some(&error.to_string())),
                })
            }
            (["health" | "counters" | "config" | "issuer-key"] | ["profiles", _, "issuer-key"], _) => {
                Ok(problem::method_not_allowed("GET"))
            }
            (
                ["telemetry", "take"]
                | ["profiles", _, "credentials" | "revocations" | "signing-keys"]
                | ["profiles", _, "principals", _, "credentials"]
                | ["signing-keys" | "server-certificate" | "clock"],
                _,
            ) => Ok(problem::method_not_allowed("POST")),
            (["profiles", _, "credentials", _] | ["profiles", _, "records"], _) => {
                Ok(problem::method_not_allowed("DELETE"))
            }
            _ => Err(AdminError::NotFound(path.to_owned())),
        }
    }

    /// Keys leave the server only where the configuration says so.
    fn may_forge(&self) -> Result<(), AdminError> {
        let refused = "keys are handed out only where the configuration says forging = true";
        if self.config.forging { Ok(()) } else { Err(AdminError::NotHere(refused)) }
    }

    /// The totals of the meter, with what the methods hold now.
    fn counters(&self) -> Counters {
        let mut counters = self.meter.counters();
        for size in self.methods.values().filter_map(|method| method.denylist_size()) {
            counters.denylist_entries += size.entries as u64;
            counters.denylist_bytes += size.bytes as u64;
        }
        counters
    }

    /// Whether every profile could decide about a credential now: 503 as long as one could not.
    async fn health(&self) -> Answer {
        for (profile, method) in &self.methods {
            if let Err(dependency) = method.probe().await {
                let detail = format!("profile \"{profile}\": the {dependency} gives no answer");
                return unavailable(Some("not-ready"), &detail);
            }
        }
        json(&serde_json::json!({ "status": "ok" }))
    }

    /// The method of a profile.
    pub(crate) fn method(&self, profile: &str) -> Result<&Arc<Method>, AdminError> {
        self.methods.get(profile).ok_or_else(|| AdminError::NotFound(format!("profile \"{profile}\"")))
    }

    /// The authorization server of this process.
    pub(crate) fn authorization_server(&self) -> Result<&Arc<AuthorizationServer>, AdminError> {
        self.authorization_server
            .as_ref()
            .ok_or_else(|| AdminError::NotFound("an authorization server in this process".to_owned()))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminError> {
    // Said without the value: it may be a password.
    serde_json::from_slice(body).map_err(|error| {
        AdminError::BadRequest(format!(
            "the body is not what the contract says ({:?} error at line {}, column {})",
            error.classify(),
            error.line(),
            error.column()
        ))
    })
}

fn json(value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).expect("the contract's types are JSON");
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn unavailable(kind: Option<&str>, detail: &str) -> Answer {
    let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, kind, Some(detail));
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn refuse(error: &AdminError) -> Answer {
    let (status, field) = match error {
        AdminError::NotFound(_) => (StatusCode::NOT_FOUND, None),
        AdminError::BadRequest(_) => (StatusCode::BAD_REQUEST, None),
        AdminError::Forbidden(_) => (StatusCode::FORBIDDEN, None),
        AdminError::Conflict(_) => (StatusCode::CONFLICT, None),
        // No method is allowed there (RFC 9110 §10.2.1).
        AdminError::NotHere(_) => (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, ""))),
        AdminError::Store(_) => return unavailable(None, &error.to_string()),
    };
    let mut answer = problem(status, None, Some(&error.to_string()));
    if let Some((name, value)) = field {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{self, Cause, Connection, Environment, Rejection};
    use crate::config::{
        Algorithm, ApiKeyConfig, BasicConfig, ClockMode, DenyListConfig, JwtConfig, MethodConfig, MtlsConfig,
        PasswordHash, Profile, READ_SCOPE, StoreConfig,
    };
    use crate::contract::{Counters, Issued, IssuerKey, Material};
    use crate::testing;

    fn administration(clock: ClockMode) -> Administration {
        let config = toml::from_str("workers = 1\nstate_dir = \"state\"\nlisteners = []").unwrap();
        Administration {
            config,
            clock: Clock::new(clock),
            meter: Arc::default(),
            methods: BTreeMap::from([("the baseline".to_owned(), Arc::new(Method::None))]),
            authorization_server: None,
            certificate: None,
        }
    }

    async fn ask(verb: Verb, path: &str, body: &str) -> (u16, Bytes) {
        ask_with(&administration(ClockMode::System), verb, path, body).await
    }

    async fn ask_with(administration: &Administration, verb: Verb, path: &str, body: &str) -> (u16, Bytes) {
        let answer = administration.answer(&verb, path, body.as_bytes()).await;
        let problem = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
        let status = answer.status();
        assert_eq!(problem, status.is_client_error() || status.is_server_error(), "{verb} {path}");
        (answer.status().as_u16(), answer.into_body().collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn hk_6_hk_9_counters_configuration_and_health() {
        let administration = administration(ClockMode::System);
        administration.meter.requests.add();
        let (status, body) = ask_with(&administration, Verb::GET, "/counters", "").await;
        assert_eq!(status, 200);
        assert_eq!(serde_json::from_slice::<Counters>(&body).unwrap().requests, 1);
        let shown: serde_json::Value = serde_json::from_slice(&body).unwrap();
        for name in ["store_lookups", "store_writes", "verify_calls", "hash_calls", "jwks_fetches", "cache_hits"] {
            assert_eq!(shown[name], 0, "{name}");
        }
        assert_eq!([&shown["ocsp_queries"], &shown["outbound_connects"]], [0, 0]);
        assert_eq!([&shown["rejected"], &shown["unavailable"]], [&serde_json::json!({}); 2]);
        // Records of earlier versions say it in other words.
        let earlier: Counters = serde_json::from_str(r#"{"ocsp_questions": 3}"#).unwrap();
        assert_eq!((earlier.ocsp_queries, earlier.outbound_connects), (3, 0));
        let (_, body) = ask_with(&administration, Verb::GET, "/config", "").await;
        assert_eq!(serde_json::from_slice::<ServerConfig>(&body).unwrap(), administration.config);
        let (_, body) = ask_with(&administration, Verb::POST, "/telemetry/take", "").await;
        assert!(!serde_json::from_slice::<Telemetry>(&body).unwrap().validation.is_empty());
        assert_eq!(ask(Verb::GET, "/health", "").await.0, 200);
    }

    #[tokio::test]
    async fn hk_13_credentials_are_issued_by_profile() {
        let path = "/profiles/the%20baseline/credentials";
        let (status, body) = ask(Verb::POST, path, r#"{"count": 3, "scopes": ["read"]}"#).await;
        assert_eq!(status, 200);
        assert_eq!(serde_json::from_slice::<Vec<Issued>>(&body).unwrap().len(), 3);
        assert_eq!(ask(Verb::POST, path, r#"{"count": 0, "scopes": []}"#).await.0, 400);
        assert_eq!(ask(Verb::POST, path, r#"{"count": 1, "scopes": [], "more": 1}"#).await.0, 400);
        assert_eq!(ask(Verb::POST, "/profiles/x/credentials", r#"{"count": 1, "scopes": []}"#).await.0, 404);
        // The baseline has nothing to renew, and nothing to revoke.
        let another = "/profiles/the%20baseline/principals/anonymous/credentials";
        assert_eq!(ask(Verb::POST, another, r#"{"count": 1, "scopes": []}"#).await.0, 405);
        assert_eq!(ask(Verb::POST, another, r#"{"count": 2, "scopes": []}"#).await.0, 400);
        assert_eq!(ask(Verb::DELETE, &format!("{path}/none"), "").await.0, 405);
        assert_eq!(ask(Verb::POST, "/profiles/the%20baseline/signing-keys", "{}").await.0, 405);
        assert_eq!(ask(Verb::POST, "/profiles/x/signing-keys", "{}").await.0, 404);
    }

    /// Adds a profile, whose files are in the folder.
    async fn with_profile(administration: &mut Administration, folder: &Path, profile: &Profile) -> Arc<Method> {
        let environment = Environment {
            clock: administration.clock.clone(),
            meter: administration.meter.clone(),
            ..testing::environment(folder)
        };
        let method = Arc::new(Method::build(profile, &environment).await.unwrap());
        administration.methods.insert(profile.name.clone(), method.clone());
        method
    }

    /// The same of one called `m`.
    async fn with_method(administration: &mut Administration, folder: &Path, method: MethodConfig) -> Arc<Method> {
        with_profile(administration, folder, &testing::profile("m", method)).await
    }

    #[tokio::test]
    async fn xc_20_health_is_red_for_as_long_as_a_store_gives_no_answer() {
        let stored = [
            MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Sqlite)),
            MethodConfig::Basic(BasicConfig {
                store: StoreConfig::Sqlite,
                ..BasicConfig::new(PasswordHash::Pbkdf2Sha256 { iterations: 2 })
            }),
            MethodConfig::Jwt(JwtConfig {
                denylist: Some(DenyListConfig::new(Duration::from_secs(3600))),
                ..JwtConfig::new(Algorithm::EdDSA)
            }),
        ];
        for method in stored {
            let folder = tempfile::tempdir().unwrap();
            let mut administration = administration(ClockMode::System);
            with_method(&mut administration, folder.path(), method).await;
            let health = async || ask_with(&administration, Verb::GET, "/health", "").await;
            assert_eq!(health().await.0, 200);
            let meddler = rusqlite::Connection::open(folder.path().join("m/store.sqlite")).unwrap();
            meddler.execute_batch("ALTER TABLE keys RENAME TO elsewhere").unwrap();
            let (status, body) = health().await;
            assert_eq!(status, 503);
            let text = String::from_utf8_lossy(&body).into_owned();
            assert!(text.contains("not-ready") && text.contains(r#"profile \"m\""#), "{text}");
            meddler.execute_batch("ALTER TABLE elsewhere RENAME TO keys").unwrap();
            assert_eq!(health().await.0, 200);
        }
    }

    #[tokio::test]
    async fn xc_20_a_store_that_gives_no_answer_lets_nobody_in_and_one_that_does_again_knows_who_was_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let mut administration = administration(ClockMode::System);
        let config = ApiKeyConfig::new(StoreConfig::Sqlite);
        let method = with_method(&mut administration, folder.path(), MethodConfig::ApiKey(config)).await;
        let request = IssueRequest { count: 2, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
        let issued = method.issue(&request).await.unwrap();
        let call = async |credential: &Issued| {
            let Material::ApiKey { key } = &credential.material else { panic!("not a key") };
            let head = Request::get("/").header("x-api-key", key.expose()).body(()).unwrap().into_parts().0;
            let connection = Connection::new(([127, 0, 0, 1], 1).into(), None);
            let now = administration.clock.now();
            method.authenticate(&auth::Request { head: &head, connection: &connection, now }).await.map(|_| ())
        };
        method.revoke(&issued[0].id).await.unwrap();
        let meddler = rusqlite::Connection::open(folder.path().join("m/store.sqlite")).unwrap();
        meddler.execute_batch("ALTER TABLE keys RENAME TO elsewhere").unwrap();
        for credential in &issued {
            assert!(matches!(call(credential).await, Err(Rejection::Unavailable { .. })));
        }
        meddler.execute_batch("ALTER TABLE elsewhere RENAME TO keys").unwrap();
        assert_eq!(call(&issued[0]).await, Err(Rejection::Invalid(Cause::Revoked)));
        assert_eq!(call(&issued[1]).await, Ok(()));
    }

    #[tokio::test]
    async fn the_ca_of_a_profile_is_rolled_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut administration = administration(ClockMode::System);
        let config = MtlsConfig::new(Duration::from_secs(1));
        with_method(&mut administration, folder.path(), MethodConfig::Mtls(config)).await;
        let signer = async || {
            let request = r#"{"count": 1, "scopes": ["read"]}"#;
            let (_, body) = ask_with(&administration, Verb::POST, "/profiles/m/credentials", request).await;
            let [issued] = serde_json::from_slice::<[Issued; 1]>(&body).unwrap();
            let Material::Certificate { chain_pem, .. } = issued.material else { panic!("a certificate") };
            chain_pem.rsplit_once("-----BEGIN").unwrap().1.to_owned()
        };
        let before = signer().await;
        let path = "/profiles/m/signing-keys";
        let now = r#"{"lead": "0s", "overlap": "1h"}"#;
        let standing_by = r#"{"lead": "0s", "overlap": "1h", "standby": true}"#;
        assert_eq!(ask_with(&administration, Verb::POST, path, standing_by).await.0, 400);
        assert_eq!(signer().await, before);
        assert_eq!(ask_with(&administration, Verb::POST, path, now).await.0, 201);
        let after = signer().await;
        assert_ne!(after, before);
        // Published, and not to sign before every validator has looked.
        assert_eq!(ask_with(&administration, Verb::POST, path, "{}").await.0, 201);
        assert_eq!(signer().await, after);
    }

    #[tokio::test]
    async fn keys_leave_the_server_only_where_the_configuration_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut administration = administration(ClockMode::System);
        let jwt = MethodConfig::Jwt(JwtConfig::new(Algorithm::ES256));
        let mtls = MethodConfig::Mtls(MtlsConfig::new(Duration::from_secs(1)));
        for (name, method) in [("j", jwt), ("m", mtls)] {
            with_profile(&mut administration, folder.path(), &testing::profile(name, method)).await;
        }
        for path in ["/profiles/j/issuer-key", "/profiles/m/issuer-key", "/issuer-key"] {
            let (status, body) = ask_with(&administration, Verb::GET, path, "").await;
            assert_eq!(status, 405, "{path}");
            assert!(!String::from_utf8_lossy(&body).contains("PRIVATE KEY"), "{path}");
        }
        administration.config.forging = true;
        let (_, body) = ask_with(&administration, Verb::GET, "/profiles/j/issuer-key", "").await;
        let IssuerKey::Token { algorithm, kid, key } = serde_json::from_slice(&body).unwrap() else { panic!("a key") };
        assert_eq!(algorithm, Algorithm::ES256);
        assert!(!kid.is_empty() && key.expose().starts_with("-----BEGIN PRIVATE KEY-----"));
        let (_, body) = ask_with(&administration, Verb::GET, "/profiles/m/issuer-key", "").await;
        let IssuerKey::Certificate { ca_pem, chain_pem, key_pem, above } = serde_json::from_slice(&body).unwrap()
        else {
            panic!("a CA")
        };
        let above = above.expect("the root");
        assert!(above.key_pem.expose().contains("PRIVATE KEY") && above.ca_pem != ca_pem && above.chain_pem.is_empty());
        assert!(!ca_pem.is_empty() && (chain_pem.is_empty() || chain_pem.contains(&ca_pem)));
        assert!(key_pem.expose().contains("PRIVATE KEY"));
        assert_eq!(ask_with(&administration, Verb::GET, "/profiles/the%20baseline/issuer-key", "").await.0, 405);
        assert_eq!(ask_with(&administration, Verb::GET, "/issuer-key", "").await.0, 404);
        assert_eq!(ask_with(&administration, Verb::POST, "/issuer-key", "").await.0, 405);
    }

    #[tokio::test]
    async fn unknown_paths_and_verbs() {
        for path in ["/", "/nothing", "/counters/", "//counters", "/profiles", "/profiles/x", "/%ff"] {
            assert!([400, 404].contains(&ask(Verb::GET, path, "").await.0), "{path}");
        }
        let posted = ["/telemetry/take", "/clock", "/signing-keys", "/profiles/x/principals/y/credentials"];
        let of_profiles = ["/profiles/x/credentials", "/profiles/x/signing-keys", "/profiles/x/credentials/y"];
        for path in posted.into_iter().chain(of_profiles) {
            assert_eq!(ask(Verb::GET, path, "").await.0, 405, "{path}");
        }
        assert_eq!(ask(Verb::POST, "/counters", "").await.0, 405);
    }

    #[tokio::test]
    async fn hk_7_the_clock_moves_only_when_controlled() {
        let step = r#"{"advance": "1h"}"#;
        assert_eq!(ask(Verb::POST, "/clock", step).await.0, 409);
        let administration = administration(ClockMode::Controlled);
        let before = administration.clock.now();
        assert_eq!(ask_with(&administration, Verb::POST, "/clock", step).await.0, 204);
        assert!(administration.clock.now().0 - before.0 >= Duration::from_secs(3600));
        for (change, status) in [
            (r#"{"set": 1767225600}"#, 204),
            (r#""freeze""#, 204),
            (r#"{"set": 1767225600}"#, 204),
            (r#"{"advance": "-1h"}"#, 400),
            (r#"{"set": "1h"}"#, 400),
            (r#"{"advance": "1h", "set": 1}"#, 400),
            (r#""stop""#, 400),
        ] {
            assert_eq!(ask_with(&administration, Verb::POST, "/clock", change).await.0, status, "{change}");
        }
        assert_eq!(administration.clock.now().as_secs(), 1_767_225_600);
        assert_eq!(ask_with(&administration, Verb::POST, "/clock", r#""run""#).await.0, 204);
        let before = administration.clock.now();
        while administration.clock.now() == before {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn without_an_authorization_server_there_is_nothing_of_it_to_change() {
        let user = r#"{"username": "u", "password": "hunter2"}"#;
        assert_eq!(ask(Verb::POST, "/users", user).await.0, 404);
        assert_eq!(ask(Verb::POST, "/signing-keys", r#"{"lead": "0s"}"#).await.0, 404);
        assert_eq!(ask(Verb::POST, "/signing-keys", r#"{"leap": "0s"}"#).await.0, 400);
    }

    #[test]
    fn the_socket_is_private_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let socket = ControlSocket::bind(folder.path()).unwrap();
        let path = socket.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = ControlSocket::bind(folder.path()).err().expect("the folder is taken").to_string();
        assert!(second.contains("another server"), "{second}");
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn the_socket_of_a_killed_server_is_replaced_and_a_long_path_explained() {
        let folder = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET)).unwrap());
        assert!(folder.path().join(SOCKET).exists(), "dropping a listener leaves its file");
        ControlSocket::bind(folder.path()).unwrap();

        let deep = folder.path().join("x".repeat(120));
        let error = ControlSocket::bind(&deep).err().expect("too long").to_string();
        assert!(error.contains("too long") && error.contains("choose a shorter"), "{error}");
    }
}
