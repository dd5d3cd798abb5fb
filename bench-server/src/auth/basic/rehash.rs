//! A hash of less than the wanted cost is replaced when its user logs in: only then is the password there to be hashed (OWASP
//! Password Storage Cheat Sheet, "Upgrading the Work Factor").

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Basic, Right};
use crate::config::PasswordHash;
use crate::credential::password::{HashPool, PoolError, is_weaker};
use crate::store::record::User;
use crate::store::{Store, StoreError};
use crate::telemetry::Meter;

impl Right {
    /// Has a weak hash replaced beside the answer, unless somebody else's is being replaced.
    pub(super) fn renew_hash(self, basic: &Basic) -> Arc<User> {
        let Self { user, password } = self;
        if basic.is_outdated(&user.password_hash)
            && let Ok(turn) = basic.rehashing.clone().try_acquire_owned()
        {
            let (renewal, user) = (basic.renewal(), user.clone());
            tokio::spawn(async move {
                if let Err(error) = renewal.run(&user, password).await {
                    tracing::warn!(%error, "a weak password hash stays");
                }
                drop(turn);
            });
        }
        user
    }
}

impl Basic {
    /// Whether a hash cost less than new ones do, or is under another pepper.
    pub(super) fn is_outdated(&self, stored: &str) -> bool {
        is_weaker(stored, self.hash) || !self.peppers.is_current(stored)
    }

    /// All that it takes to replace a hash.
    pub(super) fn renewal(&self) -> Renewal {
        let (users, pool) = (self.users.clone(), self.pool.clone());
        Renewal { users, pool, hash: self.hash, meter: self.meter.clone() }
    }
}

/// See [`Basic::renewal`].
pub(super) struct Renewal {
    users: Arc<Store>,
    pool: Arc<HashPool>,
    hash: PasswordHash,
    meter: Arc<Meter>,
}

/// Why a hash was not replaced.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Hash(#[from] PoolError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Renewal {
    /// Hashes the password of a user who just proved to know it, and stores that unless the password was changed meanwhile;
    /// `None` then.
    pub(super) async fn run(&self, user: &User, password: Zeroizing<String>) -> Result<Option<Arc<str>>, Failed> {
        let hash: Arc<str> = self.pool.hash(password, self.hash).await?.into();
        let replaced = self.users.replace_hash(&user.name, &user.password_hash, hash.clone()).await?;
        if replaced {
            self.meter.store_writes.add();
        }
        Ok(replaced.then_some(hash))
    }
}
