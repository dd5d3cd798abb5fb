//! Signed requests: HMAC over the request itself (RFC 9421), so that no secret travels and nothing can be changed or sent
//! twice. Profile: [`crate::credential::http_signature`].
//!
//! In the order of their cost: form, algorithm, time, coverage, digest of the content, MAC; only then is the key's record
//! looked up and the nonce used up. Keys are derived from their identifiers (`Master`), so a MAC is computed for whatever
//! identifier was sent, and who cannot sign learns of no key whether it exists and fills no memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use rand::rngs::{SysError, SysRng};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::grant::Grant;
use super::{AdminError, BuildError, Cause, Environment, Principal, PrincipalKind, Rejection, Request};
use crate::clock::{Clock, UnixTime};
use crate::config::SignedConfig;
use crate::contract::{IssueRequest, Issued, Material, Secret};
use crate::credential::base62;
use crate::credential::digest::Digest;
use crate::credential::http_signature::master::Master;
use crate::credential::http_signature::{Fields, Message, Presented, Refused, SIGNATURE_INPUT, SKEW};
use crate::store::nonces::{Nonce, Nonces, Used};
use crate::store::record::{KeyRecord, KeyStatus};
use crate::store::{Store, StoreError, file};
use crate::telemetry::Meter;

/// When to try again after the store failed, or has no room: a guess, for nothing tells how long either will take.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How the names of applications begin, and of keys.
const APPLICATION: &str = "app-";
const KEY: &str = "sig-";

/// The content of a request, in the extensions of its head; absent where there is none.
#[derive(Debug, Clone)]
pub struct Content(pub Bytes);

/// The method `signed` of one profile.
pub struct Signed {
    store: Arc<Store>,
    nonces: Nonces,
    master: Arc<Master>,
    clock: Clock,
    meter: Arc<Meter>,
}

impl Signed {
    pub(crate) async fn build(
        name: &str,
        config: &SignedConfig,
        environment: &Environment,
    ) -> Result<Self, BuildError> {
        let (nonces, possible) = (config.nonces, SignedConfig::NONCES);
        if !possible.contains(&nonces) {
            let (least, most) = (possible.start(), possible.end());
            return Err(BuildError::Config(format!("nonces is {nonces}; write {least} to {most}")));
        }
        let dir = file::profile_dir(&environment.shared_dir, name)?;
        let master = Arc::new(Master::load_or_generate(&dir.join("master-key"))?);
        let store = Arc::new(Store::open(&config.store, name, &dir).await?);
        let nonces = Nonces::open(&store, &dir, nonces)?;
        Ok(Self { store, nonces, master, clock: environment.clock.clone(), meter: environment.meter.clone() })
    }

    pub(crate) async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        let Request { head, now, .. } = *request;
        let fields = Fields::of(&head.headers)?.ok_or(Rejection::Missing)?;
        let presented = Presented::read(&fields)?;
        let message = Message::new(head, content(head)?)?;
        presented.check(&message, now)?;
        self.meter.verify_calls.add();
        let key_id = presented.key_id();
        presented.verify(&message, &*self.master.key(key_id))?;
        let record = self.look_up(key_id, now).await?;
        self.use_up(&presented, now).await?;
        Ok(Principal::new(
            PrincipalKind::Application,
            record.application.clone(),
            record.scopes.clone(),
            record.id.clone(),
        ))
    }

    /// Whose key it is. Records are found by the digest of the identifier: the key itself is nowhere.
    async fn look_up(&self, key_id: &str, now: UnixTime) -> Result<Arc<KeyRecord>, Rejection> {
        self.meter.store_lookups.add();
        match self.store.key(&name_digest(key_id)).await {
            Ok(Some(record)) => judge(&record, now).map(|()| record),
            Ok(None) => Err(Rejection::Invalid(Cause::Unknown)),
            Err(error) => {
                tracing::error!(%error, "the key store failed");
                Err(Rejection::Unavailable { dependency: "key store", retry_after: RETRY_AFTER })
            }
        }
    }

    /// The nonce is remembered for longer than any validator accepts the signature, whatever their clocks differ by.
    async fn use_up(&self, presented: &Presented<'_>, now: UnixTime) -> Result<(), Rejection> {
        let nonce = Nonce::new(presented.key_id(), presented.nonce());
        let until = UnixTime(Duration::from_secs(presented.last_second() + 1) + SKEW);
        self.meter.store_writes.add();
        let dependency = match self.nonces.use_up(&nonce, until, now).await {
            Ok(Used::First) => return Ok(()),
            Ok(Used::Again) => return Err(Rejection::Invalid(Cause::Replayed)),
            Ok(Used::NoRoom) => {
                tracing::error!(
                    "as many nonces are remembered as may be; raise `nonces`, or have requests expire sooner"
                );
                "memory of nonces"
            }
            Err(error) => {
                tracing::error!(%error, "the store of nonces failed");
                "store of nonces"
            }
        };
        Err(Rejection::Unavailable { dependency, retry_after: RETRY_AFTER })
    }

    /// Each key belongs to an application of its own, so that revoking one must not touch another caller.
    pub(crate) async fn issue(&self, request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        let grant = Grant::new(request, self.clock.now())?;
        let (count, master) = (request.count, self.master.clone());
        let make = move || (0..count).map(|_| fresh(&grant, &master, None)).collect::<Result<Vec<_>, _>>();
        let made = spawn_blocking(make).await;
        let made = made.map_err(|_| AdminError::Store("the thread that made keys stopped".to_owned()))?;
        let (records, issued): (Vec<_>, Vec<_>) = made.map_err(StoreError::no_random)?.into_iter().unzip();
        self.store.insert_keys(records).await?;
        issued.iter().for_each(|_| self.meter.store_writes.add());
        Ok(issued)
    }

    /// Another key of an application: both work, until one is revoked.
    pub(crate) async fn renew(&self, application: &str, request: &IssueRequest) -> Result<Issued, AdminError> {
        if !application.starts_with(APPLICATION) {
            return Err(AdminError::NotFound(format!("application {application:?}")));
        }
        let grant = Grant::new(request, self.clock.now())?;
        let made = fresh(&grant, &self.master, Some(application));
        let (record, issued) = made.map_err(StoreError::no_random)?;
        self.store.insert_keys(vec![record]).await?;
        self.meter.store_writes.add();
        Ok(issued)
    }

    /// Whether what a decision needs gives an answer.
    pub(crate) async fn probe(&self) -> Result<(), &'static str> {
        self.store.probe().await.map_err(|_| "key store")
    }

    /// Removes what is in the store, where that is a server of its own.
    pub(crate) async fn discard(&self) -> Result<(), AdminError> {
        Ok(self.store.discard().await?)
    }

    /// Returns once the store has it, which every request reads.
    pub(crate) async fn revoke(&self, id: &str) -> Result<(), AdminError> {
        let revoked = self.store.revoke_key(id, self.clock.now()).await?;
        revoked.ok_or_else(|| AdminError::NotFound(format!("key {id:?}")))?;
        self.meter.store_writes.add();
        Ok(())
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        Self::Invalid(match refused {
            Refused::Missing => return Self::Missing,
            Refused::Ambiguous => return Self::Ambiguous("two signatures are meant for this application"),
            Refused::Malformed => Cause::Malformed,
            Refused::Components | Refused::Parameters => Cause::Claims,
            Refused::Algorithm => Cause::Header,
            Refused::NotYetValid => Cause::NotYetValid,
            Refused::Expired => Cause::Expired,
            Refused::Digest | Refused::BadSignature => Cause::BadSignature,
        })
    }
}

/// Whether there is a signature to be judged; a request without one is refused whatever its content.
pub(crate) fn is_signed(head: &Parts) -> bool {
    head.headers.contains_key(&SIGNATURE_INPUT)
}

/// The content that was collected. A request that announces one which was not is refused: without it, it would be judged as
/// if it had none.
fn content(head: &Parts) -> Result<&[u8], Rejection> {
    if let Some(Content(content)) = head.extensions.get() {
        return Ok(content);
    }
    let length = head.headers.get(CONTENT_LENGTH);
    let announced = head.headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0");
    if announced { Err(Rejection::Invalid(Cause::Malformed)) } else { Ok(&[]) }
}

fn judge(record: &KeyRecord, now: UnixTime) -> Result<(), Rejection> {
    if record.status != KeyStatus::Active {
        return Err(Rejection::Invalid(Cause::Revoked));
    }
    if record.expires.is_some_and(|expires| now >= expires) {
        return Err(Rejection::Invalid(Cause::Expired));
    }
    Ok(())
}

/// What a record is found by.
fn name_digest(key_id: &str) -> Digest {
    Digest(Sha256::digest(key_id.as_bytes()).into())
}

/// A key of an application, or of a new one.
fn fresh(grant: &Grant, master: &Master, application: Option<&str>) -> Result<(KeyRecord, Issued), SysError> {
    let id = base62::identifier(KEY, &mut SysRng)?;
    let mut hex = String::with_capacity(64);
    Digest(*master.key(&id)).write_hex(&mut hex);
    let record = KeyRecord {
        digest: name_digest(&id),
        application: match application {
            Some(application) => application.into(),
            None => base62::identifier(APPLICATION, &mut SysRng)?.into(),
        },
        id: id.as_str().into(),
        // Nothing of the key is known to a list.
        hint: "".into(),
        scopes: grant.scopes.clone(),
        created: grant.created,
        expires: grant.expires,
        status: KeyStatus::Active,
        pepper: 0,
        details: None,
    };
    let principal = record.application.to_string();
    let material = Material::SigningKey { key_id: id.clone(), key: Secret::new(hex) };
    Ok((record, Issued { id, principal, material }))
}

#[cfg(test)]
mod tests;
