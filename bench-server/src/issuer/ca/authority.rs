//! One certificate and key that sign others: a CA of the chain from the root down.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use super::{BACKDATE, CaError, failed, name, new_key, random_serial};
use crate::clock::UnixTime;
use crate::config::{CertificateKey, ChainLength};
use crate::credential::x509::serial_hex;
use crate::store::file::{self, Readers};

/// Lifetime of the root; each CA below ends some years before the one above it.
const ROOT_LIFETIME: Duration = Duration::from_secs(20 * YEAR);
const EARLIER: Duration = Duration::from_secs(5 * YEAR);
const YEAR: u64 = 365 * 86_400;

/// File names of the CAs, from the root down.
fn stems(length: ChainLength) -> &'static [&'static str] {
    match length {
        ChainLength::One => &["root"],
        ChainLength::Two => &["root", "issuing"],
        ChainLength::Three => &["root", "intermediate", "issuing"],
    }
}

/// Reads the CAs of a chain, and makes those that are not there.
pub(super) fn open_chain(dir: &Path, now: UnixTime, length: ChainLength) -> Result<Vec<Arc<Authority>>, CaError> {
    let stems = stems(length);
    let mut chain: Vec<Arc<Authority>> = Vec::with_capacity(stems.len());
    for (place, stem) in stems.iter().enumerate() {
        let (above, cas_below) = (chain.last().map(|above| &**above), stems.len() - 1 - place);
        let authority = match Authority::load(dir, stem)? {
            Some(authority) => authority,
            None => {
                let lifetime = ROOT_LIFETIME - EARLIER * u32::try_from(place).expect("three at most");
                Authority::new(dir, stem, above, u8::try_from(cas_below).expect("two at most"), now, lifetime)?
            }
        };
        if !authority.fits(above, cas_below)? {
            let length = u8::from(length);
            return Err(CaError(format!(
                "{}: of another chain than one that sends {length} certificates; move the folder away to have a new \
                 one made",
                dir.join(format!("{stem}.pem")).display()
            )));
        }
        chain.push(Arc::new(authority));
    }
    Ok(chain)
}

/// A certificate and key that sign others.
pub(super) struct Authority {
    /// Name of its files, without extension.
    pub(super) stem: String,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) pem: String,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Reads `{stem}.pem` and `{stem}.key`; `None` when neither is there.
    pub(super) fn load(dir: &Path, stem: &str) -> Result<Option<Self>, CaError> {
        let (pem_file, key_file) = (dir.join(format!("{stem}.pem")), dir.join(format!("{stem}.key")));
        let place = |text: &dyn std::fmt::Display| CaError(format!("{}: {text}", key_file.display()));
        let key = file::read_private(&key_file).map_err(|error| place(&error))?.map(Zeroizing::new);
        let (key, pem) = match (key, std::fs::read_to_string(&pem_file)) {
            (Some(key), Ok(pem)) => (key, pem),
            (None, Err(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            // The key is written first, so a crash in between leaves one that signed nothing yet.
            (Some(_), Err(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            (Some(_), Err(error)) => return Err(CaError(format!("{}: {error}", pem_file.display()))),
            (None, _) => return Err(place(&"missing, but its certificate is there; move the certificate away too")),
        };
        let text = std::str::from_utf8(&key).map_err(|_| place(&"not PEM"))?;
        let key = KeyPair::from_pem(text).map_err(|error| place(&error))?;
        let authority = Self::assemble(stem, pem, key).map_err(|error| place(&error))?;
        Ok(Some(authority))
    }

    /// A new one: self-signed, or below another.
    fn new(
        dir: &Path,
        stem: &str,
        above: Option<&Self>,
        path_length: u8,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Self, CaError> {
        let key = new_key(CertificateKey::P256)?;
        let mut params = ca_params(stem, path_length, now, lifetime)?;
        let signed = match above {
            None => params.self_signed(&key),
            Some(above) => {
                params.use_authority_key_identifier_extension = true;
                params.signed_by(&key, &above.issuer)
            }
        };
        Self::store(dir, stem, signed.map_err(|error| failed("CA certificate", error))?.pem(), key)
    }

    /// A new one that signs leaves below `above`, as the first one does: it ends as long before the CA above it.
    pub(super) fn successor(dir: &Path, stem: &str, above: &Self, now: UnixTime) -> Result<Self, CaError> {
        let end = parse(&above.certificate)?.validity().not_after.timestamp();
        let end = Duration::from_secs(u64::try_from(end).unwrap_or(0)).saturating_sub(EARLIER);
        let lifetime = end.saturating_sub(now.0);
        if lifetime < *super::CertificateAuthority::LIFETIMES.end() {
            return Err(CaError(format!(
                "{}: ends too early for another CA below it; move the folder away to have a new chain made",
                dir.join(format!("{}.pem", above.stem)).display()
            )));
        }
        Self::new(dir, stem, Some(above), 0, now, lifetime)
    }

    /// Whether this is a CA below `above` (or, without one, a root) that may have so many CAs below itself.
    pub(super) fn fits(&self, above: Option<&Self>, cas_below: usize) -> Result<bool, CaError> {
        let own = parse(&self.certificate)?;
        let constraints = own.basic_constraints().ok().flatten().and_then(|found| found.value.path_len_constraint);
        let signer = parse(&above.unwrap_or(self).certificate)?;
        let signed = own.issuer().as_raw() == signer.subject().as_raw();
        Ok(signed && constraints.is_some_and(|most| most as usize >= cas_below))
    }

    fn store(dir: &Path, stem: &str, pem: String, key: KeyPair) -> Result<Self, CaError> {
        let key_pem = Zeroizing::new(key.serialize_pem());
        for (extension, content, readers) in [("key", &*key_pem, Readers::Owner), ("pem", &pem, Readers::All)] {
            let path = dir.join(format!("{stem}.{extension}"));
            file::replace(&path, content.as_bytes(), readers)
                .map_err(|error| CaError(format!("{}: {error}", path.display())))?;
        }
        Self::assemble(stem, pem, key)
    }

    fn assemble(stem: &str, pem: String, key: KeyPair) -> Result<Self, CaError> {
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CaError("no certificate in PEM".to_owned()))?;
        if parse(&certificate)?.public_key().raw != key.subject_public_key_info() {
            return Err(CaError("not the key of its certificate; move both away to have new ones made".to_owned()));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| failed("issuer", error))?;
        Ok(Self { stem: stem.to_owned(), certificate, pem, issuer })
    }
}

/// The serial number of a certificate in lower-case hexadecimal.
pub(super) fn serial_of(certificate: &CertificateDer<'_>) -> Result<String, CaError> {
    Ok(serial_hex(parse(certificate)?.raw_serial()))
}

fn parse<'c>(certificate: &'c CertificateDer<'_>) -> Result<X509Certificate<'c>, CaError> {
    let parsed = X509Certificate::from_der(certificate);
    parsed.map(|(_, parsed)| parsed).map_err(|_| CaError("not a certificate".to_owned()))
}

fn ca_params(stem: &str, path_length: u8, now: UnixTime, lifetime: Duration) -> Result<CertificateParams, CaError> {
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    let serial = random_serial()?;
    // The number keeps the names of different authorities apart; path building goes by name.
    params.distinguished_name = name(&format!("authbench {stem} CA {}", &serial_hex(serial.as_ref())[..8]));
    params.serial_number = Some(serial);
    params.not_before = epoch + now.0.saturating_sub(BACKDATE);
    params.not_after = epoch + now.0 + lifetime;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}
