//! What an attack asks of the reference server beyond a valid credential.

use std::time::Duration;

use bench_server::contract::{ClientRegistration, Issued, IssuerKey, RegisteredClient};

use super::Reference;

impl Reference {
    /// What its credentials are signed with; `None` where they are not.
    pub(in super::super) async fn issuer_key(&self) -> Result<Option<IssuerKey>, String> {
        let signs = |authorization: &super::Authorization| authorization.signs;
        match &self.authorization {
            Some(authorization) if signs(authorization) => authorization.server.control.issuer_key(None).await.map(Some),
            Some(_) => Ok(None),
            None if self.signs => self.administration().control.issuer_key(Some(&self.profile)).await.map(Some),
            None => Ok(None),
        }
    }

    pub(in super::super) async fn register(&self, registration: &ClientRegistration) -> Result<RegisteredClient, String> {
        let authorization = self.authorization.as_ref().ok_or("there is no authorization server")?;
        authorization.server.control.register(registration).await
    }

    /// A credential without the scope that the route asks for.
    pub(in super::super) async fn issue_unscoped(&self) -> Result<Issued, String> {
        if self.authorization.is_some() {
            return Err("its clients are registered for the scope of the route".to_owned());
        }
        let scopes = ["other".to_owned()];
        one(self.administration().control.issue(&self.profile, 1, None, &scopes).await?)
    }

    /// A credential of that lifetime.
    pub(in super::super) async fn issue_short(&self, lifetime: Duration) -> Result<Issued, String> {
        one(self.issue(1, Some(lifetime)).await?)
    }
}

fn one(issued: Vec<Issued>) -> Result<Issued, String> {
    issued.into_iter().next().ok_or_else(|| "none was issued".to_owned())
}
