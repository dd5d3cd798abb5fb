//! A server with a client of each kind and a user, and a browser that follows the forms.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::AuthorizationServer;
use crate::clock::Clock;
use crate::config::{AuthorizationServerConfig, ClockMode, KeyEnvironment};
use crate::contract::{ClientRegistration, RegisteredClient, Secret, UserRegistration};
use crate::telemetry::Meter;

pub(super) const ISSUER: &str = "https://as.test:8443";
pub(super) const CALLBACK: &str = "https://app.test/cb";
pub(super) const VERIFIER: &str = "correct-horse-battery-staple_0123456789~abcd";
pub(super) const PASSWORD: &str = "wonderland";

/// A secure cookie that never leaves https, as the issuer's scheme asks.
const COOKIE_NAME: &str = "__Host-authbench-session";

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("no {member}: {self:?}")).to_owned()
    }

    pub(super) fn location(&self) -> String {
        self.headers.get(LOCATION).unwrap_or_else(|| panic!("no Location: {self:?}")).to_str().unwrap().to_owned()
    }

    /// The parameters of a redirect to the client.
    pub(super) fn redirect(&self) -> HashMap<String, String> {
        let location = self.location();
        let (target, query) = location.split_once('?').unwrap();
        assert_eq!((self.status, target), (StatusCode::SEE_OTHER, CALLBACK));
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// Status and error code.
    pub(super) fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.text("error"))
    }
}

pub(super) struct Fixture {
    pub(super) server: Arc<AuthorizationServer>,
    pub(super) clock: Clock,
    /// Confidential, may do everything.
    pub(super) app: RegisteredClient,
    /// Confidential, like `app`.
    pub(super) other: RegisteredClient,
    /// Public, with codes and refresh tokens.
    pub(super) public: RegisteredClient,
    /// A resource server.
    pub(super) resource: RegisteredClient,
}

pub(super) fn registration(name: &str) -> ClientRegistration {
    ClientRegistration {
        name: name.to_owned(),
        confidential: true,
        grant_types: ["authorization_code", "client_credentials", "refresh_token"].map(str::to_owned).to_vec(),
        redirect_uris: vec![CALLBACK.to_owned()],
        scopes: vec!["read".to_owned(), "write".to_owned()],
        may_introspect: false,
        access_token_lifetime: None,
        token_endpoint_auth_method: None,
        jwks: None,
        tls_client_auth_san_uri: None,
        tls_client_certificate_bound_access_tokens: false,
        environment: KeyEnvironment::Live,
    }
}

pub(super) fn server(issuer: &str, clock: &Clock) -> AuthorizationServer {
    server_with(&AuthorizationServerConfig::default(), issuer, clock)
}

fn server_with(config: &AuthorizationServerConfig, issuer: &str, clock: &Clock) -> AuthorizationServer {
    AuthorizationServer::build(config, issuer, clock.clone(), Arc::new(Meter::default())).unwrap()
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::with(&AuthorizationServerConfig::default())
    }

    pub(super) fn with(config: &AuthorizationServerConfig) -> Self {
        let clock = Clock::new(ClockMode::Controlled);
        let server = server_with(config, ISSUER, &clock);
        let register = |registration| server.register_client(&registration).unwrap();
        let app = register(registration("Example <App>"));
        let other = register(registration("other"));
        let public = register(ClientRegistration {
            confidential: false,
            grant_types: vec!["authorization_code".to_owned(), "refresh_token".to_owned()],
            ..registration("public")
        });
        let resource = register(ClientRegistration {
            grant_types: Vec::new(),
            redirect_uris: Vec::new(),
            scopes: Vec::new(),
            may_introspect: true,
            ..registration("resource server")
        });
        server.register_user(&user("alice", PASSWORD)).unwrap();
        Self { server: Arc::new(server), clock, app, other, public, resource }
    }

    pub(super) fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs)).unwrap();
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Answer {
        let response = self.server.handle(&request).await.expect("one of the server's paths");
        let (head, body) = response.into_parts();
        Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Bytes::new()).unwrap()).await
    }

    /// A form, with client authentication by `Authorization` for confidential clients.
    pub(super) async fn post(&self, path: &str, client: Option<&RegisteredClient>, form: &[(&str, &str)]) -> Answer {
        let mut form = form.to_vec();
        let mut request = Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        match client.map(|client| (&client.client_id, &client.client_secret)) {
            Some((id, Some(secret))) => request = request.header(AUTHORIZATION, basic(id, secret.expose())),
            Some((id, None)) => form.push(("client_id", id)),
            None => {}
        }
        self.send(request.body(encode(&form)).unwrap()).await
    }

    /// The same at the token endpoint, with fields of the request's own.
    pub(super) async fn token_with(
        &self,
        client: &RegisteredClient,
        form: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Answer {
        let mut form = form.to_vec();
        let mut request = Request::post("/token").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        match &client.client_secret {
            Some(secret) => request = request.header(AUTHORIZATION, basic(&client.client_id, secret.expose())),
            None => form.push(("client_id", &client.client_id)),
        }
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request.body(encode(&form)).unwrap()).await
    }

    pub(super) async fn token(&self, client: &RegisteredClient, form: &[(&str, &str)]) -> Answer {
        self.post("/token", Some(client), form).await
    }

    /// An access token in the client's own name.
    pub(super) async fn client_token(&self, client: &RegisteredClient) -> String {
        self.token(client, &[("grant_type", "client_credentials")]).await.text("access_token")
    }

    pub(super) async fn refresh(&self, client: &RegisteredClient, token: &str) -> Answer {
        self.token(client, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    pub(super) async fn redeem(&self, client: &RegisteredClient, code: &str) -> Answer {
        self.token(client, &redemption(code)).await
    }

    pub(super) async fn introspect(&self, token: &str) -> Value {
        let answer = self.post("/introspect", Some(&self.resource), &[("token", token)]).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.json()
    }

    pub(super) async fn is_active(&self, token: &str) -> bool {
        self.introspect(token).await["active"] == true
    }

    /// A code for `client`, from a user who logs in and allows everything.
    pub(super) async fn code(&self, client: &RegisteredClient) -> String {
        let mut browser = Browser::new(self);
        browser.sign_in(&query(client, &[])).await;
        let decision = [("decision", "allow"), ("scope", "read"), ("scope", "write")];
        browser.decide(&query(client, &[]), &decision).await.redirect()["code"].clone()
    }

    /// Access and refresh token from a code.
    pub(super) async fn code_tokens(&self, client: &RegisteredClient) -> (String, String) {
        let code = self.code(client).await;
        let answer = self.redeem(client, &code).await;
        (answer.text("access_token"), answer.text("refresh_token"))
    }
}

pub(super) fn redemption(code: &str) -> [(&str, &str); 4] {
    [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)]
}

pub(super) fn user(name: &str, password: &str) -> UserRegistration {
    UserRegistration { username: name.to_owned(), password: Secret::new(password) }
}

pub(super) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

pub(super) fn encode(pairs: &[(&str, &str)]) -> Bytes {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into()
}

/// An authorization request; `changes` replace parameters, or drop them when empty.
pub(super) fn query(client: &RegisteredClient, changes: &[(&str, &str)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", &client.client_id),
        ("redirect_uri", CALLBACK),
        ("scope", "read write"),
        ("state", "a b&c=d%"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    parameters.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    parameters.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// A user agent with one cookie, which submits the form of the page it was shown last.
pub(super) struct Browser<'a> {
    fixture: &'a Fixture,
    pub(super) cookie: Option<String>,
    pub(super) csrf_token: String,
}

impl<'a> Browser<'a> {
    pub(super) fn new(fixture: &'a Fixture) -> Self {
        Self { fixture, cookie: None, csrf_token: String::new() }
    }

    async fn send(&mut self, request: http::request::Builder, body: Bytes) -> Answer {
        let request = match &self.cookie {
            Some(cookie) => request.header(COOKIE, format!("theme=dark; {COOKIE_NAME}={cookie}")),
            None => request,
        };
        let answer = self.fixture.send(request.body(body).unwrap()).await;
        if let Some(set) = answer.headers.get(SET_COOKIE) {
            let (pair, attributes) = set.to_str().unwrap().split_once("; ").unwrap();
            assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax; Secure");
            self.cookie = Some(pair.strip_prefix(COOKIE_NAME).unwrap().strip_prefix('=').unwrap().to_owned());
        }
        if let Some((_, rest)) = answer.body.split_once("name=\"csrf_token\" value=\"") {
            self.csrf_token = rest.split('"').next().unwrap().to_owned();
        }
        answer
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Bytes::new()).await
    }

    pub(super) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf_token = self.csrf_token.clone();
        let mut fields = fields.to_vec();
        fields.push(("csrf_token", &csrf_token));
        let request = Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, encode(&fields)).await
    }

    /// Logs alice in, up to the consent page.
    pub(super) async fn sign_in(&mut self, query: &str) -> Answer {
        self.get(&format!("/authorize?{query}")).await;
        let answer = self.submit(&format!("/login?{query}"), &[("username", "alice"), ("password", PASSWORD)]).await;
        assert_eq!(answer.location(), format!("/authorize?{query}"));
        self.get(&answer.location()).await
    }

    pub(super) async fn decide(&mut self, query: &str, fields: &[(&str, &str)]) -> Answer {
        self.submit(&format!("/consent?{query}"), fields).await
    }
}
