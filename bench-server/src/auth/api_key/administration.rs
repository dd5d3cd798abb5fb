//! What is done to API keys beside issuing and revoking them: listed, replaced, suspended with their owner, reported, billed.
//!
//! The control socket may touch every key. Over `/keys` an application touches its own, and finds no others.

use std::sync::Arc;

use super::{ApiKey, Owners, bounds, fresh};
use crate::auth::AdminError;
use crate::auth::grant::{self, Grant};
use crate::clock::UnixTime;
use crate::contract::{
    IssueRequest, Issued, KeyAction, KeyEvent, KeyRequest, KeyRotation, KeyState, KeySummary, KeyUsage, Material,
    NewKey, Secret,
};
use crate::store::StoreError;
use crate::store::record::{KeyDetails, KeyRecord, KeyStatus, Replaced, Replacement, Revocation, UsageLine};

/// Most keys that an application may have over `/keys`, revoked ones included: nobody fills the store.
const MOST_KEYS: usize = 1_000;

/// Who manages keys.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manager<'a> {
    /// Whoever has the control socket: all of them.
    Control,
    /// An application with one of its keys: its own.
    Application {
        /// The application.
        owner: &'a str,
        /// The key, by its identifier.
        key: &'a str,
    },
}

impl Manager<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Control => super::CONTROL,
            Self::Application { key, .. } => key,
        }
    }

    /// Whether keys of that owner may be seen.
    fn sees(&self, of: &str) -> bool {
        match self {
            Self::Control => true,
            Self::Application { owner, .. } => *owner == of,
        }
    }
}

impl ApiKey {
    /// Issues a key. One that another asks for goes no further than that one: what the request leaves open, the end and the
    /// networks, is as with that one, and both share a quota.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub(crate) async fn create(&self, request: &KeyRequest, manager: Manager<'_>) -> Result<NewKey, AdminError> {
        let owner = match (request.owner.as_deref(), manager) {
            (owner, Manager::Control) => owner,
            (None, Manager::Application { owner, .. }) => Some(owner),
            (Some(of), Manager::Application { owner, .. }) if of == owner => Some(owner),
            (Some(of), _) => return Err(AdminError::NotFound(format!("application {of:?}"))),
        };
        match owner {
            Some(owner) => self.owners.check(owner)?,
            None if self.owners == Owners::Clients => {
                let remedy = "owner is missing; name the OAuth client that the key is for";
                return Err(AdminError::BadRequest(remedy.to_owned()));
            }
            None => {}
        }
        if let Manager::Application { owner, .. } = manager {
            self.check_room(owner).await?;
        }
        let asked = IssueRequest { count: 1, lifetime: request.lifetime, scopes: request.scopes.clone() };
        let mut grant = Grant::new(&asked, self.clock.now())?;
        let mut details = KeyDetails { networks: request.networks.clone(), ..KeyDetails::default() };
        if let Some(by) = self.asking(manager, grant.created).await? {
            grant.expires = grant.expires.or(by.expires);
            if details.networks.is_empty() {
                details.networks = bounds::networks(&by).to_vec();
            }
            bounds::check(&by, grant.expires, &details.networks)?;
            details.lineage = Some(by.lineage().clone());
        }
        let made = fresh(&grant, owner, self.environment, self.peppers.current());
        let (mut record, issued) = made.map_err(StoreError::no_random)?;
        if details != KeyDetails::default() {
            record.details = Some(Box::new(details));
        }
        let summary = summary(&record, None, grant.created);
        self.add(record, manager.name()).await?;
        Ok(NewKey { key: secret(issued), summary })
    }

    /// The keys of an owner. Those of an owner that nobody knows are none.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub(crate) async fn list(&self, owner: &str) -> Result<Vec<KeySummary>, AdminError> {
        let records = self.records.store.keys_of(owner).await?;
        let ids = records.iter().map(|record| record.id.clone()).collect();
        self.flush().await?;
        let usage = self.records.store.usage_of(ids).await?;
        let now = self.clock.now();
        let used = |record: &KeyRecord| usage.iter().find(|line| line.key == record.id);
        Ok(records.iter().map(|record| summary(record, used(record), now)).collect())
    }

    /// One key.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub(crate) async fn get(&self, id: &str, manager: Manager<'_>) -> Result<KeySummary, AdminError> {
        let record = self.named(id, manager).await?;
        self.flush().await?;
        let usage = self.records.store.usage_of(vec![record.id.clone()]).await?;
        Ok(summary(&record, usage.first(), self.clock.now()))
    }

    /// A key by its identifier, as the store has it: `None` for one that is not accepted (any more).
    ///
    /// # Errors
    /// The store gives no answer.
    pub(crate) async fn live(&self, id: &str, now: UnixTime) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        self.meter.store_lookups.add();
        Ok(self.records.store.key_named(id).await?.filter(|record| record.is_live(now)))
    }

    /// Replaces a key by one with the same rights. Two of a line are live at most.
    ///
    /// # Errors
    /// [`AdminError::Conflict`] where the key is not live, was replaced already, or its predecessor is still live;
    /// [`AdminError::Forbidden`] where it goes further than the one that asks.
    pub(crate) async fn rotate(
        &self,
        id: &str,
        rotation: &KeyRotation,
        manager: Manager<'_>,
    ) -> Result<NewKey, AdminError> {
        if rotation.overlap > grant::LONGEST {
            let days = rotation.overlap.as_secs() / 86_400;
            return Err(AdminError::BadRequest(format!(
                "overlap of {days} days is over 100 years; write a shorter one"
            )));
        }
        let old = self.named(id, manager).await?;
        let now = self.clock.now();
        if let Manager::Application { owner, .. } = manager {
            self.check_room(owner).await?;
        }
        let details = old.details.as_deref().cloned().unwrap_or_default();
        // Whoever asks learns the successor.
        if let Some(by) = self.asking(manager, now).await? {
            bounds::check(&by, old.expires, &details.networks)?;
        }
        if let Some(predecessor) = &details.predecessor {
            // It never becomes live again, so this holds whatever happens meanwhile.
            let live = self.records.store.key_named(predecessor).await?.is_some_and(|record| record.is_live(now));
            if live {
                return Err(AdminError::Conflict(format!(
                    "key {id:?} has replaced {predecessor:?}, which is still accepted; revoke that one, or wait for its end"
                )));
            }
        }
        let grant = Grant { scopes: old.scopes.clone(), created: now, expires: old.expires };
        let made = fresh(&grant, Some(&old.application), self.environment, self.peppers.current());
        let (mut successor, issued) = made.map_err(StoreError::no_random)?;
        successor.details = Some(Box::new(KeyDetails {
            networks: details.networks,
            lineage: Some(old.lineage().clone()),
            predecessor: Some(old.id.clone()),
            successor: None,
        }));
        let summary = summary(&successor, None, now);
        let ends = UnixTime(now.0 + rotation.overlap);
        match self.records.store.replace_key(id, Replacement { successor, ends }, now).await? {
            Replaced::Done(digest) => {
                self.meter.store_writes.add();
                self.records.forget(&Revocation::Key(digest));
                self.records.note(KeyAction::Rotated, manager.name(), &old.application, Some(id));
                Ok(NewKey { key: secret(issued), summary })
            }
            Replaced::Unknown => Err(AdminError::NotFound(format!("key {id:?}"))),
            Replaced::NotLive => {
                Err(AdminError::Conflict(format!("key {id:?} is not accepted any more, or was replaced already")))
            }
        }
    }

    /// Takes a key back.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub(crate) async fn revoke_as(&self, id: &str, manager: Manager<'_>) -> Result<(), AdminError> {
        let record = self.named(id, manager).await?;
        self.records.revoke(&record.id, KeyAction::Revoked, manager.name()).await?;
        Ok(())
    }

    /// Suspends an owner, or ends that: all keys at once, those that are issued later too.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub(crate) async fn suspend(&self, owner: &str, suspended: bool) -> Result<(), AdminError> {
        if !self.records.store.suspend(owner, suspended, self.clock.now()).await? {
            return Err(AdminError::NotFound(format!("application {owner:?}")));
        }
        self.meter.store_writes.add();
        if suspended {
            self.records.forget(&Revocation::Owner(owner.into()));
        }
        let action = if suspended { KeyAction::Suspended } else { KeyAction::Resumed };
        self.records.note(action, super::CONTROL, owner, None);
        Ok(())
    }

    /// Takes note of a key that was found where it should not be. Whether it is one shows later, and not to who reported it;
    /// `false` where too much is waiting.
    pub(crate) fn report(&self, found: Secret) -> bool {
        self.chores.report(found)
    }

    /// What each key was used for, up to now.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub(crate) async fn usage(&self) -> Result<Vec<KeyUsage>, AdminError> {
        if self.usage.is_none() {
            return Err(AdminError::NotHere("nothing is counted here; write `metering` into the profile"));
        }
        self.flush().await?;
        let line = |UsageLine { key, requests, last_used }| KeyUsage { key: key.to_string(), requests, last_used };
        Ok(self.records.store.usage().await?.into_iter().map(line).collect())
    }

    /// What was done to keys lately, on this node.
    pub(crate) fn events(&self) -> Vec<KeyEvent> {
        self.records.events()
    }

    /// Deals with reports of leaked keys, which were accepted, and writes down what was counted: before the end. What cannot be
    /// done then is lost, and said to be.
    pub(crate) async fn settle(&self) {
        let lost = self.chores.settle().await;
        if lost > 0 {
            let remedy = "have them reported again, or revoke them by name";
            tracing::error!(lost, remedy, "keys that were reported as leaked could not be looked for before the end");
        }
        if let Err(error) = self.flush().await {
            tracing::error!(%error, "the last requests of API keys are not counted");
        }
    }

    async fn flush(&self) -> Result<(), StoreError> {
        match &self.usage {
            None => Ok(()),
            Some(usage) => usage.flush().await,
        }
    }

    /// Adds a key to those of an owner.
    pub(super) async fn add(&self, record: KeyRecord, actor: &str) -> Result<(), AdminError> {
        let (id, owner) = (record.id.clone(), record.application.clone());
        if !self.records.store.add_key(record).await? {
            return Err(AdminError::Conflict(format!("application {owner:?} is suspended; resume it first")));
        }
        self.meter.store_writes.add();
        self.records.note(KeyAction::Created, actor, &owner, Some(&id));
        Ok(())
    }

    /// The key that asks, as the store has it now, whatever a cache still holds; `None` for the control socket, which may
    /// anything.
    async fn asking(&self, manager: Manager<'_>, now: UnixTime) -> Result<Option<Arc<KeyRecord>>, AdminError> {
        let Manager::Application { key, .. } = manager else { return Ok(None) };
        let found = self.live(key, now).await?;
        found.map(Some).ok_or_else(|| AdminError::NotFound(format!("key {key:?}, which asks,")))
    }

    async fn named(&self, id: &str, manager: Manager<'_>) -> Result<Arc<KeyRecord>, AdminError> {
        let found = self.records.store.key_named(id).await?;
        let seen = found.filter(|record| manager.sees(&record.application));
        seen.ok_or_else(|| AdminError::NotFound(format!("key {id:?}")))
    }

    async fn check_room(&self, owner: &str) -> Result<(), AdminError> {
        if self.records.store.keys_of(owner).await?.len() >= MOST_KEYS {
            return Err(AdminError::Conflict(format!(
                "an application has {MOST_KEYS} keys at most, revoked ones included"
            )));
        }
        Ok(())
    }
}

fn secret(issued: Issued) -> Secret {
    match issued.material {
        Material::ApiKey { key } => key,
        other => unreachable!("keys are made here, and not {other:?}"),
    }
}

fn summary(record: &KeyRecord, used: Option<&UsageLine>, now: UnixTime) -> KeySummary {
    let details = record.details.as_deref().cloned().unwrap_or_default();
    let (prefix, last4) = record.hint.split_once('…').unwrap_or_default();
    let name = |id: Option<Arc<str>>| id.map(|id| id.to_string());
    KeySummary {
        id: record.id.to_string(),
        owner: record.application.to_string(),
        prefix: prefix.to_owned(),
        last4: last4.to_owned(),
        scopes: record.scopes.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
        created: record.created.as_secs(),
        expires: record.expires.map(UnixTime::as_secs),
        last_used: used.map(|line| line.last_used),
        requests: used.map_or(0, |line| line.requests),
        status: match record.status {
            KeyStatus::Revoked => KeyState::Revoked,
            KeyStatus::Suspended => KeyState::Suspended,
            KeyStatus::Active if record.is_live(now) => KeyState::Active,
            KeyStatus::Active => KeyState::Expired,
        },
        pepper: record.pepper,
        networks: details.networks,
        replaces: name(details.predecessor),
        replaced_by: name(details.successor),
    }
}
