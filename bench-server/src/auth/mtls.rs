//! stub

use crate::auth::{AdminError, BuildError, Environment, Principal, Rejection, Request};
use crate::config::MtlsConfig;
use crate::contract::{IssueRequest, Issued};

/// stub
pub struct Mtls;

impl Mtls {
    pub(crate) fn build(_name: &str, _config: &MtlsConfig, _environment: &Environment) -> Result<Self, BuildError> {
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
impl Mtls {
    /// stub
    pub(crate) fn client_verifier(&self) -> std::sync::Arc<dyn rustls::server::danger::ClientCertVerifier> {
        unimplemented!()
    }
}
