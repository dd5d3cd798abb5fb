//! Work that no request waits for: keys are digested anew under the current pepper, and reported ones are looked for.
//!
//! Who reports a leak is answered before anybody has looked, so neither the answer nor its time tells whether the key was live.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};

use super::peppers::Peppers;
use super::records::Records;
use crate::contract::{KeyAction, Secret};
use crate::credential::digest::Digest;
use crate::credential::key::Key;
use crate::store::StoreError;
use crate::store::record::KeyStatus;

/// Things that may wait. Digesting anew is left for the key's next use where there is no room.
const ROOM: usize = 1_024;

/// Between two attempts to look for a reported key.
const PAUSE: Duration = Duration::from_secs(1);

/// Something to be done.
enum Chore {
    Redigest {
        from: Digest,
        to: Digest,
        pepper: u32,
    },
    Report(Secret),
    /// Tells when all that came before is done.
    #[cfg(test)]
    Done(tokio::sync::oneshot::Sender<()>),
}

/// Where work is left.
pub(super) struct Chores(Sender<Chore>);

impl Chores {
    /// Does what is left here, one thing after the other, in the runtime of the caller, until nobody leaves anything any more.
    pub(super) fn start(records: Records, peppers: Arc<Peppers>) -> Self {
        let (left, mut waiting) = mpsc::channel(ROOM);
        tokio::spawn(async move {
            while let Some(chore) = waiting.recv().await {
                let done = match chore {
                    Chore::Redigest { from, to, pepper } => records.redigest(from, to, pepper).await,
                    Chore::Report(found) => {
                        // It was accepted, so it is not dropped because the store is away.
                        while let Err(error) = look_for(&records, &peppers, &found).await {
                            tracing::error!(%error, "a key that was reported as leaked could not be looked for; trying again");
                            tokio::time::sleep(PAUSE).await;
                        }
                        Ok(())
                    }
                    #[cfg(test)]
                    Chore::Done(tell) => {
                        let _ = tell.send(());
                        Ok(())
                    }
                };
                if let Err(error) = done {
                    tracing::error!(%error, "work on API keys could not be done");
                }
            }
        });
        Self(left)
    }

    /// Leaves a key to be put under another digest.
    pub(super) fn redigest(&self, from: Digest, to: Digest, pepper: u32) {
        let _ = self.0.try_send(Chore::Redigest { from, to, pepper });
    }

    /// Leaves a key to be looked for, and taken back if it is live; `false` where there is no room.
    pub(super) fn report(&self, found: Secret) -> bool {
        self.0.try_send(Chore::Report(found)).is_ok()
    }

    /// Returns when all that was left before is done.
    #[cfg(test)]
    pub(super) async fn done(&self) {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.0.send(Chore::Done(tell)).await.expect("somebody works");
        told.await.expect("somebody works");
    }
}

/// Takes a key back that was found where it should not be. What no key of ours looks like is looked up nowhere.
async fn look_for(records: &Records, peppers: &Peppers, found: &Secret) -> Result<(), StoreError> {
    let Ok(key) = Key::parse(found.expose()) else { return Ok(()) };
    for pepper in peppers.in_turn() {
        records.meter.store_lookups.add();
        if let Some(record) = records.store.key(&pepper.digest(key)).await? {
            // One whose owner is suspended, or that has expired, is leaked as well.
            if record.status != KeyStatus::Revoked {
                records.revoke(&record.id, KeyAction::Leaked, "report").await?;
            }
            return Ok(());
        }
    }
    Ok(())
}
