//! Peppers: secrets beside the store, without which its hashes cannot be guessed at (OWASP Password Storage Cheat Sheet). They
//! have numbers, so that one can follow another: each stored hash says which of them its password went through.
//!
//! A password goes through HMAC-SHA-256 before it is hashed, and what is hashed has 43 characters: bcrypt cuts nothing then.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::store::file::{self, Readers};

/// Bytes of a pepper.
const LENGTH: usize = 32;

/// The version that stands for none.
const NONE: u32 = 0;

/// Peppers by version, the one for new hashes first. Without any, passwords are hashed as they are.
#[derive(Default)]
pub struct Peppers(Vec<(u32, Hmac<Sha256>)>);

impl Peppers {
    /// Reads the peppers of these versions from the files `pepper-VERSION` in a folder, which are made when they are not there;
    /// version 0 is no pepper.
    ///
    /// # Errors
    /// Also when others than the owner may read a file.
    pub(crate) fn load(versions: &[u32], dir: &Path) -> std::io::Result<Self> {
        let load = |version: &u32| {
            let path = dir.join(format!("pepper-{version}"));
            let pepper = match file::read_private(&path)? {
                Some(pepper) if pepper.len() == LENGTH => Zeroizing::new(pepper),
                Some(_) => {
                    let path = path.display();
                    return Err(std::io::Error::other(format!("{path} is not {LENGTH} bytes long; restore it")));
                }
                None => {
                    let mut pepper = Zeroizing::new(vec![0; LENGTH]);
                    SysRng.try_fill_bytes(&mut pepper).map_err(std::io::Error::other)?;
                    file::replace(&path, &pepper, Readers::Owner)?;
                    pepper
                }
            };
            Ok((*version, keyed(&pepper)))
        };
        let versions = versions.iter().filter(|version| **version != NONE);
        versions.map(load).collect::<std::io::Result<_>>().map(Self)
    }

    /// What a new password becomes, and how its hash is marked.
    pub(super) fn add(&self, password: &str) -> (String, Zeroizing<String>) {
        match self.0.first() {
            None => (String::new(), Zeroizing::new(password.to_owned())),
            Some((version, pepper)) => (format!("v{version}"), through(pepper, password)),
        }
    }

    /// The hash in a stored text, and what the password becomes that is compared with it.
    pub(super) fn resolve<'s>(&self, stored: &'s str, password: &str) -> (&'s str, Zeroizing<String>) {
        let (version, hash) = split(stored);
        let known = self.0.iter().find(|(known, _)| *known == version);
        let password = match known {
            _ if version == NONE => Zeroizing::new(password.to_owned()),
            Some((_, pepper)) => through(pepper, password),
            // Retired: no password fits any more, and that takes as long as ever.
            None => through(&keyed(b"retired"), password),
        };
        (hash, password)
    }

    /// Whether a stored hash was made as new ones are.
    pub(crate) fn is_current(&self, stored: &str) -> bool {
        split(stored).0 == self.0.first().map_or(NONE, |(version, _)| *version)
    }
}

/// The version and the hash in a stored text, `v2$argon2id$…`.
pub(super) fn split(stored: &str) -> (u32, &str) {
    let marked = stored.strip_prefix('v').and_then(|rest| {
        let end = rest.find('$')?;
        Some((rest[..end].parse().ok()?, &rest[end..]))
    });
    marked.unwrap_or((NONE, stored))
}

fn keyed(pepper: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(pepper).expect("HMAC takes keys of any length (RFC 2104 §2)")
}

fn through(pepper: &Hmac<Sha256>, password: &str) -> Zeroizing<String> {
    let mac = pepper.clone().chain_update(password).finalize().into_bytes();
    Zeroizing::new(STANDARD_NO_PAD.encode(mac))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use super::super::{Hasher, is_weaker};
    use super::*;
    use crate::config::PasswordHash;

    const CHEAP: [PasswordHash; 2] =
        [PasswordHash::Argon2id { memory_kib: 64, iterations: 1, parallelism: 1 }, PasswordHash::Bcrypt { cost: 4 }];

    fn hasher(versions: &[u32], dir: &Path) -> Hasher {
        Hasher::new(Arc::default()).with_peppers(Arc::new(Peppers::load(versions, dir).expect("files")))
    }

    #[test]
    fn ba_21_both_peppers_verify_and_the_old_one_can_be_retired() {
        let dir = tempfile::tempdir().expect("a folder");
        for method in CHEAP {
            let old = hasher(&[1], dir.path()).hash("correct horse", method).expect("a hash");
            assert!(old.starts_with("v1$"), "{old}");
            let mut both = hasher(&[2, 1], dir.path());
            let new = both.hash("correct horse", method).expect("a hash");
            assert!(new.starts_with("v2$"), "{new}");
            for stored in [&old, &new] {
                assert!(both.verify("correct horse", stored).expect("readable"));
                assert!(!both.verify("correct horsf", stored).expect("readable"));
            }
            let mut retired = hasher(&[2], dir.path());
            let before = retired.meter.hash_calls.get();
            assert!(!retired.verify("correct horse", &old).expect("a verdict"), "without an error that would tell");
            assert_eq!(retired.meter.hash_calls.get(), before + 1, "and at the cost of a hash");
            assert!(retired.verify("correct horse", &new).expect("readable"));
        }
    }

    #[test]
    fn ba_21_hashes_without_a_pepper_live_beside_the_others() {
        let dir = tempfile::tempdir().expect("a folder");
        let plain = hasher(&[], dir.path()).hash("correct horse", CHEAP[0]).expect("a hash");
        for versions in [&[1][..], &[1, 0], &[]] {
            assert!(hasher(versions, dir.path()).verify("correct horse", &plain).expect("readable"), "{versions:?}");
        }
        let peppered = hasher(&[1], dir.path()).hash("correct horse", CHEAP[0]).expect("a hash");
        assert!(!hasher(&[], dir.path()).verify("correct horse", &peppered).expect("a verdict"));
        let elsewhere = tempfile::tempdir().expect("a folder");
        let mut thief = hasher(&[1], elsewhere.path());
        assert!(!thief.verify("correct horse", &peppered).expect("a verdict"), "the store alone is of no use");
    }

    #[test]
    fn ba_12_ba_21_what_is_under_an_old_pepper_is_outdated() {
        let dir = tempfile::tempdir().expect("a folder");
        let peppers = |versions: &[u32]| Peppers::load(versions, dir.path()).expect("files");
        let stored = hasher(&[1], dir.path()).hash("correct horse", CHEAP[0]).expect("a hash");
        assert!(peppers(&[1]).is_current(&stored) && !peppers(&[2, 1]).is_current(&stored));
        assert!(!peppers(&[]).is_current(&stored) && peppers(&[]).is_current("$argon2id$v=19$m=64"));
        assert!(!is_weaker(&stored, CHEAP[0]), "the costs are read behind the mark");
        assert!(is_weaker(&stored, PasswordHash::Argon2id { memory_kib: 128, iterations: 1, parallelism: 1 }));
    }

    #[test]
    fn ba_21_a_pepper_is_its_owners_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        Peppers::load(&[7], dir.path()).expect("made");
        let path = dir.path().join("pepper-7");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let first = std::fs::read(&path).expect("readable");
        Peppers::load(&[7], dir.path()).expect("read");
        assert_eq!(std::fs::read(&path).expect("readable"), first, "it stays");
        std::fs::write(&path, "short").expect("written");
        assert!(Peppers::load(&[7], dir.path()).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }
}
