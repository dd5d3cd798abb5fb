//! Peppers: keys of HMAC-SHA-256 that digests are made with, kept apart from the store. Whoever has the store alone cannot even
//! tell whether a key that they have found somewhere is in it.
//!
//! Each version is a file of 32 bytes in the shared folder, of mode 0600. The current version is made where it is missing; one
//! that is on its way out must be there, or the keys under it would silently die.

use std::io;
use std::path::Path;

use aws_lc_rs::hmac;
use rand::TryRng as _;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::credential::digest::Digest;
use crate::credential::key::Key;
use crate::store::StoreError;
use crate::store::file::{self, Readers};

/// Bytes of a pepper: as many as SHA-256 gives (RFC 2104 §3).
const LENGTH: usize = 32;

/// The versions that are live, the current one first.
pub(super) struct Peppers(Vec<Pepper>);

/// One way to digest a key.
#[allow(clippy::large_enum_variant)] // two for each profile, made once
pub(super) enum Pepper {
    /// SHA-256.
    None,
    /// HMAC-SHA-256 under a version of the pepper.
    Hmac {
        /// Which.
        version: u32,
        /// The pepper.
        key: hmac::Key,
    },
}

impl Pepper {
    /// As records name it.
    pub(super) fn version(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::Hmac { version, .. } => *version,
        }
    }

    /// What the store holds of the key.
    pub(super) fn digest(&self, key: Key<'_>) -> Digest {
        match self {
            Self::None => key.digest(),
            Self::Hmac { key: pepper, .. } => {
                let tag = hmac::sign(pepper, key.as_bytes());
                Digest(tag.as_ref().try_into().expect("SHA-256 has 32 bytes"))
            }
        }
    }
}

impl Peppers {
    /// Reads these versions of a profile's pepper. None at all means that there is no pepper.
    pub(super) fn open(shared_dir: &Path, profile: &str, versions: &[u32]) -> Result<Self, StoreError> {
        if versions.is_empty() {
            return Ok(Self(vec![Pepper::None]));
        }
        let open = |(place, version): (usize, &u32)| match *version {
            0 => Ok(Pepper::None),
            version => {
                let path = shared_dir.join(format!("{profile}.pepper-{version}"));
                let read = read(&path, place == 0);
                let bytes = read.map_err(|error| StoreError::new(format!("read {}", path.display()), error))?;
                Ok(Pepper::Hmac { version, key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) })
            }
        };
        versions.iter().enumerate().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// The one that new keys are digested with.
    pub(super) fn current(&self) -> &Pepper {
        &self.0[0]
    }

    /// In which order a key is looked for. The current version comes last once more where there are others: a key that was
    /// under none of them was on its way from one to the other meanwhile.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Pepper> {
        self.0.iter().chain(self.0.first().filter(|_| self.0.len() > 1))
    }
}

fn read(path: &Path, may_make: bool) -> io::Result<Zeroizing<Vec<u8>>> {
    if let Some(bytes) = file::read_private(path)?.map(Zeroizing::new) {
        if bytes.len() < LENGTH {
            return Err(io::Error::other(format!("it has {} bytes; a pepper has {LENGTH}", bytes.len())));
        }
        return Ok(bytes);
    }
    if !may_make {
        return Err(io::Error::other("it is not there, and keys may be under it; restore it, or take it off the list"));
    }
    let mut bytes = Zeroizing::new(vec![0; LENGTH]);
    SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    file::replace(path, &bytes, Readers::Owner)?;
    Ok(bytes)
}
