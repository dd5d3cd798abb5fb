//! One question where many ask the same: whoever comes while it is under way waits for its answer.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

/// Questions under way, by what is asked.
pub(super) struct Flights<K, V, S = RandomState>(Mutex<HashMap<K, Arc<OnceCell<V>>, S>>);

/// A caller's part in a question. The first who polls the cell asks; when that one goes away the next does.
pub(super) struct Joined<'f, K: Hash + Eq, V, S: BuildHasher> {
    flights: &'f Flights<K, V, S>,
    key: K,
    /// What everybody who waits for it gets.
    pub(super) answer: Arc<OnceCell<V>>,
}

impl<K, V, S: Default> Default for Flights<K, V, S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone, V, S: BuildHasher> Flights<K, V, S> {
    /// The question that is under way, or a new one.
    pub(super) fn join(&self, key: K) -> Joined<'_, K, V, S> {
        let answer = self.lock().entry(key.clone()).or_default().clone();
        Joined { flights: self, key, answer }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Flights<K, V, S> {
    /// Whoever comes from now on joins no question of that key that began before.
    pub(super) fn end(&self, key: &K) {
        self.lock().remove(key);
    }

    /// Whoever comes from now on joins no question that began before.
    pub(super) fn end_all(&self) {
        self.lock().clear();
    }

    /// Whether nothing is under way: for tests.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Nothing that could panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<OnceCell<V>>, S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Drop for Joined<'_, K, V, S> {
    /// Over when there is an answer, or when the last who waited for one is gone: whoever comes then begins another.
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        let current = flights.get(&self.key).is_some_and(|current| Arc::ptr_eq(current, &self.answer));
        // Handed out under the lock only, so nobody joins meanwhile: one is in the map, one is here.
        let alone = Arc::strong_count(&self.answer) == 2;
        if current && (self.answer.initialized() || alone) {
            flights.remove(&self.key);
        }
    }
}
