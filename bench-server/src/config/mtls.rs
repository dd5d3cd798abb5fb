//! Client certificates: which are issued, and how a server learns that one was taken back, if at all.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::is_empty;

/// Client certificates from the server's own CA.
///
/// What was taken back is looked up in CRLs, or asked for by OCSP, or both. With neither a certificate lives until
/// `notAfter`, whoever revokes it: short-lived certificates, whose lifetime is then written out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MtlsConfig {
    /// Time between two looks at the CRL files; absent means that no CRL is looked at.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub crl_reload: Option<Duration>,
    /// `nextUpdate` − `thisUpdate` of issued CRLs (RFC 5280 §5.1.2.5); a CRL past it is refused.
    #[serde(with = "humantime_serde", default = "MtlsConfig::default_crl_validity")]
    pub crl_validity: Duration,
    /// How leaves are asked about by OCSP; absent means that they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<OcspConfig>,
    /// Lifetime of client certificates. Absent means [`MtlsConfig::default_certificate_lifetime`]; not to be left out, and
    /// at most [`MtlsConfig::LONGEST_UNREVOKED`], where neither CRL nor OCSP is looked at.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub certificate_lifetime: Option<Duration>,
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
    /// What a certificate is worth where no CRL is in force that could tell.
    #[serde(default, skip_serializing_if = "CrlPolicy::is_default")]
    pub crl_policy: CrlPolicy,
    /// Whose certificates are accepted, and whose CRLs are looked at; absent means those of a CA of the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pki: Option<ForeignPki>,
    /// SPIFFE IDs that the route is for; empty means every one of the trust domain but `proxies`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<String>,
    /// SPIFFE IDs of proxies that say in `Client-Cert` whose request they pass on (RFC 9440). Nobody else is believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<String>,
    /// Whether a client may come without a certificate. The listener then serves other methods as well, and this one's route
    /// alone asks for it.
    #[serde(default, skip_serializing_if = "MtlsConfig::is_no")]
    pub optional: bool,
    /// Longest that a connection lives, whoever uses it. Absent means [`MtlsConfig::LONGEST_CONNECTION`], which is also the
    /// most.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub max_connection_age: Option<Duration>,
}

impl MtlsConfig {
    /// Longest that a connection lives: what keeps a connection whose certificate was taken back unnoticed from living on.
    pub const LONGEST_CONNECTION: Duration = Duration::from_secs(3600);
    /// Shortest `max_connection_age`: less would be a handshake for each few requests.
    pub const SHORTEST_CONNECTION: Duration = Duration::from_secs(1);

    /// Largest `crl_population`: a CRL of 35 MB, which each revocation signs anew.
    pub const MAX_CRL_POPULATION: usize = 1_000_000;

    /// Longest `certificate_lifetime` of certificates that nobody can take back.
    pub const LONGEST_UNREVOKED: Duration = Duration::from_secs(86_400);

    /// CRLs looked at every `crl_reload`, and all else by default.
    pub fn new(crl_reload: Duration) -> Self {
        Self { crl_reload: Some(crl_reload), ..Self::short_lived(Self::default_certificate_lifetime()) }
    }

    /// Leaves asked about by OCSP and looked up in no CRL, and all else by default.
    pub fn by_ocsp(ocsp: OcspConfig) -> Self {
        Self { ocsp: Some(ocsp), ..Self::short_lived(Self::default_certificate_lifetime()) }
    }

    /// Certificates of that lifetime that nobody looks up or asks about, and all else by default.
    pub fn short_lived(certificate_lifetime: Duration) -> Self {
        Self {
            crl_reload: None,
            crl_validity: Self::default_crl_validity(),
            ocsp: None,
            certificate_lifetime: Some(certificate_lifetime),
            trust_domain: Self::default_trust_domain(),
            crl_population: 0,
            key: CertificateKey::default(),
            chain_length: ChainLength::default(),
            recheck: true,
            resumption: false,
            crl_policy: CrlPolicy::default(),
            pki: None,
            identities: Vec::new(),
            proxies: Vec::new(),
            optional: false,
            max_connection_age: None,
        }
    }

    /// Longest that a connection lives, written out or not.
    pub fn connection_age(&self) -> Duration {
        self.max_connection_age.unwrap_or(Self::LONGEST_CONNECTION)
    }

    /// Whether a certificate lives until its end, because nobody looks whether it was taken back.
    pub fn is_short_lived(&self) -> bool {
        self.crl_reload.is_none() && self.ocsp.is_none()
    }

    /// Lifetime of client certificates, written out or not.
    pub fn lifetime(&self) -> Duration {
        self.certificate_lifetime.unwrap_or_else(Self::default_certificate_lifetime)
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

/// What happens where no CRL tells: the CA's is missing or past its `nextUpdate`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrlPolicy {
    /// Nobody is accepted: an alert in the handshake, 503 on an open connection.
    #[default]
    Hard,
    /// The certificate is accepted, counted and logged, unless a list that is too old names it. Whoever can keep a CRL from
    /// arriving then undoes revocations.
    Soft,
}

impl CrlPolicy {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Somebody else's CAs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignPki {
    /// Each after the one above it. Those that signed themselves are trusted, and those below are known.
    pub cas: Vec<ForeignCa>,
}

/// One of somebody else's CAs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignCa {
    /// PEM or DER file with its certificate.
    pub certificate: PathBuf,
    /// PEM or DER file with its CRL, replaced by whoever maintains it. Not to be left out where CRLs are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<PathBuf>,
}

/// Questions about leaves to an OCSP responder (RFC 6960).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OcspConfig {
    /// Where the responder is, `http://…`. Absent means in this process, on the listener whose `ocsp_responder` names the
    /// profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How long an answer is good for: what the responder of this CA gives as `nextUpdate`, and the longest that an answer
    /// is kept, never past its own `nextUpdate`. At most [`OcspConfig::LONGEST_VALIDITY`].
    #[serde(with = "humantime_serde")]
    pub validity: Duration,
    /// What a certificate is worth that nobody could be asked about.
    #[serde(default)]
    pub policy: OcspPolicy,
}

impl OcspConfig {
    /// Longest `validity`: a revoked certificate would be accepted for as long.
    pub const LONGEST_VALIDITY: Duration = Duration::from_secs(7 * 86_400);

    /// The responder of the same process, its answers kept so long, and nobody accepted without one.
    pub fn new(validity: Duration) -> Self {
        Self { url: None, validity, policy: OcspPolicy::default() }
    }
}

/// What happens when OCSP brings no answer that can be used: none at all, or one that is forged, stale or about another
/// certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OcspPolicy {
    /// Nobody is accepted: 503.
    #[default]
    Hard,
    /// The certificate is accepted, counted and logged. Whoever can keep the answer from arriving then undoes revocations.
    Soft,
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
