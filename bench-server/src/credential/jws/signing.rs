//! Private keys: made, kept in a file of mode 0600, and signed with.

use std::fmt;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;
use zeroize::Zeroizing;

use super::keys::{hmac_hash, shortest_secret};
use super::{KeyError, KeySet, base64url, compact, name};
use crate::config::Algorithm;
use crate::contract::{IssuerKey, Secret};
use crate::store::file::{self, Readers};

/// A private (or HMAC) key that signs, with its `kid`.
pub struct SigningKey {
    algorithm: Algorithm,
    kid: String,
    signer: EncodingKey,
    /// Public JWK; HMAC keys have none.
    jwk: Option<Value>,
    keys: KeySet,
    /// What is written to disk: PKCS #8 in PEM, or for HMAC a JWK of type `oct`.
    text: Zeroizing<String>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A fresh key from the operating system's random source: as many bytes as the hash has for HMAC, 2048 bits for RSA.
    ///
    /// # Errors
    /// When the key cannot be made, or does not verify what it signed.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let failed = |_| KeyError(format!("cannot generate a key for {}", name(algorithm)));
        let ecdsa = |curve| Ok(EcdsaKeyPair::generate_pkcs8(curve, &rng).map_err(failed)?.as_ref().to_vec());
        if let Some(hash) = hmac_hash(algorithm) {
            let mut secret = Zeroizing::new(vec![0; shortest_secret(hash)]);
            let mut kid = [0; 16];
            aws_lc_rs::rand::fill(&mut secret).map_err(failed)?;
            aws_lc_rs::rand::fill(&mut kid).map_err(failed)?;
            return Self::hmac(algorithm, &URL_SAFE_NO_PAD.encode(kid), &secret);
        }
        let pkcs8 = match algorithm {
            Algorithm::ES256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
            Algorithm::ES384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)?,
            Algorithm::EdDSA => Ed25519KeyPair::generate_pkcs8v1(&rng).map_err(failed)?.as_ref().to_vec(),
            _ => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
        };
        Self::asymmetric(algorithm, &Zeroizing::new(pkcs8))
    }

    /// The key in a file, or a fresh one that is then written there, so that a restarted server keeps its key.
    ///
    /// # Errors
    /// When the file cannot be read or written, others than the owner may read it, or it holds a key for another kind
    /// of algorithm.
    pub fn load_or_generate(path: &Path, algorithm: Algorithm) -> Result<Self, KeyError> {
        let place = |text: &dyn fmt::Display| KeyError(format!("{}: {text}", path.display()));
        let Some(content) = file::read_private(path).map_err(|error| place(&error))? else {
            let key = Self::generate(algorithm)?;
            file::replace(path, key.text.as_bytes(), Readers::Owner).map_err(|error| place(&error))?;
            return Ok(key);
        };
        let content = Zeroizing::new(content);
        let key = if algorithm.is_symmetric() {
            Self::from_oct(algorithm, &content)
        } else {
            match PrivatePkcs8KeyDer::from_pem_slice(&content) {
                Ok(der) => Self::asymmetric(algorithm, der.secret_pkcs8_der()),
                Err(_) => Err(KeyError("no PKCS #8 key in PEM".to_owned())),
            }
        };
        key.map_err(|error| {
            place(&format!("{error}; {} needs another key: move this file away to have one made", name(algorithm)))
        })
    }

    /// The algorithm that the key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key identifier: the RFC 7638 thumbprint, for HMAC keys a random one.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs claims as a compact JWS with the given `typ`.
    ///
    /// # Errors
    /// When the claims cannot be serialised.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        let mut header = Header::new(library_name(self.algorithm));
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.signer).map_err(|error| KeyError(format!("cannot sign: {error}")))
    }

    /// The private key, as it is written to disk.
    pub(crate) fn issuer_key(&self) -> IssuerKey {
        let key = Secret::new(self.text.as_str());
        IssuerKey::Token { algorithm: self.algorithm, kid: self.kid.clone(), key }
    }

    /// The key set with just this key, to verify with.
    pub fn key_set(&self) -> KeySet {
        self.keys.clone()
    }

    /// The public key as a JWK (RFC 7517) with `kid`, `alg` and `use`; `None` for HMAC keys.
    pub fn jwk(&self) -> Option<Value> {
        self.jwk.clone()
    }

    /// Signs whatever a test wants a header and a payload to be.
    #[cfg(test)]
    pub(crate) fn sign_as_it_is(&self, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", encode(header), encode(payload));
        let signature =
            jsonwebtoken::crypto::sign(input.as_bytes(), &self.signer, library_name(self.algorithm)).unwrap();
        format!("{input}.{signature}")
    }

    fn hmac(algorithm: Algorithm, kid: &str, secret: &[u8]) -> Result<Self, KeyError> {
        let oct = json!({"kty": "oct", "alg": name(algorithm), "kid": kid, "k": URL_SAFE_NO_PAD.encode(secret)});
        let key = Self {
            algorithm,
            kid: kid.to_owned(),
            signer: EncodingKey::from_secret(secret),
            jwk: None,
            keys: KeySet::hmac(algorithm, kid, secret)?,
            text: Zeroizing::new(oct.to_string()),
        };
        key.self_test()
    }

    fn from_oct(algorithm: Algorithm, json: &[u8]) -> Result<Self, KeyError> {
        let oct: Value = serde_json::from_slice(json).map_err(|_| KeyError("not a JWK".to_owned()))?;
        let member = |name: &str| oct.get(name).and_then(Value::as_str);
        let is_for_it = member("kty") == Some("oct") && member("alg") == Some(name(algorithm));
        let (true, Some(kid), Some(k)) = (is_for_it, member("kid"), member("k")) else {
            let name = name(algorithm);
            return Err(KeyError(format!("not a JWK of type \"oct\" for {name} with \"kid\" and \"k\"")));
        };
        let secret = URL_SAFE_NO_PAD.decode(k).map_err(|_| KeyError("\"k\" is not base64url".to_owned()))?;
        Self::hmac(algorithm, kid, &Zeroizing::new(secret))
    }

    fn asymmetric(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let refused = |_| KeyError(format!("not a PKCS #8 key for {}", name(algorithm)));
        let pem = pem(pkcs8);
        // Only the members that RFC 7638 §3.2 counts, in the order that it asks for.
        let (required, signer) = match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(refused)?;
                let required = rsa_members(pair.public_key().as_ref())
                    .ok_or_else(|| KeyError("the RSA public key cannot be read".to_owned()))?;
                (required, EncodingKey::from_rsa_pem(pem.as_bytes()))
            }
            Algorithm::ES256 | Algorithm::ES384 => {
                let (curve, signing): (_, &'static EcdsaSigningAlgorithm) = match algorithm {
                    Algorithm::ES256 => ("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
                    _ => ("P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
                };
                let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8).map_err(refused)?;
                // An uncompressed point: 4, then x and y of equal length (SEC 1 §2.3.3).
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let required = json!({"crv": curve, "kty": "EC", "x": encode(x), "y": encode(y)});
                (required, EncodingKey::from_ec_pem(pem.as_bytes()))
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(refused)?;
                let required = json!({"crv": "Ed25519", "kty": "OKP", "x": encode(pair.public_key().as_ref())});
                (required, EncodingKey::from_ed_pem(pem.as_bytes()))
            }
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
                return Err(KeyError(format!("{} has no PKCS #8 key", name(algorithm))));
            }
        };
        let signer = signer.map_err(|error| KeyError(format!("the signer refuses the key: {error}")))?;
        let kid = encode(&Sha256::digest(required.to_string()));
        let mut jwk = required;
        jwk["kid"] = json!(kid);
        jwk["alg"] = json!(name(algorithm));
        jwk["use"] = json!("sig");
        let keys = KeySet::from_jwks(&json!({"keys": [&jwk]}).to_string())?;
        Self { algorithm, kid, signer, jwk: Some(jwk), keys, text: pem }.self_test()
    }

    /// Signs and verifies once: a crypto provider that is missing or a damaged key shows at start-up, not in a
    /// measurement.
    fn self_test(self) -> Result<Self, KeyError> {
        let broken = || KeyError(format!("self-test: {} does not verify its own signature", name(self.algorithm)));
        // Two providers compiled in would make the first use panic; naming one cannot fail twice for a bad reason.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let token = self.sign("test", &json!({"sub": "self-test"}))?;
        let parts = compact::Compact::split(&token).ok_or_else(broken)?;
        let mut signature = Vec::new();
        base64url::decode(parts.signature, &mut signature).map_err(|_| broken())?;
        let key = self.keys.choose(Some(&self.kid), self.algorithm).map_err(|_| broken())?;
        key.verify(parts.signing_input.as_bytes(), &signature).map_err(|_| broken())?;
        Ok(self)
    }
}

/// The algorithm, as the signing library calls it.
fn library_name(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::HS384 => jsonwebtoken::Algorithm::HS384,
        Algorithm::HS512 => jsonwebtoken::Algorithm::HS512,
        Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::RS384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::RS512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::PS256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::PS384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::PS512 => jsonwebtoken::Algorithm::PS512,
        Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::ES384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `e`, `kty`, `n` of a PKCS #1 public key; integers without leading zeros (RFC 7518 §6.3.1).
fn rsa_members(pkcs1: &[u8]) -> Option<Value> {
    let (_, key) = RSAPublicKey::from_der(pkcs1).ok()?;
    let minimal = |number: &[u8]| encode(&number[number.iter().take_while(|byte| **byte == 0).count()..]);
    Some(json!({"e": minimal(key.exponent), "kty": "RSA", "n": minimal(key.modulus)}))
}

/// PKCS #8 in PEM (RFC 7468 §10).
fn pem(pkcs8: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(pkcs8));
    let mut pem = Zeroizing::new("-----BEGIN PRIVATE KEY-----\n".to_owned());
    for start in (0..encoded.len()).step_by(64) {
        pem.push_str(&encoded[start..encoded.len().min(start + 64)]);
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jsonwebtoken::{DecodingKey, Validation};

    use super::super::{VerifyError, asymmetric};
    use super::*;

    fn verify(token: &str, keys: &KeySet, kid: Option<&str>, algorithm: Algorithm) -> Result<(), VerifyError> {
        let parts = compact::Compact::split(token).unwrap();
        let mut signature = Vec::new();
        base64url::decode(parts.signature, &mut signature).unwrap();
        keys.choose(kid, algorithm)?.verify(parts.signing_input.as_bytes(), &signature)
    }

    #[test]
    fn jw_5_good_flipped_and_foreign_signatures_of_every_algorithm() {
        for algorithm in Algorithm::ALL {
            let (key, other) = (SigningKey::generate(algorithm).unwrap(), SigningKey::generate(algorithm).unwrap());
            let token = key.sign("at+jwt", &json!({"sub": "a"})).unwrap();
            assert_eq!(verify(&token, &key.key_set(), Some(key.kid()), algorithm), Ok(()), "{algorithm:?}");
            assert_eq!(verify(&token, &key.key_set(), None, algorithm), Ok(()));
            let foreign = verify(&token, &other.key_set(), None, algorithm);
            assert_eq!(foreign, Err(VerifyError::BadSignature), "{algorithm:?}");

            let parts = compact::Compact::split(&token).unwrap();
            let mut signature = Vec::new();
            base64url::decode(parts.signature, &mut signature).unwrap();
            for bit in [0, 7, signature.len() * 4, signature.len() * 8 - 1] {
                let mut flipped = signature.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let keys = key.key_set();
                let chosen = keys.choose(None, algorithm).unwrap();
                let verdict = chosen.verify(parts.signing_input.as_bytes(), &flipped);
                assert_eq!(verdict, Err(VerifyError::BadSignature), "{algorithm:?} bit {bit}");
            }
        }
    }

    /// `jsonwebtoken` reads our JWKs and accepts our tokens: its verifier is independent of ours.
    #[test]
    fn jw_5_another_implementation_agrees() {
        for algorithm in asymmetric() {
            let key = SigningKey::generate(algorithm).unwrap();
            let token = key.sign("at+jwt", &json!({"sub": "a"})).unwrap();
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.jwk().unwrap()).unwrap();
            assert_eq!(jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap(), key.kid());
            let mut rules = Validation::new(name(algorithm).parse().unwrap());
            rules.required_spec_claims.clear();
            rules.validate_exp = false;
            let decoded = jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_jwk(&jwk).unwrap(), &rules).unwrap();
            assert_eq!(decoded.claims["sub"], "a");
            assert_eq!(decoded.header.kid.as_deref(), Some(key.kid()));
        }
    }

    /// RFC 7515 appendix A.1 (HS256) and A.3 (ES256).
    #[test]
    fn jw_5_known_answers() {
        let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let secret = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let token =
            format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{payload}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(
            verify(&token, &KeySet::hmac(Algorithm::HS256, "k", &secret).unwrap(), None, Algorithm::HS256),
            Ok(())
        );

        let jwks = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
        let token = format!(
            "eyJhbGciOiJFUzI1NiJ9.{payload}.\
             DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        );
        assert_eq!(verify(&token, &KeySet::from_jwks(jwks).unwrap(), None, Algorithm::ES256), Ok(()));
    }

    #[test]
    fn jw_8_bc_091_bc_092_ecdsa_signatures_have_one_form() {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let keys = key.key_set();
        let chosen = keys.choose(None, Algorithm::ES256).unwrap();
        let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(key.text.as_bytes()).unwrap();
        let asn1 = &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(asn1, pkcs8.secret_pkcs8_der()).unwrap();
        let der = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), b"x").unwrap();
        assert!(chosen.verify(b"x", der.as_ref()).is_err(), "DER is for X.509, not for JWS");
        let fixed = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(fixed, pkcs8.secret_pkcs8_der()).unwrap();
        let good = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), b"x").unwrap();
        let good = good.as_ref();
        assert_eq!((good.len(), chosen.verify(b"x", good)), (64, Ok(())));
        let (r, s) = good.split_at(32);
        let zero = &[0; 32][..];
        for wrong in [
            [zero, zero].concat(),
            [zero, s].concat(),
            [r, zero].concat(),
            good[..63].to_vec(),
            [good, &[0]].concat(),
            [&[0], good].concat(),
            [s, r].concat(),
            Vec::new(),
        ] {
            assert_eq!(chosen.verify(b"x", &wrong), Err(VerifyError::BadSignature), "{wrong:?}");
        }
    }

    #[test]
    fn jw_34_a_restart_keeps_the_key_and_its_secret_stays_private() {
        let dir = tempfile::tempdir().unwrap();
        for algorithm in Algorithm::ALL {
            let path = dir.path().join(name(algorithm));
            let first = SigningKey::load_or_generate(&path, algorithm).unwrap();
            let second = SigningKey::load_or_generate(&path, algorithm).unwrap();
            assert_eq!(first.kid(), second.kid());
            let token = first.sign("at+jwt", &json!({})).unwrap();
            assert_eq!(verify(&token, &second.key_set(), Some(second.kid()), algorithm), Ok(()));
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let shown = format!("{first:?}");
            assert!(!shown.contains("PRIVATE") && shown.len() < 200, "{shown}");
        }
        let error = SigningKey::load_or_generate(&dir.path().join("RS256"), Algorithm::ES256).unwrap_err();
        assert!(error.0.contains("RS256") && error.0.contains("move this file away"), "{error}");
    }
}
