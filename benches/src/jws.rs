//! What a JWT validator is measured against, on the subject's own token: the bare signature check, which nothing can be
//! faster than, and the crate that most Rust services use.

use std::path::Path;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench_server::contract::{AUDIENCE, Algorithm};
use bench_server::credential::jws::SigningKey;
use jsonwebtoken::{DecodingKey, Validation};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::{PROFILE, Subject};

/// Every algorithm that the server signs with.
pub const ALGORITHMS: [Algorithm; 6] =
    [Algorithm::HS256, Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

/// aws-lc-rs alone, with a key parsed once, over the signing input and the signature of the subject's token.
pub struct Floor {
    key: Key,
    signing_input: Vec<u8>,
    signature: Vec<u8>,
}

enum Key {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Floor {
    /// Takes the subject's token apart, and its key from the state folder.
    ///
    /// # Errors
    /// When the subject presents no token, or its key cannot be read.
    pub fn of(subject: &Subject, state_dir: &Path, algorithm: Algorithm) -> anyhow::Result<Self> {
        let token = subject.token().context("the subject presents no token")?;
        let (signing_input, signature) = token.rsplit_once('.').context("the token has no signature")?;
        Ok(Self {
            key: key(state_dir, algorithm)?,
            signing_input: signing_input.into(),
            signature: URL_SAFE_NO_PAD.decode(signature)?,
        })
    }

    /// Whether the signature is good.
    pub fn verify(&self) -> bool {
        match &self.key {
            Key::Hmac(key) => hmac::verify(key, &self.signing_input, &self.signature).is_ok(),
            Key::Public(key) => key.verify_sig(&self.signing_input, &self.signature).is_ok(),
        }
    }
}

/// `jsonwebtoken` on the subject's token, with the claims that our validator asks for.
pub struct Peer {
    token: String,
    key: DecodingKey,
    rules: Validation,
}

/// The claims that RFC 9068 §2.2 requires, and the scope.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "what is measured is that they are read")]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    scope: String,
    jti: String,
    iat: u64,
    exp: u64,
}

impl Peer {
    /// Configures the crate as strictly as it goes: audience, issuer and expiry are checked.
    ///
    /// # Errors
    /// When the subject presents no token, or the crate refuses its key.
    pub fn of(subject: &Subject, state_dir: &Path, algorithm: Algorithm) -> anyhow::Result<Self> {
        let token = subject.token().context("the subject presents no token")?.to_owned();
        let payload = token.split('.').nth(1).context("the token has no payload")?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?;
        let file = key_file(state_dir);
        let key = match algorithm {
            Algorithm::HS256 => DecodingKey::from_secret(&hmac_secret(&std::fs::read(file)?)?),
            _ => {
                let jwk = SigningKey::load_or_generate(&file, algorithm)?.jwk().context("a public key")?;
                DecodingKey::from_jwk(&serde_json::from_value(jwk)?)?
            }
        };
        let mut rules = Validation::new(format!("{algorithm:?}").parse()?);
        rules.set_audience(&[AUDIENCE]);
        rules.set_issuer(&[claims["iss"].as_str().context("the token names no issuer")?]);
        Ok(Self { token, key, rules })
    }

    /// Whether the token is accepted.
    pub fn decode(&self) -> bool {
        jsonwebtoken::decode::<Claims>(&self.token, &self.key, &self.rules).is_ok()
    }
}

fn key_file(state_dir: &Path) -> std::path::PathBuf {
    state_dir.join(PROFILE).join("signing-key")
}

fn key(state_dir: &Path, algorithm: Algorithm) -> anyhow::Result<Key> {
    let content = std::fs::read(key_file(state_dir))?;
    if algorithm == Algorithm::HS256 {
        return Ok(Key::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &hmac_secret(&content)?))));
    }
    let der = PrivatePkcs8KeyDer::from_pem_slice(&content)?;
    let pkcs8 = der.secret_pkcs8_der();
    let rsa = || RsaKeyPair::from_pkcs8(pkcs8);
    let ecdsa = |curve: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::from_pkcs8(curve, pkcs8);
    let key = match algorithm {
        Algorithm::RS256 => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rsa()?.public_key()),
        Algorithm::PS256 => ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, rsa()?.public_key()),
        Algorithm::ES256 => {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)?.public_key())
        }
        Algorithm::ES384 => {
            ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)?.public_key())
        }
        Algorithm::EdDSA => ParsedPublicKey::new(&ED25519, Ed25519KeyPair::from_pkcs8(pkcs8)?.public_key()),
        Algorithm::HS256 => anyhow::bail!("HS256 has no public key"),
    };
    Ok(Key::Public(key?))
}

/// The secret in a JWK of type `oct`.
fn hmac_secret(jwk: &[u8]) -> anyhow::Result<Vec<u8>> {
    let jwk: Value = serde_json::from_slice(jwk)?;
    Ok(URL_SAFE_NO_PAD.decode(jwk["k"].as_str().context("the key file holds no \"k\"")?)?)
}
