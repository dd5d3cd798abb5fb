//! Proofs of holding a key (RFC 9449 §4.2): a JWS for one request, signed by the key that the token is bound to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::jws::{Jws, Signature};
use super::key::TokenKey;
use super::template::Missing;

/// What a proof is made for.
pub(crate) struct ProofFor<'p> {
    pub(crate) method: &'p str,
    /// Without query and fragment.
    pub(crate) url: &'p str,
    /// The access token that comes along.
    pub(crate) token: Option<&'p [u8]>,
    /// Seconds since 1970.
    pub(crate) now: u64,
    /// What no other proof has.
    pub(crate) unique: u128,
}

impl Jws {
    /// A proof by that key, not signed yet.
    ///
    /// # Errors
    /// When the key has no public half.
    pub(crate) fn proof(key: &TokenKey, of: &ProofFor<'_>) -> Result<Self, Missing> {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let jwk = key.jwk().ok_or_else(|| Missing("a key with a public half".to_owned()))?;
        let header = vec![("typ", text("dpop+jwt")), ("alg", text(key.algorithm().name())), ("jwk", jwk)];
        let mut claims = vec![
            ("jti", text(&format!("{:032x}", of.unique))),
            ("htm", text(of.method)),
            ("htu", text(of.url)),
            ("iat", of.now.to_string()),
        ];
        if let Some(token) = of.token {
            claims.push(("ath", text(&URL_SAFE_NO_PAD.encode(Sha256::digest(token)))));
        }
        Ok(Self::new(header, claims))
    }

    /// The same, signed by that key.
    ///
    /// # Errors
    /// When the key does not sign.
    pub(crate) fn signed(mut self, key: &TokenKey) -> Result<Self, Missing> {
        let signature = key.sign(None, self.signing_input().as_bytes()).map_err(Missing)?;
        self.signature = Signature::Bytes(signature);
        Ok(self)
    }

    /// The same with a signature that signs nothing, to be shown.
    pub(crate) fn unsigned(mut self) -> Self {
        self.signature = Signature::Bytes(b"signed by the caller".to_vec());
        self
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use bench_server::contract::Algorithm;

    use super::*;

    #[test]
    fn a_proof_holds_what_it_is_for_and_is_signed_by_the_key_in_it() {
        let key = TokenKey::generate(Algorithm::EdDSA).expect("a key");
        let of = ProofFor { method: "GET", url: "https://a.test/x", token: Some(b"token"), now: 7, unique: 1 };
        let proof = Jws::proof(&key, &of).expect("a public half").signed(&key).expect("it signs");
        assert_eq!(proof.header.string("typ").as_deref(), Some("dpop+jwt"));
        assert_eq!(proof.claims.string("htm").as_deref(), Some("GET"));
        assert_eq!(proof.claims.string("htu").as_deref(), Some("https://a.test/x"));
        // SHA-256 of "token".
        assert_eq!(proof.claims.string("ath").as_deref(), Some("PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A"));
        let Signature::Bytes(signature) = &proof.signature else { panic!("it is signed") };
        let public = UnparsedPublicKey::new(&ED25519, key.public("raw").expect("public"));
        public.verify(proof.signing_input().as_bytes(), signature).expect("by that key");
        let without = Jws::proof(&key, &ProofFor { token: None, ..of }).expect("a public half");
        assert_eq!(without.claims.string("ath"), None);
        assert!(
            Jws::proof(&TokenKey::generate(Algorithm::HS256).expect("a key"), &ProofFor { token: None, ..of }).is_err()
        );
    }
}
