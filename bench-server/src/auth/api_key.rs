//! API keys: a random string that names an application.
//!
//! Presented as `Authorization: Bearer …` (RFC 6750 §2.1) or `X-API-Key: …`, never both and never in the URL. A key is
//! parsed and its checksum verified before anything is looked up; then one lookup by its SHA-256, a constant-time
//! comparison of the digests, and the record's status and end.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use rand::rngs::{SysError, SysRng};
use tokio::task::spawn_blocking;

use super::grant::Grant;
use super::{AdminError, BuildError, Cause, Environment, Principal, Rejection, Request, header};
use crate::clock::{Clock, UnixTime};
use crate::config::{ApiKeyConfig, StoreKind};
use crate::contract::{IssueRequest, Issued, Material};
use crate::credential::base62;
use crate::credential::digest::{Digest, DigestState};
use crate::credential::key::{self, Key};
use crate::store::cache::TtlCache;
use crate::store::keys::memory::MemoryKeys;
use crate::store::keys::sqlite::SqliteKeys;
use crate::store::keys::{KeyRecord, KeyStatus, KeyStore, StoreError};
use crate::telemetry::Meter;

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// When to try again after the store failed. A guess: nothing tells how long it will take to recover.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The method `api-key` of one profile.
pub struct ApiKey {
    store: Arc<KeyStore>,
    cache: Option<TtlCache<Digest, Arc<KeyRecord>, DigestState>>,
    clock: Clock,
    meter: Arc<Meter>,
}

impl ApiKey {
    /// Opens the store. For SQLite it is `keys-<profile>.sqlite` in the state folder.
    pub(crate) fn build(name: &str, config: &ApiKeyConfig, environment: &Environment) -> Result<Self, BuildError> {
        let cache = config.cache.map(|cache| TtlCache::new(&cache, DigestState::default())).transpose()?;
        let store = match config.store {
            StoreKind::Memory => KeyStore::Memory(MemoryKeys::default()),
            StoreKind::Sqlite => {
                let opened = SqliteKeys::open(&environment.state_dir.join(file_name(name)?));
                KeyStore::Sqlite(opened.map_err(|StoreError { what, source }| BuildError::State { what, source })?)
            }
        };
        Ok(Self { store: Arc::new(store), cache, clock: environment.clock.clone(), meter: environment.meter.clone() })
    }

    pub(crate) fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        let key = Key::parse(presented(request.head)?).map_err(|_| Rejection::Invalid(Cause::Malformed))?;
        let digest = key.digest();
        let record = match &self.cache {
            None => {
                let record = self.look_up(&digest)?;
                judge(&record, &digest, request.now)?;
                record
            }
            Some(cache) => self.cached(cache, digest, request.now)?,
        };
        Ok(Principal {
            id: record.application.clone(),
            scopes: record.scopes.clone(),
            credential_id: record.id.clone(),
        })
    }

    fn cached(
        &self,
        cache: &TtlCache<Digest, Arc<KeyRecord>, DigestState>,
        digest: Digest,
        now: UnixTime,
    ) -> Result<Arc<KeyRecord>, Rejection> {
        if let Some(record) = cache.get(&digest, now) {
            self.meter.cache_hits.add();
            judge(&record, &digest, now)?;
            return Ok(record);
        }
        let load = cache.begin(digest, now);
        let record = self.look_up(&digest)?;
        match judge(&record, &digest, now) {
            Ok(()) => cache.insert(load, record.clone()),
            Err(rejection) => {
                cache.refuse(&digest);
                return Err(rejection);
            }
        }
        Ok(record)
    }

    /// One read of the store.
    fn look_up(&self, digest: &Digest) -> Result<Arc<KeyRecord>, Rejection> {
        self.meter.store_lookups.add();
        match self.store.get(digest) {
            Ok(Some(record)) => Ok(record),
            Ok(None) => Err(Rejection::Invalid(Cause::Unknown)),
            Err(error) => {
                tracing::error!(%error, "the key store failed");
                Err(Rejection::Unavailable { dependency: "key store", retry_after: RETRY_AFTER })
            }
        }
    }

    /// Each key belongs to an application of its own, so that revoking one must not touch another caller.
    pub(crate) async fn issue(&self, request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        let grant = Grant::new(request, self.clock.now())?;
        let (store, meter, count) = (self.store.clone(), self.meter.clone(), request.count);
        let work = move || {
            let (records, issued): (Vec<_>, Vec<_>) = (0..count)
                .map(|_| fresh(&grant))
                .collect::<Result<Vec<_>, _>>()
                .map_err(no_random)?
                .into_iter()
                .unzip();
            store.insert(records)?;
            issued.iter().for_each(|_| meter.store_writes.add());
            Ok(issued)
        };
        blocking(work).await
    }

    /// Returns once the store has it: every later read sees it, and with SQLite it is on the disk.
    pub(crate) async fn revoke(&self, id: &str) -> Result<(), AdminError> {
        let (store, meter, key) = (self.store.clone(), self.meter.clone(), id.to_owned());
        let found = blocking(move || {
            let found = store.revoke(&key)?;
            if found {
                meter.store_writes.add();
            }
            Ok(found)
        });
        if found.await? { Ok(()) } else { Err(AdminError::NotFound(format!("key {id:?}"))) }
    }
}

/// The key in the request, from the one place where it stands.
fn presented(head: &Parts) -> Result<&str, Rejection> {
    header::refuse_credential_in_url(head)?;
    if let Some(key) = header::single(head, &X_API_KEY)? {
        // Also when both are equal: two parties on the way might each look at another one.
        if head.headers.contains_key(AUTHORIZATION) {
            return Err(Rejection::Ambiguous("credentials stand in Authorization and in X-API-Key"));
        }
        return Ok(key);
    }
    header::bearer(head).map_err(|rejection| match rejection {
        Rejection::Missing if in_cookie(head) => Rejection::Ambiguous("a credential stands in a cookie"),
        other => other,
    })
}

/// Whether a cookie is named like a credential: browsers send cookies wherever a foreign page tells them to.
fn in_cookie(head: &Parts) -> bool {
    let cookies = head.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).any(|pair| {
        let name = pair.split('=').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("api_key") || name.eq_ignore_ascii_case("access_token")
    })
}

fn judge(record: &KeyRecord, digest: &Digest, now: UnixTime) -> Result<(), Rejection> {
    if !record.digest.constant_time_eq(digest) {
        return Err(Rejection::Invalid(Cause::Unknown));
    }
    if record.status == KeyStatus::Revoked {
        return Err(Rejection::Invalid(Cause::Revoked));
    }
    if record.expires.is_some_and(|expires| now >= expires) {
        return Err(Rejection::Invalid(Cause::Expired));
    }
    Ok(())
}

fn fresh(grant: &Grant) -> Result<(KeyRecord, Issued), SysError> {
    let secret = key::generate(&mut SysRng)?;
    let key = Key::parse(secret.expose()).expect("a fresh key has the form of a key");
    let record = KeyRecord {
        id: base62::identifier("key-", &mut SysRng)?.into(),
        application: base62::identifier("app-", &mut SysRng)?.into(),
        digest: key.digest(),
        hint: key.hint().into(),
        scopes: grant.scopes.clone(),
        created: grant.created,
        expires: grant.expires,
        status: KeyStatus::Active,
    };
    let (id, principal) = (record.id.to_string(), record.application.to_string());
    Ok((record, Issued { id, principal, material: Material::ApiKey { key: secret } }))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, AdminError> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| AdminError::Store(error.to_string())),
        Err(error) => Err(AdminError::Store(format!("the key store's thread ended: {error}"))),
    }
}

fn no_random(error: SysError) -> StoreError {
    StoreError { what: "ask the operating system for random bytes".to_owned(), source: error.into() }
}

/// A profile's name becomes part of a file's, so it may not lead to another folder.
fn file_name(profile: &str) -> Result<String, BuildError> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if profile.chars().all(harmless) {
        return Ok(format!("keys-{profile}.sqlite"));
    }
    Err(BuildError::Config(format!(
        "profile name {profile:?} cannot be part of a file name; use letters, digits, `-`, `_` and `.`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Connection;
    use crate::config::{CacheConfig, ClockMode};

    const TTL: Duration = Duration::from_secs(10);

    /// A method in a folder of its own, on a clock that the test moves.
    struct Bench {
        method: ApiKey,
        environment: Environment,
        config: ApiKeyConfig,
        _folder: tempfile::TempDir,
    }

    impl Bench {
        fn new(store: StoreKind, cache: Option<CacheConfig>) -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let environment = Environment {
                state_dir: folder.path().to_owned(),
                clock: Clock::new(ClockMode::Controlled),
                meter: Arc::default(),
                authorization_server: None,
                ca_file: folder.path().join("ca.pem"),
            };
            let config = ApiKeyConfig { store, cache };
            let method = ApiKey::build("test", &config, &environment).expect("a sound configuration");
            Self { method, environment, config, _folder: folder }
        }

        fn cached(store: StoreKind) -> Self {
            Self::new(store, Some(CacheConfig { ttl: TTL, capacity: 100 }))
        }

        async fn issue(&self, lifetime: Option<Duration>) -> (Issued, String) {
            let request = IssueRequest { count: 1, lifetime, scopes: vec!["read".to_owned()] };
            let issued = self.method.issue(&request).await.expect("issue").remove(0);
            let Material::ApiKey { key } = &issued.material else { panic!("not a key: {issued:?}") };
            let key = key.expose().to_owned();
            (issued, key)
        }

        fn at(&self, now: UnixTime, uri: &str, fields: &[(&str, &str)]) -> Result<Principal, Rejection> {
            let builder = http::Request::builder().uri(uri);
            let builder = fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
            let head = builder.body(()).expect("a valid request").into_parts().0;
            let connection = Connection { peer: "127.0.0.1:1".parse().expect("an address"), client: None };
            self.method.authenticate(&Request { head: &head, connection: &connection, now })
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

    const BOTH: [StoreKind; 2] = [StoreKind::Memory, StoreKind::Sqlite];

    #[tokio::test]
    async fn an_issued_key_is_accepted_in_either_field_with_one_lookup() {
        for store in BOTH {
            let bench = Bench::new(store, None);
            let (issued, key) = bench.issue(None).await;
            let expected = Principal {
                id: issued.principal.as_str().into(),
                scopes: "read".into(),
                credential_id: issued.id.as_str().into(),
            };
            assert!(issued.principal.starts_with("app-") && issued.id.starts_with("key-"));
            assert_eq!(bench.send(&[("authorization", &format!("bEARER  {key}"))]), Ok(expected.clone()));
            assert_eq!(bench.send(&[("X-API-Key", &key)]), Ok(expected));
            assert_eq!(bench.lookups(), 2);
            assert_eq!(bench.environment.meter.store_writes.get(), 1, "issuing wrote, validating did not");
        }
    }

    #[tokio::test]
    async fn two_credentials_or_one_in_the_wrong_place_are_ambiguous() {
        let bench = Bench::new(StoreKind::Memory, None);
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
    async fn no_credential_is_missing_and_a_bad_form_is_not_looked_up() {
        let bench = Bench::new(StoreKind::Memory, None);
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
        let digest = Key::parse(&key).expect("a key").digest().0.map(|byte| format!("{byte:02x}")).concat();
        let flipped = if key.ends_with('0') { "1" } else { "0" };
        for bad in [
            "",
            &key[..key.len() - 1],
            &format!("{}{flipped}", &key[..key.len() - 1]),
            &format!("{key}0"),
            &key[..16],
            &issued.id,
            &digest,
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

    #[tokio::test]
    async fn a_well_formed_stranger_is_unknown_after_one_lookup_and_never_cached() {
        for store in BOTH {
            let bench = Bench::cached(store);
            let stranger = key::generate(&mut SysRng).expect("the system has random bytes");
            for lookups in 1..=3 {
                assert_eq!(bench.present(stranger.expose()), Err(Rejection::Invalid(Cause::Unknown)));
                assert_eq!(bench.lookups(), lookups);
            }
            assert_eq!(bench.environment.meter.cache_hits.get(), 0);
        }
    }

    #[tokio::test]
    async fn a_key_ends_exactly_at_its_expiry_cached_or_not() {
        for bench in [Bench::new(StoreKind::Sqlite, None), Bench::cached(StoreKind::Memory)] {
            let (_, key) = bench.issue(Some(Duration::from_secs(5))).await;
            let Ok(Some(record)) = bench.method.store.get(&Key::parse(&key).expect("a key").digest()) else {
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
    async fn without_a_cache_a_revocation_is_seen_by_the_next_request() {
        for store in BOTH {
            let bench = Bench::new(store, None);
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
    async fn with_a_cache_a_revocation_is_seen_when_the_entry_ends() {
        let bench = Bench::cached(StoreKind::Sqlite);
        let (issued, key) = bench.issue(None).await;
        let (start, fields) = (bench.environment.clock.now(), [("x-api-key", key.as_str())]);
        let at = |after| bench.at(UnixTime(start.0 + after), "/", &fields);
        assert!(at(Duration::ZERO).is_ok());
        bench.method.revoke(&issued.id).await.expect("revoke");
        assert!(at(TTL - Duration::from_nanos(1)).is_ok(), "still the entry");
        assert_eq!((bench.lookups(), bench.environment.meter.cache_hits.get()), (1, 1));
        assert_eq!(at(TTL), Err(Rejection::Invalid(Cause::Revoked)));
        assert_eq!(at(TTL), Err(Rejection::Invalid(Cause::Revoked)), "a refusal is not cached");
        assert_eq!((bench.lookups(), bench.environment.meter.cache_hits.get()), (3, 1));
    }

    #[tokio::test]
    async fn a_store_that_fails_never_accepts() {
        let bench = Bench::new(StoreKind::Sqlite, None);
        let (issued, key) = bench.issue(None).await;
        let file = bench.environment.state_dir.join("keys-test.sqlite");
        let meddler = rusqlite::Connection::open(file).expect("the database");
        meddler.execute_batch("DROP TABLE keys").expect("drop");
        assert!(matches!(bench.present(&key), Err(Rejection::Unavailable { dependency: "key store", .. })));
        assert!(matches!(bench.method.revoke(&issued.id).await, Err(AdminError::Store(_))));
    }

    #[tokio::test]
    async fn sqlite_survives_a_restart_and_holds_no_key() {
        let bench = Bench::new(StoreKind::Sqlite, None);
        let request = IssueRequest { count: 500, lifetime: None, scopes: vec!["read".to_owned()] };
        let issued = bench.method.issue(&request).await.expect("issue");
        assert_eq!(bench.environment.meter.store_writes.get(), 500);
        let again = ApiKey::build("test", &bench.config, &bench.environment).expect("the same database");
        let bench = Bench { method: again, ..bench };

        let mut stored = Vec::new();
        for file in std::fs::read_dir(&bench.environment.state_dir).expect("the state folder") {
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
        let bench = Bench::new(StoreKind::Memory, None);
        let request = IssueRequest { count: 0, lifetime: None, scopes: Vec::new() };
        assert!(matches!(bench.method.issue(&request).await, Err(AdminError::BadRequest(_))));
        let config = ApiKeyConfig { store: StoreKind::Sqlite, cache: None };
        assert!(matches!(ApiKey::build("../up", &config, &bench.environment), Err(BuildError::Config(_))));
        let cache = Some(CacheConfig { ttl: Duration::ZERO, capacity: 1 });
        let config = ApiKeyConfig { store: StoreKind::Memory, cache };
        assert!(matches!(ApiKey::build("test", &config, &bench.environment), Err(BuildError::Config(_))));
    }
}
