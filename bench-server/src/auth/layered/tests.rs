//! Callers and users together, against an issuer that signs whatever the tests want.

use std::io::{self, BufRead as _, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::auth::api_key::Manager;
use crate::auth::{Cause, Connection, Method, PrincipalKind};
use crate::clock::Clock;
use crate::config::{
    AUDIENCE, Algorithm, ApiKeyConfig, ClockMode, ENVIRONMENT_CLAIM, KeyEnvironment, MethodConfig, MtlsConfig,
    OAuth2Config, Profile, ServiceConfig, StoreConfig, TokenRules, TrustedIssuer,
};
use crate::contract::{KeyRequest, Material};
use crate::credential::jws::SigningKey;
use crate::credential::x509::ClientIdentity;
use crate::net::route::{self, Site};
use crate::store::file::{self, Readers};
use crate::telemetry::Meter;

mod accounts;

const MINUTE: Duration = Duration::from_secs(60);

/// An authorization server elsewhere.
struct Issuer {
    url: String,
    signing: SigningKey,
}

impl Issuer {
    /// One that publishes its metadata and its key.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let issuer = Self::at(&listener);
        let metadata = json!({ "issuer": issuer.url, "jwks_uri": format!("{}/jwks", issuer.url) }).to_string();
        let keys = json!({ "keys": [issuer.signing.jwk()] }).to_string();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut head =
                    BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
                let first = head.next().unwrap_or_default();
                head.for_each(drop);
                let body = if first.starts_with("GET /jwks ") { &keys } else { &metadata };
                let fields = format!("Content-Length: {}\r\nConnection: close", body.len());
                // Who asked may have gone.
                let _ = write!(stream, "HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
            }
        });
        issuer
    }

    /// One that nobody reaches.
    fn unreachable() -> Self {
        Self::at(&TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    fn at(listener: &TcpListener) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        Self { url, signing: SigningKey::generate(Algorithm::ES256).expect("a key") }
    }
}

/// A method that trusts the issuer, on a clock that the tests move.
struct Bench {
    layered: Layered,
    issuer: Issuer,
    clock: Clock,
    meter: Arc<Meter>,
    folder: tempfile::TempDir,
}

fn applications(store: StoreConfig) -> CallerConfig {
    CallerConfig::Application(ApiKeyConfig::new(store))
}

fn services(may_act: &[&str]) -> CallerConfig {
    let certificates = MtlsConfig::new(Duration::from_secs(3600));
    CallerConfig::Service(ServiceConfig { certificates, may_act: may_act.iter().map(|id| (*id).to_owned()).collect() })
}

fn user(issuer: &Issuer, folder: &Path) -> OAuth2Config {
    let client_secret_file = folder.join("secret");
    file::replace(&client_secret_file, b"not used for tokens that are JWTs", Readers::Owner).expect("written");
    OAuth2Config {
        issuer: TrustedIssuer::Remote {
            issuer: issuer.url.clone(),
            ca_file: None,
            client_id: "resource-server".to_owned(),
            client_secret_file,
        },
        rules: TokenRules { leeway: Duration::ZERO, ..TokenRules::default() },
        ..OAuth2Config::new(TokenValidation::Jwt { algorithm: Algorithm::ES256 })
    }
}

impl Bench {
    async fn new(caller: CallerConfig) -> Self {
        Self::trusting(Issuer::start(), caller).await
    }

    async fn trusting(issuer: Issuer, caller: CallerConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (clock, meter) = (Clock::new(ClockMode::Controlled), Arc::new(Meter::default()));
        let environment = Environment {
            shared_dir: folder.path().to_owned(),
            clock: clock.clone(),
            meter: meter.clone(),
            authorization_server: None,
            ca_file: folder.path().join("unused.pem"),
        };
        let of_keys = match &caller {
            CallerConfig::Application(keys) => keys.environment,
            CallerConfig::Service(_) => KeyEnvironment::Live,
        };
        let user = OAuth2Config { environment: of_keys, ..user(&issuer, folder.path()) };
        let config = LayeredConfig { caller, user };
        let layered = Layered::build("layered", &config, &environment).await.expect("a sound configuration");
        Self { layered, issuer, clock, meter, folder }
    }

    /// A key of an application, with its name.
    async fn key(&self, application: &str, scopes: &[&str]) -> (String, String) {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let issued = self.layered.renew(application, &IssueRequest { count: 1, lifetime: None, scopes }).await;
        let issued = issued.expect("a key");
        assert_eq!(issued.principal, application);
        let Material::ApiKey { key } = issued.material else { panic!("not a key") };
        (key.expose().to_owned(), issued.id)
    }

    /// A certificate of a service, as a connection shows it, with its DER.
    async fn certificate(&self, service: &str) -> (Connection, Vec<u8>) {
        let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
        let issued = self.layered.renew(service, &request).await.expect("a certificate");
        let Material::Certificate { chain_pem, .. } = issued.material else { panic!("not a certificate") };
        let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes()).expect("PEM");
        let identity = ClientIdentity::from_der(&leaf).expect("an identity");
        (connection(Some(Arc::new(identity))), leaf.to_vec())
    }

    /// A token of alice's for the client `shop`, with some claims changed.
    fn token(&self, changes: &Value) -> String {
        let now = self.clock.now().as_secs();
        let mut claims = json!({
            "iss": self.issuer.url, "aud": AUDIENCE, "sub": "alice", "client_id": "shop", "scope": "read write",
            "jti": "token-1", "iat": now, "exp": now + MINUTE.as_secs(),
        });
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        self.issuer.signing.sign("at+jwt", &claims).expect("signed")
    }

    async fn send(&self, connection: &Connection, fields: &[(&str, &str)]) -> Result<Principal, Rejection> {
        let request =
            fields.iter().fold(http::Request::builder(), |request, (name, value)| request.header(*name, *value));
        let head = request.body(()).expect("a request").into_parts().0;
        self.layered.authenticate(&Request { head: &head, connection, now: self.clock.now() }).await
    }

    /// What an application shows, over a connection without certificate.
    async fn show(&self, key: Option<&str>, token: Option<&str>) -> Result<Principal, Rejection> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let fields = key.map(|key| ("x-api-key", key)).into_iter();
        let fields: Vec<_> = fields.chain(bearer.as_deref().map(|bearer| ("authorization", bearer))).collect();
        self.send(&connection(None), &fields).await
    }

    /// The method behind a route that asks for the scope `read`.
    fn site(self) -> Site {
        let profile = Profile {
            name: "layered".to_owned(),
            path: "/layered".to_owned(),
            scope: "read".to_owned(),
            method: MethodConfig::None, // which `Route` looks at for its name alone
            users_only: false,
            slow_down: None,
        };
        Site {
            routes: vec![route::Route::new(&profile, Arc::new(Method::Layered(Box::new(self.layered))))],
            key_management: None,
            authorization_server: None,
            ocsp_responder: None,
            description: Bytes::new(),
            clock: self.clock,
            meter: self.meter,
            misdirected: Vec::new(),
        }
    }

    /// Signatures verified, and fetches of keys.
    fn spent_on_tokens(&self) -> (u64, u64) {
        (self.meter.verify_calls.get(), self.meter.jwks_fetches.get())
    }
}

fn connection(client: Option<Arc<ClientIdentity>>) -> Connection {
    Connection::new(([127, 0, 0, 1], 1).into(), client)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

const NOBODY: Option<&str> = None;

#[tokio::test]
async fn la_1_an_application_and_a_user_are_both_named() {
    for store in [StoreConfig::Memory, StoreConfig::Sqlite] {
        let bench = Bench::new(applications(store)).await;
        let (key, id) = bench.key("shop", &["read"]).await;
        let expected = Principal {
            through: Some(Through::Application { id: "shop".into(), key: id.into() }),
            ..Principal::new(PrincipalKind::User, "alice", "read", "token-1")
        };
        assert_eq!(bench.show(Some(&key), Some(&bench.token(&json!({})))).await, Ok(expected));
        assert_eq!((bench.meter.store_lookups.get(), bench.spent_on_tokens()), (1, (1, 1)));
    }
}

#[tokio::test]
async fn la_2_bc_157_without_a_good_key_the_token_is_not_looked_at() {
    let bench = Bench::new(applications(StoreConfig::Memory)).await;
    let (key, _) = bench.key("shop", &["read"]).await;
    let token = bench.token(&json!({}));
    let stranger = crate::credential::key::generate(KeyEnvironment::Live, &mut rand::rngs::SysRng).expect("random");
    let cut = &key[..key.len() - 1];
    for (shown, cause) in [
        (NOBODY, None),
        (Some(cut), Some(Cause::Malformed)),
        (Some("schlüssel"), Some(Cause::Malformed)),
        (Some(token.as_str()), Some(Cause::Malformed)),
        (Some(stranger.expose()), Some(Cause::Unknown)),
    ] {
        for token in [NOBODY, Some(token.as_str()), Some("a.b.c")] {
            let answer = bench.show(shown, token).await;
            assert_eq!(answer, Err(Rejection::Caller(Layer::Application, cause)), "{shown:?} with {token:?}");
        }
    }
    // A key where the token belongs is not the application's.
    assert_eq!(bench.show(NOBODY, Some(&key)).await, Err(Rejection::Caller(Layer::Application, None)));
    assert_eq!(bench.spent_on_tokens(), (0, 0));
    let twice = [("x-api-key", key.as_str()), ("x-api-key", key.as_str())];
    assert!(matches!(bench.send(&connection(None), &twice).await, Err(Rejection::Ambiguous(_))));
}

#[tokio::test]
async fn la_3_bc_157_with_a_good_key_the_token_is_asked_for() {
    let bench = Bench::new(applications(StoreConfig::Memory)).await;
    let (key, _) = bench.key("shop", &["read"]).await;
    assert_eq!(bench.show(Some(&key), NOBODY).await, Err(Rejection::Missing));
    for token in ["", "a.b.c", "at_opaque", key.as_str()] {
        assert!(matches!(bench.show(Some(&key), Some(token)).await, Err(Rejection::Invalid(_))), "{token:?}");
    }
    let basic = [("x-api-key", key.as_str()), ("authorization", "Basic YTpi")];
    assert_eq!(bench.send(&connection(None), &basic).await, Err(Rejection::Missing));
    let foreign = Issuer::unreachable().signing.sign("at+jwt", &json!({ "iss": bench.issuer.url })).expect("signed");
    assert!(matches!(bench.show(Some(&key), Some(&foreign)).await, Err(Rejection::Invalid(_))));
}

#[tokio::test]
async fn la_4_bc_158_a_token_counts_only_in_the_hands_of_its_client() {
    let bench = Bench::new(applications(StoreConfig::Memory)).await;
    let ((shop, _), (other, _)) = (bench.key("shop", &["read"]).await, bench.key("other", &["read"]).await);
    let mismatch = || Err(Rejection::Forbidden("credential-binding-mismatch"));
    let of_shop = bench.token(&json!({}));
    assert!(bench.show(Some(&shop), Some(&of_shop)).await.is_ok());
    assert_eq!(bench.show(Some(&other), Some(&of_shop)).await, mismatch());
    let of_other = bench.token(&json!({ "client_id": "other" }));
    assert_eq!(bench.show(Some(&shop), Some(&of_other)).await, mismatch());
    assert!(bench.show(Some(&other), Some(&of_other)).await.is_ok());
}

#[tokio::test]
async fn la_5_bc_159_the_two_may_do_what_both_may() {
    let bench = Bench::new(applications(StoreConfig::Memory)).await;
    for (of_key, of_token, of_both) in [
        (&["read", "write"][..], "read", "read"),
        (&["read"], "write read", "read"),
        (&["read", "write"], "write read admin", "write read"),
        (&["write"], "read", ""),
        (&[], "read", ""),
        (&["read"], "", ""),
    ] {
        let (key, _) = bench.key("shop", of_key).await;
        let principal = bench.show(Some(&key), Some(&bench.token(&json!({ "scope": of_token })))).await;
        let principal = principal.expect("authenticated");
        assert_eq!(&*principal.scopes, of_both, "{of_key:?} and {of_token:?}");
        assert_eq!(principal.has_scope("read"), of_both.contains("read"));
    }
}

#[tokio::test]
async fn la_8_bc_160_either_credential_ends_alone() {
    let bench = Bench::new(applications(StoreConfig::Memory)).await;
    let ((first, id), (second, _)) = (bench.key("shop", &["read"]).await, bench.key("shop", &["read"]).await);
    let token = bench.token(&json!({}));
    assert!(bench.show(Some(&first), Some(&token)).await.is_ok());
    bench.layered.revoke(&id).await.expect("revoked");
    let refused = Err(Rejection::Caller(Layer::Application, Some(Cause::Revoked)));
    assert_eq!(bench.show(Some(&first), Some(&token)).await, refused);
    assert!(bench.show(Some(&second), Some(&token)).await.is_ok(), "the token stands for itself");
    // Of a token that is a JWT its end is what takes it back.
    bench.clock.advance(MINUTE).expect("a controlled clock");
    assert_eq!(bench.show(Some(&second), Some(&token)).await, Err(Rejection::Invalid(Cause::Expired)));
    assert!(bench.show(Some(&second), Some(&bench.token(&json!({})))).await.is_ok(), "so does the key");
}

#[tokio::test]
async fn la_13_a_key_and_a_token_of_different_environments_do_not_go_together() {
    let both = [KeyEnvironment::Live, KeyEnvironment::Test];
    let [live, test] = both.map(|environment| async move {
        let keys = ApiKeyConfig { environment, ..ApiKeyConfig::new(StoreConfig::Memory) };
        let bench = Bench::new(CallerConfig::Application(keys)).await;
        let (key, _) = bench.key("shop", &["read"]).await;
        (bench, key, environment.name())
    });
    let (live, test) = (live.await, test.await);
    let wrong = Cause::WrongEnvironment;
    for ((bench, key, here), (_, foreign_key, elsewhere)) in [(&live, &test), (&test, &live)] {
        let of = |environment: &str| bench.token(&json!({ (ENVIRONMENT_CLAIM): environment }));
        assert!(bench.show(Some(key), Some(&of(here))).await.is_ok(), "{here}");
        let answer = bench.show(Some(key), Some(&of(elsewhere))).await;
        assert_eq!(answer, Err(Rejection::Invalid(wrong)), "a {here} key with a {elsewhere} token");
        // A key says so by itself, whatever stands beside it.
        let before = bench.spent_on_tokens();
        for token in [NOBODY, Some(&*of(here)), Some(&*of(elsewhere))] {
            let answer = bench.show(Some(foreign_key), token).await;
            assert_eq!(answer, Err(Rejection::Caller(Layer::Application, Some(wrong))), "a {elsewhere} key");
        }
        assert_eq!(bench.spent_on_tokens(), before);
        let answer = bench.show(Some(key), Some(&of("staging"))).await;
        assert_eq!(answer, Err(Rejection::Invalid(Cause::Claims)), "an environment that nobody knows");
    }
    // Who says nothing is live.
    let unsaid = |bench: &Bench| bench.token(&json!({}));
    assert!(live.0.show(Some(&live.1), Some(&unsaid(&live.0))).await.is_ok());
    assert_eq!(test.0.show(Some(&test.1), Some(&unsaid(&test.0))).await, Err(Rejection::Invalid(wrong)));
}

#[tokio::test]
async fn la_1_a_client_is_no_user() {
    let bench = Bench::new(applications(StoreConfig::Memory)).await;
    let (key, _) = bench.key("shop", &["read"]).await;
    for sub in ["shop", "client:shop", "client:other"] {
        let answer = bench.show(Some(&key), Some(&bench.token(&json!({ "sub": sub })))).await;
        assert_eq!(answer, Err(Rejection::Forbidden("user-authorization-required")), "{sub}");
    }
}

const GATEWAY: &str = "spiffe://authbench.test/gateway";

#[tokio::test]
async fn la_10_bc_161_a_service_and_a_user_are_both_named_and_either_alone_is_refused() {
    let bench = Bench::new(services(&[GATEWAY])).await;
    let (gateway, _) = bench.certificate(GATEWAY).await;
    let good = bearer(&bench.token(&json!({ "client_id": "any" })));
    let principal = bench.send(&gateway, &[("authorization", &good)]).await.expect("accepted");
    assert_eq!((&*principal.id, &*principal.scopes), ("alice", "read"));
    assert_eq!(principal.through, Some(Through::Service(GATEWAY.into())));
    let before = bench.spent_on_tokens();
    // The listener refuses it in the handshake already.
    let answer = bench.send(&connection(None), &[("authorization", &good)]).await;
    assert_eq!(answer, Err(Rejection::Caller(Layer::Service, None)));
    assert_eq!(bench.spent_on_tokens(), before, "the token was not looked at");
    assert_eq!(bench.send(&gateway, &[]).await, Err(Rejection::Missing));
    assert!(matches!(bench.send(&gateway, &[("authorization", "Bearer a.b.c")]).await, Err(Rejection::Invalid(_))));
}

#[tokio::test]
async fn la_11_bc_162_a_token_bound_to_one_services_certificate_is_of_no_use_to_another() {
    const REPORTS: &str = "spiffe://authbench.test/reports";
    let bench = Bench::new(services(&[GATEWAY, REPORTS])).await;
    let ((_, of_gateway), (reports, _)) = (bench.certificate(GATEWAY).await, bench.certificate(REPORTS).await);
    let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(&of_gateway));
    let bound = bearer(&bench.token(&json!({ "cnf": { "x5t#S256": thumbprint } })));
    let answer = bench.send(&reports, &[("authorization", &bound)]).await;
    assert!(matches!(answer, Err(Rejection::Invalid(_))), "{answer:?}");
    let unbound = bearer(&bench.token(&json!({})));
    assert!(bench.send(&reports, &[("authorization", &unbound)]).await.is_ok());
}

#[tokio::test]
async fn la_12_a_service_that_is_not_named_may_not_act_for_users() {
    let bench = Bench::new(services(&[GATEWAY])).await;
    let good = bearer(&bench.token(&json!({})));
    for service in ["spiffe://authbench.test/gateway/other", "spiffe://authbench.test/gatewa"] {
        let (other, _) = bench.certificate(service).await;
        let answer = bench.send(&other, &[("authorization", &good)]).await;
        assert_eq!(answer, Err(Rejection::Forbidden("service-may-not-act")), "{service}");
    }
    assert_eq!(bench.spent_on_tokens(), (0, 0));
}

/// The status of a request on the route of a site.
async fn request(site: &Site, verb: &str, connection: Connection, fields: &[(&str, Option<&String>)]) -> u16 {
    let fields = fields.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    let request = http::Request::builder().method(verb).uri("/layered").header("host", "localhost");
    let request = fields.fold(request, |request, (name, value)| request.header(name, value));
    let request = request.body(Full::<Bytes>::default()).expect("a request");
    let caller = route::Caller { connection, without_identity: false, closing: AtomicBool::new(false) };
    site.answer(request, &caller).await.status().as_u16()
}

/// A writer that several can hold.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn la_14_the_audit_line_has_a_field_for_each_party_and_no_secret() {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logged = tracing::subscriber::set_default(log);

    let of_applications = Bench::new(applications(StoreConfig::Memory)).await;
    let (key, _) = of_applications.key("shop", &["read"]).await;
    let (powerless, _) = of_applications.key("shop", &[]).await;
    let token = of_applications.token(&json!({}));
    let site = of_applications.site();
    for (verb, key, token, expected) in [
        ("GET", &key, Some(&token), 200),
        ("GET", &key, None, 401),
        // Authenticated, and answered without the resource.
        ("GET", &powerless, Some(&token), 403),
        ("PUT", &key, Some(&token), 405),
    ] {
        let bearer = token.map(|token| bearer(token));
        let fields = [("x-api-key", Some(key)), ("authorization", bearer.as_ref())];
        assert_eq!(request(&site, verb, connection(None), &fields).await, expected, "{verb}");
    }
    let of_services = Bench::new(services(&[GATEWAY])).await;
    let (gateway, _) = of_services.certificate(GATEWAY).await;
    let for_alice = bearer(&of_services.token(&json!({})));
    let fields = [("authorization", Some(&for_alice))];
    assert_eq!(request(&of_services.site(), "GET", gateway, &fields).await, 200);

    let text = String::from_utf8(lines.0.lock().expect("no holder panics").clone()).expect("UTF-8");
    let audit: Vec<&str> = text.lines().filter(|line| line.contains(" audit: accepted")).collect();
    let [application, service] = audit.as_slice() else { panic!("one line for each that was accepted: {text}") };
    for (line, caller, other) in [
        (application, "application=\"shop\"".to_owned(), "service="),
        (service, format!("service=\"{GATEWAY}\""), "application="),
    ] {
        assert!(line.contains(&caller) && line.contains("user=\"alice\"") && !line.contains(other), "{line}");
        assert!(line.contains("credential=\"token-1\""), "{line}");
    }
    assert!(!text.contains(&key) && !text.contains(&token));
}

#[tokio::test]
async fn la_15_what_cannot_be_checked_is_never_accepted() {
    let cold = Bench::trusting(Issuer::unreachable(), applications(StoreConfig::Sqlite)).await;
    let (key, _) = cold.key("shop", &["read"]).await;
    let token = cold.token(&json!({}));
    let answer = cold.show(Some(&key), Some(&token)).await;
    assert!(matches!(answer, Err(Rejection::Unavailable { dependency: "authorization server", .. })), "{answer:?}");

    let meddler = rusqlite::Connection::open(cold.folder.path().join("layered/store.sqlite")).expect("the database");
    meddler.execute_batch("DROP TABLE keys").expect("drop");
    let answer = cold.show(Some(&key), Some(&token)).await;
    assert!(matches!(answer, Err(Rejection::Unavailable { dependency: "key store", .. })), "{answer:?}");
}

#[tokio::test]
async fn keys_have_an_owner_and_contradictions_are_refused() {
    let bench = Bench::new(applications(StoreConfig::Memory)).await;
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
    assert!(matches!(bench.layered.issue(&request).await, Err(AdminError::NotHere(_))));
    let keys = bench.layered.api_key().expect("applications call");
    let create = async |owner: Option<&str>| {
        let asked = KeyRequest { owner: owner.map(str::to_owned), ..KeyRequest::default() };
        keys.create(&asked, Manager::Control).await
    };
    for name in ["", "a b", "ключ", &"a".repeat(256)] {
        assert!(matches!(bench.layered.renew(name, &request).await, Err(AdminError::BadRequest(_))), "{name:?}");
        assert!(matches!(create(Some(name)).await, Err(AdminError::BadRequest(_))), "{name:?}");
    }
    assert!(matches!(create(None).await, Err(AdminError::BadRequest(_))), "a key is somebody's");
    assert_eq!(create(Some("shop")).await.expect("created").summary.owner, "shop");
    assert!(matches!(bench.layered.roll_over(&KeyRollover::default()).await, Err(AdminError::NotHere(_))));

    let folder = tempfile::tempdir().expect("a folder");
    let environment = Environment {
        shared_dir: folder.path().to_owned(),
        clock: bench.clock.clone(),
        meter: bench.meter.clone(),
        authorization_server: None,
        ca_file: folder.path().join("unused.pem"),
    };
    let user = user(&bench.issuer, folder.path());
    let opaque = OAuth2Config { validation: TokenValidation::Opaque { cache: None }, ..user.clone() };
    let sandbox = OAuth2Config { environment: KeyEnvironment::Test, ..user.clone() };
    for (caller, user, expected) in [
        (applications(StoreConfig::Memory), sandbox, "of different environments do not go together"),
        (applications(StoreConfig::Memory), opaque, "write token = \"jwt\""),
        (services(&["gateway"]), user, "is not a SPIFFE ID"),
    ] {
        let built = Layered::build("layered", &LayeredConfig { caller, user }, &environment).await;
        let Err(BuildError::Config(problem)) = built else { panic!("built: {expected}") };
        assert!(problem.contains(expected), "{problem}");
    }
}
