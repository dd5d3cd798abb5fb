//! Stores of variants, the caches in front of them, and how copies hear of revocations.

use std::time::Duration;

use bench_server::contract::{CacheConfig, Follow, LONGEST_STALE, Push, RemoteStore, StoreConfig, StoreUrl};

use super::reader::Section;
use super::value::{duration_in, one_of, positive, text, whole};
use crate::plan::PRIVATE_STORE;

#[derive(Clone, Copy)]
enum Kind {
    Memory,
    Sqlite,
    Redis,
    Postgres,
}

const KINDS: &[(&str, Kind)] =
    &[("memory", Kind::Memory), ("sqlite", Kind::Sqlite), ("redis", Kind::Redis), ("postgres", Kind::Postgres)];

const PUSHES: &[(&str, Push)] = &[("pubsub", Push::Pubsub), ("tracking", Push::Tracking), ("notify", Push::Notify)];

/// A store answers within this time, or counts as down.
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

/// The kind of a store and, for one in a server of its own, where that is. Without a URL the run starts one.
pub(super) fn read_store(section: &mut Section<'_>) -> Option<StoreConfig> {
    let kind = section.required("kind", "\"memory\"", one_of(KINDS));
    // Checked here and not where it is read: what is found wrong there is quoted.
    let url = section.optional("url", text).and_then(|written| {
        let url = StoreUrl::new(written);
        url.map_err(|problem| section.error("url", format!("url: {problem}"))).ok()
    });
    let timeout = section.or("timeout", RemoteStore::default_timeout(), duration_in(TIMEOUTS));
    if matches!(kind, Some(Kind::Memory | Kind::Sqlite)) {
        for key in ["url", "timeout"] {
            if section.has(key) {
                section.error(key, format!("{key} belongs to stores of kind \"redis\" and \"postgres\"; leave it out"));
            }
        }
    }
    let private = || StoreUrl::new(PRIVATE_STORE).expect("a constant without a password");
    let remote = RemoteStore { timeout, ..RemoteStore::new(url.unwrap_or_else(private)) };
    Some(match kind? {
        Kind::Memory => StoreConfig::Memory,
        Kind::Sqlite => StoreConfig::Sqlite,
        Kind::Redis => StoreConfig::Redis(remote),
        Kind::Postgres => StoreConfig::Postgres(remote),
    })
}

/// The table `store`, where it need not be written.
pub(super) fn read_store_or(section: &mut Section<'_>, default: StoreConfig) -> Option<StoreConfig> {
    let Some(mut store) = section.table("store") else { return Some(default) };
    let kind = read_store(&mut store);
    store.finish();
    kind
}

/// The table `cache`: in front of `store`, where that is known; `None` where nothing tells of revocations.
pub(super) fn read_cache(
    section: &mut Section<'_>,
    longest: Duration,
    store: Option<&StoreConfig>,
) -> Option<CacheConfig> {
    let mut cache = section.table("cache")?;
    let ttl = cache.required("ttl", "\"2s\"", duration_in(Duration::from_millis(1)..=longest));
    let capacity = cache.or("capacity", CacheConfig::new(longest).capacity, whole(1..=100_000_000));
    let follow = read_follow(&mut cache, store);
    let stale_if_error = read_stale_if_error(&mut cache);
    cache.finish();
    Some(CacheConfig { ttl: ttl?, capacity, follow, stale_if_error })
}

/// `stale_if_error`: for how long what is past its time may be used where nothing newer can be had.
pub(super) fn read_stale_if_error(section: &mut Section<'_>) -> Option<Duration> {
    section.optional("stale_if_error", duration_in(Duration::from_millis(1)..=LONGEST_STALE))
}

/// `poll` or `push`: how a copy of what is in `store` hears of revocations.
pub(super) fn read_follow(section: &mut Section<'_>, store: Option<&StoreConfig>) -> Option<Follow> {
    let poll = section.optional("poll", positive).map(Follow::Poll);
    let push = section.optional("push", one_of(PUSHES)).map(Follow::Push);
    let key = if push.is_some() { "push" } else { "poll" };
    if poll.is_some() && push.is_some() {
        section.error("push", "poll and push exclude each other: a copy that is told need not ask; leave one out");
    }
    let follow = push.or(poll)?;
    if let Some(Err(problem)) = store.map(|store| follow.check(store)) {
        section.error(key, format!("{key}: {problem}"));
    }
    Some(follow)
}
