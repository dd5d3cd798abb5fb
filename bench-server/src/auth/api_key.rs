//! stub

use crate::auth::{AdminError, BuildError, Environment, Principal, Rejection, Request};
use crate::config::ApiKeyConfig;
use crate::contract::{IssueRequest, Issued};

/// stub
pub struct ApiKey;

impl ApiKey {
    pub(crate) fn build(_name: &str, _config: &ApiKeyConfig, _environment: &Environment) -> Result<Self, BuildError> {
        unimplemented!()
    }
    pub(crate) fn authenticate(&self, _request: &Request<'_>) -> Result<Principal, Rejection> {
        unimplemented!()
    }
    pub(crate) async fn issue(&self, _request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        unimplemented!()
    }
    pub(crate) async fn revoke(&self, _id: &str) -> Result<(), AdminError> {
        unimplemented!()
    }
}
