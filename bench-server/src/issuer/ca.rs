//! A certificate authority in a folder: root, issuing CA, leaves and CRLs (RFC 5280), ECDSA on P-256 throughout.
//!
//! | file | mode | what |
//! | --- | --- | --- |
//! | `root.pem`, `issuing.pem` | 0644 | certificates; the issuing CA signs leaves only (path length 0) |
//! | `root.key`, `issuing.key` | 0600 | private keys, PKCS #8 |
//! | `root.crl`, `issuing.crl` | 0644 | current CRLs, DER; replaced in one step |
//! | `issued.txt` | 0600 | serial numbers of all leaves, one per line |

mod authority;
mod crl;

use std::collections::HashSet;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use self::authority::Authority;
use self::crl::PublishedCrl;
use crate::clock::Clock;
use crate::contract::Secret;
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
    root: Authority,
    issuing: Authority,
    ledger: Mutex<Ledger>,
}

/// What changes while the authority works.
struct Ledger {
    root_crl: PublishedCrl,
    issuing_crl: PublishedCrl,
    /// Serial numbers of leaves, hexadecimal.
    issued: HashSet<String>,
}

/// A client certificate with its key, handed out once.
#[derive(Debug)]
pub struct ClientCertificate {
    /// Serial number in lower-case hexadecimal: what [`CertificateAuthority::revoke`] takes.
    pub serial: String,
    /// Leaf and issuing CA, PEM.
    pub chain_pem: String,
    /// PKCS #8 private key, PEM.
    pub key_pem: Secret,
}

/// Why the authority failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CaError(pub String);

impl CertificateAuthority {
    /// Possible lifetimes of leaves and CRLs: they count whole seconds, and two years end well before the issuing CA.
    pub const LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(2 * 365 * 86_400);

    /// Opens the authority in `dir`, or makes one. CRLs are valid for `crl_validity` and renewed by
    /// [`Self::renew_crls`] after half of it.
    ///
    /// # Errors
    /// When files cannot be read or written, belong to different authorities, or a key may be read by others.
    pub fn open(dir: &Path, clock: Clock, crl_validity: Duration) -> Result<Self, CaError> {
        if !Self::LIFETIMES.contains(&crl_validity) {
            return Err(CaError(format!("a CRL validity of {crl_validity:?}; {:?} is possible", Self::LIFETIMES)));
        }
        file::create_private_dir(dir).map_err(|error| CaError(format!("{}: {error}", dir.display())))?;
        let now = clock.now();
        let root = match Authority::load(dir, "root")? {
            Some(root) => root,
            None => Authority::new_root(dir, now)?,
        };
        let issuing = match Authority::load(dir, "issuing")? {
            Some(issuing) => issuing,
            None => Authority::new_issuing(dir, now, &root)?,
        };
        let ledger = Ledger {
            root_crl: PublishedCrl::open(dir.join("root.crl"), &root, now, crl_validity)?,
            issuing_crl: PublishedCrl::open(dir.join("issuing.crl"), &issuing, now, crl_validity)?,
            issued: read_issued(&dir.join("issued.txt"))?,
        };
        let authority = Self { dir: dir.to_owned(), clock, crl_validity, root, issuing, ledger: Mutex::new(ledger) };
        authority.renew_crls()?;
        Ok(authority)
    }

    /// PEM file with the root certificate.
    pub fn root_file(&self) -> PathBuf {
        self.dir.join("root.pem")
    }

    /// The root certificate.
    pub fn root_certificate(&self) -> &CertificateDer<'static> {
        &self.root.certificate
    }

    /// The certificate of the CA that signs leaves.
    pub fn issuing_certificate(&self) -> &CertificateDer<'static> {
        &self.issuing.certificate
    }

    /// DER file with the root's CRL: whether the issuing CA is revoked.
    pub fn root_crl_file(&self) -> PathBuf {
        self.dir.join("root.crl")
    }

    /// DER file with the issuing CA's CRL: which leaves are revoked.
    pub fn issuing_crl_file(&self) -> PathBuf {
        self.dir.join("issuing.crl")
    }

    /// A TLS server certificate for the given DNS names and IP addresses, valid for 30 days: chain (leaf, issuing CA)
    /// and key.
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
        let (certificate, key) = self.sign(&params)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok((vec![certificate.der().clone(), self.issuing.certificate.clone()], key.into()))
    }

    /// A client certificate for a SPIFFE ID.
    ///
    /// # Errors
    /// When `spiffe_id` is none, the lifetime is under a second, or a file cannot be written.
    pub fn client_certificate(&self, spiffe_id: &str, lifetime: Duration) -> Result<ClientCertificate, CaError> {
        if !x509::is_spiffe_id(spiffe_id) {
            return Err(CaError(format!("{spiffe_id:?} is not a SPIFFE ID")));
        }
        let mut params = self.leaf("authbench client", lifetime)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let uri = spiffe_id.try_into().map_err(|_| CaError(format!("{spiffe_id:?} is not ASCII")))?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        let (certificate, key) = self.sign(&params)?;
        let serial = params.serial_number.map(|serial| x509::serial_hex(serial.as_ref())).unwrap_or_default();
        Ok(ClientCertificate {
            serial,
            chain_pem: certificate.pem() + &self.issuing.pem,
            key_pem: Secret::new(key.serialize_pem()),
        })
    }

    /// Revokes a leaf and publishes the CRL that says so; returns once the file is in place. `Ok(false)`: this
    /// authority never issued that serial number.
    ///
    /// # Errors
    /// When the CRL cannot be signed or written; the leaf then counts as not revoked.
    pub fn revoke(&self, serial: &str) -> Result<bool, CaError> {
        let mut ledger = self.lock();
        if !ledger.issued.contains(serial) {
            return Ok(false);
        }
        ledger.issuing_crl.revoke(serial, &self.issuing, self.clock.now(), self.crl_validity)?;
        Ok(true)
    }

    /// Revokes the issuing CA, and so every leaf.
    ///
    /// # Errors
    /// As [`Self::revoke`].
    pub fn revoke_issuing(&self) -> Result<(), CaError> {
        let serial = authority::serial_of(&self.issuing.certificate)?;
        self.lock().root_crl.revoke(&serial, &self.root, self.clock.now(), self.crl_validity)
    }

    /// Publishes anew each CRL that is past half of its validity. Cheap when there is none, so call it often.
    ///
    /// # Errors
    /// When a CRL cannot be signed or written.
    pub fn renew_crls(&self) -> Result<(), CaError> {
        let now = self.clock.now();
        let ledger = &mut *self.lock();
        ledger.root_crl.renew(&self.root, now, self.crl_validity)?;
        ledger.issuing_crl.renew(&self.issuing, now, self.crl_validity)
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
    pub(crate) fn sign(&self, params: &CertificateParams) -> Result<(rcgen::Certificate, KeyPair), CaError> {
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuing.issuer).map_err(|error| failed("certificate", error))?;
        let serial = authority::serial_of(certificate.der())?;
        let mut ledger = self.lock();
        let path = self.dir.join("issued.txt");
        let append = || {
            let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            file.write_all(format!("{serial}\n").as_bytes())
        };
        append().map_err(|error| CaError(format!("{}: {error}", path.display())))?;
        ledger.issued.insert(serial);
        Ok((certificate, key))
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

fn read_issued(path: &Path) -> Result<HashSet<String>, CaError> {
    let text = file::read_private(path).map_err(|error| CaError(format!("{}: {error}", path.display())))?;
    let text = text.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}

fn new_key() -> Result<KeyPair, CaError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| failed("key", error))
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
