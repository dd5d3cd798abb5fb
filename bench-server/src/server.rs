//! Start and stop of a whole server: validate, bind, build, serve, and all of it back.
//!
//! A thread with a runtime of its own, the *control* thread, owns everything: it builds the methods, whose background
//! work lives in its runtime, answers the control socket, and starts and joins the workers. When it ends, nothing is left.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

use crate::auth::{BuildError, Environment, Method};
use crate::clock::Clock;
use crate::config::{
    ChainLength, ListenerConfig, MethodConfig, MtlsConfig, OAuth2Config, Profile, ServerConfig, Transport,
};
use crate::contract::{Ready, ReadyListener};
use crate::control::{Administration, ControlSocket};
use crate::issuer::api_keys::KeyManagement;
use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::ca::{CertificateAuthority, OcspResponder};
use crate::net::accept::{self, Listener};
use crate::net::bind::{self, Bound};
use crate::net::openapi;
use crate::net::route::{Route, Site};
use crate::net::tls;
use crate::telemetry::Meter;

mod certificate;
mod validate;

pub(crate) use certificate::OwnCertificate;

pub use validate::ConfigErrors;

/// Mode of the state folder: the owner's alone.
const PRIVATE: u32 = 0o700;

/// How long background work of the methods may take to notice that its runtime is gone.
const BACKGROUND_GRACE: Duration = Duration::from_secs(1);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself or does not fit this machine.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// A listening address could not be had.
    #[error("listener \"{listener}\": cannot listen on {address}: {source}; {}", remedy(.source))]
    Bind {
        /// Name of the listener.
        listener: String,
        /// The address from the configuration.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file, socket, key or thread could not be made or read.
    #[error("{what}: {source}")]
    State {
        /// What was being done, with the path.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A method or the authorization server could not be built.
    #[error("{what}: {source}")]
    Build {
        /// The profile, or the authorization server.
        what: String,
        /// Why.
        #[source]
        source: BuildError,
    },
    /// The control thread panicked; what it said is on stderr.
    #[error("the server broke while it started")]
    Broken,
}

impl StartError {
    /// Whether the configuration has to change, rather than the machine.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Build { source: BuildError::Config(_), .. })
    }

    pub(crate) fn state(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::State { what: what.into(), source: source.into() }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "end the process that has the port, or choose another (0 lets the system choose)",
        io::ErrorKind::AddrNotAvailable => "use an address of this machine",
        io::ErrorKind::PermissionDenied => "choose a port above 1023",
        _ => "choose another address",
    }
}

/// A server that accepts connections. Dropping it stops it as well, without waiting.
pub struct Running {
    ready: Ready,
    administration: Arc<Administration>,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
    thread: thread::JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// What the control socket works on, for callers in the same process.
    pub(crate) fn administration(&self) -> &Administration {
        &self.administration
    }

    /// Leaves what the stores hold in memory to the operating system, which takes it back at once when the process ends:
    /// freeing ten million records one by one takes as long as making them did.
    pub(crate) fn never_free_stores(&self) {
        std::mem::forget(self.administration.clone());
    }

    /// Stops accepting, lets requests in progress finish (at most two seconds), and joins all threads.
    pub async fn stop(self) {
        drop(self.administration);
        let _ = self.stop.send(()); // an error means that the control thread has ended already
        let _ = self.ended.await; // never sent: dropped as the thread's last act
        if self.thread.join().is_err() {
            tracing::error!("the control thread panicked");
        }
    }
}

/// Binds the calling thread to `config.cpus`, then binds the addresses, builds every method and starts the workers.
///
/// # Errors
/// See [`StartError`]. Nothing of a server that did not start is left running.
pub async fn start(config: ServerConfig) -> Result<Running, StartError> {
    validate::validate(&config)?;
    bind_to_cpus(&config.cpus)?; // first: every thread from here on inherits it
    let (report, ready) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let (ending, ended) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || {
            control_thread(config, report, stopped);
            drop(ending);
        })
        .map_err(|error| StartError::state("start the control thread", error))?;
    match ready.await {
        Ok(Ok((ready, administration))) => Ok(Running { ready, administration, stop, ended, thread }),
        Ok(Err(error)) => {
            let _ = ended.await;
            Err(error)
        }
        Err(_) => Err(StartError::Broken),
    }
}

type Started = Result<(Ready, Arc<Administration>), StartError>;

fn control_thread(config: ServerConfig, report: oneshot::Sender<Started>, stop: oneshot::Receiver<()>) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = report.send(Err(StartError::state("make the control runtime", error)));
            return;
        }
    };
    let failed = runtime.block_on(async {
        match Server::start(config).await {
            Ok(server) => {
                // Reporting fails when the caller of `start` has gone; then there is nothing to wait for.
                if report.send(Ok((server.ready.clone(), server.administration.clone()))).is_ok() {
                    let _ = stop.await; // an error means that `Running` was dropped: stop as well
                }
                server.stop().await;
                None
            }
            Err(error) => Some((report, error)),
        }
    });
    shut_down(runtime);
    if let Some((report, error)) = failed {
        let _ = report.send(Err(error)); // only now, so that a caller who hears of it finds nothing left
    }
}

fn shut_down(runtime: Runtime) {
    runtime.shutdown_timeout(BACKGROUND_GRACE);
}

/// Everything that runs.
struct Server {
    ready: Ready,
    administration: Arc<Administration>,
    workers: Vec<thread::JoinHandle<()>>,
    stop: watch::Sender<()>,
    socket: ControlSocket,
}

impl Server {
    async fn start(mut config: ServerConfig) -> Result<Self, StartError> {
        config.state_dir = std::path::absolute(&config.state_dir)
            .map_err(|error| StartError::state(format!("find {}", config.state_dir.display()), error))?;
        make_private_dir("state_dir", &config.state_dir)?;
        if let Some(shared) = &mut config.shared_dir {
            *shared = std::path::absolute(&*shared)
                .map_err(|error| StartError::state(format!("find {}", shared.display()), error))?;
            make_private_dir("shared_dir", shared)?;
        }
        let socket = ControlSocket::bind(&config.state_dir)?;
        let mut sockets = bind_listeners(&mut config)?;
        let ready_listeners: Vec<_> = config.listeners.iter().map(describe).collect();
        find_responders(&mut config, &ready_listeners);
        name_resources(&mut config, &ready_listeners);

        let clock = Clock::new(config.clock);
        let meter = Arc::new(Meter::default());
        let authority = CertificateAuthority::open(
            &config.state_dir.join("server-ca"),
            clock.clone(),
            MtlsConfig::default_crl_validity(),
            ChainLength::default(),
        )
        .map_err(|error| StartError::state("open the server's certificate authority", error))?;
        let ca_file = authority.root_file();
        let certificate = Arc::new(OwnCertificate::issue(authority, &config)?);
        let authorization_server = build_authorization_server(&config, &ready_listeners, &clock, &meter)?;
        let environment = Environment {
            shared_dir: config.shared_dir.clone().unwrap_or_else(|| config.state_dir.clone()),
            clock: clock.clone(),
            meter: meter.clone(),
            authorization_server: authorization_server.clone(),
            ca_file: ca_file.clone(),
        };
        let methods = build_methods(&config, &environment).await?;
        exchange_keys(&config, authorization_server.as_deref(), &methods);
        let listeners = config
            .listeners
            .iter()
            .zip(&ready_listeners)
            .map(|(listener, ready)| {
                let ocsp_responder = ocsp_responder(listener, &methods)?;
                let site = Site {
                    routes: listener
                        .profiles
                        .iter()
                        .map(|profile| Route::new(profile, methods[&profile.name].clone()))
                        .collect(),
                    key_management: key_management(listener, &methods, &meter),
                    authorization_server: authorization_server.clone().filter(|_| listener.authorization_server),
                    ocsp_responder,
                    description: openapi::document(listener, &ready.url),
                    clock: clock.clone(),
                    meter: meter.clone(),
                    misdirected: misdirected(listener, &config.listeners, &ready_listeners),
                };
                build_listener(listener, site, &methods, &certificate).map(Arc::new)
            })
            .collect::<Result<Vec<_>, _>>()?;

        let ready =
            Ready { pid: std::process::id(), control: socket.path().to_owned(), listeners: ready_listeners, ca_file };
        let workers = config.workers.get();
        let administration = Arc::new(Administration {
            config,
            clock,
            meter,
            methods,
            authorization_server,
            certificate: Some(certificate),
        });
        let mut server =
            Self { ready, administration, workers: Vec::with_capacity(workers), stop: watch::Sender::new(()), socket };
        for index in 0..workers {
            let own = sockets.iter_mut().zip(&listeners);
            let own = own.map(|(bound, listener)| {
                (bound.sockets.pop().expect("one socket was bound per worker"), listener.clone())
            });
            if let Err(error) = server.start_worker(index, own.collect()).await {
                server.stop().await;
                return Err(StartError::state(format!("start worker {index}"), error));
            }
        }
        if let Err(error) = server.socket.listen(&server.administration) {
            server.stop().await;
            return Err(error);
        }
        Ok(server)
    }

    async fn start_worker(
        &mut self,
        index: usize,
        sockets: Vec<(std::net::TcpListener, Arc<Listener>)>,
    ) -> io::Result<()> {
        let worker = accept::spawn_worker(index, sockets, self.stop.subscribe())?;
        self.workers.push(worker.thread);
        worker.started.await.unwrap_or_else(|_| Err(io::Error::other("it panicked")))
    }

    /// Stops the workers and waits for them; the control socket goes last, with its file.
    async fn stop(self) {
        self.stop.send_replace(());
        for worker in self.workers {
            // The runtime of this thread must go on: requests in progress may need the methods' background work.
            match tokio::task::spawn_blocking(move || worker.join()).await {
                Ok(Ok(())) => {}
                _ => tracing::error!("a worker panicked"),
            }
        }
        for method in self.administration.methods.values() {
            method.settle().await;
        }
        drop(self.socket);
    }
}

#[cfg(target_os = "linux")]
fn bind_to_cpus(cpus: &[usize]) -> Result<(), StartError> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for cpu in cpus {
        if *cpu >= CpuSet::MAX_CPU {
            let error = format!("cpus: there is no processor {cpu}; `nproc --all` tells how many there are");
            return Err(ConfigErrors(vec![error]).into());
        }
        set.set(*cpu);
    }
    sched_setaffinity(None, &set).map_err(|error| {
        let error =
            format!("cpus: cannot bind to {cpus:?}: {error}; `taskset -p $$` shows the processors that may be used");
        ConfigErrors(vec![error]).into()
    })
}

#[cfg(not(target_os = "linux"))]
fn bind_to_cpus(cpus: &[usize]) -> Result<(), StartError> {
    if cpus.is_empty() {
        return Ok(());
    }
    let error = "cpus: threads can be bound to processors on Linux only; leave the list empty".to_owned();
    Err(ConfigErrors(vec![error]).into())
}

/// Makes the folder with mode 0700, or takes an empty one over. One that others may look into and that holds anything is
/// refused: whoever named it, say `/tmp`, does not want it closed.
fn make_private_dir(option: &str, dir: &Path) -> Result<(), StartError> {
    let make = || -> io::Result<Option<u32>> {
        DirBuilder::new().recursive(true).mode(PRIVATE).create(dir)?;
        let mode = fs::metadata(dir)?.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            return Ok(None);
        }
        if fs::read_dir(dir)?.next().is_some() {
            return Ok(Some(mode));
        }
        fs::set_permissions(dir, Permissions::from_mode(PRIVATE))?;
        Ok(None)
    };
    let open = make().map_err(|error| StartError::state(format!("make the folder {}", dir.display()), error))?;
    let Some(mode) = open else { return Ok(()) };
    let error = format!(
        "{option}: {} has mode {mode:o} and is not empty, so keys in it would not be secret; `chmod 700` it or name a \
         new folder",
        dir.display()
    );
    Err(ConfigErrors(vec![error]).into())
}

/// Binds every listener and writes the real addresses into the configuration, which from here on is the one in force.
fn bind_listeners(config: &mut ServerConfig) -> Result<Vec<Bound>, StartError> {
    let workers = config.workers;
    config
        .listeners
        .iter_mut()
        .map(|listener| {
            let bound = bind::bind(listener.bind, workers).map_err(|source| StartError::Bind {
                listener: listener.name.clone(),
                address: listener.bind,
                source,
            })?;
            listener.bind = bound.address;
            Ok(bound)
        })
        .collect()
}

fn describe(listener: &ListenerConfig) -> ReadyListener {
    let scheme = if listener.transport == Transport::Plaintext { "http" } else { "https" };
    // A listener on all addresses is reached from this machine over loopback.
    let host = if listener.bind.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listener.bind.ip() };
    let bound = || format!("{scheme}://{}", SocketAddr::new(host, listener.bind.port()));
    let url = listener.public_url.clone().unwrap_or_else(bound);
    ReadyListener { name: listener.name.clone(), address: listener.bind, url }
}

/// Writes into each profile that asks the OCSP responder of this process where that listens.
fn find_responders(config: &mut ServerConfig, listeners: &[ReadyListener]) {
    let carried = config.listeners.iter().zip(listeners).filter_map(|(listener, ready)| {
        let profile = listener.ocsp_responder.clone()?;
        Some((profile, format!("{}/", ready.url)))
    });
    let urls: BTreeMap<String, String> = carried.collect();
    for profile in config.listeners.iter_mut().flat_map(|listener| &mut listener.profiles) {
        if let Some(MtlsConfig { ocsp: Some(ocsp), .. }) = profile.method.certificates_mut()
            && ocsp.url.is_none()
        {
            ocsp.url = urls.get(&profile.name).cloned();
        }
    }
}

/// Writes into each profile that takes proofs the URL that they have to be made for.
fn name_resources(config: &mut ServerConfig, listeners: &[ReadyListener]) {
    for (listener, ready) in config.listeners.iter_mut().zip(listeners) {
        for profile in &mut listener.profiles {
            if let MethodConfig::OAuth2(OAuth2Config { dpop: Some(dpop), .. }) = &mut profile.method {
                dpop.url.get_or_insert_with(|| format!("{}{}", ready.url.trim_end_matches('/'), profile.path));
            }
        }
    }
}

fn key_management(
    listener: &ListenerConfig,
    methods: &BTreeMap<String, Arc<Method>>,
    meter: &Arc<Meter>,
) -> Option<KeyManagement> {
    let config = listener.key_management.as_ref()?;
    // Validation leaves the names of profiles that there are.
    Some(KeyManagement::new(config, methods[&config.profile].clone(), meter.clone()))
}

fn ocsp_responder(
    listener: &ListenerConfig,
    methods: &BTreeMap<String, Arc<Method>>,
) -> Result<Option<Arc<OcspResponder>>, StartError> {
    let Some(profile) = &listener.ocsp_responder else { return Ok(None) };
    let responder = methods[profile].ocsp_responder();
    let responder = responder
        .map_err(|error| StartError::state(format!("answer OCSP on listener \"{}\"", listener.name), error))?;
    Ok(Some(Arc::new(responder.expect("validation leaves profiles that have one"))))
}

/// The authorities of the listeners that demand a certificate, other than this one's own.
fn misdirected(own: &ListenerConfig, all: &[ListenerConfig], ready: &[ReadyListener]) -> Vec<String> {
    let authority = |ready: &ReadyListener| {
        let url = url::Url::parse(&ready.url).ok()?;
        // Without the port where it is the scheme's.
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}{port}", url.host_str()?))
    };
    let demands = |listener: &ListenerConfig| {
        let mut asking = listener.profiles.iter().filter_map(|profile| profile.method.certificates());
        asking.any(|certificates| !certificates.optional)
    };
    let demanding = all.iter().zip(ready).filter(|(listener, _)| demands(listener) && listener.name != own.name);
    demanding.filter_map(|(_, ready)| authority(ready)).collect()
}

fn build_authorization_server(
    config: &ServerConfig,
    listeners: &[ReadyListener],
    clock: &Clock,
    meter: &Arc<Meter>,
) -> Result<Option<Arc<AuthorizationServer>>, StartError> {
    let Some(own) = &config.authorization_server else { return Ok(None) };
    let mounted = config.listeners.iter().position(|listener| listener.authorization_server);
    let issuer = &listeners[mounted.expect("validation found the listener that carries it")].url;
    AuthorizationServer::build(own, issuer, clock.clone(), meter.clone())
        .map(|server| {
            // Whether clients can be known by their certificates is up to the listener.
            let asks = |profile: &Profile| profile.method.certificates().is_some();
            let asks = config.listeners.iter().any(|it| it.authorization_server && it.profiles.iter().any(asks));
            Some(Arc::new(if asks { server.with_client_certificates() } else { server }))
        })
        .map_err(|source| StartError::Build { what: "authorization_server".to_owned(), source })
}

async fn build_methods(
    config: &ServerConfig,
    environment: &Environment,
) -> Result<BTreeMap<String, Arc<Method>>, StartError> {
    let mut methods = BTreeMap::new();
    for profile in config.listeners.iter().flat_map(|listener| &listener.profiles) {
        let method = Method::build(profile, environment)
            .await
            .map_err(|source| StartError::Build { what: format!("profile \"{}\"", profile.name), source })?;
        methods.insert(profile.name.clone(), Arc::new(method));
    }
    Ok(methods)
}

/// Tells the authorization server whose keys it exchanges.
fn exchange_keys(config: &ServerConfig, server: Option<&AuthorizationServer>, methods: &BTreeMap<String, Arc<Method>>) {
    let exchange = config.authorization_server.as_ref().and_then(|own| own.token_exchange.as_ref());
    if let (Some(exchange), Some(server)) = (exchange, server) {
        // Validation leaves the names of profiles that there are.
        server.exchange_keys_of(methods[&exchange.profile].clone());
    }
}

fn build_listener(
    listener: &ListenerConfig,
    site: Site,
    methods: &BTreeMap<String, Arc<Method>>,
    certificate: &Arc<OwnCertificate>,
) -> Result<Listener, StartError> {
    let version = match listener.transport {
        Transport::Plaintext => None,
        Transport::Tls12 => Some(&rustls::version::TLS12),
        Transport::Tls13 => Some(&rustls::version::TLS13),
    };
    // Validation leaves at most one profile on a listener that asks for certificates.
    let clients = listener.profiles.iter().find_map(|profile| {
        let asks = profile.method.certificates().is_some();
        methods[&profile.name].client_certificates().filter(|_| asks)
    });
    let registry = clients.as_ref().and_then(|clients| clients.registry.clone());
    let tls = version
        .map(|version| {
            let certificate = certificate.resolver();
            tls::configuration(version, &listener.http, listener.key_exchange, certificate, clients)
                .map(|configuration| TlsAcceptor::from(Arc::new(configuration)))
                .map_err(|error| StartError::state(format!("set up TLS of listener \"{}\"", listener.name), error))
        })
        .transpose()?;
    Ok(Listener { name: listener.name.clone(), tls, http: listener.http.clone(), site: Arc::new(site), registry })
}
