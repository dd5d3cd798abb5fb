//! stub

use crate::auth::{BuildError, Environment, Principal, Rejection, Request};
use crate::config::OAuth2Config;

/// stub
pub struct OAuth2;

impl OAuth2 {
    pub(crate) fn build(_config: &OAuth2Config, _environment: &Environment) -> Result<Self, BuildError> {
        unimplemented!()
    }
    pub(crate) async fn authenticate(&self, _request: &Request<'_>) -> Result<Principal, Rejection> {
        unimplemented!()
    }
}
