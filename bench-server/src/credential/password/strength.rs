//! Whether a stored hash cost as much as is wanted today (OWASP Password Storage Cheat Sheet).

use super::{from_phc, pepper};
use crate::config::PasswordHash;

/// Whether a stored hash cost less than it should: by one of the costs that are wanted, or where it is of another algorithm,
/// than OWASP asks of that one. A user may have another algorithm than most, and keeps it as long as it is strong.
///
/// False for what no version of this program wrote, which has other consequences.
pub fn is_weaker(stored: &str, wanted: PasswordHash) -> bool {
    let Some(found) = costs(stored) else { return false };
    let least =
        if std::mem::discriminant(&found) == std::mem::discriminant(&wanted) { wanted } else { recommended(found) };
    match (found, least) {
        // Lanes are not a cost: they divide the work among processors.
        (
            PasswordHash::Argon2id { memory_kib, iterations, .. },
            PasswordHash::Argon2id { memory_kib: memory, iterations: passes, .. },
        ) => memory_kib < memory || iterations < passes,
        (PasswordHash::Bcrypt { cost }, PasswordHash::Bcrypt { cost: least }) => cost < least,
        (PasswordHash::Scrypt { log_n, r, p }, PasswordHash::Scrypt { log_n: least, r: block, p: times }) => {
            log_n < least || r < block || p < times
        }
        (PasswordHash::Pbkdf2Sha256 { iterations }, PasswordHash::Pbkdf2Sha256 { iterations: least }) => {
            iterations < least
        }
        _ => false,
    }
}

fn recommended(method: PasswordHash) -> PasswordHash {
    match method {
        PasswordHash::Argon2id { .. } => PasswordHash::ARGON2ID,
        PasswordHash::Bcrypt { .. } => PasswordHash::BCRYPT,
        PasswordHash::Scrypt { .. } => PasswordHash::SCRYPT,
        PasswordHash::Pbkdf2Sha256 { .. } => PasswordHash::PBKDF2_SHA256,
    }
}

fn costs(stored: &str) -> Option<PasswordHash> {
    let (_, stored) = pepper::split(stored);
    match stored.strip_prefix("$2") {
        // `$2b$10$…`
        Some(bcrypt) => Some(PasswordHash::Bcrypt { cost: bcrypt.split('$').nth(1)?.parse().ok()? }),
        None => from_phc(stored).ok().map(|(method, ..)| method),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Hasher;
    use super::*;

    #[test]
    fn ba_12_every_cost_of_every_algorithm_counts() {
        let stored = |method| Hasher::new(Arc::default()).hash("x", method).expect("sound costs");
        let argon2id =
            |memory_kib, iterations, parallelism| PasswordHash::Argon2id { memory_kib, iterations, parallelism };
        let scrypt = |log_n, r, p| PasswordHash::Scrypt { log_n, r, p };
        let (bcrypt, pbkdf2) =
            (|cost| PasswordHash::Bcrypt { cost }, |iterations| PasswordHash::Pbkdf2Sha256 { iterations });
        for (found, wanted, weaker) in [
            (argon2id(64, 2, 1), argon2id(64, 2, 1), false),
            (argon2id(64, 2, 1), argon2id(128, 2, 1), true),
            (argon2id(64, 1, 1), argon2id(64, 2, 1), true),
            (argon2id(128, 3, 1), argon2id(64, 2, 1), false),
            (argon2id(64, 2, 1), argon2id(64, 2, 2), false),
            (bcrypt(4), bcrypt(4), false),
            (bcrypt(4), bcrypt(5), true),
            (bcrypt(5), bcrypt(4), false),
            (scrypt(4, 8, 1), scrypt(4, 8, 1), false),
            (scrypt(4, 8, 1), scrypt(5, 8, 1), true),
            (scrypt(4, 4, 1), scrypt(4, 8, 1), true),
            (scrypt(4, 8, 1), scrypt(4, 8, 2), true),
            (pbkdf2(10), pbkdf2(10), false),
            (pbkdf2(10), pbkdf2(11), true),
            // Another algorithm is held to what OWASP asks of it.
            (pbkdf2(10), bcrypt(10), true),
            (bcrypt(4), pbkdf2(10), true),
            (bcrypt(10), pbkdf2(10), false),
        ] {
            assert_eq!(is_weaker(&stored(found), wanted), weaker, "{found:?} {wanted:?}");
        }
        for foreign in ["", "secret", "$2b$x$", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAA"] {
            assert!(!is_weaker(foreign, PasswordHash::ARGON2ID), "{foreign}");
        }
    }
}
