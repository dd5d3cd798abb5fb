//! Files that a crash must not leave half written, and secrets that only their owner may read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::StoreError;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// The owner alone: mode 0600.
    Owner,
    /// Everybody: mode 0644.
    All,
}

/// The folder of a profile under the state folder, made when it is not there.
///
/// # Errors
/// Also when the profile's name is not a plain file name: it must not lead out of the state folder.
pub(crate) fn profile_dir(state_dir: &Path, profile: &str) -> Result<PathBuf, StoreError> {
    let mut components = Path::new(profile).components();
    if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
        return Err(StoreError::new("make the profile's folder", format!("its name, {profile:?}, is not a file name")));
    }
    let dir = state_dir.join(profile);
    create_private_dir(&dir).map_err(|error| StoreError::new(format!("make {}", dir.display()), error))?;
    Ok(dir)
}

/// Makes a folder of mode 0700 together with its parents; one that exists is left as it is.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Replaces a file in one step: readers see the old content or the new one, also after a crash.
pub(crate) fn replace(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::other(format!("{} has no folder", path.display())))?;
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    };
    // The name must be new: `create_new` refuses to follow what somebody else put there.
    let temporary = path.with_extension(format!("{:016x}.tmp", rand::random::<u64>()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The rename itself is durable only once the folder is.
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Reads a secret. `Ok(None)` when there is no such file; an error when others than the owner may read it.
pub(crate) fn read_private(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if mode & 0o077 != 0 {
        let text = format!("{} has mode {:03o}; a secret needs `chmod 600`", path.display(), mode & 0o777);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    fs::read(path).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_keeps_secrets_to_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/secret.pem");
        create_private_dir(path.parent().unwrap()).unwrap();
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(read_private(&path).unwrap(), None);
        replace(&path, b"one", Readers::Owner).unwrap();
        replace(&path, b"two", Readers::Owner).unwrap();
        assert_eq!(read_private(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file stays behind");
    }

    #[test]
    fn a_profile_stays_inside_the_state_folder() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(profile_dir(state.path(), "jwt-es256").unwrap(), state.path().join("jwt-es256"));
        for name in ["", ".", "..", "../x", "/etc", "a/b"] {
            assert!(profile_dir(state.path(), name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret.pem");
        replace(&path, b"one", Readers::All).unwrap();
        assert_eq!(read_private(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
