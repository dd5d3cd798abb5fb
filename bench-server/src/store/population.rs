//! Records of nobody: what a store holds beside the keys in use, so that cost can be seen against size.
//!
//! They have the form of issued records, under digests that are random instead of computed, so no key fits them.

use std::sync::Arc;

use rand::rngs::{ChaCha20Rng, SysRng};
use rand::{Rng as _, SeedableRng as _};

use super::StoreError;
use super::record::{KeyRecord, KeyStatus, Revocation};
use crate::clock::UnixTime;
use crate::config::KeyEnvironment;
use crate::credential::base62;
use crate::credential::digest::Digest;
use crate::credential::key;

/// Random records in the order of their digests, in which SQLite only ever appends to its tree.
pub(super) struct Population {
    /// How each digest begins, the last one first.
    beginnings: Vec<u64>,
    rng: ChaCha20Rng,
    scopes: Arc<str>,
    created: UnixTime,
}

impl Population {
    /// # Errors
    /// The operating system has no random bytes.
    pub(super) fn new(count: usize, scopes: Arc<str>, created: UnixTime) -> Result<Self, StoreError> {
        // Seeded once: a system call for each of ten million records would take most of the time.
        let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng).map_err(StoreError::no_random)?;
        let mut beginnings: Vec<u64> = (0..count).map(|_| rng.next_u64()).collect();
        beginnings.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { beginnings, rng, scopes, created })
    }
}

impl Iterator for Population {
    type Item = KeyRecord;

    fn next(&mut self) -> Option<KeyRecord> {
        let mut digest = [0; 32];
        let (beginning, rest) = digest.split_at_mut(8);
        beginning.copy_from_slice(&self.beginnings.pop()?.to_be_bytes());
        self.rng.fill_bytes(rest);
        let Ok(id) = base62::identifier("key-", &mut self.rng);
        let Ok(application) = base62::identifier("app-", &mut self.rng);
        let Ok(last) = base62::random::<4, _>(&mut self.rng);
        Some(KeyRecord {
            id: id.into(),
            application: application.into(),
            digest: Digest(digest),
            hint: key::hint(KeyEnvironment::Live, &last).into(),
            scopes: self.scopes.clone(),
            created: self.created,
            expires: None,
            status: KeyStatus::Active,
            pepper: 0,
            details: None,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.beginnings.len(), Some(self.beginnings.len()))
    }
}

impl ExactSizeIterator for Population {}

/// Revocations of tokens that nobody holds.
///
/// # Errors
/// The operating system has no random bytes.
pub(super) fn revocations(count: usize) -> Result<impl Iterator<Item = Revocation> + Send + 'static, StoreError> {
    let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng).map_err(StoreError::no_random)?;
    Ok((0..count).map(move |_| Revocation::Token(format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()).into())))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn records_are_distinct_and_ascend() {
        let records = Population::new(2_000, "read".into(), UnixTime(Duration::from_secs(5))).expect("random bytes");
        assert_eq!(records.len(), 2_000);
        let records: Vec<_> = records.collect();
        assert!(records.is_sorted_by(|a, b| a.digest.0 < b.digest.0));
        for name in [|record: &KeyRecord| record.id.clone(), |record: &KeyRecord| record.application.clone()] {
            assert_eq!(records.iter().map(name).collect::<HashSet<_>>().len(), records.len());
        }
        let first = &records[0];
        assert!(first.id.starts_with("key-") && first.application.starts_with("app-"), "{first:?}");
        assert!(first.hint.starts_with("ab_live_…") && first.hint.chars().count() == 13, "{first:?}");
    }
}
