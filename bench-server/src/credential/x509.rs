//! What is read out of a client certificate: one SPIFFE ID (SPIFFE X509-SVID §2, §4, §5), never the common name.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::clock::UnixTime;

/// Longest SPIFFE ID, in bytes (SPIFFE-ID §2.3).
const MAX_SPIFFE_ID: usize = 2048;

/// Longest trust domain, in bytes (SPIFFE-ID §2.3).
const MAX_TRUST_DOMAIN: usize = 255;

/// The identity that a verified client certificate carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The one URI SAN, a SPIFFE ID.
    pub spiffe_id: Arc<str>,
    /// Serial number in lower-case hexadecimal.
    pub serial: Arc<str>,
    /// Name of the CA that gave it this number, in DER without the outer tag.
    pub issuer: Arc<[u8]>,
    /// That CA's key, by the identifier that it put in (RFC 5280 §4.2.1.1), if it did: two CAs may have one name.
    pub issuer_key_id: Option<Arc<[u8]>>,
    /// `notAfter`.
    pub not_after: UnixTime,
    /// SHA-256 of the certificate in base64url: what tokens are bound to (RFC 8705 §3.1).
    pub thumbprint: Arc<str>,
}

/// Why a certificate carries no acceptable identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate carries no acceptable identity")]
pub struct NoIdentity;

impl ClientIdentity {
    /// Reads the identity of an already verified certificate.
    ///
    /// # Errors
    /// [`NoIdentity`] unless it is a leaf with exactly one URI among its alternative names, and that is a SPIFFE ID.
    pub fn from_der(der: &[u8]) -> Result<Self, NoIdentity> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| NoIdentity)?;
        if !rest.is_empty() || certificate.is_ca() {
            return Err(NoIdentity);
        }
        let names = certificate.subject_alternative_name().map_err(|_| NoIdentity)?.ok_or(NoIdentity)?;
        let mut uris = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(Some(*uri)),
            GeneralName::Invalid(..) => Some(None),
            _ => None,
        });
        // A name that cannot be read might be a second URI, so it counts as one.
        let (Some(Some(spiffe_id)), None) = (uris.next(), uris.next()) else { return Err(NoIdentity) };
        if !is_spiffe_id(spiffe_id) {
            return Err(NoIdentity);
        }
        // Names are compared with those that webpki reads.
        let whole = CertificateDer::from(der);
        let issuer = EndEntityCert::try_from(&whole).map_err(|_| NoIdentity)?.issuer().into();
        let not_after = u64::try_from(certificate.validity().not_after.timestamp()).map_err(|_| NoIdentity)?;
        Ok(Self {
            spiffe_id: spiffe_id.into(),
            serial: serial_hex(certificate.raw_serial()).into(),
            issuer,
            issuer_key_id: authority_key_id(&certificate),
            not_after: UnixTime(Duration::from_secs(not_after)),
            thumbprint: URL_SAFE_NO_PAD.encode(digest(&SHA256, der)).into(),
        })
    }
}

/// The key that signed a certificate, as the certificate says (RFC 5280 §4.2.1.1).
fn authority_key_id(certificate: &X509Certificate<'_>) -> Option<Arc<[u8]>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(identifier) => Some(identifier.key_identifier.as_ref()?.0.into()),
        _ => None,
    })
}

/// How a CA's certificate calls its key (RFC 5280 §4.2.1.2).
pub(crate) fn subject_key_id(certificate: &X509Certificate<'_>) -> Option<Box<[u8]>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.into()),
        _ => None,
    })
}

/// A serial number in lower-case hexadecimal, without the zero byte that DER puts before a high bit.
pub(crate) fn serial_hex(raw: &[u8]) -> String {
    let significant = &raw[raw.iter().take_while(|byte| **byte == 0).count()..];
    significant.iter().fold(String::with_capacity(2 * significant.len()), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
        hex
    })
}

/// The bytes of a serial number in hexadecimal; `None` when it is none.
pub(crate) fn serial_bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    digits.collect()
}

/// Whether a text is the SPIFFE ID of a workload (SPIFFE-ID §2): `spiffe://`, a lower-case trust domain without port
/// or user, and a path of plain segments; no query, no fragment, no `.` or `..`.
pub(crate) fn is_spiffe_id(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("spiffe://") else { return false };
    let Some((trust_domain, path)) = rest.split_once('/') else { return false };
    text.len() <= MAX_SPIFFE_ID && is_trust_domain(trust_domain) && path.split('/').all(is_segment)
}

/// Whether a text is a trust domain (SPIFFE-ID §2.1).
pub(crate) fn is_trust_domain(text: &str) -> bool {
    (1..=MAX_TRUST_DOMAIN).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'))
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, IsCa, KeyPair, SanType, SerialNumber, date_time_ymd};

    use super::*;

    fn certificate(names: &[SanType], change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "spiffe://authbench.test/from-the-common-name");
        params.serial_number = Some(SerialNumber::from_slice(&[0x00, 0xab, 0x01]));
        params.not_after = date_time_ymd(2030, 1, 1);
        params.subject_alt_names = names.to_vec();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    #[test]
    fn one_uri_is_the_identity() {
        let names = [SanType::DnsName("a.test".try_into().unwrap()), uri("spiffe://authbench.test/client/1")];
        let identity = ClientIdentity::from_der(&certificate(&names, |_| ())).unwrap();
        assert_eq!((&*identity.spiffe_id, &*identity.serial), ("spiffe://authbench.test/client/1", "ab01"));
        assert_eq!(identity.not_after.as_secs(), 1_893_456_000);
    }

    #[test]
    fn no_uri_two_uris_or_a_ca_are_no_identity() {
        let good = uri("spiffe://authbench.test/client/1");
        let refused = |der: &[u8]| ClientIdentity::from_der(der) == Err(NoIdentity);
        assert!(refused(&certificate(&[], |_| ())), "the common name does not count");
        assert!(refused(&certificate(&[SanType::DnsName("a.test".try_into().unwrap())], |_| ())));
        assert!(refused(&certificate(&[good.clone(), uri("spiffe://authbench.test/client/2")], |_| ())));
        assert!(refused(&certificate(&[good.clone(), uri("https://a.test/")], |_| ())));
        let ca = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        assert!(refused(&certificate(std::slice::from_ref(&good), ca)));
        let der = certificate(&[good], |_| ());
        assert!(refused(&[der.as_slice(), &[0]].concat()) && refused(&der[..der.len() - 1]) && refused(b""));
    }

    #[test]
    fn spiffe_ids() {
        for text in ["spiffe://a.test/x", "spiffe://a-b_c.9/x/Y.z-_/1", "spiffe://a/..."] {
            assert!(is_spiffe_id(text), "{text}");
        }
        let long = format!("spiffe://a.test/{}", "x".repeat(MAX_SPIFFE_ID));
        for text in [
            "",
            "spiffe://",
            "spiffe://a.test",
            "spiffe://a.test/",
            "spiffe:///x",
            "spiffe://a.test/x/",
            "spiffe://a.test//x",
            "spiffe://a.test/../x",
            "spiffe://a.test/./x",
            "spiffe://A.test/x",
            "spiffe://a.test:443/x",
            "spiffe://u@a.test/x",
            "spiffe://a.test/x?q",
            "spiffe://a.test/x#f",
            "spiffe://a.test/%78",
            "SPIFFE://a.test/x",
            "https://a.test/x",
            "spiffe://a.test/x y",
            "spiffe://a.test/\u{e9}",
            " spiffe://a.test/x",
            &long,
        ] {
            assert!(!is_spiffe_id(text), "{text}");
        }
        assert!(!is_trust_domain(&"a".repeat(MAX_TRUST_DOMAIN + 1)) && is_trust_domain(&"a".repeat(MAX_TRUST_DOMAIN)));
    }
}
