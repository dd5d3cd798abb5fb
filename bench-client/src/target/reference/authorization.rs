//! The authorization server of a variant, and the clients that are registered with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use bench_server::contract::{
    AccessTokenFormat, AuthorizationServerConfig, ClientRegistration, HttpVersion, ListenerConfig, Profile, READ_SCOPE,
    RegisteredClient, ServerConfig, Transport, TrustedIssuer,
};
use tokio::sync::OnceCell;

use super::super::grant::Application;
use super::super::oauth::Issuer;
use super::super::process::Launcher;
use super::folder::write_secret;
use super::ready::{host, listener_named, roots};
use super::{AUTHORIZATION, Server, loopback};
use crate::load::Endpoint;

/// The authorization server and the clients registered with it.
pub(super) struct Authorization {
    pub(super) server: Server,
    /// Where its requests go.
    pub(super) endpoint: Endpoint,
    /// Its identifier (RFC 8414 §2).
    pub(super) identifier: String,
    pub(super) issuer: Issuer,
    /// Whether its tokens are signed.
    pub(super) signs: bool,
    pub(super) code_lifetime: Duration,
    /// Whose tokens are that users granted, by their names.
    pub(super) owners: Mutex<BTreeMap<String, RegisteredClient>>,
    /// One client per lifetime that tokens were asked for with; `None` is the server's own.
    clients: Mutex<Vec<(Option<Duration>, RegisteredClient)>>,
    /// The client that acts for users, registered when a user is first to grant something.
    pub(super) application: OnceCell<Application>,
}

impl Authorization {
    pub(super) async fn start(
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
    pub(super) async fn trust(&self, transport: Transport) -> Result<TrustedIssuer, String> {
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
    pub(super) async fn client(&self, lifetime: Option<Duration>) -> Result<RegisteredClient, String> {
        if let Some(client) = self.find(|(of, _)| *of == lifetime) {
            return Ok(client);
        }
        let client = self.register(lifetime).await?;
        self.clients.lock().expect("nobody panics while holding it").push((lifetime, client.clone()));
        Ok(client)
    }

    /// Registers a client whose tokens have that lifetime.
    pub(super) async fn register(&self, lifetime: Option<Duration>) -> Result<RegisteredClient, String> {
        let service = ClientRegistration::service("load client", &[READ_SCOPE]);
        let registration = ClientRegistration { access_token_lifetime: lifetime, ..service };
        self.server.control.register(&registration).await
    }

    pub(super) fn find(
        &self,
        matches: impl Fn(&(Option<Duration>, RegisteredClient)) -> bool,
    ) -> Option<RegisteredClient> {
        let clients = self.clients.lock().expect("nobody panics while holding it");
        clients.iter().find(|client| matches(client)).map(|(_, client)| client.clone())
    }
}
