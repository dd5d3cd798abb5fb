//! The method `api-key` through its one call, on a clock that the tests move.

use futures_util::FutureExt as _;

use super::*;
use crate::auth::Connection;
use crate::config::{CacheConfig, StoreConfig};

mod administration;
mod limits;
mod peppers;

const TTL: Duration = Duration::from_secs(10);

/// A method in a folder of its own, on a clock that the test moves.
struct Bench {
    method: ApiKey,
    environment: Environment,
    config: ApiKeyConfig,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new(store: StoreConfig, cache: Option<CacheConfig>) -> Self {
        Self::with(ApiKeyConfig { cache, ..ApiKeyConfig::new(store) }).await
    }

    async fn with(config: ApiKeyConfig) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let environment = crate::testing::environment(folder.path());
        let method = ApiKey::build("test", &config, &environment).await.expect("a sound configuration");
        Self { method, environment, config, _folder: folder }
    }

    /// Another node over the same records.
    async fn replica(&self) -> ApiKey {
        ApiKey::build("test", &self.config, &self.environment).await.expect("the same records")
    }

    async fn cached(store: StoreConfig) -> Self {
        Self::new(store, Some(CacheConfig { capacity: 100, ..CacheConfig::new(TTL) })).await
    }

    async fn issue(&self, lifetime: Option<Duration>) -> (Issued, String) {
        let request = IssueRequest { count: 1, lifetime, scopes: vec!["read".to_owned()] };
        let issued = self.method.issue(&request).await.expect("issue").remove(0);
        let Material::ApiKey { key } = &issued.material else { panic!("not a key: {issued:?}") };
        let key = key.expose().to_owned();
        (issued, key)
    }

    /// Presents a key to a store that is not at hand.
    async fn present_from_afar(&self, key: &str) -> Result<Principal, Rejection> {
        let head = http::Request::builder().header(&X_API_KEY, key).body(()).expect("a valid request").into_parts().0;
        let connection = Connection::new("127.0.0.1:1".parse().expect("an address"), None);
        let request = Request { head: &head, connection: &connection, now: self.environment.clock.now() };
        self.method.authenticate(&request).await
    }

    fn at(&self, now: UnixTime, uri: &str, fields: &[(&str, &str)]) -> Result<Principal, Rejection> {
        let builder = http::Request::builder().uri(uri);
        let builder = fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        let head = builder.body(()).expect("a valid request").into_parts().0;
        let connection = Connection::new("127.0.0.1:1".parse().expect("an address"), None);
        let request = Request { head: &head, connection: &connection, now };
        self.method.authenticate(&request).now_or_never().expect("a store that is at hand is not waited for")
    }

    fn send(&self, fields: &[(&str, &str)]) -> Result<Principal, Rejection> {
        self.at(self.environment.clock.now(), "/whoami", fields)
    }

    fn present(&self, key: &str) -> Result<Principal, Rejection> {
        self.send(&[("x-api-key", key)])
    }

    fn lookups(&self) -> u64 {
        self.environment.meter.store_lookups.get()
    }
}

const BOTH: [StoreConfig; 2] = [StoreConfig::Memory, StoreConfig::Sqlite];

#[tokio::test]
async fn ak_5_ak_8_ak_18_an_issued_key_is_accepted_in_either_field_with_one_lookup_and_no_write() {
    for store in BOTH {
        let bench = Bench::new(store, None).await;
        let (issued, key) = bench.issue(None).await;
        let kind = PrincipalKind::Application;
        let expected = Principal::new(kind, issued.principal.as_str(), "read", issued.id.as_str());
        assert!(issued.principal.starts_with("app-") && issued.id.starts_with("key-"));
        assert_eq!(bench.send(&[("authorization", &format!("bEARER  {key}"))]), Ok(expected.clone()));
        assert_eq!(bench.send(&[("X-API-Key", &key)]), Ok(expected));
        assert_eq!(bench.lookups(), 2);
        assert_eq!(bench.environment.meter.store_writes.get(), 1, "issuing wrote, validating did not");
    }
}

#[tokio::test]
async fn another_key_of_an_application_works_beside_the_first_and_after_it() {
    for store in BOTH {
        let bench = Bench::new(store, None).await;
        let (first, old) = bench.issue(None).await;
        let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
        let second = bench.method.renew(&first.principal, &request).await.expect("another key");
        let Material::ApiKey { key } = &second.material else { panic!("not a key: {second:?}") };
        assert_eq!(second.principal, first.principal);
        assert_ne!(second.id, first.id);
        assert!(bench.present(&old).is_ok() && bench.present(key.expose()).is_ok());
        bench.method.revoke(&first.id).await.expect("revoked");
        assert_eq!(bench.present(&old), Err(Rejection::Invalid(Cause::Revoked)));
        assert!(bench.present(key.expose()).is_ok(), "it stands for itself");
        let unknown = bench.method.renew("nobody", &request).await;
        assert!(matches!(unknown, Err(AdminError::NotFound(_))), "{unknown:?}");
    }
}

#[tokio::test]
async fn ak_8_ak_9_bc_031_bc_032_bc_033_two_credentials_or_one_in_the_wrong_place_are_ambiguous() {
    let bench = Bench::new(StoreConfig::Memory, None).await;
    let (_, key) = bench.issue(None).await;
    let bearer = format!("Bearer {key}");
    let url = format!("/whoami?api_key={key}");
    let ambiguous = |fields: &[(&str, &str)]| matches!(bench.send(fields), Err(Rejection::Ambiguous(_)));
    assert!(ambiguous(&[("authorization", &bearer), ("x-api-key", &key)]));
    assert!(ambiguous(&[("authorization", "Basic YTpi"), ("x-api-key", &key)]));
    assert!(ambiguous(&[("authorization", &bearer), ("authorization", "Bearer bad")]));
    assert!(ambiguous(&[("authorization", "Bearer bad"), ("authorization", &bearer)]));
    assert!(ambiguous(&[("x-api-key", &key), ("x-api-key", &key)]));
    assert!(ambiguous(&[("cookie", &format!("theme=dark; api_key={key}"))]));
    for fields in [&[][..], &[("x-api-key", key.as_str())], &[("authorization", bearer.as_str())]] {
        let answer = bench.at(bench.environment.clock.now(), &url, fields);
        assert!(matches!(answer, Err(Rejection::Ambiguous(_))), "{answer:?}");
    }
    assert_eq!(bench.lookups(), 0);
}

#[tokio::test]
async fn ak_6_xc_23_bc_020_bc_034_bc_035_no_credential_is_missing_and_a_bad_form_is_not_looked_up() {
    let bench = Bench::new(StoreConfig::Memory, None).await;
    let (issued, key) = bench.issue(None).await;
    let basic = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("{key}:"));
    for fields in [
        &[][..],
        &[("authorization", "")],
        &[("authorization", key.as_str())],
        &[("authorization", &format!("Basic {basic}"))],
        &[("proxy-authorization", &format!("Bearer {key}"))],
        &[("cookie", "theme=dark")],
    ] {
        assert_eq!(bench.send(fields), Err(Rejection::Missing), "{fields:?}");
    }
    let flipped = if key.ends_with('0') { "1" } else { "0" };
    for bad in [
        "",
        &key[..key.len() - 1],
        &format!("{}{flipped}", &key[..key.len() - 1]),
        &format!("{key}0"),
        &key[..16],
        &issued.id,
        &"A".repeat(4096),
        "' OR '1'='1",
        "{\"$ne\":null}",
        "../../etc/passwd",
        "ключ",
    ] {
        assert_eq!(bench.present(bad), Err(Rejection::Invalid(Cause::Malformed)), "{bad:?}");
    }
    assert_eq!(bench.send(&[("authorization", "Bearer")]), Err(Rejection::Invalid(Cause::Malformed)));
    assert_eq!(bench.lookups(), 0);
}

/// Whoever reads the store learns what keys are compared with, and not what to show.
#[tokio::test]
async fn bc_022_what_the_store_holds_of_a_key_is_no_key() {
    for peppers in [vec![], vec![1]] {
        let bench = Bench::with(ApiKeyConfig { peppers, ..ApiKeyConfig::new(StoreConfig::Memory) }).await;
        let (issued, key) = bench.issue(None).await;
        let record = bench.method.records.store.key_named(&issued.id).await.expect("a read").expect("the record");
        let digest = record.digest.to_hex();
        let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, record.digest.0);
        let forms = [digest.to_uppercase(), base64, format!("ab_live_{digest}"), record.hint.to_string()];
        for shown in forms.iter().chain([&digest]).map(String::as_str) {
            let bearer = format!("Bearer {shown}");
            for field in [("x-api-key", shown), ("authorization", bearer.as_str())] {
                assert_eq!(bench.send(&[field]), Err(Rejection::Invalid(Cause::Malformed)), "{shown}");
            }
        }
        assert_eq!(bench.lookups(), 0, "none has the form of a key");
        // As much of it as a key holds, with a checksum that fits: who knows the digest of a key does not know a key.
        let text = format!("ab_live_{}", &digest[..30]);
        let checksum = base62::six_digits(crc32fast::hash(text.as_bytes())).map(char::from);
        let text = text + &String::from_iter(checksum);
        assert!(Key::parse(&text).is_ok(), "{text}");
        assert_eq!(bench.present(&text), Err(Rejection::Invalid(Cause::Unknown)));
        assert!(bench.present(&key).is_ok(), "the key itself is one");
    }
}

#[tokio::test]
async fn ak_11_bc_016_bc_018_a_well_formed_stranger_is_unknown_after_one_lookup_and_never_cached() {
    for store in BOTH {
        let bench = Bench::cached(store).await;
        let stranger = key::generate(KeyEnvironment::Live, &mut SysRng).expect("the system has random bytes");
        for lookups in 1..=3 {
            assert_eq!(bench.present(stranger.expose()), Err(Rejection::Invalid(Cause::Unknown)));
            assert_eq!(bench.lookups(), lookups);
        }
        assert_eq!(bench.environment.meter.cache_hits.get(), 0);
    }
}

#[tokio::test]
async fn ak_13_bc_027_a_key_ends_exactly_at_its_expiry_cached_or_not() {
    for bench in [Bench::new(StoreConfig::Sqlite, None).await, Bench::cached(StoreConfig::Memory).await] {
        let (_, key) = bench.issue(Some(Duration::from_secs(5))).await;
        let Ok(Some(record)) = bench.method.records.store.key(&Key::parse(&key).expect("a key").digest()).await else {
            panic!("the record is gone")
        };
        let expires = record.expires.expect("a lifetime was asked for");
        let before = UnixTime(expires.0 - Duration::from_nanos(1));
        let fields = [("x-api-key", key.as_str())];
        assert!(bench.at(before, "/", &fields).is_ok());
        assert_eq!(bench.at(expires, "/", &fields), Err(Rejection::Invalid(Cause::Expired)));
    }
}

#[tokio::test]
async fn ak_16_bc_026_without_a_cache_a_revocation_is_seen_by_the_next_request() {
    for store in BOTH {
        let bench = Bench::new(store, None).await;
        let ((issued, key), (_, bystander)) = (bench.issue(None).await, bench.issue(None).await);
        assert!(bench.present(&key).is_ok());
        bench.method.revoke(&issued.id).await.expect("revoke");
        assert_eq!(bench.present(&key), Err(Rejection::Invalid(Cause::Revoked)));
        assert!(bench.present(&bystander).is_ok());
        bench.method.revoke(&issued.id).await.expect("revoking again is harmless");
        assert!(matches!(bench.method.revoke("key-unknown").await, Err(AdminError::NotFound(_))));
        assert!(matches!(bench.method.revoke(&key).await, Err(AdminError::NotFound(_))), "the key is not its name");
    }
}

#[tokio::test]
async fn with_a_cache_a_revocation_elsewhere_is_seen_when_the_entry_ends() {
    let bench = Bench::cached(StoreConfig::Sqlite).await;
    let (issued, key) = bench.issue(None).await;
    let elsewhere = bench.replica().await;
    let (start, fields) = (bench.environment.clock.now(), [("x-api-key", key.as_str())]);
    let at = |after| bench.at(UnixTime(start.0 + after), "/", &fields);
    assert!(at(Duration::ZERO).is_ok());
    elsewhere.revoke(&issued.id).await.expect("revoke");
    assert!(at(TTL - Duration::from_nanos(1)).is_ok(), "still the entry");
    assert_eq!((bench.lookups(), bench.environment.meter.cache_hits.get()), (1, 1));
    assert_eq!(at(TTL), Err(Rejection::Invalid(Cause::Revoked)));
    assert_eq!(at(TTL), Err(Rejection::Invalid(Cause::Revoked)), "a refusal is not cached");
    assert_eq!((bench.lookups(), bench.environment.meter.cache_hits.get()), (3, 1));
}

#[tokio::test]
async fn a_delay_is_paid_by_every_lookup_and_by_no_hit_of_the_cache() {
    for store in BOTH {
        let cache = Some(CacheConfig { capacity: 100, ..CacheConfig::new(TTL) });
        let far = ApiKeyConfig { store_delay: crate::config::LONGEST_DELAY, cache, ..ApiKeyConfig::new(store) };
        let mut bench = Bench::with(far).await;
        let (issued, key) = bench.issue(None).await;
        // Ten seconds: whoever pays them is not done at once.
        assert!(bench.present_from_afar(&key).now_or_never().is_none(), "a miss waits");
        assert_eq!(bench.lookups(), 1);

        let far = bench.method.distance;
        bench.method.distance = Distance::new("store_delay", Duration::from_nanos(1)).expect("within the bound");
        assert_eq!(bench.present_from_afar(&key).await.expect("accepted").id.as_ref(), issued.principal);
        assert_eq!((bench.lookups(), bench.environment.meter.cache_hits.get()), (2, 0));

        bench.method.distance = far;
        assert!(bench.present(&key).is_ok(), "a hit does not wait");
        assert_eq!((bench.lookups(), bench.environment.meter.cache_hits.get()), (2, 1));
    }
}

#[tokio::test]
async fn keys_in_use_are_found_among_a_population() {
    for store in BOTH {
        let bench = Bench::with(ApiKeyConfig { store_population: 3_000, ..ApiKeyConfig::new(store) }).await;
        let ((issued, key), (_, bystander)) = (bench.issue(None).await, bench.issue(None).await);
        assert_eq!(bench.present(&key).expect("accepted").id.as_ref(), issued.principal);
        bench.method.revoke(&issued.id).await.expect("revoke");
        assert_eq!(bench.present(&key), Err(Rejection::Invalid(Cause::Revoked)));
        assert!(bench.present(&bystander).is_ok());
    }
}

#[tokio::test]
async fn a_store_that_fails_never_accepts() {
    let bench = Bench::new(StoreConfig::Sqlite, None).await;
    let (issued, key) = bench.issue(None).await;
    let file = bench.environment.shared_dir.join("test/store.sqlite");
    let meddler = rusqlite::Connection::open(file).expect("the database");
    meddler.execute_batch("DROP TABLE keys").expect("drop");
    assert!(matches!(bench.present(&key), Err(Rejection::Unavailable { dependency: "key store", .. })));
    assert!(matches!(bench.method.revoke(&issued.id).await, Err(AdminError::Store(_))));
}

#[tokio::test]
async fn ak_3_sqlite_survives_a_restart_and_holds_no_key() {
    let bench = Bench::new(StoreConfig::Sqlite, None).await;
    let request = IssueRequest { count: 500, lifetime: None, scopes: vec!["read".to_owned()] };
    let issued = bench.method.issue(&request).await.expect("issue");
    assert_eq!(bench.environment.meter.store_writes.get(), 500);
    let again = ApiKey::build("test", &bench.config, &bench.environment).await.expect("the same database");
    let bench = Bench { method: again, ..bench };

    let mut stored = Vec::new();
    for file in std::fs::read_dir(bench.environment.shared_dir.join("test")).expect("the state folder") {
        stored.extend(std::fs::read(file.expect("an entry").path()).expect("a readable file"));
    }
    let pieces: std::collections::HashSet<&[u8]> = stored.windows(12).collect();
    for Issued { principal, material, .. } in &issued {
        let Material::ApiKey { key } = material else { panic!("not a key: {material:?}") };
        assert_eq!(bench.present(key.expose()).expect("accepted after the restart").id.as_ref(), principal);
        let leaked = key.expose().as_bytes().windows(12).find(|piece| pieces.contains(piece));
        assert_eq!(leaked, None, "the store holds a piece of a key");
    }
}

#[tokio::test]
async fn senseless_configurations_and_requests_are_refused() {
    let bench = Bench::new(StoreConfig::Memory, None).await;
    let request = IssueRequest { count: 0, lifetime: None, scopes: Vec::new() };
    assert!(matches!(bench.method.issue(&request).await, Err(AdminError::BadRequest(_))));
    let config = ApiKeyConfig::new(StoreConfig::Sqlite);
    assert!(ApiKey::build("../up", &config, &bench.environment).await.is_err());
    for config in [
        ApiKeyConfig { store_delay: Duration::from_secs(11), ..ApiKeyConfig::new(StoreConfig::Memory) },
        ApiKeyConfig { store_population: ApiKeyConfig::MAX_POPULATION + 1, ..ApiKeyConfig::new(StoreConfig::Memory) },
    ] {
        assert!(
            matches!(ApiKey::build("test", &config, &bench.environment).await, Err(BuildError::Config(_))),
            "{config:?}"
        );
    }
    let cache = Some(CacheConfig::new(Duration::ZERO));
    let config = ApiKeyConfig { cache, ..ApiKeyConfig::new(StoreConfig::Memory) };
    assert!(matches!(ApiKey::build("test", &config, &bench.environment).await, Err(BuildError::Config(_))));
}

#[tokio::test]
async fn ak_16_rv_1_the_node_that_revokes_refuses_at_once_cached_or_not() {
    for store in BOTH {
        let bench = Bench::cached(store).await;
        let ((issued, key), (_, bystander)) = (bench.issue(None).await, bench.issue(None).await);
        assert!(bench.present(&key).is_ok() && bench.present(&bystander).is_ok());
        bench.method.revoke(&issued.id).await.expect("revoke");
        assert_eq!(bench.present(&key), Err(Rejection::Invalid(Cause::Revoked)));
        assert!(bench.present(&bystander).is_ok());
        assert_eq!(bench.environment.meter.cache_hits.get(), 1, "the bystander's entry stays");
    }
}

#[tokio::test]
async fn ak_12_a_key_without_scopes_can_do_nothing() {
    let bench = Bench::new(StoreConfig::Memory, None).await;
    let request = IssueRequest { count: 1, lifetime: None, scopes: Vec::new() };
    let issued = bench.method.issue(&request).await.expect("issue").remove(0);
    let Material::ApiKey { key } = &issued.material else { panic!("not a key: {issued:?}") };
    let principal = bench.present(key.expose()).expect("it is somebody");
    assert!(!principal.has_scope("read") && !principal.has_scope("*"));
}

/// Everything that is logged on this thread meanwhile.
fn logged(work: impl FnOnce()) -> String {
    use std::io::Write;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no holder panics").write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let lines = lines.0.lock().expect("no holder panics").clone();
    String::from_utf8(lines).expect("text")
}

#[tokio::test]
async fn ak_9_bc_031_a_credential_in_the_url_is_an_event_and_its_value_in_no_log() {
    let bench = Bench::new(StoreConfig::Memory, None).await;
    let (_, key) = bench.issue(None).await;
    let now = bench.environment.clock.now();
    for parameter in ["api_key", "access_token"] {
        let log = logged(|| {
            let answer = bench.at(now, &format!("/whoami?{parameter}={key}"), &[]);
            assert!(matches!(answer, Err(Rejection::Ambiguous(_))), "{answer:?}");
        });
        assert!(log.contains("audit") && log.contains("credential-in-url"), "{log}");
        assert!(!log.contains(&key[8..20]), "{log}");
    }
}
