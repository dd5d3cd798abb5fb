//! stub

use crate::auth::{AdminError, BuildError, Environment, Principal, Rejection, Request};
use crate::config::BasicConfig;
use crate::contract::{IssueRequest, Issued};

/// stub
pub struct Basic;

impl Basic {
    pub(crate) fn build(_name: &str, _config: &BasicConfig, _environment: &Environment) -> Result<Self, BuildError> {
        unimplemented!()
    }
    pub(crate) async fn authenticate(&self, _request: &Request<'_>) -> Result<Principal, Rejection> {
        unimplemented!()
    }
    pub(crate) async fn issue(&self, _request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        unimplemented!()
    }
    pub(crate) async fn revoke(&self, _id: &str) -> Result<(), AdminError> {
        unimplemented!()
    }
}
