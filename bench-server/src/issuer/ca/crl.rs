//! A published CRL (RFC 5280 §5): the file itself is the record of what is revoked.
//!
//! Replicas that share the file take turns by a lock on a file beside it, and read what another has published before they
//! publish anew: nothing that was revoked elsewhere is lost.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::authority::Authority;
use super::{CaError, failed, random_serial};
use crate::clock::UnixTime;
use crate::credential::x509::{serial_bytes, serial_hex};
use crate::store::file::{self, Readers};

/// The current CRL of one authority.
pub(super) struct PublishedCrl {
    file: PathBuf,
    /// `cRLNumber`: grows with every publication.
    number: u64,
    this_update: UnixTime,
    next_update: UnixTime,
    /// Since when, by serial number in hexadecimal.
    revoked: BTreeMap<String, UnixTime>,
    /// The file that all this is from.
    seen: Option<Version>,
}

/// What tells one content of a file from the next: each publication is a file of its own, which takes the old one's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    modified: (i64, i64),
    length: u64,
}

impl Version {
    fn of(file: &Metadata) -> Self {
        Self { inode: file.ino(), modified: (file.mtime(), file.mtime_nsec()), length: file.len() }
    }
}

impl PublishedCrl {
    /// Reads the CRL in `file`, or publishes an empty one there.
    pub(super) fn open(
        file: PathBuf,
        authority: &Authority,
        now: UnixTime,
        validity: Duration,
    ) -> Result<Self, CaError> {
        match std::fs::read(&file) {
            Ok(der) => {
                let remedy = "move it away to start with an empty CRL, which forgets all revocations";
                Self::read(&file, &der).ok_or_else(|| CaError(format!("{}: not our CRL; {remedy}", file.display())))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let (revoked, seen) = (BTreeMap::new(), None);
                let mut crl = Self { file, number: 0, this_update: now, next_update: now, revoked, seen };
                let _turn = crl.take_turn()?;
                if crl.number == 0 {
                    crl.publish(authority, now, validity)?;
                }
                Ok(crl)
            }
            Err(error) => Err(CaError(format!("{}: {error}", file.display()))),
        }
    }

    fn read(file: &std::path::Path, der: &[u8]) -> Option<Self> {
        let (rest, crl) = CertificateRevocationList::from_der(der).ok()?;
        let time = |seconds: i64| Some(UnixTime(Duration::from_secs(u64::try_from(seconds).ok()?)));
        let revoked = crl.iter_revoked_certificates().map(|entry| {
            let since = time(entry.revocation_date.timestamp())?;
            Some((serial_hex(entry.raw_serial()), since))
        });
        rest.is_empty().then_some(())?;
        Some(Self {
            file: file.to_owned(),
            number: crl.crl_number()?.try_into().ok()?,
            this_update: time(crl.last_update().timestamp())?,
            next_update: time(crl.next_update()?.timestamp())?,
            revoked: revoked.collect::<Option<_>>()?,
            seen: None,
        })
    }

    /// Takes over what another process has published since. Cheap when nobody has: the file is not read again then.
    pub(super) fn catch_up(&mut self) -> Result<(), CaError> {
        let failed = |error: std::io::Error| CaError(format!("{}: {error}", self.file.display()));
        let version = Version::of(&std::fs::metadata(&self.file).map_err(failed)?);
        if self.seen == Some(version) {
            return Ok(());
        }
        let der = std::fs::read(&self.file).map_err(failed)?;
        let published = Self::read(&self.file, &der);
        let published = published.ok_or_else(|| CaError(format!("{}: not our CRL", self.file.display())))?;
        if published.number > self.number {
            *self = published;
        }
        // Should it have been replaced between the two looks, it is read once more than needed.
        self.seen = Some(version);
        Ok(())
    }

    /// Since when a serial number is revoked, if it is.
    pub(super) fn revoked_since(&self, serial: &str) -> Option<UnixTime> {
        self.revoked.get(serial).copied()
    }

    /// Adds a serial number and publishes; nothing happens when it is there already.
    pub(super) fn revoke(
        &mut self,
        serial: &str,
        authority: &Authority,
        now: UnixTime,
        validity: Duration,
    ) -> Result<(), CaError> {
        let _turn = self.take_turn()?;
        if self.revoked.contains_key(serial) {
            return Ok(());
        }
        self.revoked.insert(serial.to_owned(), now);
        let published = self.publish(authority, now, validity);
        if published.is_err() {
            self.revoked.remove(serial);
        }
        published
    }

    /// Adds random serial numbers until there are `population`, and publishes once.
    pub(super) fn fill(
        &mut self,
        population: usize,
        authority: &Authority,
        now: UnixTime,
        validity: Duration,
    ) -> Result<(), CaError> {
        let _turn = self.take_turn()?;
        let missing = population.saturating_sub(self.revoked.len());
        if missing == 0 {
            return Ok(());
        }
        let added = (0..missing).map(|_| Ok(serial_hex(random_serial()?.as_ref())));
        let added = added.collect::<Result<Vec<_>, CaError>>()?;
        self.revoked.extend(added.iter().map(|serial| (serial.clone(), now)));
        let published = self.publish(authority, now, validity);
        if published.is_err() {
            for serial in &added {
                self.revoked.remove(serial);
            }
        }
        published
    }

    /// Publishes anew when half of the time to `nextUpdate` is over, so that validators never meet a CRL past it.
    pub(super) fn renew(&mut self, authority: &Authority, now: UnixTime, validity: Duration) -> Result<(), CaError> {
        if self.is_fresh(now) {
            return Ok(());
        }
        let _turn = self.take_turn()?;
        if self.is_fresh(now) { Ok(()) } else { self.publish(authority, now, validity) }
    }

    fn is_fresh(&self, now: UnixTime) -> bool {
        let half = self.next_update.0.saturating_sub(self.this_update.0) / 2;
        now.0 < self.this_update.0 + half
    }

    /// Waits until no other process publishes, for as long as the result lives, and takes over what the last one did.
    fn take_turn(&mut self) -> Result<File, CaError> {
        let path = self.file.with_extension("crl.lock");
        let failed = |error: std::io::Error| CaError(format!("{}: {error}", path.display()));
        let lock = File::options().create(true).append(true).open(&path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        // What cannot be read is published anew.
        let _ = self.catch_up();
        Ok(lock)
    }

    fn publish(&mut self, authority: &Authority, now: UnixTime, validity: Duration) -> Result<(), CaError> {
        let epoch = date_time_ymd(1970, 1, 1);
        let revoked_certs = self.revoked.iter().map(|(serial, since)| {
            Ok(RevokedCertParams {
                serial_number: serial_number(serial)?,
                revocation_time: epoch + since.0,
                // Nobody tells us why; RFC 5280 §5.3.1 wants it left out then.
                reason_code: None,
                invalidity_date: None,
            })
        });
        let crl = CertificateRevocationListParams {
            this_update: epoch + now.0,
            next_update: epoch + now.0 + validity,
            crl_number: SerialNumber::from(self.number + 1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect::<Result<_, CaError>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = crl.signed_by(&authority.issuer).map_err(|error| failed("CRL", error))?;
        file::replace(&self.file, crl.der(), Readers::All)
            .map_err(|error| CaError(format!("{}: {error}", self.file.display())))?;
        self.number += 1;
        self.seen = std::fs::metadata(&self.file).ok().as_ref().map(Version::of);
        (self.this_update, self.next_update) = (now, UnixTime(now.0 + validity));
        Ok(())
    }
}

fn serial_number(hex: &str) -> Result<SerialNumber, CaError> {
    serial_bytes(hex).map(SerialNumber::from).ok_or_else(|| CaError(format!("{hex:?} is not a serial number")))
}
