//! What a JWT validator is measured against, on the subject's own token: the bare signature check, which nothing can be
//! faster than, and the crate that most Rust services use.

use std::path::Path;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaKeyPair, RsaParameters,
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
        let key = if algorithm.is_symmetric() {
            DecodingKey::from_secret(&hmac_secret(&std::fs::read(file)?)?)
        } else {
            let jwk = SigningKey::load_or_generate(&file, algorithm)?.jwk().context("a public key")?;
            DecodingKey::from_jwk(&serde_json::from_value(jwk)?)?
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
    let hmac = |hash| Ok(Key::Hmac(Box::new(hmac::Key::new(hash, &hmac_secret(&content)?))));
    let pem = || PrivatePkcs8KeyDer::from_pem_slice(&content);
    let rsa = |parameters: &'static RsaParameters| {
        let pair = RsaKeyPair::from_pkcs8(pem()?.secret_pkcs8_der())?;
        Ok(Key::Public(ParsedPublicKey::new(parameters, pair.public_key())?))
    };
    let ecdsa = |curve: &'static EcdsaSigningAlgorithm| -> anyhow::Result<EcdsaKeyPair> {
        Ok(EcdsaKeyPair::from_pkcs8(curve, pem()?.secret_pkcs8_der())?)
    };
    match algorithm {
        Algorithm::HS256 => hmac(hmac::HMAC_SHA256),
        Algorithm::HS384 => hmac(hmac::HMAC_SHA384),
        Algorithm::HS512 => hmac(hmac::HMAC_SHA512),
        Algorithm::RS256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => rsa(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => rsa(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => rsa(&RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => rsa(&RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => {
            let pair = ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
            Ok(Key::Public(ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key())?))
        }
        Algorithm::ES384 => {
            let pair = ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)?;
            Ok(Key::Public(ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, pair.public_key())?))
        }
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::from_pkcs8(pem()?.secret_pkcs8_der())?;
            Ok(Key::Public(ParsedPublicKey::new(&ED25519, pair.public_key())?))
        }
    }
}

/// The secret in a JWK of type `oct`.
fn hmac_secret(jwk: &[u8]) -> anyhow::Result<Vec<u8>> {
    let jwk: Value = serde_json::from_slice(jwk)?;
    Ok(URL_SAFE_NO_PAD.decode(jwk["k"].as_str().context("the key file holds no \"k\"")?)?)
}
