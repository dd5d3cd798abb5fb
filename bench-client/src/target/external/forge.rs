//! The key that a server of the user's signs credentials with, from its files.

use std::path::Path;

use bench_server::contract::{IssuerKey, Secret};

use crate::plan::ForgeKey;

/// Reads it; relative paths start from `folder`.
///
/// # Errors
/// Which file cannot be read; nothing of a key is quoted.
pub(super) fn read(folder: &Path, forge: &ForgeKey) -> Result<IssuerKey, String> {
    let read = |path: &Path| {
        let path = folder.join(path);
        std::fs::read_to_string(&path).map_err(|error| format!("forge {}: {error}", path.display()))
    };
    Ok(match forge {
        ForgeKey::Token { algorithm, key } => {
            IssuerKey::Token { algorithm: *algorithm, kid: String::new(), key: Secret::new(read(key)?) }
        }
        ForgeKey::Certificate { ca, key } => {
            let ca_pem = read(ca)?;
            IssuerKey::Certificate { chain_pem: String::new(), ca_pem, key_pem: Secret::new(read(key)?) }
        }
    })
}
