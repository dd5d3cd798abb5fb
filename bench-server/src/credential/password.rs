//! Password hashes: Argon2id (RFC 9106), scrypt (RFC 7914), PBKDF2-HMAC-SHA-256 (RFC 8018) and bcrypt.
//!
//! Stored as PHC strings, bcrypt in its own `$2b$` form. A stored string is checked by the algorithm and the cost that it
//! names itself, so that users hashed under different settings live side by side.
//!
//! A password is put into Unicode normalisation form C (NFC) before it is hashed: the same characters may arrive composed
//! or decomposed, depending on the caller's keyboard (RFC 8265 §4.2).

use std::borrow::Cow;
use std::sync::Arc;

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::{Argon2, Block};
use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::config::PasswordHash;
use crate::telemetry::Meter;

mod pepper;
mod pool;
mod strength;

pub use pepper::Peppers;
pub use pool::{HashPool, PoolError};
pub use strength::is_weaker;

/// Bytes of salt, random for each password (OWASP, NIST SP 800-63B).
const SALT: usize = 16;

/// Bytes of output of the three PHC algorithms.
const OUTPUT: usize = 32;

/// Most that one hash may take of memory, in bytes: a mistyped cost should not bring the machine down.
const MEMORY_LIMIT: u64 = 1 << 30;

/// Why a password could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// bcrypt looks at 72 bytes, one of which ends the password. A longer one is refused, never cut.
    #[error("the password is longer than the 71 bytes that bcrypt can tell apart")]
    TooLong,
    /// The algorithm does not take such costs.
    #[error("{0}")]
    Cost(String),
    /// A stored string that this module did not write.
    #[error("the stored password hash cannot be read: {0}")]
    Stored(&'static str),
    /// The operating system gave no random bytes for the salt.
    #[error("no random bytes for a salt: {0}")]
    Random(#[from] SysError),
}

/// Computes hashes, one after the other. It keeps the memory that Argon2 fills, because to allocate and fault in 19 MiB
/// takes a quarter of the time that the hash itself does.
pub struct Hasher {
    argon2_memory: Vec<Block>,
    peppers: Arc<Peppers>,
    meter: Arc<Meter>,
}

impl Hasher {
    /// A hasher that counts its work as `hash_calls`.
    pub fn new(meter: Arc<Meter>) -> Self {
        Self { argon2_memory: Vec::new(), peppers: Arc::default(), meter }
    }

    /// The same with peppers.
    #[must_use]
    pub fn with_peppers(self, peppers: Arc<Peppers>) -> Self {
        Self { peppers, ..self }
    }

    /// Hashes a new password under a fresh salt; returns what is to be stored.
    ///
    /// # Errors
    /// See [`HashError`].
    pub fn hash(&mut self, password: &str, method: PasswordHash) -> Result<String, HashError> {
        let (mark, password) = self.peppers.add(&normalised(password));
        let mut salt = [0; SALT];
        SysRng.try_fill_bytes(&mut salt)?;
        if let PasswordHash::Bcrypt { cost } = method {
            self.count_unless_too_long(&password)?;
            let parts = bcrypt::non_truncating_hash_with_salt(&*password, cost, salt).map_err(bcrypt_error)?;
            return Ok(format!("{mark}{parts}"));
        }
        let output = self.derive(&password, &salt, method)?;
        Ok(format!("{mark}{}", to_phc(method, &salt, &output)?))
    }

    /// Whether `stored` is the hash of `password`. The comparison takes the same time wherever they differ.
    ///
    /// # Errors
    /// See [`HashError`].
    pub fn verify(&mut self, password: &str, stored: &str) -> Result<bool, HashError> {
        let (stored, password) = self.peppers.resolve(stored, &normalised(password));
        if stored.starts_with("$2") {
            self.count_unless_too_long(&password)?;
            return bcrypt::non_truncating_verify(&*password, stored).map_err(bcrypt_error);
        }
        let (method, salt, expected) = from_phc(stored)?;
        let output = self.derive(&password, &salt, method)?;
        Ok(aws_lc_rs::constant_time::verify_slices_are_equal(&output, expected.as_bytes()).is_ok())
    }

    fn count_unless_too_long(&self, password: &str) -> Result<(), HashError> {
        // The crate refuses at 72 as well; here it is refused before anything is counted.
        if password.len() >= 72 {
            return Err(HashError::TooLong);
        }
        self.meter.hash_calls.add();
        Ok(())
    }

    /// The raw output of the algorithms other than bcrypt.
    fn derive(&mut self, password: &str, salt: &[u8], method: PasswordHash) -> Result<[u8; OUTPUT], HashError> {
        let password = password.as_bytes();
        let mut output = [0; OUTPUT];
        match method {
            PasswordHash::Argon2id { memory_kib, iterations, parallelism } => {
                let params = argon2_params(memory_kib, iterations, parallelism)?;
                let blocks = params.block_count();
                if self.argon2_memory.len() < blocks {
                    self.argon2_memory.resize(blocks, Block::new());
                }
                self.meter.hash_calls.add();
                Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
                    .hash_password_into_with_memory(password, salt, &mut output, &mut self.argon2_memory[..blocks])
                    .map_err(|error| HashError::Cost(error.to_string()))?;
            }
            PasswordHash::Scrypt { log_n, r, p } => {
                let params = scrypt_params(log_n, r, p)?;
                self.meter.hash_calls.add();
                scrypt::scrypt(password, salt, &params, &mut output)
                    .map_err(|error| HashError::Cost(error.to_string()))?;
            }
            PasswordHash::Pbkdf2Sha256 { iterations } => {
                pbkdf2_iterations(iterations)?;
                self.meter.hash_calls.add();
                pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password, salt, iterations, &mut output);
            }
            PasswordHash::Bcrypt { .. } => return Err(HashError::Stored("bcrypt is not written as a PHC string")),
        }
        Ok(output)
    }
}

/// Whether an algorithm takes such costs, and this program considers them sound.
///
/// # Errors
/// [`HashError::Cost`], with the value and the remedy.
pub fn check_costs(method: PasswordHash) -> Result<(), HashError> {
    match method {
        PasswordHash::Argon2id { memory_kib, iterations, parallelism } => {
            argon2_params(memory_kib, iterations, parallelism).map(drop)
        }
        PasswordHash::Scrypt { log_n, r, p } => scrypt_params(log_n, r, p).map(drop),
        PasswordHash::Pbkdf2Sha256 { iterations } => pbkdf2_iterations(iterations),
        // OWASP's minimum, and the most that ends within minutes.
        PasswordHash::Bcrypt { cost: 10..=18 } => Ok(()),
        PasswordHash::Bcrypt { cost } => Err(HashError::Cost(format!("bcrypt: cost is {cost}; use 10 to 18"))),
    }
}

fn argon2_params(memory_kib: u32, iterations: u32, parallelism: u32) -> Result<argon2::Params, HashError> {
    within_memory("argon2id: memory_kib", u64::from(memory_kib) * 1024)?;
    argon2::Params::new(memory_kib, iterations, parallelism, Some(OUTPUT)).map_err(|error| {
        HashError::Cost(format!(
            "argon2id: {error} (memory_kib {memory_kib}, iterations {iterations}, parallelism {parallelism}); \
             OWASP's minimum is 19456, 2, 1"
        ))
    })
}

fn scrypt_params(log_n: u8, r: u32, p: u32) -> Result<scrypt::Params, HashError> {
    let wrong = || HashError::Cost(format!("scrypt: log_n {log_n}, r {r}, p {p} do not fit; OWASP's are 17, 8, 1"));
    // RFC 7914 §2 also bounds p; the crate multiplies r and p without looking, so small ones only.
    if log_n == 0 || log_n > 30 || r > 1024 || p > 1024 {
        return Err(wrong());
    }
    within_memory("scrypt: 128 · r · 2^log_n", (128 * u64::from(r)) << log_n)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| wrong())
}

fn pbkdf2_iterations(iterations: u32) -> Result<(), HashError> {
    if iterations == 0 {
        return Err(HashError::Cost("pbkdf2-sha256: iterations is 0; OWASP's minimum is 600000".to_owned()));
    }
    Ok(())
}

fn within_memory(what: &str, bytes: u64) -> Result<(), HashError> {
    if bytes > MEMORY_LIMIT {
        return Err(HashError::Cost(format!("{what} asks for {bytes} bytes a hash; {MEMORY_LIMIT} are the limit")));
    }
    Ok(())
}

fn bcrypt_error(error: bcrypt::BcryptError) -> HashError {
    match error {
        bcrypt::BcryptError::Truncation(_) => HashError::TooLong,
        bcrypt::BcryptError::CostNotAllowed(cost) => HashError::Cost(format!("bcrypt: cost is {cost}; use 10 to 18")),
        _ => HashError::Stored("not a bcrypt string"),
    }
}

fn normalised(password: &str) -> Cow<'_, str> {
    if is_nfc(password) { Cow::Borrowed(password) } else { Cow::Owned(password.nfc().collect()) }
}

const ARGON2ID: &str = "argon2id";
const SCRYPT: &str = "scrypt";
const PBKDF2_SHA256: &str = "pbkdf2-sha256";

/// Writes `$algorithm[$v=19]$costs$salt$output`.
fn to_phc(method: PasswordHash, salt: &[u8], output: &[u8]) -> Result<String, HashError> {
    let (algorithm, version, costs) = match method {
        PasswordHash::Argon2id { memory_kib, iterations, parallelism } => {
            (ARGON2ID, Some(19), vec![("m", memory_kib), ("t", iterations), ("p", parallelism)])
        }
        PasswordHash::Scrypt { log_n, r, p } => (SCRYPT, None, vec![("ln", log_n.into()), ("r", r), ("p", p)]),
        PasswordHash::Pbkdf2Sha256 { iterations } => (PBKDF2_SHA256, None, vec![("i", iterations)]),
        PasswordHash::Bcrypt { .. } => return Err(HashError::Stored("bcrypt is not written as a PHC string")),
    };
    let write = || {
        let mut params = ParamsString::new();
        for (name, value) in costs {
            params.add_decimal(name, value)?;
        }
        let string = phc::PasswordHash {
            algorithm: algorithm.parse()?,
            version,
            params,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(output)?),
        };
        phc::Result::Ok(string.to_string())
    };
    write().map_err(|_| HashError::Stored("it does not fit into a PHC string"))
}

fn from_phc(stored: &str) -> Result<(PasswordHash, Salt, Output), HashError> {
    let phc = phc::PasswordHash::new(stored).map_err(|_| HashError::Stored("not a PHC string"))?;
    let cost = |name: &str| phc.params.get_decimal(name).ok_or(HashError::Stored("a cost is missing"));
    let method = match (phc.algorithm.as_str(), phc.version) {
        (ARGON2ID, Some(19)) => {
            PasswordHash::Argon2id { memory_kib: cost("m")?, iterations: cost("t")?, parallelism: cost("p")? }
        }
        (SCRYPT, None) => {
            let log_n = u8::try_from(cost("ln")?).map_err(|_| HashError::Stored("ln is over 255"))?;
            PasswordHash::Scrypt { log_n, r: cost("r")?, p: cost("p")? }
        }
        (PBKDF2_SHA256, None) => PasswordHash::Pbkdf2Sha256 { iterations: cost("i")? },
        _ => return Err(HashError::Stored("unknown algorithm or version")),
    };
    match (phc.salt, phc.hash) {
        (Some(salt), Some(output)) if output.len() == OUTPUT => Ok((method, salt, output)),
        _ => Err(HashError::Stored("no salt, or an output that is not 32 bytes long")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cheap costs: what is tested is not how long it takes.
    const CHEAP: [PasswordHash; 4] = [
        PasswordHash::Argon2id { memory_kib: 64, iterations: 1, parallelism: 1 },
        PasswordHash::Bcrypt { cost: 4 },
        PasswordHash::Scrypt { log_n: 4, r: 8, p: 1 },
        PasswordHash::Pbkdf2Sha256 { iterations: 10 },
    ];

    fn hasher() -> Hasher {
        Hasher::new(Arc::default())
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn ba_15_argon2_fills_the_same_memory_for_every_hash() {
        let mut hasher = Hasher::new(Arc::default());
        let stored = hasher.hash("one", CHEAP[0]).expect("a hash");
        let (place, blocks) = (hasher.argon2_memory.as_ptr(), hasher.argon2_memory.len());
        assert!(hasher.verify("one", &stored).expect("a verdict"));
        assert!(!hasher.verify("two", &stored).expect("a verdict"));
        assert_eq!((hasher.argon2_memory.as_ptr(), hasher.argon2_memory.len()), (place, blocks));
    }

    #[test]
    fn ba_9_known_answers() {
        let mut hasher = hasher();
        // The reference implementation of Argon2, src/test.c, version 0x13 of argon2id.
        let argon2id = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(hasher.verify("password", argon2id).expect("readable"));
        assert!(!hasher.verify("passwort", argon2id).expect("readable"));
        // The vectors that jBCrypt was published with.
        let bcrypt = "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe";
        assert!(hasher.verify("a", bcrypt).expect("readable"));
        assert!(!hasher.verify("b", bcrypt).expect("readable"));
        // RFC 7914 §11 and §12; their outputs are longer, and ours is how they begin.
        let pbkdf2 = hasher.derive("passwd", b"salt", PasswordHash::Pbkdf2Sha256 { iterations: 1 });
        let expected = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
        assert_eq!(hex(&pbkdf2.expect("sound costs")), expected);
        let scrypt = hasher.derive("password", b"NaCl", PasswordHash::Scrypt { log_n: 10, r: 8, p: 16 });
        let expected = "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162";
        assert_eq!(hex(&scrypt.expect("sound costs")), expected);
    }

    #[test]
    fn ba_9_ba_10_bc_129_each_algorithm_accepts_its_password_and_no_other() {
        let mut hasher = hasher();
        for method in CHEAP {
            let stored = hasher.hash("correct horse", method).expect("sound costs");
            assert!(hasher.verify("correct horse", &stored).expect("readable"), "{stored}");
            for wrong in ["", "correct hors", "correct horse ", "Correct horse", stored.as_str()] {
                let verdict = hasher.verify(wrong, &stored);
                assert!(matches!(verdict, Ok(false)), "{wrong:?} against {stored}: {verdict:?}");
            }
            assert_ne!(hasher.hash("correct horse", method).expect("sound costs"), stored, "a salt came twice");
        }
        assert_eq!(hasher.meter.hash_calls.get(), 4 * (1 + 1 + 5 + 1));
    }

    #[test]
    fn ba_9_stored_strings_name_algorithm_and_costs() {
        let forms = ["$argon2id$v=19$m=64,t=1,p=1$", "$2b$04$", "$scrypt$ln=4,r=8,p=1$", "$pbkdf2-sha256$i=10$"];
        for (method, form) in CHEAP.into_iter().zip(forms) {
            let stored = hasher().hash("x", method).expect("sound costs");
            assert!(stored.starts_with(form), "{stored}");
        }
    }

    #[test]
    fn memory_of_an_earlier_hash_does_not_show() {
        let large = PasswordHash::Argon2id { memory_kib: 256, iterations: 2, parallelism: 2 };
        let mut used = hasher();
        used.hash("another password", large).expect("sound costs");
        for method in [CHEAP[0], large] {
            let afresh = hasher().derive("password", &[7; SALT], method).expect("sound costs");
            assert_eq!(used.derive("password", &[7; SALT], method).expect("sound costs"), afresh);
        }
    }

    #[test]
    fn ba_11_bc_127_bcrypt_refuses_what_it_cannot_tell_apart() {
        let (mut hasher, method) = (hasher(), CHEAP[1]);
        let (a, b) = (format!("{}a", "p".repeat(72)), format!("{}b", "p".repeat(72)));
        assert!(matches!(hasher.hash(&a, method), Err(HashError::TooLong)));
        let stored = hasher.hash(&"p".repeat(71), method).expect("71 bytes fit");
        assert!(hasher.verify(&"p".repeat(71), &stored).expect("readable"));
        let hashed = hasher.meter.hash_calls.get();
        for long in [&"p".repeat(72), &a, &b] {
            assert!(matches!(hasher.verify(long, &stored), Err(HashError::TooLong)));
        }
        assert_eq!(hasher.meter.hash_calls.get(), hashed, "refused without a hash");

        // The others tell them apart.
        for method in [CHEAP[0], CHEAP[2], CHEAP[3]] {
            let stored = hasher.hash(&a, method).expect("any length fits");
            assert!(hasher.verify(&a, &stored).expect("readable"));
            assert!(!hasher.verify(&b, &stored).expect("readable"));
        }
    }

    #[test]
    fn ba_3_composed_and_decomposed_characters_are_the_same_password() {
        let mut hasher = hasher();
        for method in CHEAP {
            let stored = hasher.hash("caf\u{e9}", method).expect("sound costs");
            assert!(hasher.verify("cafe\u{301}", &stored).expect("readable"));
            assert!(!hasher.verify("cafe", &stored).expect("readable"));
        }
    }

    #[test]
    fn ba_9_costs_are_checked() {
        for sound in [PasswordHash::ARGON2ID, PasswordHash::BCRYPT, PasswordHash::SCRYPT, PasswordHash::PBKDF2_SHA256] {
            assert!(check_costs(sound).is_ok(), "{sound:?}");
        }
        for unsound in [
            PasswordHash::Argon2id { memory_kib: 1, iterations: 2, parallelism: 1 },
            PasswordHash::Argon2id { memory_kib: u32::MAX, iterations: 2, parallelism: 1 },
            PasswordHash::Argon2id { memory_kib: 19_456, iterations: 0, parallelism: 1 },
            PasswordHash::Bcrypt { cost: 9 },
            PasswordHash::Bcrypt { cost: 32 },
            PasswordHash::Scrypt { log_n: 0, r: 8, p: 1 },
            PasswordHash::Scrypt { log_n: 30, r: 8, p: 1 },
            PasswordHash::Scrypt { log_n: 17, r: u32::MAX, p: u32::MAX },
            PasswordHash::Scrypt { log_n: 17, r: 0, p: 1 },
            PasswordHash::Pbkdf2Sha256 { iterations: 0 },
        ] {
            assert!(matches!(check_costs(unsound), Err(HashError::Cost(_))), "{unsound:?}");
        }
    }

    #[test]
    fn foreign_strings_are_errors_not_refusals() {
        for stored in
            ["", "secret", "$2b$10$short", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAA", "$scrypt$ln=4$c29tZXNhbHQ"]
        {
            assert!(matches!(hasher().verify("x", stored), Err(HashError::Stored(_))), "{stored:?}");
        }
    }
}
