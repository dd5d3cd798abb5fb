//! A map that forgets: entries go when their time is over, so that memory is bounded by what is alive.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

use crate::clock::UnixTime;

/// A map whose entries expire. Each insertion first drops what is due, which costs a logarithm per entry and never a
/// pass over the whole map.
#[derive(Debug)]
pub(crate) struct ExpiringMap<K, V> {
    entries: HashMap<K, (UnixTime, V)>,
    queue: BinaryHeap<Reverse<(UnixTime, K)>>,
}

impl<K, V> Default for ExpiringMap<K, V>
where
    K: Ord,
{
    fn default() -> Self {
        Self { entries: HashMap::new(), queue: BinaryHeap::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord, V> ExpiringMap<K, V> {
    /// Adds or replaces an entry that lives until `expires`.
    pub(crate) fn insert(&mut self, now: UnixTime, expires: UnixTime, key: K, value: V) {
        self.purge(now);
        self.queue.push(Reverse((expires, key.clone())));
        self.entries.insert(key, (expires, value));
    }

    /// The entry, unless its time is over.
    pub(crate) fn get(&self, now: UnixTime, key: &K) -> Option<&V> {
        self.entries.get(key).filter(|(expires, _)| now < *expires).map(|(_, value)| value)
    }

    /// The entry and its end, unless that has come. The end may be moved later, not earlier.
    pub(crate) fn get_mut(&mut self, now: UnixTime, key: &K) -> Option<(&mut UnixTime, &mut V)> {
        self.entries.get_mut(key).filter(|(expires, _)| now < *expires).map(|(expires, value)| (expires, value))
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Entries held, due ones included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Drops what is due.
    pub(crate) fn purge(&mut self, now: UnixTime) {
        while self.queue.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            let Some(Reverse((_, key))) = self.queue.pop() else { return };
            match self.entries.get(&key) {
                // Its end was moved: ask again then.
                Some((expires, _)) if *expires > now => self.queue.push(Reverse((*expires, key))),
                Some(_) => drop(self.entries.remove(&key)),
                None => {}
            }
        }
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
    fn entry_ends_at_its_time_and_is_dropped_by_the_next_insertion() {
        let mut map = ExpiringMap::default();
        map.insert(at(0), at(10), "a", 1);
        assert_eq!(map.get(at(9), &"a"), Some(&1));
        assert_eq!(map.get(at(10), &"a"), None);
        map.insert(at(10), at(20), "b", 2);
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn moved_end_counts() {
        let mut map = ExpiringMap::default();
        map.insert(at(0), at(10), "a", 1);
        *map.get_mut(at(5), &"a").expect("alive").0 = at(30);
        map.insert(at(20), at(40), "b", 2);
        assert_eq!(map.get(at(20), &"a"), Some(&1));
        map.insert(at(30), at(50), "c", 3);
        assert_eq!(map.len(), 2);
    }
}
