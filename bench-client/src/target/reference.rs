//! The reference server as a target: which processes a variant has, how they are configured and reached.
//!
//! Every variant has a process in the role `resource`, or several replicas; those after the first have the role `replica`.
//! OAuth 2.0 has another in the role `authorization`, started first. Where replicas share records, one more in the role
//! `control` issues and revokes and is never called: so every replica that is probed hears of a revocation from elsewhere,
//! as most nodes of a service do. It also answers OCSP requests, where a variant asks for that.
//!
//! The state of each (keys, database, control socket, log) is in a temporary folder of its own, removed at the end, by
//! the server itself if this program is killed. It is not in the run's folder because it holds secrets, and because the
//! path of a Unix socket must be short.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bench_server::contract::{
    Counters, Issued, KeyRollover, Material, READ_SCOPE, RegisteredClient, ServerConfig, Telemetry,
};
use tempfile::TempDir;

use self::authorization::Authorization;
use self::folder::state_folder;
use super::control::Control;
use super::forwarder::Forwarder;
use super::grant::{Application, Grant, Refreshed};
use super::oauth::{ACCESS_TOKEN, Issuer};
use super::process::{Launcher, Process};
use super::stores::{Placed, Stores};
use crate::load::Endpoint;
use crate::plan::{RevokeBy, Variant};

mod agree;
mod attack;
mod authorization;
mod folder;
mod ready;
mod start;

use self::attack::Companion;
/// Names of the processes' roles, in `run.json` and in records.
const RESOURCE: &str = "resource";
const AUTHORIZATION: &str = "authorization";
const CONTROL: &str = "control";
const REPLICA: &str = "replica";
const STORE: &str = "store";

/// Name of the listener that carries the OCSP responder.
const OCSP: &str = "ocsp";

/// Path of the protected route.
const PATH: &str = "/whoami";

/// Path of the route that other traffic goes to.
const BESIDE_PATH: &str = "/beside";

/// The processes of one variant.
pub(super) struct Reference {
    /// One for each replica.
    pub(super) endpoints: Vec<Endpoint>,
    profile: String,
    revoke_by: RevokeBy,
    /// Whether the profile itself signs its credentials.
    signs: bool,
    /// Whether credentials are certificates of a CA with another above it, which can revoke it.
    has_issuing_ca: bool,
    /// At least one.
    replicas: Vec<Server>,
    /// Where credentials are issued and revoked and OCSP requests are answered, unless the first replica does it or nobody.
    control: Option<Server>,
    /// Where its records are, and the store servers of the run.
    placed: Placed,
    stores: Arc<Stores>,
    authorization: Option<Authorization>,
    /// What the resource servers ask, where that can be cut off.
    dependency: Option<Dependency>,
    /// What goes with its credentials.
    companion: Companion,
    /// Another listener of the first replica, which asks for no certificate.
    neighbour: Option<Endpoint>,
}

/// What resource servers depend on, and can be kept from.
pub(crate) struct Dependency {
    /// What it is.
    pub(crate) name: &'static str,
    /// What stands in front of it.
    pub(crate) forwarder: Forwarder,
    /// Where its socket is, if it has one.
    _folder: Option<TempDir>,
}

/// A process and its control socket.
struct Server {
    process: Process,
    control: Control,
    /// Removed when dropped, after the process that works in it.
    state: TempDir,
}

impl Reference {
    /// What the resource servers ask, where that can be cut off.
    pub(super) fn dependency(&self) -> Option<&Dependency> {
        self.dependency.as_ref()
    }

    /// Another credential for a principal that has one.
    pub(super) async fn renew(&self, credential: &Issued) -> Result<Issued, String> {
        match &self.authorization {
            Some(authorization) => {
                let client = authorization.owner_of(credential)?;
                let tokens = authorization.issuer.tokens(&client, 1, READ_SCOPE).await?;
                tokens.into_iter().next().ok_or_else(|| "no token was issued".to_owned())
            }
            None => {
                let control = &self.administration().control;
                control.renew(&self.profile, &credential.principal, &[READ_SCOPE.to_owned()]).await
            }
        }
    }

    pub(super) async fn grant(&self) -> Result<Grant, String> {
        let (issuer, application) = self.for_users().await?;
        application.grant(issuer).await
    }

    pub(super) async fn refresh(&self, grant: &Grant) -> Result<Refreshed, String> {
        let (issuer, application) = self.for_users().await?;
        application.refresh(issuer, grant).await
    }

    pub(super) async fn revoke_grant(&self, grant: &Grant) -> Result<(), String> {
        let (issuer, application) = self.for_users().await?;
        application.revoke(issuer, grant).await
    }

    /// The authorization server, and the client that acts for its users.
    async fn for_users(&self) -> Result<(&Issuer, &Application), String> {
        let authorization = self.authorization.as_ref().ok_or("there is no authorization server")?;
        let Authorization { issuer, server, application, .. } = authorization;
        let application = application.get_or_try_init(|| Application::register(&server.control, issuer)).await?;
        Ok((issuer, application))
    }

    /// Whether tokens are signed with a key that resource servers fetch, or certificates by a CA that they read.
    pub(super) fn rolls_over_key(&self) -> bool {
        self.has_issuing_ca || self.authorization.as_ref().is_some_and(|authorization| authorization.signs)
    }

    /// Replaces the key that tokens are signed with, or the CA of certificates; `None` where there is none that others
    /// have to learn of.
    pub(super) async fn roll_over_key(&self, rollover: &KeyRollover) -> Option<Result<(), String>> {
        if self.has_issuing_ca {
            return Some(self.administration().control.roll_over_ca(&self.profile, rollover).await);
        }
        let authorization = self.authorization.as_ref().filter(|authorization| authorization.signs)?;
        Some(authorization.server.control.roll_over_key(rollover).await)
    }

    /// Where credentials are issued and revoked.
    fn administration(&self) -> &Server {
        self.control.as_ref().unwrap_or(&self.replicas[0])
    }

    pub(super) async fn configuration(&self) -> Result<BTreeMap<String, ServerConfig>, String> {
        let mut by_role = BTreeMap::new();
        // Replicas are configured alike.
        for (role, server) in self.servers().filter(|(role, _)| *role != REPLICA) {
            by_role.insert(role.to_owned(), server.control.config().await?);
        }
        Ok(by_role)
    }

    pub(super) async fn issue(&self, count: usize, lifetime: Option<Duration>) -> Result<Vec<Issued>, String> {
        match &self.authorization {
            Some(authorization) => {
                let client = authorization.client(lifetime).await?;
                authorization.issuer.tokens(&client, count, READ_SCOPE).await
            }
            None => self.administration().control.issue(&self.profile, count, lifetime, &[READ_SCOPE.to_owned()]).await,
        }
    }

    /// Credentials for the traffic beside the variant, and where that goes: to the first replica.
    pub(super) async fn issue_beside(
        &self,
        variant: &Variant,
        count: usize,
    ) -> Result<(Endpoint, Vec<Issued>), String> {
        // By the process that they are presented to, whose store may be its own.
        let control = &self.replicas[0].control;
        let issued = control.issue(&beside_name(variant), count, None, &[READ_SCOPE.to_owned()]).await?;
        Ok((Endpoint { path: BESIDE_PATH.to_owned(), ..self.endpoints[0].clone() }, issued))
    }

    /// The same, each to a principal of its own.
    pub(super) async fn issue_apart(&self, count: usize) -> Result<Vec<Issued>, String> {
        let Some(authorization) = &self.authorization else { return self.issue(count, None).await };
        let mut issued = Vec::with_capacity(count);
        for _ in 0..count {
            let client = authorization.register(None).await?;
            issued.extend(authorization.issuer.tokens(&client, 1, READ_SCOPE).await?);
        }
        Ok(issued)
    }

    pub(super) fn authorization_server(&self) -> Option<(&Endpoint, &str)> {
        let authorization = self.authorization.as_ref()?;
        Some((&authorization.endpoint, &authorization.identifier))
    }

    pub(super) async fn register_client(&self) -> Result<RegisteredClient, String> {
        let authorization = self.authorization.as_ref().ok_or("there is no authorization server")?;
        authorization.register(None).await
    }

    pub(super) async fn revoke(&self, credential: &Issued) -> Result<(), String> {
        match (&self.authorization, &credential.material) {
            (Some(authorization), _) if self.revoke_by == RevokeBy::Key => {
                authorization.server.control.roll_over_key(&KeyRollover::AFTER_THEFT).await
            }
            (Some(authorization), Material::Bearer { token }) => {
                let client = authorization.owner_of(credential)?;
                authorization.issuer.revoke(&client, token, ACCESS_TOKEN).await
            }
            _ => {
                let named = match self.revoke_by {
                    // Tokens that a refresh token brings are an authorization server's.
                    RevokeBy::Token | RevokeBy::Key | RevokeBy::Refresh => &credential.id,
                    RevokeBy::Subject => &credential.principal,
                };
                self.administration().control.revoke(&self.profile, named).await
            }
        }
    }

    pub(super) async fn telemetry(&self) -> Result<Telemetry, String> {
        self.replicas[0].control.take_telemetry().await
    }

    /// Of each replica.
    pub(super) async fn counters(&self) -> Result<Vec<Counters>, String> {
        let mut counters = Vec::with_capacity(self.replicas.len());
        for replica in &self.replicas {
            counters.push(replica.control.take_telemetry().await?.counters);
        }
        Ok(counters)
    }

    pub(super) fn processes(&self) -> BTreeMap<String, Vec<u32>> {
        let mut processes = BTreeMap::<String, Vec<u32>>::new();
        for (role, server) in self.servers() {
            processes.entry(role.to_owned()).or_default().push(server.process.ready.pid);
        }
        if let Placed::Private(kind) = self.placed {
            processes.insert(STORE.to_owned(), self.stores.processes(kind));
        }
        processes
    }

    pub(super) fn check_alive(&mut self) -> Result<(), String> {
        let replicas = self.replicas.iter_mut().enumerate().map(|(number, server)| (role_of(number), server));
        let authorization = self.authorization.as_mut().map(|authorization| (AUTHORIZATION, &mut authorization.server));
        let control = self.control.as_mut().map(|control| (CONTROL, control));
        for (role, server) in replicas.chain(control).chain(authorization) {
            server.process.check_alive().map_err(|message| format!("role {role}: {message}"))?;
        }
        Ok(())
    }

    /// The resource servers first: they still talk to the authorization server, and live in the folder of the control.
    ///
    /// # Errors
    /// What stays in a store of the user's, and why.
    pub(super) async fn stop(self) -> Result<(), String> {
        // A store of the user's is left as it was found.
        let discarded = match self.placed {
            Placed::Within | Placed::Private(_) => Ok(()),
            Placed::Foreign => self.administration().control.discard(&self.profile).await,
        };
        // The first replica last: its folder may be the one that the others share.
        for replica in self.replicas.into_iter().rev() {
            replica.process.stop().await;
        }
        if let Some(control) = self.control {
            control.process.stop().await;
        }
        if let Some(authorization) = self.authorization {
            authorization.server.process.stop().await;
        }
        discarded.map_err(|error| format!("its records stay in the store: {error}"))
    }

    fn servers(&self) -> impl Iterator<Item = (&'static str, &Server)> {
        let authorization = self.authorization.as_ref().map(|authorization| (AUTHORIZATION, &authorization.server));
        let replicas = self.replicas.iter().enumerate().map(|(number, server)| (role_of(number), server));
        replicas.chain(self.control.as_ref().map(|control| (CONTROL, control))).chain(authorization)
    }
}

/// The role of a replica: the first is the one that load is measured on.
fn role_of(number: usize) -> &'static str {
    if number == 0 { RESOURCE } else { REPLICA }
}

/// The profile that other traffic goes to.
fn beside_name(variant: &Variant) -> String {
    format!("{}-beside", variant.family())
}

impl Server {
    async fn start(launcher: &Launcher, role: &str, config: ServerConfig) -> Result<Self, String> {
        let state = state_folder()?;
        let config = ServerConfig { state_dir: state.path().to_owned(), ..config };
        let process = Process::start(launcher, &config, state.path().join("stderr.log"))
            .await
            .map_err(|message| format!("role {role}: {message}"))?;
        let control = Control::new(&process.ready.control)?;
        Ok(Self { process, control, state })
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
