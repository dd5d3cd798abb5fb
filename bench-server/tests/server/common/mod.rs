//! A server in this process, its control socket, and a caller: what the acceptance tests stand on.
#![allow(unreachable_pub)] // of nobody else

pub mod browser;
pub mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use bench_server::Running;
use bench_server::contract::{
    AccessTokenFormat, AuthorizationServerConfig, ClientRegistration, ClockChange, ClockMode, Counters, HttpVersion,
    IssueRequest, Issued, ListenerConfig, Material, MethodConfig, OAuth2Config, Profile, READ_SCOPE, RegisteredClient,
    Secret, ServerConfig, TokenRules, TokenValidation, Transport,
};
use reqwest::header::{HeaderMap, HeaderValue};

/// A running server with one profile called `subject` at `/whoami`, and the state folder it lives in.
pub struct Server {
    running: Option<Running>,
    control: reqwest::Client,
    root: reqwest::Certificate,
    oauth_client: Option<RegisteredClient>,
    state: tempfile::TempDir,
}

/// A listener on a port of the system's choice.
pub fn listener(transport: Transport, http: HttpVersion) -> ListenerConfig {
    ListenerConfig {
        name: "main".into(),
        bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        public_url: None,
        transport,
        http: vec![http],
        key_exchange: None,
        profiles: Vec::new(),
        authorization_server: false,
        ocsp_responder: None,
        key_management: None,
    }
}

/// The profile called `subject`.
pub fn profile(method: MethodConfig) -> Profile {
    Profile {
        name: "subject".into(),
        path: "/whoami".into(),
        scope: READ_SCOPE.into(),
        method,
        users_only: false,
        slow_down: None,
    }
}

impl Server {
    /// Starts a server with one profile of this method over TLS 1.3 and HTTP/1.1, its clock controlled. For `oauth2` the
    /// authorization server is in the same process.
    pub async fn start(method: MethodConfig) -> Self {
        let mut listener = listener(Transport::Tls13, HttpVersion::Http1);
        let authorization_server = authorization_server(&method);
        listener.authorization_server = authorization_server.is_some();
        listener.profiles = vec![profile(method)];
        Self::start_with(vec![listener], authorization_server).await
    }

    pub async fn start_with(
        listeners: Vec<ListenerConfig>,
        authorization_server: Option<AuthorizationServerConfig>,
    ) -> Self {
        Self::start_in(listeners, authorization_server, None).await
    }

    /// The same, with records in a folder that other servers share.
    pub async fn start_in(
        listeners: Vec<ListenerConfig>,
        authorization_server: Option<AuthorizationServerConfig>,
        shared_dir: Option<&std::path::Path>,
    ) -> Self {
        let state = tempfile::tempdir().expect("a temporary folder");
        let has_authorization_server = authorization_server.is_some();
        let running = bench_server::start(ServerConfig {
            listeners,
            workers: NonZeroUsize::MIN,
            cpus: Vec::new(),
            state_dir: state.path().to_owned(),
            shared_dir: shared_dir.map(std::path::Path::to_owned),
            clock: ClockMode::Controlled,
            authorization_server,
            forging: false,
        })
        .await
        .expect("the server starts");
        let ready = running.ready();
        let pem = std::fs::read(&ready.ca_file).expect("the CA file is written");
        let root = reqwest::Certificate::from_pem(&pem).expect("the CA file is PEM");
        let control = reqwest::Client::builder().unix_socket(ready.control.clone()).build().expect("a client");
        let mut server = Self { running: Some(running), control, root, oauth_client: None, state };
        if has_authorization_server {
            server.oauth_client = Some(
                server.register_client(&ClientRegistration::service("acceptance tests", &[READ_SCOPE, "write"])).await,
            );
        }
        server
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("not stopped yet")
    }

    pub fn state_dir(&self) -> &std::path::Path {
        self.state.path()
    }

    pub fn url(&self) -> &str {
        &self.running().ready().listeners[0].url
    }

    /// The listener that carries the authorization server: a further one, or the only one.
    fn issuer(&self) -> &str {
        let listeners = &self.running().ready().listeners;
        &listeners.iter().find(|listener| listener.name == "issuer").unwrap_or(&listeners[0]).url
    }

    pub fn whoami(&self) -> String {
        format!("{}/whoami", self.url())
    }

    pub fn ca_file(&self) -> &std::path::Path {
        &self.running().ready().ca_file
    }

    /// A client that trusts this server's CA and follows no redirect.
    pub fn client(&self) -> reqwest::ClientBuilder {
        reqwest::Client::builder().tls_certs_only([self.root.clone()]).redirect(reqwest::redirect::Policy::none())
    }

    pub async fn stop(mut self) {
        self.running.take().expect("not stopped yet").stop().await;
    }

    pub async fn register_client(&self, registration: &ClientRegistration) -> RegisteredClient {
        self.control_post("/clients", registration).await.json().await.expect("a registered client")
    }

    pub async fn control_post(&self, path: &str, body: &impl serde::Serialize) -> reqwest::Response {
        let answer = self.control.post(format!("http://control{path}")).json(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer
    }

    pub async fn counters(&self) -> Counters {
        let answer = self.control.get("http://control/counters").send().await.expect("an answer");
        answer.json().await.expect("counters")
    }

    pub async fn advance(&self, by: Duration) {
        self.control_post("/clock", &ClockChange::Advance(by)).await;
    }

    /// Issues a credential the way its standard says.
    pub async fn issue(&self, scopes: &[&str], lifetime: Option<Duration>) -> Issued {
        if let Some(client) = &self.oauth_client {
            return self.token(client, scopes).await;
        }
        let request =
            IssueRequest { count: 1, lifetime, scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect() };
        let answer = self.control_post("/profiles/subject/credentials", &request).await;
        let mut issued: Vec<Issued> = answer.json().await.expect("issued credentials");
        assert_eq!(issued.len(), 1);
        issued.remove(0)
    }

    /// A token of a client's own (RFC 6749 §4.4).
    pub async fn token(&self, client: &RegisteredClient, scopes: &[&str]) -> Issued {
        let secret = client.client_secret.as_ref().expect("a confidential client").expose();
        let answer = self
            .client()
            .build()
            .expect("a client")
            .post(format!("{}/token", self.issuer()))
            .basic_auth(&client.client_id, Some(secret))
            .form(&[("grant_type", "client_credentials"), ("scope", &scopes.join(" "))])
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        let body: serde_json::Value = answer.json().await.expect("a token response");
        let token = body["access_token"].as_str().expect("an access token").to_owned();
        Issued {
            id: "token".into(),
            principal: format!("client:{}", client.client_id),
            material: Material::Bearer { token: Secret::new(token) },
        }
    }

    /// A token of the tests' own client, at the authorization server of this process wherever that listens.
    pub async fn token_of_client(&self, scopes: &[&str]) -> String {
        let client = self.oauth_client.as_ref().expect("an authorization server is configured");
        let Material::Bearer { token } = self.token(client, scopes).await.material else { panic!("not a token") };
        token.expose().to_owned()
    }

    /// Revokes a credential the way its standard says.
    pub async fn revoke(&self, credential: &Issued) {
        let answer = match (&self.oauth_client, &credential.material) {
            (Some(client), Material::Bearer { token }) => {
                let secret = client.client_secret.as_ref().expect("a confidential client").expose();
                self.client()
                    .build()
                    .expect("a client")
                    .post(format!("{}/revoke", self.issuer()))
                    .basic_auth(&client.client_id, Some(secret))
                    .form(&[("token", token.expose())])
                    .send()
                    .await
            }
            _ => return self.revoke_of("subject", credential).await,
        };
        let status = answer.expect("an answer").status();
        assert!(status.is_success(), "revocation answered {status}");
    }

    /// Revokes a credential of a profile over the control socket.
    pub async fn revoke_of(&self, profile: &str, credential: &Issued) {
        let url = format!("http://control/profiles/{profile}/credentials/{}", credential.id);
        let status = self.control.delete(url).send().await.expect("an answer").status();
        assert!(status.is_success(), "revocation answered {status}");
    }

    /// Presents a credential on a new connection.
    pub async fn call(&self, credential: &Material) -> Answer {
        Caller::new(self, credential).call().await
    }

    /// Sends the given header fields on a new connection.
    pub async fn call_with(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).expect("a field name");
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a field value"));
        }
        let client = self.client().build().expect("a client");
        Answer::of(client.get(format!("{}{path}", self.url())).headers(headers).send().await).await
    }
}

/// A caller that keeps its connection.
pub struct Caller {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
}

impl Caller {
    pub fn new(server: &Server, credential: &Material) -> Self {
        let mut client = server.client();
        let mut headers = HeaderMap::new();
        let mut authorization = |value: String| {
            headers.insert("authorization", HeaderValue::from_str(&value).expect("a field value"));
        };
        match credential {
            Material::None => {}
            Material::ApiKey { key } => authorization(format!("Bearer {}", key.expose())),
            Material::Bearer { token } => authorization(format!("Bearer {}", token.expose())),
            Material::SigningKey { .. } => panic!("each request is signed anew: see signed.rs"),
            Material::Password { username, password } => authorization(basic(username, password.expose())),
            Material::Certificate { chain_pem, key_pem } => {
                let pem = format!("{chain_pem}{}", key_pem.expose());
                client = client.identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity"));
            }
        }
        Self { client: client.build().expect("a client"), url: server.whoami(), headers }
    }

    /// The same with a bearer token, beside a certificate.
    pub fn with_bearer(mut self, token: &str) -> Self {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a field value");
        self.headers.insert("authorization", value);
        self
    }

    pub async fn call(&self) -> Answer {
        Answer::of(self.client.get(&self.url).headers(self.headers.clone()).send().await).await
    }
}

/// `Basic …` (RFC 7617 §2).
pub fn basic(username: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}")))
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Http {
        status: u16,
        challenges: Vec<String>,
        /// `None` when the body is not JSON.
        body: Option<serde_json::Value>,
        vary: Option<String>,
        cache_control: Option<String>,
    },
    /// The connection ended without an answer; the text says how, like `CertificateRevoked`.
    Refused(String),
}

impl Answer {
    pub async fn of(result: reqwest::Result<reqwest::Response>) -> Self {
        let response = match result {
            Ok(response) => response,
            Err(error) => return Self::Refused(format!("{error:?}")),
        };
        let text = |name: &str| response.headers().get(name).map(|v| v.to_str().expect("text").to_owned());
        let challenges = response.headers().get_all("www-authenticate").iter();
        Self::Http {
            status: response.status().as_u16(),
            challenges: challenges.map(|v| v.to_str().expect("text").to_owned()).collect(),
            vary: text("vary"),
            cache_control: text("cache-control"),
            body: response.bytes().await.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()),
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Http { status, .. } => Some(*status),
            Self::Refused(_) => None,
        }
    }

    #[track_caller]
    pub fn assert_accepted(&self, principal: &str) {
        let Self::Http { status: 200, body: Some(body), cache_control, .. } = self else {
            panic!("not accepted: {self:?}")
        };
        assert_eq!(body["principal"], principal);
        assert!(matches!(cache_control.as_deref(), Some("no-store" | "private")), "{self:?}");
    }

    /// 401 with exactly one challenge of the scheme, with or without `error="invalid_token"`.
    #[track_caller]
    pub fn assert_challenge(&self, scheme: &str, error: Option<&str>) {
        let Self::Http { status: 401, challenges, .. } = self else { panic!("not a 401: {self:?}") };
        let [challenge] = challenges.as_slice() else { panic!("not one challenge: {self:?}") };
        assert!(challenge.starts_with(&format!("{scheme} realm=\"authbench\"")), "{challenge}");
        match error {
            Some(error) => assert!(challenge.contains(&format!("error=\"{error}\"")), "{challenge}"),
            None => assert!(!challenge.contains("error"), "{challenge}"),
        }
    }

    /// The TLS handshake was refused with this alert, named as rustls names it.
    #[track_caller]
    pub fn assert_alert(&self, alert: &str) {
        let Self::Refused(error) = self else { panic!("answered: {self:?}") };
        assert!(error.contains(alert), "expected {alert}: {error}");
    }
}

fn authorization_server(method: &MethodConfig) -> Option<AuthorizationServerConfig> {
    let MethodConfig::OAuth2(OAuth2Config { validation, .. }) = method else { return None };
    let access_token = match validation {
        TokenValidation::Opaque { .. } => AccessTokenFormat::Opaque,
        TokenValidation::Jwt { algorithm } => AccessTokenFormat::Jwt { algorithm: *algorithm },
    };
    Some(AuthorizationServerConfig { access_token, ..Default::default() })
}

pub fn oauth2(validation: TokenValidation) -> MethodConfig {
    MethodConfig::OAuth2(OAuth2Config { rules: STRICT, ..OAuth2Config::new(validation) })
}

/// No leeway: expiry is tested to the second.
pub const STRICT: TokenRules = TokenRules { leeway: Duration::ZERO, max_lifetime: Duration::from_secs(900) };
