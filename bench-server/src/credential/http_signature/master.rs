//! Where the keys of callers come from: HKDF (RFC 5869) derives each from one master and the key's identifier.
//!
//! A validator needs the key itself, so it cannot be hashed. The other way, to encrypt each under a key of the server's,
//! keeps as much at stake: whoever has the server's secret has them all. Derived, a key is in no store, no cache and on no
//! connection to either; and it can be derived for an identifier that was never issued, so that the MAC is verified before
//! anything is looked up: who has no key costs no lookup, and learns from no answer, nor from its time, whose keys exist.
//! The price is that the master cannot be replaced without issuing all keys anew.

use std::fmt;
use std::path::Path;

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use zeroize::Zeroizing;

use super::SHORTEST_KEY;
use crate::store::StoreError;
use crate::store::file::{self, Readers};

/// Length of the master and of every key, in bytes.
const LENGTH: usize = SHORTEST_KEY;

/// Keeps these keys apart from whatever else might be derived from the same file (RFC 5869 §3.1).
const SALT: &[u8] = b"authbench: keys of signed requests";

/// What keys are derived from.
pub(crate) struct Master(Prk);

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[master]")
    }
}

impl Master {
    /// The master in a file of mode 0600, or a fresh one that is then written there: replicas that share the folder derive
    /// the same keys.
    ///
    /// # Errors
    /// When the file cannot be read or written, others than the owner may read it, or it holds something else.
    pub(crate) fn load_or_generate(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| StoreError::new(format!("master key {}", path.display()), error);
        let master = match file::read_private(path).map_err(failed)? {
            Some(content) => Zeroizing::new(content),
            None => {
                let mut fresh = Zeroizing::new(vec![0; LENGTH]);
                aws_lc_rs::rand::fill(&mut fresh).map_err(|_| failed(std::io::Error::other("no random bytes")))?;
                file::replace(path, &fresh, Readers::Owner).map_err(failed)?;
                fresh
            }
        };
        if master.len() != LENGTH {
            let length = master.len();
            return Err(failed(std::io::Error::other(format!(
                "it has {length} bytes instead of {LENGTH}; move it away to have one made, which ends all keys in use"
            ))));
        }
        Ok(Self(Salt::new(HKDF_SHA256, SALT).extract(&master)))
    }

    /// The key of that identifier, whether it was issued or not.
    pub(crate) fn key(&self, id: &str) -> Zeroizing<[u8; LENGTH]> {
        let mut key = Zeroizing::new([0; LENGTH]);
        let info = [id.as_bytes()];
        let derived = self.0.expand(&info, HKDF_SHA256).and_then(|derived| derived.fill(&mut *key));
        derived.expect("one block of output is always possible");
        key
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn sr_9_keys_are_32_bytes_derived_from_a_master_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("master");
        let master = Master::load_or_generate(&path).expect("made");
        assert_eq!(fs::metadata(&path).expect("written").permissions().mode() & 0o777, 0o600);
        let (one, two) = (master.key("sig-1"), master.key("sig-2"));
        assert_ne!(one, two);
        assert_eq!(one.len(), 32);
        let again = Master::load_or_generate(&path).expect("read");
        assert_eq!(again.key("sig-1"), one, "replicas and restarts derive the same");
        let elsewhere = Master::load_or_generate(&folder.path().join("other")).expect("made");
        assert_ne!(elsewhere.key("sig-1"), one);
        let content = fs::read(&path).expect("readable");
        assert_ne!(*one, content[..], "the master itself is nobody's key");
        assert!(!format!("{master:?}").contains(&format!("{:?}", content[0])));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
        assert!(Master::load_or_generate(&path).expect_err("others may read it").to_string().contains("chmod 600"));
        file::replace(&path, b"short", Readers::Owner).expect("written");
        assert!(Master::load_or_generate(&path).expect_err("too short").to_string().contains("5 bytes"));
    }

    /// RFC 5869 §2, step by step, with another implementation of HMAC.
    #[test]
    fn sr_9_keys_are_those_of_hkdf() {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let hash = |key: &[u8], parts: &[&[u8]]| {
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("keys have any length");
            parts.iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes().to_vec()
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("master");
        let key = Master::load_or_generate(&path).expect("made").key("sig-1");
        let pseudo_random = hash(SALT, &[&fs::read(&path).expect("readable")]);
        assert_eq!(key.to_vec(), hash(&pseudo_random, &[b"sig-1", &[1]]));
    }
}
