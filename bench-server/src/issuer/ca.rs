//! A certificate authority in a folder: a chain of CAs from the root down, leaves and CRLs (RFC 5280). The keys of CAs and
//! servers are ECDSA on P-256.
//!
//! The CAs of a chain are `root`, `intermediate` (in the longest chain only) and `issuing` (in all but the shortest). The
//! last one signs leaves, and nothing else: its path length is 0. A rollover makes another below the same CA, `issuing-2`,
//! then `issuing-3`; where the root signs leaves there is nothing above that could revoke one.
//!
//! | file of each CA | mode | what |
//! | --- | --- | --- |
//! | `root.pem` | 0644 | its certificate |
//! | `root.key` | 0600 | its private key, PKCS #8 |
//! | `root.crl` | 0644 | its current CRL, DER; replaced in one step |
//!
//! `issuing-2.terms` says since when that one signs, and when those before it are revoked. `issued.txt` (0600) holds the
//! serial numbers of all leaves, one per line, with the number of the CA that signed where that is not the first.

mod authority;
mod crl;
mod generation;
mod ocsp;

use std::collections::HashMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

pub use self::ocsp::{OcspAnswer, OcspResponder};

use self::authority::Authority;
use self::crl::PublishedCrl;
use self::generation::{Folder, Generation, Terms};
use crate::clock::{Clock, UnixTime};
use crate::config::{CertificateKey, ChainLength};
use crate::contract::{CaKey, IssuerKey, Secret};
use crate::credential::x509;
use crate::store::file;

/// Lifetime of server certificates.
const SERVER_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// How far `notBefore` lies in the past, so that a client whose clock is late still accepts a fresh certificate.
const BACKDATE: Duration = Duration::from_secs(60);

/// A certificate authority with its files in one folder.
pub struct CertificateAuthority {
    dir: PathBuf,
    clock: Clock,
    crl_validity: Duration,
    /// From the root to the first that signs leaves; at least one.
    chain: Vec<Arc<Authority>>,
    ledger: Mutex<Ledger>,
}

/// What changes while the authority works.
struct Ledger {
    /// One per CA of the chain above those that sign leaves, in its order.
    crls: Vec<PublishedCrl>,
    /// The CAs that sign leaves, or did, in the order in which they take over; at least one.
    generations: Vec<Generation>,
    issued: Issued,
    /// Length of the file that they were read from.
    issued_bytes: u64,
}

/// Serial numbers of leaves, hexadecimal, each with the place of the CA that signed it among the generations.
type Issued = HashMap<String, usize>;

/// One of the CAs that sign leaves.
#[derive(Clone)]
pub(crate) struct LeavesCa {
    /// Its place among the generations.
    place: usize,
    ca: Arc<Authority>,
}

impl LeavesCa {
    /// Its certificate.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.ca.certificate
    }
}

/// A CA whose word on revocations counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedCa {
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// DER file with its CRL, which says what of it is revoked.
    pub crl: PathBuf,
    /// Where the CA above it is in the list that this is from; absent of the root.
    pub above: Option<usize>,
}

/// What the records say of a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateStatus {
    /// Issued, and not taken back.
    Good,
    /// Taken back.
    Revoked {
        /// When.
        since: UnixTime,
    },
    /// Never issued here.
    Unknown,
}

/// A client certificate with its key, handed out once.
#[derive(Debug)]
pub struct ClientCertificate {
    /// Serial number in lower-case hexadecimal: what [`CertificateAuthority::revoke`] takes.
    pub serial: String,
    /// Leaf and every CA below the root, PEM.
    pub chain_pem: String,
    /// PKCS #8 private key, PEM.
    pub key_pem: Secret,
}

/// Why the authority failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CaError(pub String);

impl CertificateAuthority {
    /// Possible lifetimes of leaves and CRLs: they count whole seconds, and two years end well before any CA.
    pub const LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(2 * 365 * 86_400);

    /// Opens the authority in `dir`, or makes one. CRLs are valid for `crl_validity` and renewed by
    /// [`Self::renew_crls`] after half of it.
    ///
    /// # Errors
    /// When files cannot be read or written, belong to different authorities or to a chain of another length, or a key
    /// may be read by others.
    pub fn open(dir: &Path, clock: Clock, crl_validity: Duration, length: ChainLength) -> Result<Self, CaError> {
        if !Self::LIFETIMES.contains(&crl_validity) {
            return Err(CaError(format!("a CRL validity of {crl_validity:?}; {:?} is possible", Self::LIFETIMES)));
        }
        file::create_private_dir(dir).map_err(|error| CaError(format!("{}: {error}", dir.display())))?;
        let now = clock.now();
        let chain = authority::open_chain(dir, now, length)?;
        let (leaves_ca, above) = chain.split_last().expect("at least one");
        let crls = above.iter().map(|ca| PublishedCrl::open(crl_file(dir, ca), ca, now, crl_validity));
        let crls = crls.collect::<Result<_, _>>()?;
        let folder = Folder { dir, above: above.last().unwrap_or(leaves_ca), now, crl_validity };
        let generations = vec![Generation::first(leaves_ca.clone(), &folder)?];
        let (issued, issued_bytes) = read_issued(&dir.join("issued.txt"))?;
        let ledger = Ledger { crls, generations, issued, issued_bytes };
        let authority = Self { dir: dir.to_owned(), clock, crl_validity, chain, ledger: Mutex::new(ledger) };
        authority.renew_crls()?;
        Ok(authority)
    }

    /// PEM file with the root certificate.
    pub fn root_file(&self) -> PathBuf {
        self.dir.join("root.pem")
    }

    /// The root certificate.
    pub fn root_certificate(&self) -> &CertificateDer<'static> {
        &self.chain[0].certificate
    }

    /// The CAs from the root down to the first that signs leaves: certificate, and DER file with its CRL, which says what
    /// of it is revoked.
    #[cfg(test)]
    pub(crate) fn chain(&self) -> impl Iterator<Item = (&CertificateDer<'static>, PathBuf)> {
        self.chain.iter().map(|ca| (&ca.certificate, crl_file(&self.dir, ca)))
    }

    /// All CAs that there are by now, in whichever process they were made: the chain from the root down, then those that
    /// took over from its last. Each keeps its place.
    ///
    /// # Errors
    /// When the files of a CA cannot be read.
    pub fn cas(&self) -> Result<Vec<PublishedCa>, CaError> {
        let mut ledger = self.lock();
        self.catch_up_with_generations(&mut ledger)?;
        let last = self.chain.len() - 1;
        let successors = ledger.generations[1..].iter().map(|generation| (&*generation.ca, last.checked_sub(1)));
        let chain = self.chain.iter().enumerate().map(|(place, ca)| (&**ca, place.checked_sub(1)));
        let published = |(ca, above): (&Authority, _)| PublishedCa {
            certificate: ca.certificate.clone(),
            crl: crl_file(&self.dir, ca),
            above,
        };
        Ok(chain.chain(successors).map(published).collect())
    }

    /// The CAs that sign leaves, or did, in the order in which they take over.
    pub(crate) fn leaves_cas(&self) -> Result<Vec<LeavesCa>, CaError> {
        let mut ledger = self.lock();
        self.catch_up_with_generations(&mut ledger)?;
        let each = ledger.generations.iter().enumerate();
        Ok(each.map(|(place, generation)| LeavesCa { place, ca: generation.ca.clone() }).collect())
    }

    /// The one of them that signs now.
    pub(crate) fn leaves_ca(&self) -> Result<LeavesCa, CaError> {
        let mut ledger = self.lock();
        self.catch_up_with_generations(&mut ledger)?;
        let place = generation::signing(&ledger.generations, self.clock.now());
        Ok(LeavesCa { place, ca: ledger.generations[place].ca.clone() })
    }

    /// Whether there is a CA above the one that signs leaves, which could revoke it.
    pub fn can_roll_over(&self) -> bool {
        self.chain.len() > 1
    }

    /// Makes the next CA that signs leaves. It is published at once and signs after `lead`; `overlap` later
    /// [`Self::renew_crls`] revokes those before it, and with them every leaf that they signed.
    ///
    /// # Errors
    /// Where the root signs leaves, and when files cannot be written.
    pub fn roll_over(&self, lead: Duration, overlap: Duration) -> Result<(), CaError> {
        if !self.can_roll_over() {
            return Err(CaError("the root signs leaves, and nobody revokes a root; use a longer chain".to_owned()));
        }
        let mut ledger = self.lock();
        let _turn = generation::take_turn(&self.dir)?;
        self.catch_up_with_generations(&mut ledger)?;
        let folder = self.folder();
        let from = UnixTime(folder.now.0 + lead);
        let terms = Terms { from, until: UnixTime(from.0 + overlap) };
        let next = Generation::make(ledger.generations.len() + 1, terms, &folder)?;
        ledger.generations.push(next);
        Ok(())
    }

    /// How long it is until the next CA is to be revoked because its overlap is over; `None` when none is left that is.
    pub fn next_end(&self) -> Option<Duration> {
        let (ledger, now) = (self.lock(), self.clock.now());
        let above = ledger.crls.last()?;
        let left = generation::ends(&ledger.generations).filter(|(generation, _)| !generation.is_revoked_in(above));
        left.map(|(_, until)| until.0.saturating_sub(now.0)).min()
    }

    /// A TLS server certificate for the given DNS names and IP addresses, valid for 30 days: chain (leaf, every CA below
    /// the root) and key.
    ///
    /// # Errors
    /// When there is no name, one is not a DNS name, or a file cannot be written.
    pub fn server_certificate(
        &self,
        names: &[&str],
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CaError> {
        let first = names.first().ok_or_else(|| CaError("a server certificate without a name".to_owned()))?;
        let mut params = self.leaf(first, SERVER_LIFETIME)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => {
                    SanType::DnsName((*name).try_into().map_err(|_| CaError(format!("{name:?} is not a DNS name")))?)
                }
            });
        }
        let by = self.leaves_ca()?;
        let (certificate, key) = self.sign(&by, &params, CertificateKey::P256)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let cas = self.below_root(&by).map(|ca| ca.certificate.clone());
        Ok((std::iter::once(certificate.der().clone()).chain(cas).collect(), key.into()))
    }

    /// A client certificate for a SPIFFE ID, with a new key. An RSA key takes about a tenth of a second.
    ///
    /// # Errors
    /// When `spiffe_id` is none, the lifetime is under a second, or a file cannot be written.
    pub fn client_certificate(
        &self,
        spiffe_id: &str,
        lifetime: Duration,
        key: CertificateKey,
    ) -> Result<ClientCertificate, CaError> {
        if !x509::is_spiffe_id(spiffe_id) {
            return Err(CaError(format!("{spiffe_id:?} is not a SPIFFE ID")));
        }
        let mut params = self.leaf("authbench client", lifetime)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let uri = spiffe_id.try_into().map_err(|_| CaError(format!("{spiffe_id:?} is not ASCII")))?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        let by = self.leaves_ca()?;
        let (certificate, key) = self.sign(&by, &params, key)?;
        let serial = params.serial_number.map(|serial| x509::serial_hex(serial.as_ref())).unwrap_or_default();
        Ok(ClientCertificate {
            serial,
            chain_pem: self.below_root(&by).fold(certificate.pem(), |chain, ca| chain + &ca.pem),
            key_pem: Secret::new(key.serialize_pem()),
        })
    }

    /// What leaves are signed with now.
    ///
    /// # Errors
    /// When the files of a CA cannot be read.
    pub(crate) fn issuer_key(&self) -> Result<IssuerKey, CaError> {
        let by = self.leaves_ca()?;
        let chain_pem = self.below_root(&by).map(|ca| ca.pem.as_str()).collect();
        let key_pem = Secret::new(by.ca.issuer.key().serialize_pem());
        let above = self.chain[..self.chain.len() - 1].last().map(|ca| CaKey {
            ca_pem: ca.pem.clone(),
            chain_pem: self.below_root(&by).skip(1).map(|ca| ca.pem.as_str()).collect(),
            key_pem: Secret::new(ca.issuer.key().serialize_pem()),
        });
        Ok(IssuerKey::Certificate { ca_pem: by.ca.pem.clone(), chain_pem, key_pem, above })
    }

    /// Revokes a leaf and publishes the CRL that says so; returns once the file is in place. `Ok(false)`: this
    /// authority never issued that serial number.
    ///
    /// # Errors
    /// When the CRL cannot be signed or written; the leaf then counts as not revoked.
    pub fn revoke(&self, serial: &str) -> Result<bool, CaError> {
        let ledger = &mut *self.lock();
        // Another process may have issued it.
        if !ledger.issued.contains_key(serial) {
            self.catch_up_with_issued(ledger)?;
        }
        let Some(&place) = ledger.issued.get(serial) else { return Ok(false) };
        self.catch_up_with_generations(ledger)?;
        let by = ledger.generations.get_mut(place);
        let Generation { ca, crl, .. } = by.ok_or_else(|| {
            let file = self.dir.join(format!("issuing-{}.pem", place + 1));
            CaError(format!("{} has signed {serial} and is not there; move it back, with its key", file.display()))
        })?;
        crl.revoke(serial, ca, self.clock.now(), self.crl_validity)?;
        Ok(true)
    }

    /// What is known of the serial number of one of that CA's leaves, in whichever process it was issued or revoked. A
    /// CA's revocation is one of each of its leaves (RFC 6960 §2.7).
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(crate) fn status(&self, by: &LeavesCa, serial: &str) -> Result<CertificateStatus, CaError> {
        let ledger = &mut *self.lock();
        let crl = &mut ledger.generations[by.place].crl;
        crl.catch_up()?;
        if let Some(since) = crl.revoked_since(serial) {
            return Ok(CertificateStatus::Revoked { since });
        }
        if !ledger.issued.contains_key(serial) {
            self.catch_up_with_issued(ledger)?;
        }
        if ledger.issued.get(serial) != Some(&by.place) {
            return Ok(CertificateStatus::Unknown);
        }
        let mut chain: Vec<&Authority> = self.below_root(by).collect();
        for crl in &mut ledger.crls {
            crl.catch_up()?;
            let ca = chain.pop().expect("one is below each that signs CAs");
            if let Some(since) = crl.revoked_since(&authority::serial_of(&ca.certificate)?) {
                return Ok(CertificateStatus::Revoked { since });
            }
        }
        Ok(CertificateStatus::Good)
    }

    /// Takes over the CAs that other processes have made since. Cheap when there are none.
    fn catch_up_with_generations(&self, ledger: &mut Ledger) -> Result<(), CaError> {
        if !self.can_roll_over() {
            return Ok(());
        }
        let folder = self.folder();
        while let Some(next) = Generation::load(ledger.generations.len() + 1, &folder)? {
            ledger.generations.push(next);
        }
        Ok(())
    }

    fn folder(&self) -> Folder<'_> {
        let above = &self.chain[self.chain.len().saturating_sub(2)];
        Folder { dir: &self.dir, above, now: self.clock.now(), crl_validity: self.crl_validity }
    }

    /// Takes over what other processes have issued since. Cheap when there is nothing.
    fn catch_up_with_issued(&self, ledger: &mut Ledger) -> Result<(), CaError> {
        let path = self.dir.join("issued.txt");
        // The file only grows.
        if std::fs::metadata(&path).is_ok_and(|file| file.len() == ledger.issued_bytes) {
            return Ok(());
        }
        let (issued, bytes) = read_issued(&path)?;
        ledger.issued.extend(issued);
        ledger.issued_bytes = bytes;
        Ok(())
    }

    /// Revokes a CA of the chain, and so every leaf below it, in the CRL of the one above it; `place` 1 is below the root.
    ///
    /// # Errors
    /// As [`Self::revoke`], and when there is no CA at that place below another.
    #[cfg(test)]
    pub(crate) fn revoke_ca(&self, place: usize) -> Result<(), CaError> {
        let pair = place.checked_sub(1).and_then(|above| Some((above, self.chain.get(place)?)));
        let (above, ca) = pair.ok_or_else(|| CaError(format!("no CA at place {place} of the chain can be revoked")))?;
        let serial = authority::serial_of(&ca.certificate)?;
        self.lock().crls[above].revoke(&serial, &self.chain[above], self.clock.now(), self.crl_validity)
    }

    /// Revokes certificates of nobody until the CRL about leaves names `population` in all; one that was filled in an
    /// earlier life stays as it is.
    ///
    /// # Errors
    /// As [`Self::revoke`].
    pub fn fill_crl(&self, population: usize) -> Result<(), CaError> {
        let mut ledger = self.lock();
        let place = generation::signing(&ledger.generations, self.clock.now());
        let Generation { ca, crl, .. } = &mut ledger.generations[place];
        crl.fill(population, ca, self.clock.now(), self.crl_validity)
    }

    /// Revokes the CAs whose overlap is over, and publishes anew each CRL that is past half of its validity; that of a
    /// revoked CA says nothing any more, and is left to end. Cheap when there is none, so call it often.
    ///
    /// # Errors
    /// When a CRL cannot be signed or written.
    pub fn renew_crls(&self) -> Result<(), CaError> {
        let now = self.clock.now();
        let ledger = &mut *self.lock();
        self.catch_up_with_generations(ledger)?;
        if let Some((above, crl)) = self.chain.iter().rev().nth(1).zip(ledger.crls.last_mut()) {
            let over = generation::ends(&ledger.generations).filter(|(_, until)| *until <= now);
            for (generation, _) in over {
                if !generation.is_revoked_in(crl) {
                    crl.revoke(&generation.serial, above, now, self.crl_validity)?;
                }
            }
        }
        let mut above = ledger.crls.iter_mut().zip(&self.chain);
        above.try_for_each(|(crl, ca)| crl.renew(ca, now, self.crl_validity))?;
        let above = ledger.crls.last();
        let mut standing = ledger
            .generations
            .iter_mut()
            .filter(|generation| above.is_none_or(|above| !generation.is_revoked_in(above)));
        standing.try_for_each(|Generation { ca, crl, .. }| crl.renew(ca, now, self.crl_validity))
    }

    /// How many leaves were issued so far.
    pub(crate) fn issued(&self) -> usize {
        self.lock().issued.len()
    }

    /// Parameters of a leaf that is valid from now on, without names and purposes.
    pub(crate) fn leaf(&self, common_name: &str, lifetime: Duration) -> Result<CertificateParams, CaError> {
        if !Self::LIFETIMES.contains(&lifetime) {
            return Err(CaError(format!("a lifetime of {lifetime:?}; {:?} is possible", Self::LIFETIMES)));
        }
        let (now, epoch) = (self.clock.now(), date_time_ymd(1970, 1, 1));
        let mut params = CertificateParams::default();
        params.serial_number = Some(random_serial()?);
        params.not_before = epoch + now.0.saturating_sub(BACKDATE);
        params.not_after = epoch + now.0 + lifetime;
        params.distinguished_name = name(common_name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    /// Makes a key, signs its certificate, and remembers the serial number.
    pub(crate) fn sign(
        &self,
        by: &LeavesCa,
        params: &CertificateParams,
        key: CertificateKey,
    ) -> Result<(rcgen::Certificate, KeyPair), CaError> {
        let key = new_key(key)?;
        let certificate = params.signed_by(&key, &by.ca.issuer).map_err(|error| failed("certificate", error))?;
        let serial = authority::serial_of(certificate.der())?;
        let mut ledger = self.lock();
        let path = self.dir.join("issued.txt");
        let append = || {
            let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            file.write_all(issued_line(&serial, by.place).as_bytes())
        };
        append().map_err(|error| CaError(format!("{}: {error}", path.display())))?;
        ledger.issued.insert(serial, by.place);
        Ok((certificate, key))
    }

    /// What a leaf is sent with: the CAs from the one that signed it up, without the root.
    fn below_root<'c>(&'c self, by: &'c LeavesCa) -> impl Iterator<Item = &'c Authority> {
        let above = self.chain[..self.chain.len() - 1].iter().rev();
        // Where the root signs leaves, it is the only one.
        std::iter::once(&by.ca).chain(above).take(self.chain.len() - 1).map(|ca| &**ca)
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        // Every change of the ledger is one insertion or one assignment, so a panic cannot leave half of one.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// The serial numbers in a file, and its length.
fn read_issued(path: &Path) -> Result<(Issued, u64), CaError> {
    let wrong = |text: &dyn fmt::Display| CaError(format!("{}: {text}", path.display()));
    let text = file::read_private(path).map_err(|error| wrong(&error))?.unwrap_or_default();
    let lossy = String::from_utf8_lossy(&text);
    let serials = lossy.lines().map(|line| {
        issued_in(line).ok_or_else(|| wrong(&format!("{line:?} is not a serial number with the number of its CA")))
    });
    Ok((serials.collect::<Result<_, _>>()?, text.len() as u64))
}

/// A line of that file: the CA is counted from 1, as in the names of files, and not written when it is the first.
fn issued_line(serial: &str, place: usize) -> String {
    if place == 0 { format!("{serial}\n") } else { format!("{serial} {}\n", place + 1) }
}

fn issued_in(line: &str) -> Option<(String, usize)> {
    let (serial, number) = line.split_once(' ').unwrap_or((line, "1"));
    Some((serial.to_owned(), number.parse::<usize>().ok()?.checked_sub(1)?))
}

fn crl_file(dir: &Path, ca: &Authority) -> PathBuf {
    dir.join(format!("{}.crl", ca.stem))
}

fn new_key(kind: CertificateKey) -> Result<KeyPair, CaError> {
    let made = match kind {
        CertificateKey::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        CertificateKey::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        CertificateKey::Ed25519 => KeyPair::generate_for(&PKCS_ED25519),
    };
    made.map_err(|error| failed("key", error))
}

/// 126 random bits in 16 bytes whose first is neither zero nor negative, so that every reader shows the same digits.
fn random_serial() -> Result<SerialNumber, CaError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CaError("the random source failed".to_owned()))?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "authbench");
    name.push(DnType::CommonName, common_name);
    name
}

fn failed(what: &str, error: impl fmt::Display) -> CaError {
    CaError(format!("cannot make a {what}: {error}"))
}

#[cfg(test)]
mod tests;
