//! What a lookup costs beside the bare round trip of the client library: an API key over each kind of store, and a `GET` or
//! a prepared `SELECT` of the very same record. Redis and PostgreSQL are private servers on Unix sockets.
//!
//! One lookup at a time, in turn, many times over: the ratio is the median of the rounds' ratios. `cargo test --benches`
//! does one round, to see that all of it works.

use std::time::Instant;

use anyhow::Context as _;
use bench_server::contract::{
    ApiKeyConfig, CacheConfig, Follow, MethodConfig, PrivateServer, Push, RemoteStore, ServerKind, StoreConfig,
};
use benches::Subject;

/// Rounds; odd, so that there is a middle one.
const ROUNDS: usize = 201;

/// Lookups of each contender in a round.
const LOOKUPS: u32 = 50;

/// Keys in each store.
const KEYS: usize = 1_000;

/// One thing that is timed: nanoseconds per lookup, a figure per round.
struct Row {
    name: &'static str,
    times_ns: Vec<f64>,
}

impl Row {
    fn new(name: &'static str) -> Self {
        Self { name, times_ns: Vec::new() }
    }

    async fn round(&mut self, lookup: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let begun = Instant::now();
        for _ in 0..LOOKUPS {
            lookup().await.context(self.name)?;
        }
        self.times_ns.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(LOOKUPS));
        Ok(())
    }

    fn microseconds(&self) -> f64 {
        median(self.times_ns.clone()) / 1e3
    }

    fn ratio(&self, to: &Self) -> f64 {
        median(self.times_ns.iter().zip(&to.times_ns).map(|(ours, theirs)| ours / theirs).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> anyhow::Result<()> {
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let redis = PrivateServer::start(ServerKind::Redis)?;
    let postgres = PrivateServer::start(ServerKind::Postgres)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(rounds, &RemoteStore::new(redis.url()), &RemoteStore::new(postgres.url())))
}

#[allow(clippy::print_stdout)] // this is the result
async fn measure(rounds: usize, redis: &RemoteStore, postgres: &RemoteStore) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let subject = async |name: &str, store: StoreConfig, cache: Option<CacheConfig>| {
        let method = MethodConfig::ApiKey(ApiKeyConfig { cache, ..ApiKeyConfig::new(store) });
        Subject::issued_here(&dir.path().join(name), method, KEYS).await
    };
    let told = |push| {
        let cache = CacheConfig::new(std::time::Duration::from_secs(3_600));
        Some(CacheConfig { follow: Some(Follow::Push(push)), ..cache })
    };
    let in_redis = subject("redis", StoreConfig::Redis(redis.clone()), None).await?;
    let in_postgres = subject("postgres", StoreConfig::Postgres(postgres.clone()), None).await?;
    let in_memory = subject("memory", StoreConfig::Memory, None).await?;
    let cached = subject("cached", StoreConfig::Redis(redis.clone()), told(Push::Pubsub)).await?;
    let bare_get = BareGet::of(redis).await?;
    let bare_select = BareSelect::of(postgres).await?;
    let accepted = async |subject: &Subject| match subject.validate().await {
        Ok(_) => Ok(()),
        Err(rejection) => anyhow::bail!("this would time a refusal: {rejection:?}"),
    };
    let names = ["memory", "redis, cached and told", "GET", "redis", "SELECT", "postgres"];
    let [mut memory, mut cache, mut get, mut ours_redis, mut select, mut ours_postgres] = names.map(Row::new);
    for _ in 0..rounds {
        memory.round(async || accepted(&in_memory).await).await?;
        cache.round(async || accepted(&cached).await).await?;
        get.round(async || bare_get.once().await).await?;
        ours_redis.round(async || accepted(&in_redis).await).await?;
        select.round(async || bare_select.once().await).await?;
        ours_postgres.round(async || accepted(&in_postgres).await).await?;
    }
    println!("\nOne API key, looked up {LOOKUPS} times in each of {rounds} interleaved rounds; medians.\n");
    println!("{:<24} {:>10} {:>22}", "store", "us", "to the bare round trip");
    for (row, bare) in [
        (&memory, None),
        (&cache, None),
        (&get, None),
        (&ours_redis, Some(&get)),
        (&select, None),
        (&ours_postgres, Some(&select)),
    ] {
        let ratio = bare.map_or_else(String::new, |bare| format!("{:.2}", row.ratio(bare)));
        println!("{:<24} {:>10.2} {ratio:>22}", row.name, row.microseconds());
    }
    println!("\nThe cache adds {:.2} us to the store in memory.", cache.microseconds() - memory.microseconds());
    Ok(())
}

/// The client library's own `GET` of a key's record.
struct BareGet {
    connection: redis::aio::MultiplexedConnection,
    key: String,
}

impl BareGet {
    async fn of(store: &RemoteStore) -> anyhow::Result<Self> {
        let url = store.url.resolve().map_err(anyhow::Error::msg)?;
        let mut connection = redis::Client::open(url.expose())?.get_multiplexed_async_connection().await?;
        let keys: Vec<String> = redis::cmd("KEYS").arg("*:key:*").query_async(&mut connection).await?;
        Ok(Self { connection, key: keys.into_iter().next().context("there are no keys")? })
    }

    async fn once(&self) -> anyhow::Result<()> {
        let found: Option<Vec<u8>> = redis::cmd("GET").arg(&self.key).query_async(&mut self.connection.clone()).await?;
        found.map(drop).context("there is no such key")
    }
}

/// The client library's own prepared `SELECT` of a key's record.
struct BareSelect {
    client: tokio_postgres::Client,
    statement: tokio_postgres::Statement,
    digest: Vec<u8>,
}

impl BareSelect {
    async fn of(store: &RemoteStore) -> anyhow::Result<Self> {
        let url = store.url.resolve().map_err(anyhow::Error::msg)?;
        let (client, connection) = tokio_postgres::connect(url.expose(), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(&format!("SET search_path TO \"{}:bench\"", store.namespace)).await?;
        let digest = client.query_one("SELECT digest FROM keys LIMIT 1", &[]).await?.get(0);
        let select =
            "SELECT id, application, hint, scopes, created_ns, expires_ns, revoked FROM keys WHERE digest = $1";
        Ok(Self { statement: client.prepare(select).await?, client, digest })
    }

    async fn once(&self) -> anyhow::Result<()> {
        self.client.query_one(&self.statement, &[&self.digest]).await.map(drop).context("there is no such key")
    }
}
