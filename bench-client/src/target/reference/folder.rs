//! Folders of processes, and what is kept in them.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use bench_server::contract::Secret;
use tempfile::TempDir;

/// The shortest `sun_path` among the platforms is macOS's 104 bytes, its final zero and `/control.sock` included.
const STATE_DIR_MAX: usize = 104 - 1 - "/control.sock".len();

/// A temporary folder that only this user can enter and whose path leaves room for a Unix socket.
pub(super) fn state_folder() -> Result<TempDir, String> {
    let parent = std::env::temp_dir();
    let folder = tempfile::Builder::new()
        .prefix("authbench-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(&parent)
        .map_err(|error| {
            format!("no temporary folder in {}: {error}; set TMPDIR to another place", parent.display())
        })?;
    let length = folder.path().as_os_str().len();
    if length > STATE_DIR_MAX {
        return Err(format!(
            "{} is too long: the path of a Unix socket in it would pass the system's limit; set TMPDIR to a path that \
             is {} bytes shorter",
            parent.display(),
            length - STATE_DIR_MAX
        ));
    }
    Ok(folder)
}

pub(super) fn write_secret(path: &Path, secret: &Secret) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(secret.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_is_private_and_leaves_room_for_a_socket() {
        let folder = state_folder().expect("the default temporary folder is short");
        let mode = folder.path().metadata().expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let socket = folder.path().join("control.sock");
        std::os::unix::net::UnixListener::bind(socket).expect("short enough");
    }

    #[test]
    fn a_secret_file_is_its_owners_alone_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("secret");
        write_secret(&path, &Secret::new("s3cret")).expect("writable");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "s3cret");
        assert_eq!(path.metadata().expect("it exists").permissions().mode() & 0o777, 0o600);
        assert!(write_secret(&path, &Secret::new("other")).is_err());
    }
}
