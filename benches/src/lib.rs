//! What the micro-benchmarks stand on: a method built as the server builds it, a credential it issued, and the request
//! that presents it.

pub mod jws;
pub mod table;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::Running;
use bench_server::auth::{Connection, Environment, Method, Principal, Rejection, Request};
use bench_server::clock::Clock;
use bench_server::contract::http_signature::{Freshness, Message, SIGNATURE, SIGNATURE_INPUT, Signer};
use bench_server::contract::{
    AccessTokenFormat, AuthorizationServerConfig, ClientRegistration, ClockMode, HttpVersion, IssueRequest, Issued,
    ListenerConfig, Material, MethodConfig, Profile, READ_SCOPE, RegisteredClient, Secret, ServerConfig, Transport,
    TrustedIssuer,
};
use bench_server::credential::x509::ClientIdentity;
use bench_server::telemetry::Meter;
use futures_util::FutureExt as _;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

/// Whom signed requests name as their host.
const HOST_OF_SIGNED: &str = "api.test";

/// The profile that every method is built as.
const PROFILE: &str = "bench";

/// A validator with a credential that it accepts.
pub struct Subject {
    method: Arc<Method>,
    head: Parts,
    connection: Connection,
    clock: Clock,
    /// Signs the request, where each validation needs a signature of its own; with what it fills in.
    signer: Option<(Signer, String)>,
}

impl Subject {
    /// Builds the method in `state_dir`, has it issue `population` credentials, and presents the last of them.
    ///
    /// # Errors
    /// When the method cannot be built or does not issue.
    pub async fn issued_here(state_dir: &Path, method: MethodConfig, population: usize) -> anyhow::Result<Self> {
        let (method, clock) = build(state_dir, method, None).await?;
        let request = IssueRequest { count: population, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
        let issued = method.issue(&request).await?.pop().context("nothing was issued")?;
        Self::presenting(Arc::new(method), clock, &issued)
    }

    /// The same, presenting each of them.
    ///
    /// # Errors
    /// When the method cannot be built or does not issue.
    pub async fn each_issued_here(state_dir: &Path, method: MethodConfig, count: usize) -> anyhow::Result<Vec<Self>> {
        let (method, clock) = build(state_dir, method, None).await?;
        let request = IssueRequest { count, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
        let (issued, method) = (method.issue(&request).await?, Arc::new(method));
        issued.iter().map(|issued| Self::presenting(method.clone(), clock.clone(), issued)).collect()
    }

    /// Builds an `oauth2` method that trusts `issuer`, and presents a token from its token endpoint.
    ///
    /// # Errors
    /// When the authorization server or the method refuses.
    pub async fn issued_by(state_dir: &Path, issuer: &TokenIssuer, method: MethodConfig) -> anyhow::Result<Self> {
        let (method, clock) = build(state_dir, method, Some(issuer.ca_file.as_path())).await?;
        let token = issuer.token().await?;
        let issued = Issued { id: String::new(), principal: String::new(), material: Material::Bearer { token } };
        Self::presenting(Arc::new(method), clock, &issued)
    }

    fn presenting(method: Arc<Method>, clock: Clock, issued: &Issued) -> anyhow::Result<Self> {
        let mut request = http::Request::builder().uri("/whoami");
        let (mut client, mut signer) = (None, None);
        match &issued.material {
            Material::None => {}
            Material::SigningKey { key_id, key } => {
                request = request.header(HOST, HOST_OF_SIGNED);
                let (authority, no_fields) = (HOST_OF_SIGNED, HeaderMap::new());
                let message = Message {
                    method: "GET",
                    authority,
                    path: "/whoami",
                    query: None,
                    fields: &no_fields,
                    content: b"",
                };
                signer = Some((Signer::new(key, &message)?, Signer::blank(key_id)?));
            }
            Material::ApiKey { key: secret } | Material::Bearer { token: secret } => {
                request = request.header(AUTHORIZATION, format!("Bearer {}", secret.expose()));
            }
            Material::Password { username, password } => {
                let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
                request = request.header(AUTHORIZATION, format!("Basic {pair}"));
            }
            Material::Certificate { chain_pem, .. } => {
                use rustls_pki_types::pem::PemObject as _;
                let leaf = rustls_pki_types::CertificateDer::from_pem_slice(chain_pem.as_bytes())?;
                client = Some(Arc::new(ClientIdentity::from_der(&leaf)?));
            }
        }
        let connection = Connection::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), client);
        Ok(Self { method, head: request.body(())?.into_parts().0, connection, clock, signer })
    }

    /// The request that is presented; signed anew where it is signed, for a signature is good for one validation.
    pub fn head(&self) -> Parts {
        let mut head = self.head.clone();
        if let Some((signer, blank)) = &self.signer {
            let (created, mut input) = (self.clock.now().as_secs(), blank.clone().into_bytes());
            let mut nonce = [0; 16];
            aws_lc_rs::rand::fill(&mut nonce).expect("the system has random bytes");
            let fresh = Freshness { created, expires: created + 30, nonce: u128::from_be_bytes(nonce) };
            let signature = signer.sign(&mut input, &fresh);
            let input = [b"sig1=", input.as_slice()].concat();
            let signature = [b"sig1=:", &signature[..], b":"].concat();
            for (name, value) in [(&SIGNATURE_INPUT, input), (&SIGNATURE, signature)] {
                head.headers.insert(name, HeaderValue::try_from(value).expect("a field value"));
            }
        }
        head
    }

    /// One validation of a request of [`Self::head`], by a method that never waits.
    ///
    /// # Errors
    /// As [`Self::validate`].
    ///
    /// # Panics
    /// When the method waits.
    pub fn validate_once(&self, head: &Parts) -> Result<Principal, Rejection> {
        let request = Request { head, connection: &self.connection, now: self.clock.now() };
        self.method.authenticate(&request).now_or_never().expect("this method never waits")
    }

    /// One validation, the clock reading included, exactly as the server does it for a request.
    ///
    /// # Errors
    /// The rejection: a benchmark that sees one must stop, for a timed rejection is not a validation.
    pub async fn validate(&self) -> Result<Principal, Rejection> {
        let request = Request { head: &self.head, connection: &self.connection, now: self.clock.now() };
        self.method.authenticate(&request).await
    }

    /// [`Self::validate`] for a method that never waits: one poll, no runtime in the way.
    ///
    /// # Errors
    /// As [`Self::validate`].
    ///
    /// # Panics
    /// When the method waits.
    pub fn validate_at_once(&self) -> Result<Principal, Rejection> {
        self.validate().now_or_never().expect("this method never waits")
    }

    /// The bearer token that is presented, where there is one.
    pub fn token(&self) -> Option<&str> {
        self.head.headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
    }
}

/// A method built in `state_dir`, with one credential that it issued.
///
/// # Errors
/// When the method cannot be built or does not issue.
pub async fn issued(state_dir: &Path, method: MethodConfig) -> anyhow::Result<(Method, Issued)> {
    let (method, _clock) = build(state_dir, method, None).await?;
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
    let one = method.issue(&request).await?.pop().context("nothing was issued")?;
    Ok((method, one))
}

/// A method built in `state_dir`, which has issued nothing.
///
/// # Errors
/// When the method cannot be built.
pub async fn built(state_dir: &Path, method: MethodConfig) -> anyhow::Result<Method> {
    let (method, _clock) = build(state_dir, method, None).await?;
    Ok(method)
}

async fn build(state_dir: &Path, method: MethodConfig, ca_file: Option<&Path>) -> anyhow::Result<(Method, Clock)> {
    let clock = Clock::new(ClockMode::System);
    let environment = Environment {
        shared_dir: state_dir.to_owned(),
        clock: clock.clone(),
        meter: Arc::<Meter>::default(),
        authorization_server: None,
        ca_file: ca_file.map_or_else(|| state_dir.join("no-ca.pem"), Path::to_owned),
    };
    std::fs::create_dir_all(state_dir)?;
    let profile = Profile {
        name: PROFILE.into(),
        path: "/whoami".into(),
        scope: READ_SCOPE.into(),
        method,
        users_only: false,
        slow_down: None,
    };
    Ok((Method::build(&profile, &environment).await?, clock))
}

/// An authorization server on loopback, with the two clients that a benchmark needs.
pub struct TokenIssuer {
    running: Running,
    ca_file: std::path::PathBuf,
    url: String,
    http: reqwest::Client,
    caller: RegisteredClient,
    resource_server: RegisteredClient,
    secret_file: std::path::PathBuf,
}

impl TokenIssuer {
    /// Starts the authorization server with its state in `state_dir`.
    ///
    /// # Errors
    /// When it does not start or refuses the clients.
    pub async fn start(state_dir: &Path, access_token: AccessTokenFormat) -> anyhow::Result<Self> {
        let running = bench_server::start(ServerConfig {
            listeners: vec![ListenerConfig {
                name: "issuer".into(),
                bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                public_url: None,
                transport: Transport::Tls13,
                http: vec![HttpVersion::Http1],
                key_exchange: None,
                profiles: Vec::new(),
                authorization_server: true,
                ocsp_responder: None,
                key_management: None,
            }],
            workers: NonZeroUsize::MIN,
            cpus: Vec::new(),
            state_dir: state_dir.to_owned(),
            shared_dir: None,
            clock: ClockMode::System,
            authorization_server: Some(AuthorizationServerConfig { access_token, ..Default::default() }),
            forging: false,
        })
        .await?;
        let ready = running.ready().clone();
        let root = reqwest::Certificate::from_pem(&std::fs::read(&ready.ca_file)?)?;
        let control = reqwest::Client::builder().unix_socket(ready.control.clone()).build()?;
        let mut clients = Vec::new();
        for registration in [
            ClientRegistration::service("caller", &[READ_SCOPE]),
            ClientRegistration::resource_server("resource server"),
        ] {
            let answer = control.post("http://control/clients").json(&registration).send().await?;
            clients.push(answer.error_for_status()?.json::<RegisteredClient>().await?);
        }
        let resource_server = clients.pop().context("two clients were registered")?;
        let caller = clients.pop().context("two clients were registered")?;
        let secret_file = state_dir.join("resource-server.secret");
        let secret = resource_server.client_secret.as_ref().context("a confidential client has a secret")?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secret_file)?;
        file.write_all(secret.expose().as_bytes())?;
        Ok(Self {
            ca_file: ready.ca_file.clone(),
            url: ready.listeners[0].url.clone(),
            http: reqwest::Client::builder().tls_certs_only([root]).build()?,
            running,
            caller,
            resource_server,
            secret_file,
        })
    }

    /// How a resource server is told to trust this issuer.
    pub fn trusted(&self) -> TrustedIssuer {
        TrustedIssuer::Remote {
            issuer: self.url.clone(),
            ca_file: Some(self.ca_file.clone()),
            client_id: self.resource_server.client_id.clone(),
            client_secret_file: self.secret_file.clone(),
        }
    }

    async fn token(&self) -> anyhow::Result<Secret> {
        let secret = self.caller.client_secret.as_ref().context("a confidential client has a secret")?;
        let answer: serde_json::Value = self
            .http
            .post(format!("{}/token", self.url))
            .basic_auth(&self.caller.client_id, Some(secret.expose()))
            .form(&[("grant_type", "client_credentials"), ("scope", READ_SCOPE)])
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        Ok(Secret::new(answer["access_token"].as_str().context("no access_token in the answer")?))
    }

    /// Stops the server.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}
