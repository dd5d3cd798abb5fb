//! Where credential records live, and the cache that may stand in front.

pub mod cache;
pub mod denylist;
pub(crate) mod distance;
pub(crate) mod file;
pub mod keys;
pub mod users;
