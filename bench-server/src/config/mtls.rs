//! Client certificates: which are issued, and how a listener learns that one was taken back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::is_empty;

/// Client certificates from the server's own CA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MtlsConfig {
    /// Time between two looks at the CRL files.
    #[serde(with = "humantime_serde")]
    pub crl_reload: Duration,
    /// `nextUpdate` − `thisUpdate` of issued CRLs (RFC 5280 §5.1.2.5); a CRL past it is refused.
    #[serde(with = "humantime_serde", default = "MtlsConfig::default_crl_validity")]
    pub crl_validity: Duration,
    /// Lifetime of client certificates.
    #[serde(with = "humantime_serde", default = "MtlsConfig::default_certificate_lifetime")]
    pub certificate_lifetime: Duration,
    /// SPIFFE trust domain of accepted identities.
    #[serde(default = "MtlsConfig::default_trust_domain")]
    pub trust_domain: String,
    /// Serial numbers that the CRL of the CA that signs leaves holds at least when the server starts, at most
    /// [`MtlsConfig::MAX_CRL_POPULATION`]: certificates of nobody.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub crl_population: usize,
    /// Keys of client certificates; the CA's own are always on P-256.
    #[serde(default, skip_serializing_if = "CertificateKey::is_default")]
    pub key: CertificateKey,
    /// How many certificates a client sends.
    #[serde(default, skip_serializing_if = "ChainLength::is_default")]
    pub chain_length: ChainLength,
    /// Whether each request looks again at what was revoked, on whatever connection it comes. Without it a certificate is
    /// judged in the handshake alone: a connection that is kept, or a session that is resumed, outlives its revocation.
    #[serde(default = "MtlsConfig::yes", skip_serializing_if = "MtlsConfig::is_yes")]
    pub recheck: bool,
    /// Whether TLS sessions are resumed: the certificate is not verified again then, so only `recheck` sees a revocation.
    #[serde(default, skip_serializing_if = "MtlsConfig::is_no")]
    pub resumption: bool,
}

impl MtlsConfig {
    /// Largest `crl_population`: a CRL of 35 MB, which each revocation signs anew.
    pub const MAX_CRL_POPULATION: usize = 1_000_000;

    /// CRLs looked at every `crl_reload`, and all else by default.
    pub fn new(crl_reload: Duration) -> Self {
        Self {
            crl_reload,
            crl_validity: Self::default_crl_validity(),
            certificate_lifetime: Self::default_certificate_lifetime(),
            trust_domain: Self::default_trust_domain(),
            crl_population: 0,
            key: CertificateKey::default(),
            chain_length: ChainLength::default(),
            recheck: true,
            resumption: false,
        }
    }

    fn yes() -> bool {
        true
    }
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    fn is_yes(flag: &bool) -> bool {
        *flag
    }
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_no(flag: &bool) -> bool {
        !*flag
    }

    /// One day.
    pub fn default_crl_validity() -> Duration {
        Duration::from_secs(86_400)
    }
    /// One day.
    pub fn default_certificate_lifetime() -> Duration {
        Duration::from_secs(86_400)
    }
    /// `authbench.test`.
    pub fn default_trust_domain() -> String {
        "authbench.test".to_owned()
    }
}

/// The key of a client certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CertificateKey {
    /// ECDSA on P-256 (FIPS 186-5).
    #[default]
    #[serde(rename = "P-256")]
    P256,
    /// RSA with a modulus of 2048 bits. Making one takes about a tenth of a second.
    #[serde(rename = "RSA-2048")]
    Rsa2048,
    /// Ed25519 (RFC 8410).
    Ed25519,
}

impl CertificateKey {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How many certificates a client sends (RFC 8446 §4.4.2): its leaf and every CA below the root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum ChainLength {
    /// The root signs leaves.
    One = 1,
    /// The root signs an issuing CA, which signs leaves.
    #[default]
    Two = 2,
    /// There is an intermediate CA between root and issuing CA.
    Three = 3,
}

impl ChainLength {
    /// All of them, by their number less one.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::Three];

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl TryFrom<u8> for ChainLength {
    type Error = String;

    fn try_from(certificates: u8) -> Result<Self, String> {
        let length = Self::ALL.into_iter().find(|length| u8::from(*length) == certificates);
        length.ok_or_else(|| format!("a chain of {certificates} certificates; write 1, 2 or 3"))
    }
}

impl From<ChainLength> for u8 {
    fn from(length: ChainLength) -> Self {
        length as Self
    }
}
