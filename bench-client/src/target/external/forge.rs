//! Keys of a server of the user's and of its callers, from their files.

use std::path::Path;

use bench_server::contract::{Algorithm, IssuerKey, Secret};

use crate::attack::TokenKey;
use crate::plan::ForgeKey;

/// Reads the key that tokens are bound to; a relative path starts from `folder`.
///
/// # Errors
/// Why it cannot be read; nothing of it is quoted.
pub(super) fn read_proof_key(folder: &Path, file: &Path) -> Result<TokenKey, String> {
    let path = folder.join(file);
    let wrong = |why: &str| format!("dpop {}: {why}", path.display());
    let text = std::fs::read_to_string(&path).map(Secret::new).map_err(|error| wrong(&error.to_string()))?;
    // Proofs are signed with one of these.
    let read = [Algorithm::EdDSA, Algorithm::ES256].map(|algorithm| TokenKey::read(algorithm, text.expose()));
    let remedy = "holds no private key on Ed25519 or P-256; write PKCS #8 in PEM";
    read.into_iter().find_map(Result::ok).ok_or_else(|| wrong(remedy))
}

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
            IssuerKey::Certificate { chain_pem: String::new(), ca_pem, key_pem: Secret::new(read(key)?), above: None }
        }
    })
}
