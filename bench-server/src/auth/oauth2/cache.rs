//! Positive introspection answers, kept for a while (RFC 7662 §4).

use moka::sync::Cache;
use sha2::{Digest, Sha256};

use crate::auth::Principal;
use crate::clock::UnixTime;
use crate::config::CacheConfig;

/// By SHA-256 of the token: the cache holds nothing that could be presented.
pub(super) type Key = [u8; 32];

/// A cache whose entries end by the process's clock. moka bounds the memory.
pub(super) struct AnswerCache {
    config: CacheConfig,
    answers: Cache<Key, (Principal, UnixTime)>,
}

impl AnswerCache {
    pub(super) fn new(config: CacheConfig) -> Self {
        Self { config, answers: Cache::builder().max_capacity(config.capacity).time_to_live(config.ttl).build() }
    }

    pub(super) fn key(token: &str) -> Key {
        Sha256::digest(token.as_bytes()).into()
    }

    pub(super) fn get(&self, key: &Key, now: UnixTime) -> Option<Principal> {
        self.answers.get(key).filter(|(_, end)| now < *end).map(|(principal, _)| principal)
    }

    /// Keeps an answer to a question asked at `asked`, never past `exp`. Counted from the question, because a revocation
    /// may already have overtaken the answer.
    pub(super) fn insert(&self, key: Key, principal: Principal, asked: UnixTime, exp: Option<UnixTime>) {
        let end = UnixTime(asked.0 + self.config.ttl);
        self.answers.insert(key, (principal, exp.map_or(end, |exp| exp.min(end))));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime(Duration::from_secs(secs))
    }

    #[test]
    fn entry_ends_with_its_time_to_live_and_with_the_token() {
        let cache = AnswerCache::new(CacheConfig { ttl: Duration::from_secs(10), capacity: 10 });
        let principal = Principal { id: "a".into(), scopes: "".into(), credential_id: "j".into() };
        let (short, long) = (AnswerCache::key("short"), AnswerCache::key("long"));
        cache.insert(short, principal.clone(), at(100), Some(at(105)));
        cache.insert(long, principal.clone(), at(100), Some(at(500)));
        assert_eq!(cache.get(&short, at(104)), Some(principal.clone()));
        assert_eq!(cache.get(&short, at(105)), None);
        assert_eq!(cache.get(&long, at(109)), Some(principal));
        assert_eq!(cache.get(&long, at(110)), None);
    }
}
