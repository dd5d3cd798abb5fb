//! How the processes of a variant are configured, and started in the order in which they depend on each other.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use bench_server::contract::{
    ChainLength, ClockMode, HttpVersion, KeyRollover, ListenerConfig, MethodConfig, OAuth2Config, OcspConfig, Profile,
    READ_SCOPE, ServerConfig, ServerKind, StoreConfig, Transport,
};

use super::super::forwarder::Forwarder;
use super::super::process::Launcher;
use super::super::stores::{Placed, Stores};
use super::agree::agree;
use super::attack::{Companion, NEIGHBOUR, NEIGHBOUR_PATH, beside_mtls, clients_profile};
use super::authorization::Authorization;
use super::folder::state_folder;
use super::ready::{endpoint, listener_named};
use super::{
    BESIDE_PATH, CONTROL, Dependency, OCSP, PATH, REPLICA, RESOURCE, Reference, Server, beside_name, loopback,
};
use crate::machine::Machine;
use crate::plan::{Plan, ProbeKind, RevokeBy, ServerPlan, Variant};

impl Reference {
    /// Starts the processes and waits until they are ready.
    pub(in super::super) async fn start(
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

/// The HTTP versions that a listener offers: the measured one, and what probes ask for beside it.
fn offered(plan: &Plan, server: ServerPlan) -> Vec<HttpVersion> {
    let mut offered = vec![server.http];
    if server.http != HttpVersion::Http2 && plan.probes_over(ProbeKind::H2) {
        offered.push(HttpVersion::Http2);
    }
    offered
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
