//! Keys that tokens are signed with: the issuer's own, where it is known, and an attacker's.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bench_server::contract::Algorithm;
use rcgen::PublicKeyData as _;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;

/// A key that signs tokens.
pub(crate) struct TokenKey {
    algorithm: Algorithm,
    kind: Kind,
    /// The same key, as certificates and public forms need it; HMAC has none.
    pair: Option<rcgen::KeyPair>,
}

enum Kind {
    Hmac(Box<hmac::Key>),
    Ecdsa(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl TokenKey {
    /// Reads PKCS #8 in PEM, or for HMAC a JWK of type `oct`.
    ///
    /// # Errors
    /// What it is not; nothing of it is quoted.
    pub(crate) fn read(algorithm: Algorithm, text: &str) -> Result<Self, String> {
        if algorithm.is_symmetric() {
            #[derive(Deserialize)]
            struct Oct {
                k: String,
            }
            let oct: Oct = serde_json::from_str(text).map_err(|_| "the key is no JWK of type oct".to_owned())?;
            let secret = URL_SAFE_NO_PAD.decode(oct.k).map_err(|_| "\"k\" of the key is not base64url".to_owned())?;
            return Ok(Self {
                algorithm,
                kind: Kind::Hmac(Box::new(hmac::Key::new(mac(algorithm), &secret))),
                pair: None,
            });
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes());
        let der = der.map_err(|_| "the key is not PKCS #8 in PEM".to_owned())?;
        Self::from_pkcs8(algorithm, der.secret_pkcs8_der())
    }

    /// A new one, of nobody.
    ///
    /// # Errors
    /// When none can be made.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, String> {
        let kind = match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
                let key = hmac::Key::new(mac(algorithm), &rand::random::<[u8; 64]>());
                let kind = Kind::Hmac(Box::new(key));
                return Ok(Self { algorithm, kind, pair: None });
            }
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048),
            Algorithm::ES256 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Algorithm::ES384 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Algorithm::EdDSA => rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519),
        };
        let pair = kind.map_err(|error| format!("no key can be made: {error}"))?;
        Self::from_pkcs8(algorithm, pair.serialized_der())
    }

    fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, String> {
        let other = |_| format!("the key is none for {algorithm:?}");
        let kind = match algorithm {
            Algorithm::ES256 => {
                Kind::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(other)?)
            }
            Algorithm::ES384 => {
                Kind::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der).map_err(other)?)
            }
            Algorithm::EdDSA => Kind::Ed25519(Ed25519KeyPair::from_pkcs8(der).map_err(other)?),
            _ if algorithm.is_symmetric() => return Err(format!("{} has no PKCS #8 key", algorithm.name())),
            _ => Kind::Rsa(Box::new(RsaKeyPair::from_pkcs8(der).map_err(other)?)),
        };
        let pair = rcgen::KeyPair::try_from(der).map_err(|error| format!("the key cannot be read: {error}"))?;
        Ok(Self { algorithm, kind, pair: Some(pair) })
    }

    /// The algorithm that the key is for.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs by the algorithm that a header names, as far as the key can; otherwise by its own.
    ///
    /// # Errors
    /// When it cannot sign.
    pub(crate) fn sign(&self, named: Option<&str>, input: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |_| "the key does not sign".to_owned();
        let random = SystemRandom::new();
        Ok(match &self.kind {
            Kind::Hmac(key) => hmac::sign(key, input).as_ref().to_vec(),
            Kind::Ecdsa(key) => key.sign(&random, input).map_err(failed)?.as_ref().to_vec(),
            Kind::Ed25519(key) => key.sign(input).as_ref().to_vec(),
            Kind::Rsa(key) => {
                let named = Algorithm::ALL.into_iter().find(|algorithm| Some(algorithm.name()) == named);
                let padding = named.and_then(padding).or_else(|| padding(self.algorithm)).ok_or("no RSA key")?;
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, input, &mut signature).map_err(failed)?;
                signature
            }
        })
    }

    /// The public key in forms that somebody might take for an HMAC secret: PEM, PEM without its last line feed, DER of the
    /// SubjectPublicKeyInfo, the JWK, the bare modulus or point.
    pub(crate) fn public(&self, form: &str) -> Option<Vec<u8>> {
        let pair = self.pair.as_ref()?;
        let pem = || {
            let body = STANDARD.encode(pair.subject_public_key_info());
            let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
        };
        match form {
            "pem" => Some(pem().into_bytes()),
            "pem-trimmed" => Some(pem().trim_end().as_bytes().to_vec()),
            "der" => Some(pair.subject_public_key_info()),
            "jwk" => Some(self.jwk()?.into_bytes()),
            "raw" => match &self.kind {
                Kind::Rsa(_) => Some(rsa_numbers(pair.public_key_raw())?.0),
                _ => Some(pair.public_key_raw().to_vec()),
            },
            _ => None,
        }
    }

    /// The public key as a JWK (RFC 7517).
    pub(crate) fn jwk(&self) -> Option<String> {
        let raw = self.pair.as_ref()?.public_key_raw();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Some(match &self.kind {
            Kind::Hmac(_) => return None,
            Kind::Ecdsa(_) => {
                let curve = if self.algorithm == Algorithm::ES384 { "P-384" } else { "P-256" };
                // An uncompressed point: 4, then x and y (SEC 1 §2.3.3).
                let (x, y) = raw.get(1..)?.split_at(raw.len() / 2);
                format!(r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#, encode(x), encode(y))
            }
            Kind::Rsa(_) => {
                let (n, e) = rsa_numbers(raw)?;
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(&e), encode(&n))
            }
            Kind::Ed25519(_) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(raw)),
        })
    }

    /// A certificate of the key for itself, as `x5c` carries it (RFC 7515 §4.1.6).
    pub(crate) fn self_signed(&self) -> Option<String> {
        let parameters = rcgen::CertificateParams::new(vec!["issuer.test".to_owned()]).ok()?;
        Some(STANDARD.encode(parameters.self_signed(self.pair.as_ref()?).ok()?.der()))
    }
}

/// The hash of an HMAC algorithm (RFC 7518 §3.2).
fn mac(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    }
}

/// How an RSA algorithm pads (RFC 7518 §3.3 and §3.5); `None` for others.
fn padding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::RS256 => &RSA_PKCS1_SHA256,
        Algorithm::RS384 => &RSA_PKCS1_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_SHA512,
        Algorithm::PS256 => &RSA_PSS_SHA256,
        Algorithm::PS384 => &RSA_PSS_SHA384,
        Algorithm::PS512 => &RSA_PSS_SHA512,
        _ => return None,
    })
}

/// HMAC-SHA-256 under whatever somebody might take for its key.
pub(crate) fn hmac_sha256(key: &[u8], input: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), input).as_ref().to_vec()
}

/// Modulus and exponent of a PKCS #1 public key, without leading zeros.
fn rsa_numbers(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, rest) = element(sequence, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    let minimal = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
    Some((minimal(modulus), minimal(exponent)))
}

/// Content of a DER element of that tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
    };
    rest.split_at_checked(length)
}

/// R and S of an ECDSA signature as DER, which JWS does not take (RFC 7518 §3.4).
pub(crate) fn ecdsa_in_der(fixed: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let mut minimal: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        if minimal.first().is_none_or(|byte| *byte > 0x7f) {
            minimal.insert(0, 0);
        }
        [&[0x02, minimal.len() as u8], &minimal[..]].concat()
    };
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let both = [integer(r), integer(s)].concat();
    [&[0x30, both.len() as u8], &both[..]].concat()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
        UnparsedPublicKey,
    };

    use super::*;

    #[test]
    fn what_is_signed_verifies_under_the_public_key() {
        let es256 = TokenKey::generate(Algorithm::ES256).unwrap();
        let signature = es256.sign(None, b"x").unwrap();
        let point = es256.public("raw").unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).verify(b"x", &signature).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point).verify(b"x", &ecdsa_in_der(&signature)).unwrap();
        let eddsa = TokenKey::generate(Algorithm::EdDSA).unwrap();
        let raw = eddsa.public("raw").unwrap();
        UnparsedPublicKey::new(&ED25519, raw).verify(b"x", &eddsa.sign(None, b"x").unwrap()).unwrap();
        let rs256 = TokenKey::generate(Algorithm::RS256).unwrap();
        let pkcs1 = rs256.pair.as_ref().unwrap().public_key_raw().to_vec();
        let (own, other) = (rs256.sign(None, b"x").unwrap(), rs256.sign(Some("PS256"), b"x").unwrap());
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &pkcs1).verify(b"x", &own).unwrap();
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &pkcs1).verify(b"x", &other).unwrap();
        assert_eq!(rs256.public("raw").unwrap().len(), 256, "the modulus without its leading zero");
    }

    #[test]
    fn public_keys_have_every_form_that_was_ever_taken_for_a_secret() {
        for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::RS256, Algorithm::EdDSA] {
            let key = TokenKey::generate(algorithm).unwrap();
            let forms = ["pem", "pem-trimmed", "der", "jwk", "raw"].map(|form| key.public(form).unwrap());
            assert_eq!(forms[0].len(), forms[1].len() + 1, "the line feed");
            let jwk: serde_json::Value = serde_json::from_slice(&forms[3]).unwrap();
            assert!(jwk["kty"].is_string() && jwk.get("d").is_none(), "{algorithm:?}");
            assert!(key.self_signed().is_some());
        }
        assert_eq!(TokenKey::generate(Algorithm::HS256).unwrap().public("pem"), None);
    }
}
