//! How far a key goes that makes or replaces others: nobody gives away what they do not have, or a key that was found once could
//! live on in another that nobody knows of.

use crate::auth::AdminError;
use crate::clock::UnixTime;
use crate::credential::network::Network;
use crate::store::record::KeyRecord;

/// Networks that a key is good from; empty means everywhere.
pub(super) fn networks(key: &KeyRecord) -> &[Network] {
    key.details.as_deref().map(|details| details.networks.as_slice()).unwrap_or_default()
}

/// Whether a key that ends then and is good from there goes no further than the one that asks for it.
///
/// # Errors
/// [`AdminError::Forbidden`] where it does.
pub(super) fn check(by: &KeyRecord, expires: Option<UnixTime>, from: &[Network]) -> Result<(), AdminError> {
    if by.expires.is_some_and(|end| expires.is_none_or(|expires| expires > end)) {
        return Err(AdminError::Forbidden("lifetime-not-held"));
    }
    let own = networks(by);
    // Good from everywhere, or from a network that the other is not good from.
    let exceeds = from.is_empty() || !from.iter().all(|one| own.iter().any(|own| own.includes(one)));
    if !own.is_empty() && exceeds { Err(AdminError::Forbidden("network-not-held")) } else { Ok(()) }
}
