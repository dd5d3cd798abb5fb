//! What an attack asks of the reference server beyond a valid credential.

use std::time::Duration;

use bench_server::contract::{ClientRegistration, Issued, IssuerKey, Material, RegisteredClient, Secret};

use super::super::attack::Flow;
use super::super::grant::{Grant, REDIRECT_URI, Refreshed, challenge};
use super::Reference;

impl Reference {
    /// What its credentials are signed with; `None` where they are not.
    pub(in super::super) async fn issuer_key(&self) -> Result<Option<IssuerKey>, String> {
        let signs = |authorization: &super::Authorization| authorization.signs;
        match &self.authorization {
            Some(authorization) if signs(authorization) => {
                authorization.server.control.issuer_key(None).await.map(Some)
            }
            Some(_) => Ok(None),
            None if self.signs => self.administration().control.issuer_key(Some(&self.profile)).await.map(Some),
            None => Ok(None),
        }
    }

    pub(in super::super) async fn register(
        &self,
        registration: &ClientRegistration,
    ) -> Result<RegisteredClient, String> {
        let authorization = self.authorization.as_ref().ok_or("there is no authorization server")?;
        authorization.server.control.register(registration).await
    }

    /// What a client has in its hands on the way to a user's tokens, by name; of codes and tokens those that are wanted.
    pub(in super::super) async fn flow(&self, wanted: &[&str]) -> Result<Flow, String> {
        let (issuer, application) = self.for_users().await?;
        let client = application.client();
        let secret = client.client_secret.clone().unwrap_or_else(|| Secret::new(""));
        let mut flow = Flow::from([
            ("flow-client", Secret::new(client.client_id.as_str())),
            ("flow-secret", secret),
            ("flow-redirect", Secret::new(REDIRECT_URI)),
        ]);
        let token = |grant: &Grant| match &grant.access.material {
            Material::Bearer { token } => Ok(token.clone()),
            _ => Err("a grant brought no bearer token".to_owned()),
        };
        for name in wanted {
            match *name {
                "code" => {
                    let code = application.code(issuer).await?;
                    flow.insert("challenge", Secret::new(challenge(&code.verifier)));
                    flow.insert("verifier", code.verifier);
                    flow.insert("code", code.code);
                }
                // Used once, as it should be.
                "code-spent" => {
                    let code = application.code(issuer).await?;
                    application.redeem(issuer, &code).await?;
                    flow.insert("verifier", code.verifier);
                    flow.insert("code-spent", code.code);
                }
                // Of a code that was used once more after that.
                "access-replayed" => {
                    let code = application.code(issuer).await?;
                    let grant = application.redeem(issuer, &code).await?;
                    if application.redeem(issuer, &code).await.is_ok() {
                        return Err("a code that can be used once only".to_owned());
                    }
                    flow.insert("access-replayed", token(&grant)?);
                }
                "refresh" => {
                    flow.insert("refresh", application.grant(issuer).await?.refresh);
                }
                "refresh-spent" => {
                    let grant = application.grant(issuer).await?;
                    application.refresh(issuer, &grant).await?;
                    flow.insert("refresh-spent", grant.refresh);
                }
                // The newest of a grant whose spent refresh token was used once more.
                "access-of-spent" => {
                    let grant = application.grant(issuer).await?;
                    let Refreshed::Renewed(newest) = application.refresh(issuer, &grant).await? else {
                        return Err("a refresh token that can be used".to_owned());
                    };
                    application.refresh(issuer, &grant).await?;
                    flow.insert("access-of-spent", token(&newest)?);
                }
                _ => {}
            }
        }
        Ok(flow)
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
