//! What is measured: the reference server, started by the run as processes of its own, or a server of the user's.

mod attack;
mod control;
mod external;
#[cfg(test)]
mod fake;
mod forwarder;
mod grant;
mod oauth;
mod process;
mod reference;
mod stores;
mod user_agent;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bench_server::contract::{
    Counters, Issued, KeyRollover, Material, RegisteredClient, Secret, ServerConfig, Telemetry,
};

use crate::load::Endpoint;
use crate::machine::Machine;
use crate::plan::{Beside, Plan, Variant};

pub(crate) use attack::{FLOW_PRINCIPAL, Flow, Holding};
use external::External;
pub(crate) use forwarder::Passage;
pub use grant::{Grant, Refreshed};
pub(crate) use oauth::principal as principal_of_client;
pub use process::Launcher;
pub(crate) use reference::Dependency;
use reference::Reference;
pub use stores::Stores;

/// The server of one variant in one start. Dropping it kills the processes that the run started.
pub struct Target {
    variant: String,
    server: Server,
}

#[allow(clippy::large_enum_variant)] // one per variant
enum Server {
    Reference(Reference),
    External(External),
}

/// Why a target failed.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A server process did not start.
    #[error("the server of variant \"{variant}\" did not start: {message}")]
    Start {
        /// The variant.
        variant: String,
        /// Why, with what the process wrote to stderr.
        message: String,
    },
    /// A server process ended by itself.
    #[error("the server of variant \"{variant}\" ended in the middle of the run: {message}")]
    Died {
        /// The variant.
        variant: String,
        /// Exit status and stderr.
        message: String,
    },
    /// A server of the user's does not answer as the scenario says, or cannot be asked.
    #[error("the target of variant \"{variant}\" cannot be measured: {message}")]
    Attach {
        /// The variant.
        variant: String,
        /// What was tried and what came back.
        message: String,
    },
    /// Control socket or standard endpoint answered with an error.
    #[error("variant \"{variant}\": {message}")]
    Request {
        /// The variant.
        variant: String,
        /// What was asked and what came back.
        message: String,
    },
}

/// What is said of a server of the user's.
const NO_GRANTS: &str = "only the reference server has users who grant access";

impl Target {
    /// Starts the variant's processes by executing this program's own `serve --supervised`, and waits until they are
    /// ready. A server of the user's is looked for and tried instead.
    ///
    /// # Errors
    /// [`TargetError::Start`], [`TargetError::Attach`].
    pub async fn start(
        plan: &Plan,
        variant: &Variant,
        machine: &Machine,
        stores: &Arc<Stores>,
    ) -> Result<Self, TargetError> {
        if let (Some(external), Some(target)) = (variant.method.external(), &plan.target) {
            // An attack begins with what a trial would find.
            let tried = !plan.only_attacks(variant);
            let attached = External::attach(plan, target, external, tried).await;
            let variant = variant.name.clone();
            return match attached {
                Ok(external) => Ok(Self { variant, server: Server::External(external) }),
                Err(message) => Err(TargetError::Attach { variant, message }),
            };
        }
        let launcher = Launcher::this_program().map_err(|error| TargetError::Start {
            variant: variant.name.clone(),
            message: format!("the path of this program is unknown: {error}"),
        })?;
        Self::start_with(&launcher, plan, variant, machine, stores).await
    }

    /// [`Target::start`] with another program in the place of this one: in a test, this one is the test.
    ///
    /// # Errors
    /// [`TargetError::Start`].
    pub async fn start_with(
        launcher: &Launcher,
        plan: &Plan,
        variant: &Variant,
        machine: &Machine,
        stores: &Arc<Stores>,
    ) -> Result<Self, TargetError> {
        let reference = Reference::start(launcher, plan, variant, machine, stores)
            .await
            .map_err(|message| TargetError::Start { variant: variant.name.clone(), message })?;
        Ok(Self { variant: variant.name.clone(), server: Server::Reference(reference) })
    }

    /// Where requests go; with several replicas, to the first.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoints()[0]
    }

    /// Where each replica is; at least one.
    pub fn endpoints(&self) -> &[Endpoint] {
        match &self.server {
            Server::Reference(reference) => &reference.endpoints,
            Server::External(external) => std::slice::from_ref(external.endpoint()),
        }
    }

    /// Effective configuration by role (`resource`, `authorization`); none of a server of the user's, which does not tell.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn configuration(&self) -> Result<BTreeMap<String, ServerConfig>, TargetError> {
        match &self.server {
            Server::Reference(reference) => reference.configuration().await.map_err(|message| self.request(message)),
            Server::External(_) => Ok(BTreeMap::new()),
        }
    }

    /// Issues credentials the way the method's standard says: token endpoint for OAuth 2.0, control socket otherwise.
    /// They carry the scope that the route asks for and end after `lifetime`, or the variant's own. Of a server of the
    /// user's, takes the next of those that the scenario brings, and `lifetime` is theirs.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn issue(&self, count: usize, lifetime: Option<Duration>) -> Result<Vec<Issued>, TargetError> {
        let issued = match &self.server {
            Server::Reference(reference) => reference.issue(count, lifetime).await,
            Server::External(external) => external.take(count).await,
        };
        issued.map_err(|message| self.request(message))
    }

    /// The same, each to a principal that has no other: to a client of its own, where a client is the principal.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn issue_apart(&self, count: usize) -> Result<Vec<Issued>, TargetError> {
        let issued = match &self.server {
            Server::Reference(reference) => reference.issue_apart(count).await,
            Server::External(external) => external.take(count).await,
        };
        issued.map_err(|message| self.request(message))
    }

    /// Credentials for the traffic beside the variant, and where it goes. Of wrong ones there are as many as of right ones.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn issue_beside(
        &self,
        variant: &Variant,
        beside: &Beside,
    ) -> Result<(Endpoint, Vec<Issued>), TargetError> {
        let issued = match &self.server {
            Server::Reference(reference) => reference.issue_beside(variant, beside.pool.count).await,
            Server::External(_) => Err("only the reference server has traffic beside a variant".to_owned()),
        };
        let (endpoint, mut issued) = issued.map_err(|message| self.request(message))?;
        for credential in issued.iter_mut().filter(|_| beside.wrong) {
            let Material::Password { password, .. } = &mut credential.material else {
                let message =
                    "what comes beside it is to bring wrong passwords, and brings none; plan the scenario again";
                return Err(self.request(message.to_owned()));
            };
            *password = Secret::new(password.expose().chars().rev().collect::<String>());
        }
        Ok((endpoint, issued))
    }

    /// The authorization server of the variant, where it has one: where requests to it go, and its issuer identifier.
    pub fn authorization_server(&self) -> Option<(&Endpoint, &str)> {
        match &self.server {
            Server::Reference(reference) => reference.authorization_server(),
            Server::External(_) => None,
        }
    }

    /// Registers a client that may ask for tokens of its own (RFC 6749 §4.4).
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn register_client(&self) -> Result<RegisteredClient, TargetError> {
        let registered = match &self.server {
            Server::Reference(reference) => reference.register_client().await,
            Server::External(_) => Err("only the reference server registers clients".to_owned()),
        };
        registered.map_err(|message| self.request(message))
    }

    /// Another credential for a principal that has one, the way the method's standard says. What it had stays, unless the
    /// method knows one credential for each (a user's password).
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn renew(&self, credential: &Issued) -> Result<Issued, TargetError> {
        let renewed = match &self.server {
            Server::Reference(reference) => reference.renew(credential).await,
            Server::External(_) => Err("only the reference server issues credentials".to_owned()),
        };
        renewed.map_err(|message| self.request(message))
    }

    /// Has a user grant access to a client of this run, by authorization code.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn grant(&self) -> Result<Grant, TargetError> {
        let granted = match &self.server {
            Server::Reference(reference) => reference.grant().await,
            Server::External(_) => Err(NO_GRANTS.to_owned()),
        };
        granted.map_err(|message| self.request(message))
    }

    /// Exchanges the refresh token of a grant for the next access token.
    ///
    /// # Errors
    /// [`TargetError`] when there was no judgement.
    pub async fn refresh(&self, grant: &Grant) -> Result<Refreshed, TargetError> {
        let refreshed = match &self.server {
            Server::Reference(reference) => reference.refresh(grant).await,
            Server::External(_) => Err(NO_GRANTS.to_owned()),
        };
        refreshed.map_err(|message| self.request(message))
    }

    /// Revokes the refresh token of a grant at the revocation endpoint (RFC 7009). Returns with the acknowledgement.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn revoke_grant(&self, grant: &Grant) -> Result<(), TargetError> {
        let revoked = match &self.server {
            Server::Reference(reference) => reference.revoke_grant(grant).await,
            Server::External(_) => Err(NO_GRANTS.to_owned()),
        };
        revoked.map_err(|message| self.request(message))
    }

    /// Replaces the key that credentials are signed with; `None` where there is none that others have to learn of.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn roll_over_key(&self, rollover: &KeyRollover) -> Option<Result<(), TargetError>> {
        let Server::Reference(reference) = &self.server else { return None };
        let rolled = reference.roll_over_key(rollover).await?;
        Some(rolled.map_err(|message| self.request(message)))
    }

    /// Whether there is a key that credentials are signed with and that others have to learn of.
    pub fn rolls_over_key(&self) -> bool {
        match &self.server {
            Server::Reference(reference) => reference.rolls_over_key(),
            Server::External(_) => false,
        }
    }

    /// What its servers ask, where the plan has that cut off.
    pub(crate) fn dependency(&self) -> Option<&Dependency> {
        match &self.server {
            Server::Reference(reference) => reference.dependency(),
            Server::External(_) => None,
        }
    }

    /// Revokes a credential the way the method's standard says: revocation endpoint (RFC 7009) for OAuth 2.0, control
    /// socket otherwise; of a server of the user's, as the scenario says. Returns with the acknowledgement.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn revoke(&self, credential: &Issued) -> Result<(), TargetError> {
        let revoked = match &self.server {
            Server::Reference(reference) => reference.revoke(credential).await,
            Server::External(external) => external.revoke(credential).await,
        };
        revoked.map_err(|message| self.request(message))
    }

    /// Counters and validation times of the resource server; the validation histogram holds what was recorded since
    /// the last call. `None` of a server of the user's, which does not tell.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn telemetry(&self) -> Result<Option<Telemetry>, TargetError> {
        match &self.server {
            Server::Reference(reference) => {
                reference.telemetry().await.map(Some).map_err(|message| self.request(message))
            }
            Server::External(_) => Ok(None),
        }
    }

    /// Counters of each replica of the resource server; `None` of a server of the user's, which does not tell.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn counters(&self) -> Result<Option<Vec<Counters>>, TargetError> {
        match &self.server {
            Server::Reference(reference) => {
                reference.counters().await.map(Some).map_err(|message| self.request(message))
            }
            Server::External(_) => Ok(None),
        }
    }

    /// The ids of its processes by role (`resource`, `authorization`, or `target`), for the accounts of
    /// [`crate::machine::Account`]; of a server of the user's none, unless the scenario says which they are.
    pub fn processes(&self) -> BTreeMap<String, Vec<u32>> {
        match &self.server {
            Server::Reference(reference) => reference.processes(),
            Server::External(external) => external.processes(),
        }
    }

    /// Whether all processes still run, as far as they are known.
    ///
    /// # Errors
    /// [`TargetError::Died`].
    pub fn check_alive(&mut self) -> Result<(), TargetError> {
        let alive = match &mut self.server {
            Server::Reference(reference) => reference.check_alive(),
            Server::External(external) => external.check_alive(),
        };
        alive.map_err(|message| TargetError::Died { variant: self.variant.clone(), message })
    }

    /// Ends the processes that the run started and waits for them: first by closing their stdin, after 5 s by a kill.
    ///
    /// # Errors
    /// [`TargetError::Request`], when records stay in a store of the user's.
    pub async fn stop(self) -> Result<(), TargetError> {
        let variant = self.variant;
        match self.server {
            Server::Reference(reference) => {
                reference.stop().await.map_err(|message| TargetError::Request { variant, message })
            }
            Server::External(_) => Ok(()),
        }
    }

    fn request(&self, message: String) -> TargetError {
        TargetError::Request { variant: self.variant.clone(), message }
    }
}
