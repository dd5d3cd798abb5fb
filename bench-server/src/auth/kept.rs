//! A copy of what a store holds, with what keeps it up to date, if anything does.

use std::sync::Arc;
use std::time::Duration;

use super::BuildError;
use crate::clock::{Clock, UnixTime};
use crate::config::{Follow, StoreConfig};
use crate::store::Store;
use crate::store::follow::{Follower, LocalCopy};

/// A copy.
pub(crate) struct Kept<C> {
    copy: Arc<C>,
    /// Absent where entries end by their TTL alone.
    follower: Option<Arc<Follower<C>>>,
}

impl<C: LocalCopy> Kept<C> {
    /// Keeps a copy of what is in a store, in the runtime of the caller.
    ///
    /// # Errors
    /// When the store cannot be followed so, or not now.
    pub(crate) async fn new(
        copy: C,
        (store, config): (&Arc<Store>, &StoreConfig),
        follow: Option<Follow>,
        clock: &Clock,
    ) -> Result<Self, BuildError> {
        let copy = Arc::new(copy);
        let follower = match follow {
            None => None,
            Some(follow) => {
                follow.check(config).map_err(BuildError::Config)?;
                Some(Follower::start(copy.clone(), store.clone(), follow, clock.clone()).await?)
            }
        };
        Ok(Self { copy, follower })
    }

    /// The copy, current or not.
    pub(crate) fn copy(&self) -> &C {
        &self.copy
    }

    /// The same, for who outlives the loan.
    pub(crate) fn shared(&self) -> Arc<C> {
        self.copy.clone()
    }

    /// Whether the copy is behind no further than it may be.
    pub(crate) fn is_current(&self, now: UnixTime) -> bool {
        self.follower.as_ref().is_none_or(|follower| follower.is_current(now))
    }

    /// Whether the copy is no further behind than `stale`, for who may use an old one because the store does not answer.
    pub(crate) fn is_current_but_for(&self, stale: Duration, now: UnixTime) -> bool {
        !stale.is_zero() && self.follower.as_ref().is_none_or(|follower| follower.was_current(stale, now))
    }

    /// Reads now what is new: for tests.
    #[cfg(test)]
    pub(crate) async fn catch_up(&self) -> Result<(), crate::store::StoreError> {
        match &self.follower {
            Some(follower) => follower.catch_up().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
