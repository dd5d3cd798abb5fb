//! The deny-list of JWTs: what was revoked before it expired.
//!
//! The store is the source of truth. Validators never read it per request: each process keeps a [`DenyList`] that
//! [follows](super::follow) it. An entry lives until no token that it names could be accepted any more, which bounds both
//! sides by the revocations of one token lifetime.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use super::follow::LocalCopy;
use super::record::Revocation;
use crate::clock::UnixTime;

/// Time between two clean-ups: frequent beside a token's minutes, rare beside a poll.
const PRUNE_EVERY: Duration = Duration::from_secs(30);

/// What an allocation takes beside what was asked for, about.
const ALLOCATION: usize = 16;

/// Parts of the list that are locked separately, so that workers do not meet on one lock.
const SHARDS: usize = 64;

/// What a validator knows of revoked tokens and subjects.
pub(crate) struct DenyList {
    /// `jti` to the second from which on the entry is of no use.
    tokens: [RwLock<HashMap<Box<str>, u64>>; SHARDS],
    /// `sub` to the last refused `iat` and the end of the entry.
    subjects: RwLock<HashMap<Box<str>, (u64, u64)>>,
    /// Bytes of the names in both.
    names: AtomicUsize,
    next_prune: Mutex<UnixTime>,
}

impl Default for DenyList {
    fn default() -> Self {
        Self {
            tokens: std::array::from_fn(|_| RwLock::default()),
            subjects: RwLock::default(),
            names: AtomicUsize::new(0),
            next_prune: Mutex::new(UnixTime(Duration::ZERO)),
        }
    }
}

impl DenyList {
    /// Whether a token is revoked, as far as the list knows.
    pub(crate) fn refuses(&self, jti: &str, sub: &str, iat: Duration) -> bool {
        if self.shard(jti).read().unwrap_or_else(PoisonError::into_inner).contains_key(jti) {
            return true;
        }
        let subjects = self.subjects.read().unwrap_or_else(PoisonError::into_inner);
        subjects.get(sub).is_some_and(|(issued_until, _)| iat.as_secs() <= *issued_until)
    }

    /// What the list takes now: entries, and bytes of memory, those of the allocator estimated.
    pub(crate) fn size(&self) -> Size {
        fn table<V>(map: &HashMap<Box<str>, V>) -> usize {
            // One place in eight stays empty.
            map.capacity() * 8 / 7 * (size_of::<(Box<str>, V)>() + 1)
        }
        let tokens = self.tokens.iter().map(|shard| table(&shard.read().unwrap_or_else(PoisonError::into_inner)));
        let subjects = table(&self.subjects.read().unwrap_or_else(PoisonError::into_inner));
        let (entries, names) = (self.len(), self.names.load(Ordering::Relaxed));
        Size { entries, bytes: tokens.sum::<usize>() + subjects + names + entries * ALLOCATION }
    }

    /// Entries held.
    pub(crate) fn len(&self) -> usize {
        let tokens = self.tokens.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len());
        tokens.sum::<usize>() + self.subjects.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn shard(&self, jti: &str) -> &RwLock<HashMap<Box<str>, u64>> {
        let mixed = jti.bytes().fold(0_usize, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.tokens[mixed % SHARDS]
    }
}

/// What a deny-list takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

/// Returns memory that a wave of revocations took and the rest does not need: twice what is there stays, for the next ones.
fn give_back<V>(map: &mut HashMap<Box<str>, V>) {
    if map.len() < map.capacity() / 4 {
        map.shrink_to(2 * map.len());
    }
}

impl LocalCopy for DenyList {
    fn revoke(&self, revocation: &Revocation, until: Option<u64>) {
        let until = until.unwrap_or(u64::MAX);
        match revocation {
            Revocation::Token(jti) => {
                let mut shard = self.shard(jti).write().unwrap_or_else(PoisonError::into_inner);
                let known = shard.entry(jti.clone()).or_insert_with(|| {
                    self.names.fetch_add(jti.len(), Ordering::Relaxed);
                    0
                });
                *known = until.max(*known);
            }
            Revocation::Subject { sub, issued_until } => {
                let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
                let (last, known) = subjects.entry(sub.clone()).or_insert_with(|| {
                    self.names.fetch_add(sub.len(), Ordering::Relaxed);
                    (0, 0)
                });
                (*last, *known) = ((*issued_until).max(*last), until.max(*known));
            }
            Revocation::Key(_) | Revocation::Owner(_) | Revocation::Password(_) => {}
        }
    }

    /// What was revoked once stays revoked.
    fn forget(&self) {}

    fn prune(&self, now: UnixTime) {
        let mut next = self.next_prune.lock().unwrap_or_else(PoisonError::into_inner);
        if now < *next {
            return;
        }
        *next = UnixTime(now.0 + PRUNE_EVERY);
        let mut gone = 0;
        let mut stays = |name: &str, until: u64| {
            let stays = until > now.as_secs();
            gone += if stays { 0 } else { name.len() };
            stays
        };
        for shard in &self.tokens {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|jti, until| stays(jti, *until));
            give_back(&mut shard);
        }
        let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
        subjects.retain(|sub, (_, until)| stays(sub, *until));
        give_back(&mut subjects);
        drop(subjects);
        self.names.fetch_sub(gone, Ordering::Relaxed);
        tracing::debug!(entries = self.len(), "deny-list pruned");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(jti: &str) -> Revocation {
        Revocation::Token(jti.into())
    }

    fn refuses(list: &DenyList, jti: &str) -> bool {
        list.refuses(jti, "s", Duration::ZERO)
    }

    #[test]
    fn jw_30_a_subject_is_revoked_up_to_a_time() {
        let list = DenyList::default();
        list.revoke(&Revocation::Subject { sub: "app-1".into(), issued_until: 500 }, Some(1_000));
        list.revoke(&Revocation::Subject { sub: "app-1".into(), issued_until: 300 }, Some(900));
        let refuses = |sub, iat| list.refuses("j", sub, Duration::from_secs_f64(iat));
        assert!(refuses("app-1", 500.0) && refuses("app-1", 500.9) && refuses("app-1", 3.0));
        assert!(!refuses("app-1", 501.0) && !refuses("app-2", 500.0));
    }

    #[test]
    fn jw_30_entries_go_when_they_are_of_no_use_and_a_second_revocation_keeps_the_longer_end() {
        let list = DenyList::default();
        let at = |seconds| UnixTime(Duration::from_secs(seconds));
        list.revoke(&token("short"), Some(100));
        list.revoke(&token("long"), Some(300));
        list.revoke(&token("long"), Some(100));
        list.prune(at(99));
        assert_eq!(list.len(), 2);
        list.prune(at(100));
        assert_eq!(list.len(), 2, "it was cleaned up a second ago");
        list.prune(at(129));
        assert_eq!((refuses(&list, "short"), refuses(&list, "long"), list.len()), (false, true, 1));
        list.forget();
        assert!(refuses(&list, "long"), "nothing makes a revoked token good again");
    }

    #[test]
    fn jw_30_what_the_list_takes_is_known_and_given_back() {
        let list = DenyList::default();
        let at = |seconds| UnixTime(Duration::from_secs(seconds));
        let empty = list.size();
        assert_eq!(empty, Size { entries: 0, bytes: 0 });
        for n in 0..100_000 {
            list.revoke(&token(&format!("{n:032x}")), Some(100));
        }
        list.revoke(&token(&format!("{:032x}", 1)), Some(100)); // again: nothing new
        list.revoke(&Revocation::Subject { sub: "app-1".into(), issued_until: 5 }, Some(100));
        let full = list.size();
        assert_eq!(full.entries, 100_001);
        // A name, a place in a table that is never full, an allocation: between 70 and 130 bytes.
        assert!((70..130).contains(&(full.bytes / full.entries)), "{full:?}");
        list.revoke(&token("stays"), Some(1_000));
        list.prune(at(100));
        let rest = list.size();
        assert_eq!(rest.entries, 1);
        assert!(rest.bytes < 1_000, "{rest:?}");
        list.prune(at(1_000));
        assert_eq!(list.size().entries, 0);
    }
}
