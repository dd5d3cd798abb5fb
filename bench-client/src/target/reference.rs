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

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bench_server::contract::{
    AccessTokenFormat, AuthorizationServerConfig, ChainLength, ClientRegistration, ClockMode, Counters, HttpVersion,
    Issued, KeyExchange, KeyRollover, ListenerConfig, Material, MethodConfig, OAuth2Config, OcspConfig,
    Profile, READ_SCOPE, Ready, ReadyListener, RegisteredClient, Secret, ServerConfig, ServerKind, StoreConfig,
    Telemetry, Transport, TrustedIssuer,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::control::Control;
use super::forwarder::Forwarder;
use super::grant::{Application, Grant, Refreshed};
use super::oauth::{ACCESS_TOKEN, Issuer};
use super::process::{Launcher, Process};
use super::stores::{Placed, Stores};
use crate::load::Endpoint;
use crate::machine::Machine;
use crate::plan::{Plan, ProbeKind, RevokeBy, ServerPlan, Variant};

mod attack;

use attack::{Companion, NEIGHBOUR, NEIGHBOUR_PATH, beside_mtls, clients_profile};

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

/// The shortest `sun_path` among the platforms is macOS's 104 bytes, its final zero and `/control.sock` included.
const STATE_DIR_MAX: usize = 104 - 1 - "/control.sock".len();

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

/// The authorization server and the clients registered with it.
struct Authorization {
    server: Server,
    /// Where its requests go.
    endpoint: Endpoint,
    /// Its identifier (RFC 8414 §2).
    identifier: String,
    issuer: Issuer,
    /// Whether its tokens are signed.
    signs: bool,
    code_lifetime: Duration,
    /// Whose tokens are that users granted, by their names.
    owners: Mutex<BTreeMap<String, RegisteredClient>>,
    /// One client per lifetime that tokens were asked for with; `None` is the server's own.
    clients: Mutex<Vec<(Option<Duration>, RegisteredClient)>>,
    /// The client that acts for users, registered when a user is first to grant something.
    application: OnceCell<Application>,
}

impl Reference {
    /// Starts the processes and waits until they are ready.
    pub(super) async fn start(
        launcher: &Launcher,
        plan: &Plan,
        variant: &Variant,
        machine: &Machine,
        stores: &Arc<Stores>,
    ) -> Result<Self, String> {
        let server = plan.server_of(variant);
        let base = ServerConfig {
            listeners: Vec::new(),
            // One runtime: a variant is measured one core at a time.
            workers: NonZeroUsize::MIN,
            cpus: machine.server_cpus.clone(),
            state_dir: PathBuf::new(),
            shared_dir: None,
            clock: ClockMode::System,
            authorization_server: None,
            forging: plan.attacks(variant),
        };
        let mut method = variant.method.reference().ok_or("it is not the reference server's")?.clone();
        let companion = Companion::of(variant)?;
        let clients = variant.certificate_bound.then(|| clients_profile(variant));
        let (mut authorization, mut dependency) = (None, None);
        if let Some(config) = tokens_of_issuer(&mut method) {
            let settings = variant
                .authorization_server
                .as_ref()
                .ok_or("the plan has no authorization server for it; plan the scenario again")?;
            let forwarder = match plan.disturbs(variant) {
                true => Some(Forwarder::on_port(&base.cpus).map_err(no_forwarder)?),
                false => None,
            };
            let address = forwarder.as_ref().map(|(_, address)| *address);
            let settings = (settings, clients.clone());
            let started = Authorization::start(launcher, server.transport, &base, settings, address).await?;
            dependency = forwarder.map(|(forwarder, _)| {
                forwarder.lead_to(started.endpoint.address);
                Dependency { name: "authorization server", forwarder, _folder: None }
            });
            config.issuer = started.trust(server.transport).await?;
            if variant.revoke_by == RevokeBy::Key {
                // From the first token on, the next key is one that is known.
                started.server.control.roll_over_key(&KeyRollover::AFTER_THEFT).await?;
            }
            authorization = Some(started);
        }
        let placed = stores.place(&mut method).await?;
        let shares_records = shares_records(&method);
        let direct = method.clone();
        // Certificates that nobody looks up do not end with their CA.
        let has_issuing_ca = matches!(
            &method, MethodConfig::Mtls(mtls) if mtls.chain_length > ChainLength::One && !mtls.is_short_lived()
        );
        if let (true, Placed::Private(kind)) = (plan.disturbs(variant), &placed) {
            dependency = Some(cut_off(&mut method, *kind, stores, &base.cpus)?);
        }
        let signs = matches!(&method, MethodConfig::Jwt(_) | MethodConfig::Mtls(_));
        let listener = ListenerConfig {
            name: RESOURCE.to_owned(),
            bind: loopback(),
            public_url: None,
            transport: server.transport,
            http: offered(plan, server),
            key_exchange: plan.key_exchange,
            profiles: std::iter::once(Profile {
                // Tokens and answers name the profile: all points of a sweep have the same.
                name: variant.family().to_owned(),
                path: PATH.to_owned(),
                scope: READ_SCOPE.to_owned(),
                users_only: false,
                slow_down: variant.slow_down,
                method,
            })
            .chain(variant.beside.as_ref().map(|beside| Profile {
                name: beside_name(variant),
                path: BESIDE_PATH.to_owned(),
                scope: READ_SCOPE.to_owned(),
                users_only: false,
                slow_down: None,
                method: beside.method.clone(),
            }))
            .chain(clients)
            .collect(),
            authorization_server: false,
            ocsp_responder: None,
            key_management: None,
        };
        let beside_it = (plan.attacks(variant) && variant.method.is_mtls()).then(|| beside_mtls(variant, &listener));
        let has_neighbour = beside_it.is_some();
        let listeners = std::iter::once(listener).chain(beside_it).collect();
        let mut config = ServerConfig { listeners, ..base };
        let config_cpus = config.cpus.clone();
        let asks = questions(&mut config).is_some();
        // The first makes what the others share, in its own folder: if this program is killed, it is removed with that.
        let control = match shares_records && plan.revokes(variant) || asks {
            // However cut off the others are, revocations reach the store.
            true => {
                let mut config = answering(&config, variant);
                config.listeners[0].profiles[0].method = direct;
                Some(Server::start(launcher, CONTROL, config).await?)
            }
            false => None,
        };
        if let (Some(ocsp), Some(control)) = (questions(&mut config), &control) {
            let responder = listener_named(&control.process.ready, OCSP)?;
            let url = if plan.disturbs(variant) {
                let (forwarder, address) = Forwarder::on_port(&config_cpus).map_err(no_forwarder)?;
                forwarder.lead_to(responder.address);
                dependency = Some(Dependency { name: "OCSP responder", forwarder, _folder: None });
                format!("http://{address}")
            } else {
                responder.url.clone()
            };
            ocsp.url = Some(format!("{url}/"));
        }
        let mut replicas: Vec<Server> = Vec::new();
        for number in 0..plan.replicas.get() {
            // Certificates that tokens are bound to are verified where tokens are asked for, too.
            let binds = authorization.as_ref().filter(|_| variant.certificate_bound).map(|it| &it.server);
            let first = binds.or(control.as_ref()).or(replicas.first());
            let shared_dir = first.map(|first| first.state.path().to_owned());
            let role = if number == 0 { RESOURCE } else { REPLICA };
            replicas.push(Server::start(launcher, role, ServerConfig { shared_dir, ..config.clone() }).await?);
        }
        agree(&replicas).await?;
        let reached = |replica: &Server, place| endpoint(&replica.process.ready, place, server, plan.key_exchange);
        let endpoints = replicas.iter().map(|replica| reached(replica, (RESOURCE, PATH)));
        let endpoints = endpoints.collect::<Result<_, _>>()?;
        let neighbour = has_neighbour.then(|| reached(&replicas[0], (NEIGHBOUR, NEIGHBOUR_PATH))).transpose()?;
        let (profile, revoke_by) = (variant.family().to_owned(), variant.revoke_by);
        let stores = stores.clone();
        Ok(Self {
            endpoints,
            profile,
            revoke_by,
            signs,
            has_issuing_ca,
            replicas,
            control,
            placed,
            stores,
            authorization,
            dependency,
            companion,
            neighbour,
        })
    }

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

/// Replicas that answer differently would be measured as if they were one server.
///
/// # Errors
/// Which replica says that it is configured otherwise than the first.
async fn agree(replicas: &[Server]) -> Result<(), String> {
    let mut configurations = Vec::with_capacity(replicas.len());
    for replica in replicas {
        configurations.push(replica.control.config().await?);
    }
    disagreement(&configurations).map_or(Ok(()), Err)
}

/// The first difference between what replicas say of themselves, beside their addresses and folders.
fn disagreement(configurations: &[ServerConfig]) -> Option<String> {
    let comparable = |config: &ServerConfig| {
        let mut config = config.clone();
        (config.state_dir, config.shared_dir) = (PathBuf::new(), None);
        config.listeners.iter_mut().for_each(|listener| listener.bind = loopback());
        serde_json::to_value(config).expect("a configuration is plain data")
    };
    let mut all = configurations.iter().map(comparable);
    let first = all.next()?;
    all.zip(2..).find_map(|(other, number)| {
        let (place, first, other) = difference("", &first, &other)?;
        Some(format!(
            "replica {number} is configured otherwise than the first: {place} is {other} and not {first}; replicas must agree"
        ))
    })
}

/// Where two documents differ first, and what stands there.
fn difference(place: &str, one: &Value, other: &Value) -> Option<(String, String, String)> {
    let at = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let of = |object: &serde_json::Map<String, Value>, key| object.get(key).cloned().unwrap_or(Value::Null);
            keys.into_iter().find_map(|key| difference(&at(key), &of(one, key), &of(other, key)))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).zip(0..).find_map(|((one, other), i)| difference(&at(&i.to_string()), one, other))
        }
        _ => (one != other).then(|| (place.to_owned(), one.to_string(), other.to_string())),
    }
}

/// Puts something that can be cut off between a method and its store.
fn cut_off(method: &mut MethodConfig, kind: ServerKind, stores: &Stores, cpus: &[usize]) -> Result<Dependency, String> {
    let store = stores.socket(kind).ok_or("the store's server is not there")?;
    let folder = state_folder()?;
    let forwarder = Forwarder::on_socket(cpus, &folder.path().join(kind.socket_name()), store).map_err(no_forwarder)?;
    let remote = method.store_mut().and_then(StoreConfig::remote_mut).ok_or("the method has no such store")?;
    remote.url = kind.url_in(folder.path());
    Ok(Dependency { name: "store", forwarder, _folder: Some(folder) })
}

fn no_forwarder(error: std::io::Error) -> String {
    format!("nothing can be put in front of what it depends on: {error}")
}

/// How the resource servers ask by OCSP, if they do.
fn questions(config: &mut ServerConfig) -> Option<&mut OcspConfig> {
    config.listeners.iter_mut().flat_map(|listener| &mut listener.profiles).find_map(|profile| {
        match &mut profile.method {
            MethodConfig::Mtls(mtls) => mtls.ocsp.as_mut(),
            _ => None,
        }
    })
}

/// The same server, with a listener on which it answers the others' OCSP requests, if they have any.
fn answering(config: &ServerConfig, variant: &Variant) -> ServerConfig {
    let mut config = config.clone();
    if questions(&mut config).is_some() {
        config.listeners.push(ListenerConfig {
            name: OCSP.to_owned(),
            bind: loopback(),
            public_url: None,
            transport: Transport::Plaintext,
            http: vec![HttpVersion::Http1],
            key_exchange: None,
            profiles: Vec::new(),
            authorization_server: false,
            ocsp_responder: Some(variant.family().to_owned()),
            key_management: None,
        });
    }
    config
}

/// The HTTP versions that a listener offers: the measured one, and what probes ask for beside it.
fn offered(plan: &Plan, server: ServerPlan) -> Vec<HttpVersion> {
    let mut offered = vec![server.http];
    if server.http != HttpVersion::Http2 && plan.probes_over(ProbeKind::H2) {
        offered.push(HttpVersion::Http2);
    }
    offered
}

/// The role of a replica: the first is the one that load is measured on.
fn role_of(number: usize) -> &'static str {
    if number == 0 { RESOURCE } else { REPLICA }
}

/// The profile that other traffic goes to.
fn beside_name(variant: &Variant) -> String {
    format!("{}-beside", variant.family())
}

/// How a method trusts the authorization server of its tokens, if it has one.
fn tokens_of_issuer(method: &mut MethodConfig) -> Option<&mut OAuth2Config> {
    match method {
        MethodConfig::OAuth2(config) => Some(config),
        MethodConfig::Layered(layered) => Some(&mut layered.user),
        _ => None,
    }
}

/// Whether other processes would see what one of them revokes.
fn shares_records(method: &MethodConfig) -> bool {
    match method {
        MethodConfig::ApiKey(api_key) => api_key.store.is_shared(),
        MethodConfig::Basic(basic) => basic.store.is_shared(),
        MethodConfig::Jwt(jwt) => jwt.denylist.is_some() || jwt.introspection,
        MethodConfig::Signed(signed) => signed.store.is_shared(),
        MethodConfig::Mtls(_) => true,
        MethodConfig::None | MethodConfig::OAuth2(_) | MethodConfig::Mixed(_) | MethodConfig::Layered(_) => false,
    }
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

impl Authorization {
    async fn start(
        launcher: &Launcher,
        transport: Transport,
        base: &ServerConfig,
        (settings, clients): (&AuthorizationServerConfig, Option<Profile>),
        in_front: Option<SocketAddr>,
    ) -> Result<Self, String> {
        let scheme = if transport == Transport::Plaintext { "http" } else { "https" };
        let listener = ListenerConfig {
            name: AUTHORIZATION.to_owned(),
            bind: loopback(),
            public_url: in_front.map(|address| format!("{scheme}://{address}")),
            transport,
            // Whatever the measured route speaks: no negotiation stands between two variants' introspections.
            http: vec![HttpVersion::Http1],
            key_exchange: None,
            profiles: clients.into_iter().collect(),
            authorization_server: true,
            ocsp_responder: None,
            key_management: None,
        };
        let config =
            ServerConfig { listeners: vec![listener], authorization_server: Some(settings.clone()), ..base.clone() };
        let server = Server::start(launcher, AUTHORIZATION, config).await?;
        let listener = listener_named(&server.process.ready, AUTHORIZATION)?;
        let roots = roots(&server.process.ready, transport)?;
        let issuer = Issuer::discover(&listener.url, listener.address, &roots).await?;
        let identifier = listener.url.clone();
        let endpoint = Endpoint {
            address: listener.address,
            host: host(&identifier)?,
            transport,
            http: HttpVersion::Http1,
            key_exchange: None,
            roots,
            path: "/".to_owned(),
            convention: None,
        };
        let signs = matches!(settings.access_token, AccessTokenFormat::Jwt { .. });
        Ok(Self {
            server,
            endpoint,
            identifier,
            issuer,
            signs,
            code_lifetime: settings.code_lifetime,
            owners: Mutex::default(),
            clients: Mutex::default(),
            application: OnceCell::new(),
        })
    }

    /// Registers the resource server as a client that may introspect, and says how it is to trust this issuer.
    async fn trust(&self, transport: Transport) -> Result<TrustedIssuer, String> {
        let registration = ClientRegistration::resource_server("resource server");
        let client = self.server.control.register(&registration).await?;
        let secret = client.client_secret.ok_or("the introspecting client was registered without a secret")?;
        let client_secret_file = self.server.state.path().join("introspection-secret");
        write_secret(&client_secret_file, &secret)
            .map_err(|error| format!("{}: {error}", client_secret_file.display()))?;
        let ready = &self.server.process.ready;
        Ok(TrustedIssuer::Remote {
            issuer: listener_named(ready, AUTHORIZATION)?.url.clone(),
            ca_file: (transport != Transport::Plaintext).then(|| ready.ca_file.clone()),
            client_id: client.client_id,
            client_secret_file,
        })
    }

    /// The client whose tokens have that lifetime, registered when it is first asked for.
    async fn client(&self, lifetime: Option<Duration>) -> Result<RegisteredClient, String> {
        if let Some(client) = self.find(|(of, _)| *of == lifetime) {
            return Ok(client);
        }
        let client = self.register(lifetime).await?;
        self.clients.lock().expect("nobody panics while holding it").push((lifetime, client.clone()));
        Ok(client)
    }

    /// Registers a client whose tokens have that lifetime.
    async fn register(&self, lifetime: Option<Duration>) -> Result<RegisteredClient, String> {
        let service = ClientRegistration::service("load client", &[READ_SCOPE]);
        let registration = ClientRegistration { access_token_lifetime: lifetime, ..service };
        self.server.control.register(&registration).await
    }

    fn find(&self, matches: impl Fn(&(Option<Duration>, RegisteredClient)) -> bool) -> Option<RegisteredClient> {
        let clients = self.clients.lock().expect("nobody panics while holding it");
        clients.iter().find(|client| matches(client)).map(|(_, client)| client.clone())
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A temporary folder that only this user can enter and whose path leaves room for a Unix socket.
fn state_folder() -> Result<TempDir, String> {
    let parent = std::env::temp_dir();
    let folder = tempfile::Builder::new()
        .prefix("authbench-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(&parent)
        .map_err(|error| {
            format!("no temporary folder in {}: {error}; set TMPDIR to another place", parent.display())
        })?;
    let length = folder.path().as_os_str().len();
    if length > STATE_DIR_MAX {
        return Err(format!(
            "{} is too long: the path of a Unix socket in it would pass the system's limit; set TMPDIR to a path that \
             is {} bytes shorter",
            parent.display(),
            length - STATE_DIR_MAX
        ));
    }
    Ok(folder)
}

fn write_secret(path: &Path, secret: &Secret) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(secret.expose().as_bytes())
}

fn endpoint(
    ready: &Ready,
    (name, path): (&str, &str),
    server: ServerPlan,
    key_exchange: Option<KeyExchange>,
) -> Result<Endpoint, String> {
    let listener = listener_named(ready, name)?;
    Ok(Endpoint {
        address: listener.address,
        host: host(&listener.url)?,
        transport: server.transport,
        http: server.http,
        key_exchange,
        roots: roots(ready, server.transport)?,
        path: path.to_owned(),
        convention: None,
    })
}

/// The host of a listener's URL.
fn host(url: &str) -> Result<String, String> {
    let parsed = reqwest::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(reqwest::Url::host_str);
    host.map(str::to_owned).ok_or_else(|| format!("the server says that it listens on {url:?}, which is no URL"))
}

fn listener_named<'r>(ready: &'r Ready, name: &str) -> Result<&'r ReadyListener, String> {
    ready
        .listeners
        .iter()
        .find(|listener| listener.name == name)
        .ok_or_else(|| format!("the server reports no listener named {name:?}"))
}

/// The roots that the process's certificate must chain to.
fn roots(ready: &Ready, transport: Transport) -> Result<Vec<CertificateDer<'static>>, String> {
    if transport == Transport::Plaintext {
        return Ok(Vec::new());
    }
    let path = &ready.ca_file;
    let roots = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if roots.is_empty() {
        return Err(format!("{}: no certificate in it", path.display()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_is_private_and_leaves_room_for_a_socket() {
        let folder = state_folder().expect("the default temporary folder is short");
        let mode = folder.path().metadata().expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let socket = folder.path().join("control.sock");
        std::os::unix::net::UnixListener::bind(socket).expect("short enough");
    }

    #[test]
    fn replicas_that_disagree_are_told_apart() {
        let config = |ttl: &str, port: u16| -> ServerConfig {
            let text = format!(
                r#"{{"workers": 1, "state_dir": "/tmp/{port}", "listeners": [{{"name": "resource", "bind": "127.0.0.1:{port}",
                "transport": "plaintext", "http": ["1.1"], "profiles": [{{"name": "a", "path": "/", "scope": "read",
                "method": "api-key", "store": "memory", "cache": {{"ttl": "{ttl}"}}}}]}}]}}"#
            );
            serde_json::from_str(&text).expect("a configuration")
        };
        assert_eq!(disagreement(&[config("2s", 1), config("2s", 2), config("2s", 3)]), None);
        assert_eq!(disagreement(&[]), None);
        let said = disagreement(&[config("2s", 1), config("2s", 2), config("60s", 3)]).expect("the third differs");
        assert!(said.starts_with("replica 3 is configured otherwise"), "{said}");
        assert!(said.contains("listeners.0.profiles.0.cache.ttl is \"1m\" and not \"2s\""), "{said}");
    }

    #[test]
    fn a_secret_file_is_its_owners_alone_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("secret");
        write_secret(&path, &Secret::new("s3cret")).expect("writable");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "s3cret");
        assert_eq!(path.metadata().expect("it exists").permissions().mode() & 0o777, 0o600);
        assert!(write_secret(&path, &Secret::new("other")).is_err());
    }

    #[test]
    fn roots_come_from_the_pem_file_and_an_empty_one_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, "nothing\n").expect("writable");
        let ready = Ready { pid: 1, control: "/c".into(), listeners: Vec::new(), ca_file };
        assert_eq!(roots(&ready, Transport::Plaintext), Ok(Vec::new()));
        let error = roots(&ready, Transport::Tls13).expect_err("there is no certificate in it");
        assert!(error.contains("ca.pem"), "{error}");
        std::fs::write(&ready.ca_file, "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n")
            .expect("writable");
        assert_eq!(roots(&ready, Transport::Tls13), Ok(vec![CertificateDer::from(vec![1, 2, 3])]));
    }
}
