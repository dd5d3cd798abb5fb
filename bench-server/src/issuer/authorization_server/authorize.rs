//! The authorization endpoint: request, login, consent, code (RFC 6749 §4.1, RFC 7636, RFC 9207, RFC 9700).
//!
//! Between the pages nothing is stored: the authorization request travels in the query of each form's target and is
//! judged anew every time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response, StatusCode};
use minijinja::context;

use super::client::{self, Client, GrantType};
use super::error::{ErrorCode, OAuthError};
use super::grant::Grant;
use super::opaque::{self, Digest};
use super::params::Parameters;
use super::scope::Scopes;
use super::session::Visitor;
use super::store::Code;
use super::user::{self, User};
use super::{AuthorizationServer, answer, redirect, token};
use crate::clock::UnixTime;
use crate::limit::{self, Quota};

/// How long a login waits for its turn to hash before it is answered 503.
const HASH_WAIT: Duration = Duration::from_secs(5);

/// An authorization request that may be put to the user.
struct AuthorizationRequest {
    client: Arc<Client>,
    redirect_uri: String,
    state: Option<String>,
    scopes: Scopes,
    challenge: Digest,
    /// Thumbprint of the key that the code is bound to (RFC 9449 §10).
    jkt: Option<String>,
}

/// Why an authorization request is refused.
enum Refusal {
    /// Nobody to redirect to can be trusted: a page (RFC 6749 §4.1.2.1).
    Page(&'static str),
    /// The client learns of it.
    Redirect { redirect_uri: String, state: Option<String>, error: OAuthError },
}

/// Why nobody looked at a password.
enum NotChecked {
    /// There were too many failures.
    TooMany(Quota),
    /// Too many others were waiting.
    Busy,
}

impl AuthorizationRequest {
    fn read(server: &AuthorizationServer, query: &str) -> Result<Self, Refusal> {
        // The query goes into a Location on the way through the login, and a URL is ASCII (RFC 3986 §2).
        if !query.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Refusal::Page("The application sent a request that is not a URL."));
        }
        let parameters = Parameters::parse(query.as_bytes());
        if parameters.repeats("client_id") || parameters.repeats("redirect_uri") {
            return Err(Refusal::Page("The application sent a request that names itself twice."));
        }
        let client = parameters.get("client_id").and_then(|id| server.clients.find(id));
        let client = client.ok_or(Refusal::Page("The application is not registered here."))?;
        let redirect_uri = parameters.get("redirect_uri").filter(|uri| client.allows_redirect(uri));
        let redirect_uri = redirect_uri
            .ok_or(Refusal::Page("The application did not name an address that is registered for it."))?
            .to_owned();

        let state = state(&parameters);
        match Self::requested(&client, &parameters) {
            Ok((scopes, challenge)) => {
                let state = state.unwrap_or_default();
                let jkt = parameters.get("dpop_jkt").map(str::to_owned);
                Ok(Self { client, redirect_uri, state, scopes, challenge, jkt })
            }
            Err(error) => Err(Refusal::Redirect { redirect_uri, state: state.unwrap_or_default(), error }),
        }
    }

    /// What is asked for, once it is known whom to answer.
    fn requested(client: &Client, parameters: &Parameters) -> Result<(Scopes, Digest), OAuthError> {
        let invalid = |description| Err(OAuthError::new(ErrorCode::InvalidRequest, description));
        if parameters.any_repeated() {
            return invalid("a parameter is repeated");
        }
        state(parameters)?;
        match parameters.get("response_type") {
            Some("code") => {}
            Some(_) => {
                let description = "only response_type=code is offered";
                return Err(OAuthError::new(ErrorCode::UnsupportedResponseType, description));
            }
            None => return invalid("response_type is missing"),
        }
        if !client.allows_grant(GrantType::AuthorizationCode) {
            let description = "the client is not registered for authorization codes";
            return Err(OAuthError::new(ErrorCode::UnauthorizedClient, description));
        }
        // Absent means plain (RFC 7636 §4.3), which is not offered.
        if parameters.get("code_challenge_method") != Some("S256") {
            return invalid("code_challenge_method must be S256");
        }
        let Some(challenge) = parameters.get("code_challenge").and_then(opaque::bytes32) else {
            return invalid("code_challenge must be 43 characters of base64url");
        };
        if parameters.get("dpop_jkt").is_some_and(|jkt| opaque::bytes32(jkt).is_none()) {
            return invalid("dpop_jkt must be 43 characters of base64url");
        }
        token::check_resource(parameters)?;
        let scopes = match parameters.get("scope") {
            None => client.scopes.clone(),
            Some(value) => Scopes::parse(value)
                .filter(|scopes| scopes.is_subset_of(&client.scopes))
                .ok_or_else(|| OAuthError::new(ErrorCode::InvalidScope, "scope is wider than the registration"))?,
        };
        Ok((scopes, challenge))
    }
}

/// The `state`, if it has the form that comes back byte for byte (RFC 6749 appendix A.5).
fn state(parameters: &Parameters) -> Result<Option<String>, OAuthError> {
    if parameters.repeats("state") {
        return Err(OAuthError::new(ErrorCode::InvalidRequest, "a parameter is repeated"));
    }
    match parameters.get("state") {
        Some(state) if !state.bytes().all(|b| matches!(b, 0x20..=0x7E)) => {
            Err(OAuthError::new(ErrorCode::InvalidRequest, "state must be visible ASCII"))
        }
        state => Ok(state.map(str::to_owned)),
    }
}

impl AuthorizationServer {
    /// `GET /authorize`: the login page, or the consent page for who is logged in.
    pub(super) fn authorize(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let now = self.clock.now();
        let query = request.uri().query().unwrap_or_default();
        let asked = match AuthorizationRequest::read(self, query) {
            Ok(asked) => asked,
            Err(refusal) => return self.refuse(refusal),
        };
        let visitor = self.sessions.visitor(request, now);
        let Some((user, _)) = &visitor.login else {
            return self.login_page(StatusCode::OK, &visitor, Some((&asked.client, query)), None);
        };
        let values = context! {
            client => asked.client.name.as_str(),
            user => user.name.as_str(),
            redirect_host => redirect::host(&asked.redirect_uri),
            scopes => asked.scopes.iter().map(str::to_owned).collect::<Vec<_>>(),
            action => format!("{}/consent?{query}", self.base_path),
            grants => format!("{}/grants", self.base_path),
            csrf_token => self.sessions.csrf_token(&visitor),
        };
        self.pages.show(StatusCode::OK, "consent.html", values)
    }

    /// `POST /login`: opens a session, and goes on where the visitor came from.
    pub(super) async fn login(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let now = self.clock.now();
        let query = request.uri().query();
        let asked = match query.map(|query| AuthorizationRequest::read(self, query)).transpose() {
            Ok(asked) => asked,
            Err(refusal) => return self.refuse(refusal),
        };
        let (visitor, form) = match self.form_of_page(request, now) {
            Ok(form) => form,
            Err((status, message)) => return self.pages.error(status, message),
        };
        let (name, password) = (form.get("username").unwrap_or_default(), form.get("password").unwrap_or_default());
        match self.check_password(name, password, client::peer(request), now).await {
            Ok(Some((user, epoch))) => {
                let visitor = self.sessions.open(user, epoch, now);
                // Only ever to one of our own paths: this is no open redirector (RFC 9700 §4.11).
                let next = match query {
                    Some(query) => format!("{}/authorize?{query}", self.base_path),
                    None => format!("{}/grants", self.base_path),
                };
                self.sessions.remember(&visitor, answer::see_other(&next))
            }
            Ok(None) => {
                let asked = asked.as_ref().map(|asked| &*asked.client).zip(query);
                let failure = Some("User name or password is wrong.");
                self.login_page(StatusCode::FORBIDDEN, &visitor, asked, failure)
            }
            Err(NotChecked::TooMany(quota)) => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                let mut response = self.pages.error(status, "Too many attempts to sign in. Wait before the next one.");
                quota.refuse(response.headers_mut());
                response
            }
            Err(NotChecked::Busy) => {
                let message = "Too many people sign in at the moment. Try again.";
                let mut response = self.pages.error(StatusCode::SERVICE_UNAVAILABLE, message);
                response.headers_mut().insert(RETRY_AFTER, limit::retry_after(HASH_WAIT));
                response
            }
        }
    }

    /// `POST /consent`: the user's decision goes to the client.
    pub(super) fn consent(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let now = self.clock.now();
        let asked = match AuthorizationRequest::read(self, request.uri().query().unwrap_or_default()) {
            Ok(asked) => asked,
            Err(refusal) => return self.refuse(refusal),
        };
        let (visitor, form) = match self.form_of_page(request, now) {
            Ok(form) => form,
            Err((status, message)) => return self.pages.error(status, message),
        };
        let Some((user, epoch)) = visitor.login else {
            return self.pages.error(StatusCode::FORBIDDEN, "Your session has ended.");
        };
        let granted = asked.scopes.filtered(|scope| form.all("scope").any(|checked| checked == scope));
        match form.get("decision") {
            Some("allow") if asked.scopes.is_empty() || !granted.is_empty() => {
                let grant = Grant::of_user(asked.client, granted, user, epoch);
                let expires = UnixTime(now.0 + self.code_lifetime);
                let redirect_uri = asked.redirect_uri.clone();
                let code = Code { grant, redirect_uri, challenge: asked.challenge, jkt: asked.jkt, expires };
                let code = self.tokens.add_code(code, now);
                self.meter.store_writes.add();
                self.redirect(&asked.redirect_uri, &[("code", &code)], asked.state.as_deref())
            }
            Some("allow" | "deny") => {
                let error = OAuthError::new(ErrorCode::AccessDenied, "the user denied access");
                self.refuse(Refusal::Redirect { redirect_uri: asked.redirect_uri, state: asked.state, error })
            }
            _ => self.pages.error(StatusCode::BAD_REQUEST, "The form came without a decision."),
        }
    }

    /// `GET /grants`: what the user allowed.
    pub(super) fn grants(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let visitor = self.sessions.visitor(request, self.clock.now());
        let Some((user, _)) = &visitor.login else {
            return self.login_page(StatusCode::OK, &visitor, None, None);
        };
        let grants = user.grants().into_iter().map(|grant| {
            let client = &grant.client;
            context! { client => client.name.as_str(), client_id => client.id.as_str(), scopes => grant.scopes.to_string() }
        });
        let values = context! {
            user => user.name.as_str(),
            grants => grants.collect::<Vec<_>>(),
            action => format!("{}/grants", self.base_path),
            csrf_token => self.sessions.csrf_token(&visitor),
        };
        self.pages.show(StatusCode::OK, "grants.html", values)
    }

    /// `POST /grants`: withdraws all that one client was allowed.
    pub(super) fn withdraw(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let (visitor, form) = match self.form_of_page(request, self.clock.now()) {
            Ok(form) => form,
            Err((status, message)) => return self.pages.error(status, message),
        };
        let Some((user, _)) = visitor.login else {
            return self.pages.error(StatusCode::FORBIDDEN, "Your session has ended.");
        };
        user.withdraw(form.get("client_id").unwrap_or_default());
        self.meter.store_writes.add();
        answer::see_other(&format!("{}/grants", self.base_path))
    }

    fn login_page(
        &self,
        status: StatusCode,
        visitor: &Visitor,
        asked: Option<(&Client, &str)>,
        failure: Option<&str>,
    ) -> Response<Bytes> {
        let action = match asked {
            Some((_, query)) => format!("{}/login?{query}", self.base_path),
            None => format!("{}/login", self.base_path),
        };
        let values = context! {
            client => asked.map(|(client, _)| client.name.as_str()),
            failure,
            action,
            csrf_token => self.sessions.csrf_token(visitor),
        };
        self.sessions.remember(visitor, self.pages.show(status, "login.html", values))
    }

    /// Reads a form, if it came from a page that the same visitor was shown.
    fn form_of_page(
        &self,
        request: &Request<Bytes>,
        now: UnixTime,
    ) -> Result<(Visitor, Parameters), (StatusCode, &'static str)> {
        let form = Parameters::of_form(request).map_err(|error| (StatusCode::BAD_REQUEST, error.description))?;
        let visitor = self.sessions.visitor(request, now);
        if !self.sessions.csrf_token_fits(&visitor, form.get("csrf_token")) {
            let message = "This form is not from a page that you were shown, or your session has ended.";
            return Err((StatusCode::FORBIDDEN, message));
        }
        Ok((visitor, form))
    }

    /// The user with this password and the epoch it belongs to, `None` when there is none. The hash is computed off the
    /// reactor, a few at a time.
    async fn check_password(
        &self,
        name: &str,
        password: &str,
        peer: Option<std::net::IpAddr>,
        now: UnixTime,
    ) -> Result<Option<(Arc<User>, u64)>, NotChecked> {
        let (user, stored) = self.users.to_check(name);
        let who = self.logins.who(name, peer);
        self.logins.check(who, now).map_err(NotChecked::TooMany)?;
        let turn = tokio::time::timeout(HASH_WAIT, self.hashing.acquire()).await.map_err(|_| NotChecked::Busy)?;
        let turn = turn.expect("the semaphore is never closed");
        // Again: others may have failed while this one waited.
        self.logins.check(who, now).map_err(NotChecked::TooMany)?;
        let (meter, password) = (self.meter.clone(), password.to_owned());
        let check = move || user::acceptable(&password) && user::verify_password(meter, &stored, &password);
        let fits = tokio::task::spawn_blocking(check).await.expect("hashing does not panic");
        // Before the next one takes its turn, which looks at the count.
        if fits && user.is_some() {
            self.logins.succeeded(who);
        } else {
            self.logins.failed(who, now);
        }
        drop(turn);
        Ok(user.filter(|_| fits))
    }

    fn refuse(&self, refusal: Refusal) -> Response<Bytes> {
        match refusal {
            Refusal::Page(message) => self.pages.error(StatusCode::BAD_REQUEST, message),
            Refusal::Redirect { redirect_uri, state, error } => {
                let parameters = [("error", error.code.as_str()), ("error_description", error.description)];
                self.redirect(&redirect_uri, &parameters, state.as_deref())
            }
        }
    }

    /// Sends the user agent back to the client, with `state` and `iss` (RFC 9207 §2).
    fn redirect(&self, uri: &str, parameters: &[(&str, &str)], state: Option<&str>) -> Response<Bytes> {
        let mut parameters = parameters.to_vec();
        parameters.extend(state.map(|state| ("state", state)));
        parameters.push(("iss", &self.issuer));
        answer::see_other(&redirect::with_parameters(uri, &parameters))
    }
}
