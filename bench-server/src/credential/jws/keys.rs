//! Verification keys by `kid`, each for exactly one algorithm, parsed once (RFC 7517, RFC 7518, RFC 8037).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{KeyError, json, name};
use crate::config::Algorithm;

/// Largest JWK set read, in bytes; real ones have a few KiB.
const MAX_JWKS: usize = 256 * 1024;

/// Most keys in a set.
const MAX_KEYS: usize = 100;

/// Shortest RSA modulus accepted, in bits (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;

/// Longest RSA modulus that the verification algorithms take, in bits.
const MAX_RSA_BITS: usize = 8192;

/// Public (or HMAC) keys by `kid`, parsed once.
#[derive(Clone)]
pub struct KeySet {
    /// Sorted by `kid`, which is unique among the keys that have one.
    keys: Vec<VerifyingKey>,
}

/// Where a JWK set comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// From somebody who publishes it: public keys only.
    Published,
    /// From a file of whoever verifies.
    Own,
}

#[derive(Clone)]
struct VerifyingKey {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    key: Key,
}

#[derive(Clone)]
enum Key {
    /// Boxed: the two prepared states are several times the size of a public key's handle.
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// Why a signature was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VerifyError {
    /// No key of that `kid`, or no `kid` and not exactly one key for the algorithm (RFC 7515 §4.1.4).
    UnknownKey,
    /// The key of that `kid` is for another algorithm (RFC 8725 §3.1).
    OtherAlgorithm,
    /// The signature does not verify.
    BadSignature,
}

/// A key chosen for a token: the cheap half of a check.
pub(crate) struct Chosen<'k>(&'k Key);

impl KeySet {
    /// Reads a JWK set (RFC 7517 §5) of public keys.
    ///
    /// Skipped: keys of an unknown `kty`, `crv` or `alg`, and keys that are not for checking signatures (`use`,
    /// `key_ops`). A missing `alg` means the only algorithm of the curve, and RS256 for RSA keys.
    ///
    /// # Errors
    /// The whole set is refused when it is over 256 KiB or 100 keys, not strict JSON, repeats a `kid`, or contains a
    /// private or symmetric key, an RSA key under 2048 bits, or a point that is not on its curve.
    pub fn from_jwks(json: &str) -> Result<Self, KeyError> {
        Self::read(json, Origin::Published)
    }

    /// Reads a JWK set of the verifier's own, which may also hold shared secrets (`kty` `oct`). A missing `alg` means HS256
    /// for them.
    ///
    /// # Errors
    /// As [`Self::from_jwks`], but for symmetric keys; those are refused when shorter than the output of their hash.
    pub fn from_own_jwks(json: &str) -> Result<Self, KeyError> {
        Self::read(json, Origin::Own)
    }

    fn read(json: &str, origin: Origin) -> Result<Self, KeyError> {
        if json.len() > MAX_JWKS {
            return Err(KeyError(format!("a JWK set of {} bytes; at most {MAX_JWKS} are read", json.len())));
        }
        json::check_object(json.as_bytes())
            .map_err(|_| KeyError("the JWK set is not one JSON object without repeated members".to_owned()))?;
        let set: Value = serde_json::from_str(json).map_err(|error| KeyError(format!("JWK set: {error}")))?;
        let Some(jwks) = set.get("keys").and_then(Value::as_array) else {
            return Err(KeyError("the JWK set has no array \"keys\" (RFC 7517 §5.1)".to_owned()));
        };
        if jwks.len() > MAX_KEYS {
            return Err(KeyError(format!("a JWK set of {} keys; at most {MAX_KEYS} are read", jwks.len())));
        }
        let mut keys = Vec::with_capacity(jwks.len());
        for (index, jwk) in jwks.iter().enumerate() {
            let place = |text: String| KeyError(format!("keys[{index}]: {text}"));
            let jwk = jwk.as_object().ok_or_else(|| place("not an object".to_owned()))?;
            keys.extend(read_jwk(jwk, origin).map_err(place)?);
        }
        Self::sorted(keys)
    }

    /// A set with one HMAC key.
    pub(super) fn hmac(algorithm: Algorithm, kid: &str, secret: &[u8]) -> Result<Self, KeyError> {
        let key = hmac_key(algorithm, secret).map_err(KeyError)?;
        Ok(Self { keys: vec![VerifyingKey { kid: Some(kid.into()), algorithm, key }] })
    }

    fn sorted(mut keys: Vec<VerifyingKey>) -> Result<Self, KeyError> {
        keys.sort_by(|a, b| a.kid.cmp(&b.kid));
        if let Some(pair) = keys.windows(2).find(|pair| pair[0].kid.is_some() && pair[0].kid == pair[1].kid) {
            let kid = pair[0].kid.as_deref().unwrap_or_default();
            return Err(KeyError(format!("two keys of the JWK set have the kid {kid:?}; give each its own")));
        }
        Ok(Self { keys })
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key of that `kid` is in the set.
    pub fn contains(&self, kid: &str) -> bool {
        self.find(kid).is_some()
    }

    /// The key for a token's `kid` and `algorithm`.
    pub(crate) fn choose(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Chosen<'_>, VerifyError> {
        let found = match kid {
            Some(kid) => self.find(kid).ok_or(VerifyError::UnknownKey)?,
            None => {
                let mut fitting = self.keys.iter().filter(|key| key.algorithm == algorithm);
                match (fitting.next(), fitting.next()) {
                    (Some(only), None) => only,
                    _ => return Err(VerifyError::UnknownKey),
                }
            }
        };
        if found.algorithm == algorithm { Ok(Chosen(&found.key)) } else { Err(VerifyError::OtherAlgorithm) }
    }

    fn find(&self, kid: &str) -> Option<&VerifyingKey> {
        let index = self.keys.binary_search_by(|key| key.kid.as_deref().cmp(&Some(kid))).ok()?;
        Some(&self.keys[index])
    }
}

impl Chosen<'_> {
    /// Checks a signature: the expensive half.
    ///
    /// # Errors
    /// [`VerifyError::BadSignature`]. ECDSA signatures are R ‖ S of exactly the curve's length, neither zero
    /// (RFC 7518 §3.4); the salt of PSS is as long as its hash (§3.5).
    pub(crate) fn verify(&self, signed: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        match self.0 {
            Key::Hmac(key) => hmac::verify(key, signed, signature),
            Key::Public(key) => key.verify_sig(signed, signature),
        }
        .map_err(|_| VerifyError::BadSignature)
    }
}

/// Reads one JWK; `None` when it is not for us.
fn read_jwk(jwk: &Map<String, Value>, origin: Origin) -> Result<Option<VerifyingKey>, String> {
    let kty = text(jwk, "kty")?.ok_or("no \"kty\"")?;
    let secret = kty == "oct" && origin == Origin::Own;
    let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"].into_iter();
    if let Some(member) = private.filter(|m| !(secret && *m == "k")).find(|m| jwk.contains_key(*m)) {
        return Err(format!("private member {member:?}; replace the key, and publish only its public half"));
    }
    if kty == "oct" && !secret {
        return Err("a symmetric key; a published set holds public keys".to_owned());
    }
    if !for_signatures(jwk)? {
        return Ok(None);
    }
    let (curve, stated) = (text(jwk, "crv")?, text(jwk, "alg")?);
    let fits = |algorithm: &Algorithm| is_of_type(*algorithm, kty, curve);
    // Without `alg` the first that fits: RS256, HS256, and the only one of a curve.
    let mut named = Algorithm::ALL.into_iter().filter(|algorithm| stated.is_none_or(|alg| alg == name(*algorithm)));
    let Some(algorithm) = named.find(fits) else { return Ok(None) };
    let public = |key: Result<ParsedPublicKey, String>| key.map(Key::Public);
    let key = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            hmac_key(algorithm, &Zeroizing::new(bytes(jwk, "k")?))
        }
        Algorithm::RS256 => public(rsa(jwk, &RSA_PKCS1_2048_8192_SHA256)),
        Algorithm::RS384 => public(rsa(jwk, &RSA_PKCS1_2048_8192_SHA384)),
        Algorithm::RS512 => public(rsa(jwk, &RSA_PKCS1_2048_8192_SHA512)),
        Algorithm::PS256 => public(rsa(jwk, &RSA_PSS_2048_8192_SHA256)),
        Algorithm::PS384 => public(rsa(jwk, &RSA_PSS_2048_8192_SHA384)),
        Algorithm::PS512 => public(rsa(jwk, &RSA_PSS_2048_8192_SHA512)),
        Algorithm::ES256 => public(point(jwk, 32, |point| ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point))),
        Algorithm::ES384 => public(point(jwk, 48, |point| ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point))),
        Algorithm::EdDSA => {
            let key = ParsedPublicKey::new(&ED25519, bytes(jwk, "x")?);
            public(key.map_err(|_| "\"x\" is not an Ed25519 public key".to_owned()))
        }
    }?;
    let kid = text(jwk, "kid")?.map(Box::from);
    Ok(Some(VerifyingKey { kid, algorithm, key }))
}

/// Whether keys of that type and curve are for an algorithm (RFC 7518 §6.1, RFC 8037 §2).
fn is_of_type(algorithm: Algorithm, kty: &str, curve: Option<&str>) -> bool {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => kty == "oct",
        Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => kty == "RSA",
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => kty == "RSA",
        Algorithm::ES256 => (kty, curve) == ("EC", Some("P-256")),
        Algorithm::ES384 => (kty, curve) == ("EC", Some("P-384")),
        Algorithm::EdDSA => (kty, curve) == ("OKP", Some("Ed25519")),
    }
}

/// The hash of an HMAC.
pub(super) fn hmac_hash(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// Fewest bytes of an HMAC's secret: as many as its hash has (RFC 7518 §3.2).
pub(super) fn shortest_secret(hash: hmac::Algorithm) -> usize {
    hash.digest_algorithm().output_len()
}

fn hmac_key(algorithm: Algorithm, secret: &[u8]) -> Result<Key, String> {
    let name = name(algorithm);
    let hash = hmac_hash(algorithm).ok_or_else(|| format!("{name} has no shared secret"))?;
    let least = shortest_secret(hash);
    if secret.len() < least {
        let bytes = secret.len();
        return Err(format!("a secret of {bytes} bytes for {name}; RFC 7518 §3.2 asks for {least} or more"));
    }
    Ok(Key::Hmac(Box::new(hmac::Key::new(hash, secret))))
}

/// Whether the key may check signatures (RFC 7517 §4.2, §4.3).
fn for_signatures(jwk: &Map<String, Value>) -> Result<bool, String> {
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Ok(false);
    }
    match jwk.get("key_ops") {
        None => Ok(true),
        Some(Value::Array(operations)) => Ok(operations.iter().any(|operation| operation == "verify")),
        Some(_) => Err("\"key_ops\" is not an array".to_owned()),
    }
}

fn rsa(jwk: &Map<String, Value>, parameters: &'static RsaParameters) -> Result<ParsedPublicKey, String> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let (n, e) = (without_leading_zeros(&n), without_leading_zeros(&e));
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err(format!("an RSA key of {bits} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted"));
    }
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    // 1 would make every message its own signature; verification takes exponents of at most 33 bits.
    if !odd(n) || !odd(e) || e == [1] || e.len() > 5 {
        return Err("\"n\" and \"e\" are not an RSA public key".to_owned());
    }
    let key = RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters);
    key.map_err(|_| "\"n\" and \"e\" are not an RSA public key".to_owned())
}

fn point<E>(
    jwk: &Map<String, Value>,
    coordinate_bytes: usize,
    parse: impl Fn(&[u8]) -> Result<ParsedPublicKey, E>,
) -> Result<ParsedPublicKey, String> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
        return Err(format!("\"x\" and \"y\" must have {coordinate_bytes} bytes each (RFC 7518 §6.2.1)"));
    }
    // 4 announces an uncompressed point (SEC 1 §2.3.3).
    let uncompressed = [&[4], x.as_slice(), y.as_slice()].concat();
    parse(&uncompressed).map_err(|_| "the point is not on its curve".to_owned())
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Result<Option<&'a str>, String> {
    match jwk.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{member:?} is not a string")),
    }
}

fn bytes(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, String> {
    let text = text(jwk, member)?.ok_or_else(|| format!("no {member:?}"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("{member:?} is not base64url without padding"))
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{SigningKey, asymmetric};
    use super::*;

    fn jwks(keys: &[Value]) -> String {
        json!({ "keys": keys }).to_string()
    }

    fn public(algorithm: Algorithm) -> Value {
        SigningKey::generate(algorithm).unwrap().jwk().unwrap()
    }

    fn with(mut jwk: Value, member: &str, value: Value) -> Value {
        jwk[member] = value;
        jwk
    }

    fn refusal(text: &str) -> String {
        KeySet::from_jwks(text).err().expect("the set must be refused").0
    }

    #[test]
    fn jw_4_a_key_is_found_by_kid_and_serves_one_algorithm() {
        let keys: Vec<_> = asymmetric().map(|algorithm| SigningKey::generate(algorithm).unwrap()).collect();
        let set = KeySet::from_jwks(&jwks(&keys.iter().map(|key| key.jwk().unwrap()).collect::<Vec<_>>())).unwrap();
        assert_eq!(set.len(), 9);
        for (key, algorithm) in keys.iter().zip(asymmetric()) {
            assert!(set.choose(Some(key.kid()), algorithm).is_ok());
            // Only one key of each algorithm is here, so no kid is needed.
            assert!(set.choose(None, algorithm).is_ok());
            for other in asymmetric().filter(|other| *other != algorithm) {
                assert_eq!(set.choose(Some(key.kid()), other).err(), Some(VerifyError::OtherAlgorithm), "{other:?}");
            }
        }
        assert_eq!(set.choose(Some("../../../dev/null"), Algorithm::RS256).err(), Some(VerifyError::UnknownKey));
        assert_eq!(set.choose(None, Algorithm::HS256).err(), Some(VerifyError::UnknownKey));
    }

    #[test]
    fn jw_11_without_kid_two_fitting_keys_are_one_too_many() {
        let set = KeySet::from_jwks(&jwks(&[public(Algorithm::EdDSA), public(Algorithm::EdDSA)])).unwrap();
        assert_eq!(set.choose(None, Algorithm::EdDSA).err(), Some(VerifyError::UnknownKey));
    }

    #[test]
    fn jw_14_foreign_keys_are_skipped() {
        let es256 = public(Algorithm::ES256);
        let skipped = [
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
            json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
            json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
            with(public(Algorithm::RS256), "alg", json!("RSA-OAEP")),
            with(es256.clone(), "use", json!("enc")),
            with(es256.clone(), "alg", json!("ECDH-ES")),
            with(es256.clone(), "key_ops", json!(["deriveKey"])),
        ];
        assert!(KeySet::from_jwks(&jwks(&skipped)).unwrap().is_empty());
        let kept = with(es256, "key_ops", json!(["verify"]));
        assert_eq!(KeySet::from_jwks(&jwks(&[kept])).unwrap().len(), 1);
    }

    #[test]
    fn jw_4_a_missing_alg_means_the_one_that_the_key_implies() {
        let mut rsa = public(Algorithm::RS256);
        rsa.as_object_mut().unwrap().remove("alg");
        let set = KeySet::from_jwks(&jwks(&[rsa])).unwrap();
        assert!(set.choose(None, Algorithm::RS256).is_ok());
        assert!(set.choose(None, Algorithm::PS256).is_err());
    }

    #[test]
    fn jw_7_jw_8_jw_14_bc_116_dangerous_keys_refuse_the_set() {
        let (es256, rs256) = (public(Algorithm::ES256), public(Algorithm::RS256));
        let x = es256["x"].clone();
        let weak = URL_SAFE_NO_PAD.encode([0xff; 128]);
        for (key, reason) in [
            (with(es256.clone(), "d", json!("AA")), "private"),
            (with(rs256.clone(), "qi", json!("AA")), "private"),
            (json!({"kty": "oct", "kid": "a"}), "symmetric"),
            (json!({"kty": "oct", "k": "AA"}), "private"),
            (with(rs256.clone(), "n", json!(weak)), "1024 bits"),
            (with(rs256.clone(), "e", json!("AQ")), "not an RSA"),
            (with(rs256.clone(), "e", json!("Ag")), "not an RSA"),
            (with(es256.clone(), "y", x), "curve"),
            (with(es256.clone(), "x", json!("AA")), "32 bytes"),
            (with(es256.clone(), "x", json!("A+==")), "base64url"),
            (with(es256.clone(), "kid", json!(5)), "not a string"),
            (with(public(Algorithm::EdDSA), "x", json!("AAAA")), "Ed25519"),
        ] {
            let text = refusal(&jwks(&[key]));
            assert!(text.contains(reason) && text.starts_with("keys[0]"), "{text}");
        }
        assert!(refusal(&jwks(&[es256.clone(), es256.clone()])).contains("kid"));
        assert!(refusal(r#"{"keys":[],"keys":[]}"#).contains("repeated"));
        assert!(refusal("{}").contains("keys"));
        assert!(refusal("[]").contains("object"));
    }

    #[test]
    fn jw_14_size_and_count_are_bounded() {
        let skipped = json!({"kty": "unknown"});
        assert!(KeySet::from_jwks(&jwks(&vec![skipped.clone(); MAX_KEYS])).is_ok());
        assert!(refusal(&jwks(&vec![skipped; MAX_KEYS + 1])).contains("101 keys"));
        assert!(refusal(&" ".repeat(MAX_JWKS + 1)).contains("bytes"));
    }

    #[test]
    fn jw_7_a_secret_shorter_than_its_hash_is_refused() {
        for (algorithm, least) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
            assert!(KeySet::hmac(algorithm, "k", &vec![7; least]).is_ok());
            let error = KeySet::hmac(algorithm, "k", &vec![7; least - 1]).err().unwrap();
            assert!(error.0.contains(&format!("{least} or more")), "{error}");
            let jwk = |bytes: usize| json!({"kty": "oct", "alg": name(algorithm), "k": URL_SAFE_NO_PAD.encode(vec![7; bytes])});
            let own = |bytes| KeySet::from_own_jwks(&jwks(&[jwk(bytes)]));
            assert!(own(least).unwrap().choose(None, algorithm).is_ok());
            assert!(own(least - 1).is_err());
        }
    }

    /// Signatures of one text by one key, which differ in their salt alone. Made with OpenSSL, for aws-lc makes no others.
    #[test]
    fn jw_9_the_salt_of_pss_is_as_long_as_its_hash() {
        const N: &str = "ourbBXJE5KbJjuMSTUKto48pdCM7IEqPl_D6pVjaCWT14sdB8YoplMMSI_bsxrqk8fDiX6NMQjF5JqHRJx2gf_pmYJfDHoZY\
            UNVY_Wa3XnCuRDbcMyN8Mxp5ZDvAU9m5vOCIQdrpOnWi91QuqD8uWPCSUiSvDsUEEflqAy1Yf3YbJnBT5XvC8ZVQplhgQPmF\
            ImsA68ngZWehKh2Cd6TkHl3kFqadjvEPWi0zeyeFkhPPiB-EJ1nQ_PuROn2_uDCgVOlqwvkkKt-\
            BK7RLLAI1SGusEATU0OS9l9-Re5IJxjdsBDy1OT8DJnzmKpxB_rFT5tQV1OecIVYyXRXSTbEwRw";
        const SIGNATURES: [(usize, &str); 5] = [
            (
                32,
                "ZB1nL8Ntx8_QrrhQYF_IX5wEHILPDQOBXadiO3zH1WENjJ9g4ZTfiZsevMqxzWBNzYnqBw0St6g1CwHQ0eahN0wm7KhlVOGV\
                    k7KHSD_eC-RosgGhACugqMOFeH06qVw2ZsEjusw280pYJEDePu7nN2QyIFCLsl_BG-\
                    w1YWa6GRUBVkKtIrWGjLzU52qGvXGy0PxAU12g_TlWzCDTsO1eyRS7eR-IzXtPZcSgoI8K5wecnZ-_nO-pxW80mUyYwF5XY9\
                    MHTWMUDh68mk2lAHtnAN2DNzte9lGl8n5MjFJ2faaF8fHD7Ubd9J1m0BWMHMFaxAXU88AYGEGoCh023VnBGw",
            ),
            (
                0,
                "gUIiZ6HRC9wy0H7ME_uBsvP_90EBD7G5C-yWUm8JAoxgjXFA8nCkUxGeqFBa8mDW2W5TgFb9Fb-\
                    83VJuLmemnCABP7eWLFOzbk8be1tSblArKnnJDvgYI_gL48nNUKAEfbZd3JlTtOpk2xqoEOEPG6viuyyzDCtzMcyG7YHVATb\
                    yWeAkS2TLxYAEsoobM3i6PKkyz1mN7_DnUGQH8v3jLQEO_GtuQw04VX4-\
                    axcW2e6STPqKRZig6DGeAGt3XXFiL84uXIVyniE4V2Mwf1pp_Er6sSqBW5tp4A51phfBfwXvb4Yqq8vVpk0ylb7B-\
                    rIUATeXVux8lhYxQTrnFdLguA",
            ),
            (
                20,
                "ehYzZuiymSAo3ZJv8qfG_NNapwa0FrnHMAk8y9Y28fGd_qKvFW_r7fAcz8qOxaPrAFf4-a8VEFOzxCu-\
                    yoBlmvVv8MZXVdBdwqQ7rIQm-zyV08Lur3VRmtZtyC4YOk5Uu75pGKAgYr0-\
                    Tg3lPVIlJ6VvACEkUKoaMWofmGBj7w9wWpY0LmnujzbES9nv5nYy2vwRZ0mhrT2O9R7fjvysrFdiJHm-\
                    nDCUitmD2A_iGk9_8xCqEDd529x-CTrMOVxSSkHXTrnAy-4w6GpHIsFQPzg2lKIhlwu9GVb9jkDM9HS2z6sMFfdjCR-\
                    MG0e2AqAfqU3pRZLeyiSZhoArSlNLMg",
            ),
            (
                31,
                "GmrXFgvr0NCWnmuD7j49VPwsz8iqv_Vk_1rYB7d3VHPVfhUUTrV0p71v3qMP9uNtPsbERIiBjZUDvsQ-F_-TKxHGkRMBuVy1\
                    vOMQCSXbO8PW2lSNveIJWrvzhx0QFlfuZ0I3JnnaXI8xgfJm3UZpOswr8noZV_5a5PQ68on6HHHNnGjB47d6bOoDrtgKYM_v\
                    WBibIqkAHqfRjMjC7fsTegLHi0wUqQ9oIWrHnZSLy3I7sUanheD138oFnnYGmXS8-\
                    suNn7Tqwci3dFhGOhgwSHQSatYZ8ZeogFs4f7Dt8EFOp-Ptxwz8KMwjsiN2CU_O1XYjuLDDpm0BwHAC8P2qpQ",
            ),
            (
                222,
                "N0DhQ5S8IlL1Svil6Y_25hldMxFCdKxf-kf_znVXa4KTvcPLqQDB_VDMHHzRw10VLIrfOXRVtqwUnQY59SM7w8H6BXnj7Eg2\
                    i8jHPN8CJRUjQCYESn2pkTjjDqAN5IqGnmQJRKzS07fKCxv36j_CVLO0QAeXt-j-Ux7PumC8XgIEDVyBolTQ5eupdLicSENe\
                    XZf9ii3lIw5fHByYyc_sbvWDX9aCnQVH6LoRryTVp0JtXKhGY3b0TIuIEJYpLP2HG1RIfdqC8YrVBaeg30oyejiiC0lTLaCH\
                    8ENrrLBdJ3ALJ0C_TFkvb2-heTqGsxbplFfHkmEv5vjG-6Ufe7f2MQ",
            ),
        ];
        let jwk = json!({"kty": "RSA", "alg": "PS256", "n": N, "e": "AQAB"});
        let set = KeySet::from_jwks(&jwks(&[jwk])).unwrap();
        let key = set.choose(None, Algorithm::PS256).unwrap();
        for (salt, signature) in SIGNATURES {
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let verdict = key.verify(b"The salt is as long as the hash.", &signature);
            assert_eq!(verdict.is_ok(), salt == 32, "a salt of {salt} bytes");
        }
    }

    #[test]
    fn jw_14_shared_secrets_come_from_a_file_of_ones_own_only() {
        let oct = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32])});
        assert!(refusal(&jwks(std::slice::from_ref(&oct))).contains("private"));
        let own = KeySet::from_own_jwks(&jwks(std::slice::from_ref(&oct))).unwrap();
        assert!(own.choose(None, Algorithm::HS256).is_ok() && own.choose(None, Algorithm::HS512).is_err());
        // The private half of a key pair has no place there either.
        assert!(KeySet::from_own_jwks(&jwks(&[with(public(Algorithm::ES256), "d", json!("AA"))])).is_err());
        assert!(KeySet::from_own_jwks(&jwks(&[with(oct, "d", json!("AA"))])).is_err());
    }
}
