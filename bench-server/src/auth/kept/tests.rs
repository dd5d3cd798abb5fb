//! Rows RV-2 to RV-5, RV-7 and RV-8: nodes that keep a copy, over real stores and each way to hear of revocations. One
//! node revokes; another, with a cache or a deny-list of its own, must stop to accept and never begin again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::auth::{Connection, Environment, Method, Principal, Rejection, Request};
use crate::config::{
    Algorithm, ApiKeyConfig, BasicConfig, CacheConfig, ClockMode, DenyListConfig, JwtConfig, MethodConfig,
    PasswordHash, Push, RemoteStore, StoreUrl,
};
use crate::contract::{IssueRequest, Issued, Material};
use crate::store::instance::{PrivateServer, ServerKind};
use crate::store::testing;

/// Longer than any test: what ends an entry is what is heard, not its time.
const TTL: Duration = Duration::from_secs(600);

/// Long enough for a slow machine; only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

const POLL: Follow = Follow::Poll(Duration::from_millis(5));

/// Every way to hear of revocations, each over an empty store.
fn ways() -> Vec<(StoreConfig, Follow)> {
    vec![
        (StoreConfig::Sqlite, POLL),
        (testing::redis(), POLL),
        (testing::redis(), Follow::Push(Push::Pubsub)),
        (testing::redis(), Follow::Push(Push::Tracking)),
        (testing::postgres(), POLL),
        (testing::postgres(), Follow::Push(Push::Notify)),
    ]
}

/// The same for what is added to a list, of which client tracking does not tell.
fn ways_of_lists() -> Vec<(StoreConfig, Follow)> {
    ways().into_iter().filter(|(_, follow)| *follow != Follow::Push(Push::Tracking)).collect()
}

fn api_key(store: StoreConfig, follow: Follow) -> MethodConfig {
    let cache = Some(CacheConfig { follow: Some(follow), ..CacheConfig::new(TTL) });
    MethodConfig::ApiKey(ApiKeyConfig { cache, ..ApiKeyConfig::new(store) })
}

fn basic(store: StoreConfig, follow: Follow) -> MethodConfig {
    let cache = Some(CacheConfig { follow: Some(follow), ..CacheConfig::new(Duration::from_secs(60)) });
    let hash = PasswordHash::Pbkdf2Sha256 { iterations: 2 };
    MethodConfig::Basic(BasicConfig { store, cache, ..BasicConfig::new(hash) })
}

fn jwt(store: StoreConfig, follow: Follow) -> MethodConfig {
    let denylist = Some(DenyListConfig { store, follow, population: 0, stale_if_error: None });
    MethodConfig::Jwt(JwtConfig { denylist, ..JwtConfig::new(Algorithm::EdDSA) })
}

/// Nodes over the same records.
struct Nodes {
    environment: Environment,
    _folder: TempDir,
}

impl Nodes {
    fn new() -> Self {
        Self::on(Clock::new(ClockMode::System))
    }

    fn on(clock: Clock) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let environment = Environment { clock, ..crate::testing::environment(folder.path()) };
        Self { environment, _folder: folder }
    }

    async fn start(&self, method: &MethodConfig) -> Node {
        self.start_on(method, self.environment.clock.clone()).await
    }

    /// A node with a clock of its own.
    async fn start_on(&self, method: &MethodConfig, clock: Clock) -> Node {
        let profile = crate::testing::profile("test", method.clone());
        let environment = Environment { clock: clock.clone(), ..self.environment.clone() };
        let method = Method::build(&profile, &environment).await.unwrap_or_else(|error| panic!("{error}"));
        Node { method, clock }
    }
}

struct Node {
    method: Method,
    clock: Clock,
}

impl Node {
    async fn issue(&self, count: usize) -> Vec<Issued> {
        let request = IssueRequest { count, lifetime: None, scopes: vec!["read".to_owned()] };
        self.method.issue(&request).await.expect("issued")
    }

    async fn present(&self, credential: &Issued) -> Result<Principal, Rejection> {
        use base64::Engine as _;
        let field = match &credential.material {
            Material::ApiKey { key } => format!("Bearer {}", key.expose()),
            Material::Bearer { token } => format!("Bearer {}", token.expose()),
            Material::Password { username, password } => {
                let pair = format!("{username}:{}", password.expose());
                format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair))
            }
            other => panic!("not presented in a field: {other:?}"),
        };
        let head = http::Request::builder().header("authorization", field).body(()).expect("a request").into_parts().0;
        let connection = Connection::new("127.0.0.1:1".parse().expect("an address"), None);
        self.method.authenticate(&Request { head: &head, connection: &connection, now: self.clock.now() }).await
    }

    async fn revoke(&self, credential: &Issued) {
        self.method.revoke(&credential.id).await.expect("revoked");
    }

    /// Presents a credential until it is refused.
    async fn until_refused(&self, credential: &Issued, what: &str) {
        let refused = async {
            while self.present(credential).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, refused).await.unwrap_or_else(|_| panic!("{what}: it is still accepted"));
    }
}

#[tokio::test]
async fn rv_1_rv_2_rv_6_rv_7_another_node_hears_of_it_and_of_nothing_else() {
    let methods = ways().into_iter().map(|(store, follow)| api_key(store, follow));
    let methods = methods.chain(ways().into_iter().map(|(store, follow)| basic(store, follow)));
    for method in methods.chain(ways_of_lists().into_iter().map(|(store, follow)| jwt(store, follow))) {
        let what = format!("{method:?}");
        let nodes = Nodes::new();
        let (one, other) = (nodes.start(&method).await, nodes.start(&method).await);
        let issued = one.issue(3).await;
        for credential in &issued {
            assert!(other.present(credential).await.is_ok(), "{what}");
            assert!(other.present(credential).await.is_ok(), "{what}: from the cache");
        }
        one.revoke(&issued[0]).await;
        assert!(one.present(&issued[0]).await.is_err(), "{what}: RV-1");
        other.until_refused(&issued[0], &what).await;
        let hits = nodes.environment.meter.cache_hits.get();
        for credential in &issued[1..] {
            assert!(other.present(credential).await.is_ok(), "{what}: a bystander");
        }
        if !matches!(method, MethodConfig::Jwt(_)) {
            assert_eq!(nodes.environment.meter.cache_hits.get(), hits + 2, "{what}: the bystanders' entries stay");
        }
        one.issue(1).await;
        assert!(other.present(&issued[0]).await.is_err(), "{what}: RV-7");
        // A node that starts later knows it too: RV-6.
        assert!(nodes.start(&method).await.present(&issued[0]).await.is_err(), "{what}: RV-6");
    }
}

/// The store further away: an answer is on its way for as long as a revocation and its news take.
fn away(method: MethodConfig, store_delay: Duration) -> MethodConfig {
    let MethodConfig::ApiKey(api_key) = method else { return method };
    MethodConfig::ApiKey(ApiKeyConfig { store_delay, ..api_key })
}

/// RV-3: loads race the revocation, and after the first refusal there is no acceptance.
async fn no_resurrection(method: MethodConfig, rounds: usize) {
    no_resurrection_of(method, rounds, 32, Duration::from_micros(500)).await;
}

/// `at_a_time`: where revocations queue up, fewer, or their loads would be long over.
async fn no_resurrection_of(method: MethodConfig, rounds: usize, at_a_time: usize, delay: Duration) {
    let what = format!("{method:?}");
    let nodes = Nodes::new();
    let (one, other) = (nodes.start(&method).await, nodes.start(&away(method.clone(), delay)).await);
    let issued = one.issue(rounds).await;
    let (raced, accepted_late) = (AtomicUsize::new(0), AtomicUsize::new(0));
    stream::iter(&issued)
        .for_each_concurrent(at_a_time, async |credential| {
            let callers = (0..2).map(async |_| {
                let (mut refused, mut after) = (false, 0);
                let mut accepted = 0;
                while after < 3 {
                    match other.present(credential).await {
                        Ok(_) if refused => drop(accepted_late.fetch_add(1, Ordering::Relaxed)),
                        Ok(_) => accepted += 1,
                        Err(Rejection::Invalid(_)) => refused = true,
                        Err(_) => {}
                    }
                    after += usize::from(refused);
                    tokio::task::yield_now().await;
                }
                accepted
            });
            let revoke = async {
                tokio::task::yield_now().await;
                one.revoke(credential).await;
                Vec::new()
            };
            let callers = futures_util::future::join_all(callers);
            let (accepted, _): (Vec<usize>, Vec<usize>) =
                timeout(PATIENCE, futures_util::future::join(callers, revoke)).await.expect("it is refused at last");
            raced.fetch_add(usize::from(accepted.iter().any(|accepted| *accepted > 0)), Ordering::Relaxed);
        })
        .await;
    // What one caller was refused, no other is accepted with afterwards either.
    let again = stream::iter(&issued).for_each_concurrent(64, async |credential| {
        assert!(other.present(credential).await.is_err(), "{what}: accepted again");
    });
    again.await;
    assert_eq!(accepted_late.into_inner(), 0, "{what}: accepted after a refusal");
    assert!(raced.into_inner() > rounds / 10, "{what}: most credentials were accepted before");
}

const ROUNDS: usize = 10_000;

#[tokio::test]
async fn rv_3_no_resurrection_in_a_cache_over_sqlite() {
    no_resurrection(api_key(StoreConfig::Sqlite, POLL), ROUNDS).await;
}

#[tokio::test]
async fn rv_3_no_resurrection_in_a_cache_told_by_redis_publish_and_subscribe() {
    no_resurrection(api_key(testing::redis(), Follow::Push(Push::Pubsub)), ROUNDS).await;
}

#[tokio::test]
async fn rv_3_no_resurrection_in_a_cache_told_by_redis_client_tracking() {
    no_resurrection(api_key(testing::redis(), Follow::Push(Push::Tracking)), ROUNDS).await;
}

#[tokio::test]
async fn rv_3_no_resurrection_in_a_cache_that_polls_redis() {
    // As long as a poll may take, so that it falls into loads.
    no_resurrection_of(api_key(testing::redis(), POLL), ROUNDS, 32, Duration::from_millis(5)).await;
}

#[tokio::test]
async fn rv_3_no_resurrection_in_a_cache_told_by_postgres() {
    let method = api_key(testing::postgres(), Follow::Push(Push::Notify));
    no_resurrection_of(method, ROUNDS, 8, Duration::from_millis(10)).await;
}

#[tokio::test]
async fn rv_3_no_resurrection_in_a_deny_list_told_by_redis() {
    no_resurrection(jwt(testing::redis(), Follow::Push(Push::Pubsub)), ROUNDS).await;
}

#[tokio::test]
async fn rv_3_no_resurrection_of_a_password() {
    no_resurrection(basic(testing::redis(), Follow::Push(Push::Pubsub)), ROUNDS / 10).await;
}

#[tokio::test]
async fn rv_8_ten_thousand_at_once_are_all_heard_of() {
    for (store, follow) in [
        (testing::redis(), Follow::Push(Push::Pubsub)),
        (testing::postgres(), Follow::Push(Push::Notify)),
        (StoreConfig::Sqlite, POLL),
    ] {
        let what = format!("{store:?}");
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store_of_one = Store::open(&store, "test", dir.path()).await.expect("a store");
        let store_of_other = Arc::new(Store::open(&store, "test", dir.path()).await.expect("a store"));
        let clock = Clock::new(ClockMode::System);
        let kept =
            Kept::new(crate::store::denylist::DenyList::default(), (&store_of_other, &store), Some(follow), &clock);
        let kept = kept.await.expect("followed");
        let now = clock.now();
        store_of_one.fill_revocations(ROUNDS, UnixTime(now.0 * 2), now).await.expect("revoked");
        let heard = async {
            while kept.copy().len() < ROUNDS {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("{what}: only {} are known", kept.copy().len()));
    }
}

/// RV-4: the way to the store is cut, a credential is revoked, the way is restored. No acceptance between the cut and the
/// end that is not allowed, and none after.
async fn cut_and_restored(store: StoreConfig, follow: Follow, rounds: usize) {
    let way = Way::to(&store).await;
    let (direct, by_way) = (api_key(store, follow), api_key(way.store.clone(), follow));
    let what = format!("{by_way:?}");
    let nodes = Nodes::new();
    let (one, other) = (nodes.start(&direct).await, nodes.start(&by_way).await);
    for (round, credential) in one.issue(rounds).await.iter().enumerate() {
        let accepted = async {
            while other.present(credential).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, accepted).await.unwrap_or_else(|_| panic!("{what}, round {round}: never restored"));
        assert!(other.present(credential).await.is_ok(), "from the cache");
        way.cut().await;
        one.revoke(credential).await;
        way.restore();
        // Some rounds look at once, others when the node has come back.
        let mut refused = false;
        let settled = async {
            while !refused {
                match other.present(credential).await {
                    // The connection is lost, which the node has not noticed yet: only then may the entry still serve.
                    Ok(_) | Err(Rejection::Unavailable { .. }) => {}
                    Err(Rejection::Invalid(_)) => refused = true,
                    Err(error) => panic!("{what}: {error:?}"),
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, settled).await.unwrap_or_else(|_| panic!("{what}, round {round}: it is still accepted"));
        for _ in 0..3 {
            assert!(other.present(credential).await.is_err(), "{what}, round {round}: accepted after a refusal");
        }
    }
}

/// 1 000 rounds, by ten nodes at the same time.
async fn a_thousand_cuts(store: impl Fn() -> StoreConfig, follow: Follow) {
    let nodes = (0..10).map(|_| cut_and_restored(store(), follow, 100));
    futures_util::future::join_all(nodes).await;
}

#[tokio::test]
async fn rv_4_a_cut_of_redis_publish_and_subscribe_loses_nothing() {
    a_thousand_cuts(testing::redis, Follow::Push(Push::Pubsub)).await;
}

#[tokio::test]
async fn rv_4_a_cut_of_redis_client_tracking_loses_nothing() {
    a_thousand_cuts(testing::redis, Follow::Push(Push::Tracking)).await;
}

#[tokio::test]
async fn rv_4_a_cut_of_postgres_notify_loses_nothing() {
    a_thousand_cuts(testing::postgres, Follow::Push(Push::Notify)).await;
}

#[tokio::test]
async fn rv_4_a_cut_of_a_poll_loses_nothing() {
    cut_and_restored(testing::redis(), POLL, 20).await;
}

/// A store that falls silent without closing anything: entries serve for a second at most, then nothing is accepted, and
/// a deny-list says that it does not know.
#[tokio::test]
async fn rv_4_a_store_that_falls_silent_is_not_trusted_for_long() {
    for (store, follow) in
        [(testing::redis(), Follow::Push(Push::Pubsub)), (testing::postgres(), Follow::Push(Push::Notify))]
    {
        for method in [api_key, jwt] {
            let way = Way::to(&store).await;
            let by_way = method(way.store.clone(), follow);
            let nodes = Nodes::new();
            let other = nodes.start(&by_way).await;
            let credential = &other.issue(1).await[0];
            assert!(other.present(credential).await.is_ok());
            way.silence(true);
            let distrusted = async {
                while !matches!(other.present(credential).await, Err(Rejection::Unavailable { .. })) {
                    tokio::task::yield_now().await;
                }
            };
            timeout(PATIENCE, distrusted).await.expect("it is not trusted for ever");
            way.silence(false);
            let trusted = async {
                while other.present(credential).await.is_err() {
                    tokio::task::yield_now().await;
                }
            };
            timeout(PATIENCE, trusted).await.expect("it is trusted again");
            assert_eq!(other.present(credential).await.map(|_| ()), Ok(()));
        }
    }
}

/// RV-9: nodes whose clocks are five seconds ahead and five behind. Entries end by the clock of their own node, news are
/// ordered by the store, and what a deny-list holds outlasts every token that it names by any of the clocks.
#[tokio::test]
async fn rv_9_clocks_that_differ_move_no_bound() {
    const SKEW: Duration = Duration::from_secs(5);
    let keys = ways().into_iter().map(|(store, follow)| api_key(store, follow));
    let lists = ways_of_lists().into_iter().map(|(store, follow)| jwt(store, follow));
    for method in keys.chain(lists) {
        let what = format!("{method:?}");
        let nodes = Nodes::new();
        let clock = |ahead| {
            let clock = Clock::new(ClockMode::Controlled);
            clock.advance(ahead).expect("a controlled clock");
            clock
        };
        let (behind, ahead) = (clock(Duration::ZERO), clock(SKEW * 2));
        let slow = nodes.start_on(&method, behind.clone()).await;
        let fast = nodes.start_on(&method, ahead.clone()).await;
        let issued: Vec<Issued> = fast.issue(2).await.into_iter().chain(slow.issue(2).await).collect();
        for (number, credential) in issued.iter().enumerate() {
            assert!(slow.present(credential).await.is_ok() && fast.present(credential).await.is_ok(), "{what}");
            // By either node, and for tokens either by themselves or with their subject.
            let (revoker, other) = if number % 2 == 0 { (&slow, &fast) } else { (&fast, &slow) };
            match (&method, number) {
                (MethodConfig::Jwt(_), 0 | 3) => revoker.method.revoke(&credential.principal).await.expect("revoked"),
                _ => revoker.revoke(credential).await,
            }
            assert!(revoker.present(credential).await.is_err(), "{what}: the node that revokes, {number}");
            other.until_refused(credential, &what).await;
        }
        if let MethodConfig::Jwt(config) = &method {
            // To the last moment at which a token would be accepted by a clock that is behind, and beyond.
            let rest = config.lifetime + config.rules.leeway - Duration::from_secs(1);
            for step in [rest, SKEW * 2, SKEW] {
                for clock in [&behind, &ahead] {
                    clock.advance(step).expect("a controlled clock");
                }
                for node in [&slow, &fast] {
                    for credential in &issued {
                        assert!(node.present(credential).await.is_err(), "{what}: good again");
                    }
                }
            }
        }
    }
}

/// `stale_if_error`: what is past its time bridges an outage for so long, and no longer; who is revoked meanwhile is refused
/// by the first answer after it.
#[tokio::test]
async fn what_is_past_its_time_bridges_an_outage_for_a_while() {
    const STALE: Duration = Duration::from_secs(100);
    const MINUTE: Duration = Duration::from_secs(60);
    let cache = Some(CacheConfig { stale_if_error: Some(STALE), ..CacheConfig::new(TTL) });
    let hash = PasswordHash::Pbkdf2Sha256 { iterations: 2 };
    let follow = Follow::Push(Push::Pubsub);
    type Make = Box<dyn Fn(StoreConfig) -> MethodConfig>;
    let followed = cache.map(|cache| CacheConfig { follow: Some(follow), ..cache });
    let short = cache.map(|cache| CacheConfig { ttl: MINUTE, ..cache });
    let ways: [(Make, Duration); 4] = [
        (Box::new(move |store| MethodConfig::ApiKey(ApiKeyConfig { cache, ..ApiKeyConfig::new(store) })), TTL + STALE),
        (
            Box::new(move |store| MethodConfig::Basic(BasicConfig { store, cache: short, ..BasicConfig::new(hash) })),
            MINUTE + STALE,
        ),
        (
            Box::new(move |store| MethodConfig::ApiKey(ApiKeyConfig { cache: followed, ..ApiKeyConfig::new(store) })),
            STALE,
        ),
        (
            Box::new(move |store| {
                let denylist = DenyListConfig { store, follow, population: 0, stale_if_error: Some(STALE) };
                MethodConfig::Jwt(JwtConfig { denylist: Some(denylist), ..JwtConfig::new(Algorithm::EdDSA) })
            }),
            STALE,
        ),
    ];
    for (method, bound) in ways {
        let store = testing::redis();
        let way = Way::to(&store).await;
        let nodes = Nodes::on(Clock::new(ClockMode::Controlled));
        let (one, other) = (nodes.start(&method(store)).await, nodes.start(&method(way.store.clone())).await);
        let what = format!("{:?}", method(way.store.clone()));
        let advance = |by| nodes.environment.clock.advance(by).expect("a controlled clock");
        let issued = one.issue(2).await;
        for credential in &issued {
            assert!(other.present(credential).await.is_ok(), "{what}");
        }
        way.cut().await;
        one.revoke(&issued[1]).await;
        advance(bound - Duration::from_secs(10));
        for credential in &issued {
            assert!(other.present(credential).await.is_ok(), "{what}: bridged, as configured");
        }
        assert_eq!(nodes.environment.meter.stale_hits.get(), 2, "{what}");
        advance(Duration::from_secs(20));
        for credential in &issued {
            let verdict = other.present(credential).await;
            assert!(matches!(verdict, Err(Rejection::Unavailable { .. })), "{what}: {verdict:?}");
        }
        way.restore();
        let back = async {
            while other.present(&issued[0]).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, back).await.unwrap_or_else(|_| panic!("{what}: it has not come back"));
        assert!(matches!(other.present(&issued[1]).await, Err(Rejection::Invalid(_))), "{what}: revoked meanwhile");
    }
}

/// Without it nothing past its time is used: an outage is an outage.
#[tokio::test]
async fn nothing_past_its_time_is_used_unless_told() {
    let store = testing::redis();
    let way = Way::to(&store).await;
    let cache = Some(CacheConfig::new(TTL));
    let nodes = Nodes::on(Clock::new(ClockMode::Controlled));
    let method = MethodConfig::ApiKey(ApiKeyConfig { cache, ..ApiKeyConfig::new(way.store.clone()) });
    let node = nodes.start(&method).await;
    let credential = &node.issue(1).await[0];
    assert!(node.present(credential).await.is_ok());
    way.cut().await;
    nodes.environment.clock.advance(TTL).expect("a controlled clock");
    assert!(matches!(node.present(credential).await, Err(Rejection::Unavailable { .. })));
}

/// A way to a store that can be cut.
struct Way {
    store: StoreConfig,
    state: tokio::sync::watch::Sender<State>,
    _folder: TempDir,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Nothing passes, and nothing is closed.
    Silent,
    /// Nothing is left of what was open, and what comes is closed at once.
    Cut,
}

impl Way {
    async fn to(store: &StoreConfig) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let remote = store.remote().expect("a server").clone();
        let url = remote.url.to_string();
        // The name that PostgreSQL's clients expect in the folder.
        let (server, socket, url) = match store {
            StoreConfig::Redis(_) => {
                let server = url.strip_prefix("redis+unix://").expect("a private server").to_owned();
                let socket = folder.path().join("redis.sock");
                (server, socket.clone(), format!("redis+unix://{}", socket.display()))
            }
            _ => {
                let (_, rest) = url.split_once("host=").expect("a private server");
                let (host, user) = rest.split_once('&').expect("with a user");
                let socket = folder.path().join(".s.PGSQL.5432");
                let url = format!("postgres:///postgres?host={}&{user}", folder.path().display());
                (format!("{host}/.s.PGSQL.5432"), socket, url)
            }
        };
        let listener = tokio::net::UnixListener::bind(socket).expect("a socket");
        let (state, seen) = tokio::sync::watch::channel(State::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), seen.clone()));
            }
        });
        let timeout = Duration::from_millis(300);
        let remote = RemoteStore { url: StoreUrl::new(url).expect("a URL"), timeout, ..remote };
        let store = match store {
            StoreConfig::Redis(_) => StoreConfig::Redis(remote),
            _ => StoreConfig::Postgres(remote),
        };
        Self { store, state, _folder: folder }
    }

    /// Returns when all that was open is closed.
    async fn cut(&self) {
        self.state.send_replace(State::Cut);
        tokio::task::yield_now().await;
    }

    fn restore(&self) {
        self.state.send_replace(State::Open);
    }

    fn silence(&self, silent: bool) {
        self.state.send_replace(if silent { State::Silent } else { State::Open });
    }
}

async fn pass(mut client: tokio::net::UnixStream, server: String, mut state: tokio::sync::watch::Receiver<State>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    if *state.borrow_and_update() == State::Cut {
        return;
    }
    let Ok(mut server) = tokio::net::UnixStream::connect(server).await else { return };
    let (mut there, mut back) = ([0; 4096], [0; 4096]);
    loop {
        let now = *state.borrow_and_update();
        tokio::select! {
            changed = state.changed() => {
                if changed.is_err() || *state.borrow() == State::Cut {
                    return;
                }
            }
            read = client.read(&mut there), if now == State::Open => match read {
                Ok(length @ 1..) if server.write_all(&there[..length]).await.is_ok() => {}
                _ => return,
            },
            read = server.read(&mut back), if now == State::Open => match read {
                Ok(length @ 1..) if client.write_all(&back[..length]).await.is_ok() => {}
                _ => return,
            },
        }
    }
}

/// RV-5: the store's server is killed under load, over and over. What was acknowledged as revoked is never accepted again:
/// not while the server is down, not while it recovers, and not from what it has kept.
async fn killed(kind: ServerKind, follow: Follow, tries: usize) {
    let server = tokio::task::spawn_blocking(move || PrivateServer::start(kind).expect("installed"));
    let mut server = server.await.expect("no panic");
    let remote = RemoteStore { timeout: Duration::from_millis(500), ..RemoteStore::new(server.url()) };
    let store = match kind {
        ServerKind::Redis => StoreConfig::Redis(remote),
        ServerKind::Postgres => StoreConfig::Postgres(remote),
    };
    let nodes = Nodes::new();
    let method = api_key(store, follow);
    let (one, other) = (nodes.start(&method).await, nodes.start(&method).await);
    let issued = one.issue(tries + 1).await;
    let (valid, issued) = issued.split_last().expect("one more");
    for (number, credential) in issued.iter().enumerate() {
        let accepted = async {
            while other.present(credential).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, accepted).await.unwrap_or_else(|_| panic!("{kind:?}, try {number}: it has not come back"));
        // This node may not have come back yet: who is not told that it is done asks again.
        while one.method.revoke(&credential.id).await.is_err() {
            tokio::task::yield_now().await;
        }
        // The news is on its way, and the server dies; it is up again after a while of nothing.
        let dead = tokio::task::spawn_blocking(move || {
            server.kill().expect("it was running");
            server.restart().expect("it starts again");
            server
        });
        tokio::pin!(dead);
        let (mut refused, mut late) = (false, 0);
        server = loop {
            match other.present(credential).await {
                Ok(_) if refused => late += 1,
                Ok(_) | Err(Rejection::Unavailable { .. }) => {}
                Err(_) => refused = true,
            }
            tokio::select! {
                biased;
                server = &mut dead => break server.expect("no panic"),
                () = tokio::task::yield_now() => {}
            }
        };
        other.until_refused(credential, "after the crash").await;
        let back = async {
            while other.present(valid).await.is_err() {
                late += usize::from(other.present(credential).await.is_ok());
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, back).await.expect("others are accepted again");
        late += usize::from(other.present(credential).await.is_ok());
        assert_eq!(late, 0, "{kind:?}, try {number}: accepted after a refusal");
    }
    let fresh = nodes.start(&method).await;
    for credential in issued {
        for node in [&other, &fresh] {
            assert!(matches!(node.present(credential).await, Err(Rejection::Invalid(_))), "{kind:?}: it was forgotten");
        }
    }
}

#[tokio::test]
async fn rv_5_a_redis_that_is_killed_a_hundred_times_forgets_no_revocation() {
    killed(ServerKind::Redis, Follow::Push(Push::Pubsub), 100).await;
}

#[tokio::test]
async fn rv_5_a_postgres_that_is_killed_a_hundred_times_forgets_no_revocation() {
    killed(ServerKind::Postgres, Follow::Push(Push::Notify), 100).await;
}
