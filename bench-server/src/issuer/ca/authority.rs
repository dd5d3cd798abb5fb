//! One certificate and key that sign others: the root or the issuing CA.

use std::path::Path;
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
use crate::credential::x509::serial_hex;
use crate::store::file::{self, Readers};

/// Lifetime of the root.
const ROOT_LIFETIME: Duration = Duration::from_secs(20 * 365 * 86_400);

/// Lifetime of the issuing CA.
const ISSUING_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A certificate and key that sign others.
pub(super) struct Authority {
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
        let authority = Self::assemble(pem, key).map_err(|error| place(&error))?;
        Ok(Some(authority))
    }

    /// A self-signed root.
    pub(super) fn new_root(dir: &Path, now: UnixTime) -> Result<Self, CaError> {
        let key = new_key()?;
        let params = ca_params("root CA", 1, now, ROOT_LIFETIME)?;
        let certificate = params.self_signed(&key).map_err(|error| failed("root certificate", error))?;
        Self::store(dir, "root", certificate.pem(), key)
    }

    /// An issuing CA below `root`.
    pub(super) fn new_issuing(dir: &Path, now: UnixTime, root: &Self) -> Result<Self, CaError> {
        let key = new_key()?;
        let mut params = ca_params("issuing CA", 0, now, ISSUING_LIFETIME)?;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &root.issuer).map_err(|error| failed("issuing certificate", error))?;
        Self::store(dir, "issuing", certificate.pem(), key)
    }

    fn store(dir: &Path, stem: &str, pem: String, key: KeyPair) -> Result<Self, CaError> {
        let key_pem = Zeroizing::new(key.serialize_pem());
        for (extension, content, readers) in [("key", &*key_pem, Readers::Owner), ("pem", &pem, Readers::All)] {
            let path = dir.join(format!("{stem}.{extension}"));
            file::replace(&path, content.as_bytes(), readers)
                .map_err(|error| CaError(format!("{}: {error}", path.display())))?;
        }
        Self::assemble(pem, key)
    }

    fn assemble(pem: String, key: KeyPair) -> Result<Self, CaError> {
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CaError("no certificate in PEM".to_owned()))?;
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| CaError("not a certificate".to_owned()))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(CaError("not the key of its certificate; move both away to have new ones made".to_owned()));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| failed("issuer", error))?;
        Ok(Self { certificate, pem, issuer })
    }
}

/// The serial number of a certificate in lower-case hexadecimal.
pub(super) fn serial_of(certificate: &CertificateDer<'_>) -> Result<String, CaError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| failed("serial number", error))?;
    Ok(serial_hex(parsed.raw_serial()))
}

fn ca_params(role: &str, path_length: u8, now: UnixTime, lifetime: Duration) -> Result<CertificateParams, CaError> {
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    let serial = random_serial()?;
    // The number keeps the names of different authorities apart; path building goes by name.
    params.distinguished_name = name(&format!("authbench {role} {}", &serial_hex(serial.as_ref())[..8]));
    params.serial_number = Some(serial);
    params.not_before = epoch + now.0.saturating_sub(BACKDATE);
    params.not_after = epoch + now.0 + lifetime;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}
