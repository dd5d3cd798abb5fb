//! Work that no request waits for: keys are digested anew under the current pepper, and reported ones are looked for.
//!
//! Who reports a leak is answered before anybody has looked, so neither the answer nor its time tells whether the key was live.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};
use tokio::sync::oneshot;
use tokio::time::timeout;

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

/// How long the end waits for what is left. A store that answers has told about a thousand keys by then, and one that is away
/// does not come back so soon.
const PATIENCE: Duration = Duration::from_secs(2);

/// Something to be done.
enum Chore {
    Redigest {
        from: Digest,
        to: Digest,
        pepper: u32,
    },
    Report(Secret),
    /// Tells when all that came before is done.
    Done(oneshot::Sender<()>),
}

/// Where work is left.
pub(super) struct Chores {
    left: Sender<Chore>,
    /// Reports that were accepted, and are not dealt with yet.
    reported: Arc<AtomicUsize>,
}

impl Chores {
    /// Does what is left here, one thing after the other, in the runtime of the caller, until nobody leaves anything any more.
    pub(super) fn start(records: Records, peppers: Arc<Peppers>) -> Self {
        let (left, mut waiting) = mpsc::channel(ROOM);
        let reported = Arc::<AtomicUsize>::default();
        let open = reported.clone();
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
                        open.fetch_sub(1, Ordering::Relaxed);
                        Ok(())
                    }
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
        Self { left, reported }
    }

    /// Leaves a key to be put under another digest.
    pub(super) fn redigest(&self, from: Digest, to: Digest, pepper: u32) {
        let _ = self.left.try_send(Chore::Redigest { from, to, pepper });
    }

    /// Leaves a key to be looked for, and taken back if it is live; `false` where there is no room.
    pub(super) fn report(&self, found: Secret) -> bool {
        // Before it can be dealt with.
        self.reported.fetch_add(1, Ordering::Relaxed);
        let accepted = self.left.try_send(Chore::Report(found)).is_ok();
        if !accepted {
            self.reported.fetch_sub(1, Ordering::Relaxed);
        }
        accepted
    }

    /// Returns when all that was left before is done, or nobody works here any more.
    pub(super) async fn done(&self) {
        let (tell, told) = oneshot::channel();
        if self.left.send(Chore::Done(tell)).await.is_ok() {
            let _ = told.await;
        }
    }

    /// The same before the end, which does not wait for ever; returns how many reports are lost with it.
    pub(super) async fn settle(&self) -> usize {
        let _ = timeout(PATIENCE, self.done()).await;
        self.reported.load(Ordering::Relaxed)
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
