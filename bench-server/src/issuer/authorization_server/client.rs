//! Clients: registration and authentication (RFC 6749 §2, RFC 9700 §2.5).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use subtle::{Choice, ConstantTimeEq};

use super::assertion::{self, Assertions};
use super::certificate;
use super::error::{ErrorCode, OAuthError};
use super::opaque::{self, Digest};
use super::params::Parameters;
use super::redirect::RedirectUri;
use super::scope::Scopes;
use crate::clock::UnixTime;
use crate::config::KeyEnvironment;
use crate::contract::{ClientRegistration, ClientSecretMethod, ClientSummary, RegisteredClient, Secret};
use crate::credential::jws::KeySet;
use crate::error::AdminError;
use crate::limit::throttle::Throttle;
use crate::telemetry::Meter;

/// Secrets that are valid at a time: the new one and, while a rotation is under way, the one before.
const LIVE_SECRETS: usize = 2;

/// Grant types offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrantType {
    AuthorizationCode,
    ClientCredentials,
    RefreshToken,
}

impl GrantType {
    pub(super) const ALL: [(&str, Self); 3] = [
        ("authorization_code", Self::AuthorizationCode),
        ("client_credentials", Self::ClientCredentials),
        ("refresh_token", Self::RefreshToken),
    ];

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, grant)| grant)
    }
}

/// A registered client.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) scopes: Scopes,
    pub(super) may_introspect: bool,
    pub(super) access_token_lifetime: Duration,
    confidential: bool,
    secret_method: Option<ClientSecretMethod>,
    grant_types: Vec<GrantType>,
    redirect_uris: Vec<RedirectUri>,
    /// What the client signs its assertions with, where it sends no secret.
    keys: Option<KeySet>,
    /// The name in the certificate by which the client is known, where it sends no secret.
    san_uri: Option<String>,
    /// Whether its tokens are bound to the certificate that it comes with.
    pub(super) certificate_bound: bool,
    /// Where its tokens count.
    pub(super) environment: KeyEnvironment,
    /// SHA-256, oldest first; empty for clients without a secret. A random secret of 256 bits needs no slow hash.
    secrets: Mutex<Vec<Digest>>,
    disabled: AtomicBool,
}

impl Client {
    fn register(registration: &ClientRegistration, longest: Duration) -> Result<Self, String> {
        let grant_types = registration.grant_types.iter().map(|name| {
            let known = GrantType::ALL.map(|(name, _)| name).join(", ");
            GrantType::parse(name).ok_or_else(|| format!("grant type {name:?} is not offered; there are: {known}"))
        });
        let grant_types = grant_types.collect::<Result<Vec<_>, _>>()?;
        let redirect_uris =
            registration.redirect_uris.iter().map(|uri| RedirectUri::register(uri)).collect::<Result<Vec<_>, _>>()?;
        let scopes = Scopes::from_tokens(registration.scopes.iter().map(String::as_str))
            .map_err(|token| format!("scope {token:?} is not a scope token (RFC 6749 §3.3)"))?;
        let access_token_lifetime = registration.access_token_lifetime.unwrap_or(longest);

        let has = |grant| grant_types.contains(&grant);
        if !registration.confidential {
            if has(GrantType::ClientCredentials) || registration.may_introspect {
                return Err("client_credentials and introspection are for confidential clients".to_owned());
            }
            if registration.token_endpoint_auth_method.is_some() {
                return Err("a public client has no secret; leave token_endpoint_auth_method out".to_owned());
            }
        }
        certificate::check(registration)?;
        let keys = match (registration.token_endpoint_auth_method, &registration.jwks) {
            (Some(ClientSecretMethod::PrivateKeyJwt), Some(jwks)) => {
                let keys = KeySet::from_jwks(&jwks.to_string()).map_err(|error| format!("jwks: {error}"))?;
                if keys.is_empty() {
                    return Err("jwks: no key in it can be used; publish one for signatures".to_owned());
                }
                Some(keys)
            }
            (Some(ClientSecretMethod::PrivateKeyJwt), None) => {
                return Err("private_key_jwt needs jwks, the client's public keys".to_owned());
            }
            (_, Some(_)) => return Err("jwks goes with token_endpoint_auth_method private_key_jwt".to_owned()),
            (_, None) => None,
        };
        if has(GrantType::AuthorizationCode) == redirect_uris.is_empty() {
            return Err("authorization_code and redirect_uris come together or not at all".to_owned());
        }
        if has(GrantType::RefreshToken) && !has(GrantType::AuthorizationCode) {
            return Err("refresh_token needs authorization_code: no other grant has refresh tokens".to_owned());
        }
        if access_token_lifetime < Duration::from_secs(1) || access_token_lifetime > longest {
            return Err(format!("access_token_lifetime must be from 1s to {}", humantime::format_duration(longest)));
        }
        Ok(Self {
            id: opaque::identifier(),
            name: registration.name.clone(),
            scopes,
            may_introspect: registration.may_introspect,
            access_token_lifetime,
            confidential: registration.confidential,
            secret_method: registration.token_endpoint_auth_method,
            grant_types,
            redirect_uris,
            keys,
            san_uri: registration.tls_client_auth_san_uri.clone(),
            certificate_bound: registration.tls_client_certificate_bound_access_tokens,
            environment: registration.environment,
            secrets: Mutex::default(),
            disabled: AtomicBool::new(false),
        })
    }

    /// An application that is known by its API key, and registered nowhere.
    pub(super) fn of_key(
        application: &str,
        (scopes, access_token_lifetime): (Scopes, Duration),
        environment: KeyEnvironment,
    ) -> Self {
        Self {
            id: application.to_owned(),
            name: application.to_owned(),
            scopes,
            may_introspect: false,
            access_token_lifetime,
            confidential: true,
            secret_method: None,
            grant_types: Vec::new(),
            redirect_uris: Vec::new(),
            keys: None,
            san_uri: None,
            certificate_bound: false,
            environment,
            secrets: Mutex::default(),
            disabled: AtomicBool::new(false),
        }
    }

    pub(super) fn is_disabled(&self) -> bool {
        self.disabled.load(Ordering::Acquire)
    }

    /// Whether the client authenticates with a secret.
    fn has_secrets(&self) -> bool {
        self.confidential && self.keys.is_none() && self.san_uri.is_none()
    }

    pub(super) fn is_confidential(&self) -> bool {
        self.confidential
    }

    pub(super) fn allows_grant(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    pub(super) fn allows_redirect(&self, presented: &str) -> bool {
        self.redirect_uris.iter().any(|registered| registered.matches(presented))
    }

    fn summary(&self) -> ClientSummary {
        ClientSummary {
            client_id: self.id.clone(),
            name: self.name.clone(),
            confidential: self.confidential,
            secrets: self.secrets.lock().expect("no holder panics").len(),
            scopes: self.scopes.iter().map(str::to_owned).collect(),
        }
    }

    /// A new secret; the one before stays valid until the next call.
    fn rotate_secret(&self) -> Secret {
        let secret = opaque::secret();
        let mut live = self.secrets.lock().expect("no holder panics");
        if live.len() == LIVE_SECRETS {
            live.remove(0);
        }
        live.push(opaque::digest(&secret));
        Secret::new(secret)
    }

    fn has_secret(&self, presented: &str) -> bool {
        let presented = opaque::digest(presented);
        let live = self.secrets.lock().expect("no holder panics");
        live.iter().fold(Choice::from(0), |found, digest| found | digest.ct_eq(&presented)).into()
    }
}

/// What a request says about its client.
enum Presented {
    /// Identifier and secret.
    Secret(ClientSecretMethod, String, String),
    /// Identifier, and an assertion that the client signed.
    Assertion(String, String),
    /// Identifier alone: a public client.
    None(String),
}

/// All clients.
#[derive(Default)]
pub(super) struct Clients {
    by_id: RwLock<HashMap<String, Arc<Client>>>,
    assertions: Assertions,
    throttle: Throttle,
    meter: Arc<Meter>,
}

impl Clients {
    /// No clients yet of this issuer.
    pub(super) fn new(issuer: &str, meter: Arc<Meter>) -> Self {
        Self { assertions: Assertions::new(issuer), meter, ..Self::default() }
    }

    /// Registers a client whose access tokens live at most `longest`.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] for a registration that contradicts itself.
    pub(super) fn register(
        &self,
        registration: &ClientRegistration,
        longest: Duration,
    ) -> Result<RegisteredClient, AdminError> {
        let client = Client::register(registration, longest)
            .map_err(|why| AdminError::BadRequest(format!("client {:?}: {why}", registration.name)))?;
        let client_secret = client.has_secrets().then(|| client.rotate_secret());
        let client_id = client.id.clone();
        self.by_id.write().expect("no holder panics").insert(client_id.clone(), Arc::new(client));
        Ok(RegisteredClient { client_id, client_secret })
    }

    /// A client that is not disabled.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Client>> {
        let by_id = self.by_id.read().expect("no holder panics");
        by_id.get(id).filter(|client| !client.is_disabled()).cloned()
    }

    /// Those that are not disabled, by identifier.
    pub(super) fn list(&self) -> Vec<ClientSummary> {
        let by_id = self.by_id.read().expect("no holder panics");
        let mut clients: Vec<_> = by_id.values().map(|client| client.summary()).collect();
        clients.sort_by(|one, other| one.client_id.cmp(&other.client_id));
        clients
    }

    /// Gives a confidential client a new secret beside the present one; see [`LIVE_SECRETS`].
    ///
    /// # Errors
    /// [`AdminError::NotFound`], or [`AdminError::BadRequest`] for a public client.
    pub(super) fn rotate_secret(&self, id: &str) -> Result<Secret, AdminError> {
        let client = self.find(id).ok_or_else(|| AdminError::NotFound(format!("client {id:?}")))?;
        if !client.has_secrets() {
            return Err(AdminError::BadRequest(format!("client {id:?} is public or signs: it has no secret")));
        }
        Ok(client.rotate_secret())
    }

    /// Disables a client: it can do nothing any more, and its tokens are dead.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub(super) fn disable(&self, id: &str) -> Result<(), AdminError> {
        let client = self.by_id.write().expect("no holder panics").remove(id);
        let client = client.ok_or_else(|| AdminError::NotFound(format!("client {id:?}")))?;
        client.disabled.store(true, Ordering::Release);
        Ok(())
    }

    /// Decides which client sent the request. Public clients count as authenticated by their identifier; what they may
    /// do is up to the endpoint.
    ///
    /// # Errors
    /// `invalid_request` for two methods at once, `invalid_client`, or 429 after too many failures.
    pub(super) fn authenticate(
        &self,
        request: &Request<Bytes>,
        form: &Parameters,
        now: UnixTime,
    ) -> Result<Arc<Client>, OAuthError> {
        let presented = presented(request, form)?;
        let (Presented::Secret(_, id, _) | Presented::Assertion(id, _) | Presented::None(id)) = &presented;
        let client = self.find(id);
        // For each address by itself: a secret of 256 bits is not guessed, and strangers must not lock a client out.
        let peer = peer(request);
        let who = self.throttle.who((id, peer), peer);
        self.throttle.check(who, now).map_err(OAuthError::throttled)?;
        let authentic = |client: &Arc<Client>| match &presented {
            Presented::Secret(method, _, secret) => Ok(client.has_secrets()
                && client.secret_method.is_none_or(|one| one == *method)
                && client.has_secret(secret)),
            Presented::Assertion(id, assertion) => match &client.keys {
                Some(keys) => self.assertions.prove(assertion, (id, keys), now, &self.meter),
                None => Ok(false),
            },
            Presented::None(_) if client.san_uri.is_some() => {
                Ok(certificate::is_registered(client.san_uri.as_deref(), request))
            }
            Presented::None(_) => Ok(!client.confidential),
        };
        match client {
            Some(client) if authentic(&client)? => {
                // An identifier alone proves nothing that would make up for failures.
                if client.confidential {
                    self.throttle.succeeded(who);
                }
                Ok(client)
            }
            _ => {
                self.throttle.failed(who, now);
                Err(OAuthError::invalid_client())
            }
        }
    }
}

/// The other end of the connection, when the HTTP layer tells.
pub(super) fn peer(request: &Request<Bytes>) -> Option<IpAddr> {
    request.extensions().get::<SocketAddr>().map(SocketAddr::ip)
}

fn presented(request: &Request<Bytes>, form: &Parameters) -> Result<Presented, OAuthError> {
    let in_form = (form.get("client_id"), form.get("client_secret"));
    let assertion = form.get("client_assertion");
    let mut fields = request.headers().get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else {
        if let Some(assertion) = assertion {
            return asserted(assertion, form);
        }
        return match in_form {
            (Some(id), Some(secret)) => {
                Ok(Presented::Secret(ClientSecretMethod::Post, id.to_owned(), secret.to_owned()))
            }
            (Some(id), None) => Ok(Presented::None(id.to_owned())),
            (None, _) => Err(OAuthError::invalid_client()),
        };
    };
    if fields.next().is_some() || in_form.1.is_some() || assertion.is_some() {
        return Err(OAuthError::new(ErrorCode::InvalidRequest, "more than one client authentication"));
    }
    let field = field.to_str().map_err(|_| OAuthError::invalid_client())?;
    let (id, secret) = basic(field).ok_or_else(OAuthError::invalid_client)?;
    if in_form.0.is_some_and(|named| named != id) {
        return Err(OAuthError::new(ErrorCode::InvalidRequest, "client_id differs from the authenticated client"));
    }
    Ok(Presented::Secret(ClientSecretMethod::Basic, id, secret))
}

/// An assertion, and whose it says it is (RFC 7521 §4.2).
fn asserted(assertion: &str, form: &Parameters) -> Result<Presented, OAuthError> {
    let invalid = |description| Err(OAuthError::new(ErrorCode::InvalidRequest, description));
    if form.get("client_secret").is_some() {
        return invalid("more than one client authentication");
    }
    if form.get("client_assertion_type") != Some(assertion::TYPE) {
        return invalid("client_assertion_type is not the one of RFC 7523");
    }
    let id = assertion::subject(assertion).ok_or_else(OAuthError::invalid_client)?;
    if form.get("client_id").is_some_and(|named| named != id) {
        return invalid("client_id differs from the authenticated client");
    }
    Ok(Presented::Assertion(id, assertion.to_owned()))
}

/// Identifier and secret of an `Authorization: Basic` field. Both are form-urlencoded before they are joined by a colon
/// and base64-encoded (RFC 6749 §2.3.1), unlike in RFC 7617.
fn basic(field: &str) -> Option<(String, String)> {
    let (scheme, encoded) = field.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim_matches(' ')).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

fn form_decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text).decode_utf8().ok().map(|decoded| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration() -> ClientRegistration {
        ClientRegistration {
            name: "app".to_owned(),
            confidential: true,
            grant_types: vec!["client_credentials".to_owned()],
            redirect_uris: Vec::new(),
            scopes: vec!["read".to_owned()],
            may_introspect: false,
            access_token_lifetime: None,
            token_endpoint_auth_method: None,
            jwks: None,
            tls_client_auth_san_uri: None,
            tls_client_certificate_bound_access_tokens: false,
            environment: KeyEnvironment::Live,
        }
    }

    const LONGEST: Duration = Duration::from_secs(900);
    const NOW: UnixTime = UnixTime(Duration::from_secs(1_000_000));

    fn attempt(clients: &Clients, authorization: Option<&str>, body: &str) -> Result<String, OAuthError> {
        let mut request = Request::post("/token");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Bytes::new()).expect("a valid request");
        clients.authenticate(&request, &Parameters::parse(body.as_bytes()), NOW).map(|client| client.id.clone())
    }

    fn header(id: &str, secret: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
    }

    #[test]
    fn contradictions_are_refused() {
        let clients = Clients::default();
        let signs = Some(ClientSecretMethod::PrivateKeyJwt);
        let mut cases = vec![
            ClientRegistration { confidential: false, ..registration() },
            ClientRegistration { grant_types: vec!["password".to_owned()], ..registration() },
            ClientRegistration { grant_types: vec!["authorization_code".to_owned()], ..registration() },
            ClientRegistration { grant_types: vec!["refresh_token".to_owned()], ..registration() },
            ClientRegistration { scopes: vec!["a b".to_owned()], ..registration() },
            ClientRegistration { access_token_lifetime: Some(LONGEST * 2), ..registration() },
            ClientRegistration { access_token_lifetime: Some(Duration::ZERO), ..registration() },
            ClientRegistration { token_endpoint_auth_method: signs, ..registration() },
        ];
        for jwks in [serde_json::json!({ "keys": [] }), serde_json::json!({ "keys": [{ "kty": "oct", "k": "AA" }] })] {
            cases.push(ClientRegistration { jwks: Some(jwks.clone()), ..registration() });
            cases.push(ClientRegistration { jwks: Some(jwks), token_endpoint_auth_method: signs, ..registration() });
        }
        for case in cases {
            assert!(matches!(clients.register(&case, LONGEST), Err(AdminError::BadRequest(_))), "{case:?}");
        }
    }

    #[test]
    fn oa_21_each_method_works_for_clients_registered_for_it_and_only_for_those() {
        let clients = Clients::default();
        let one = |method| {
            let registration = ClientRegistration { token_endpoint_auth_method: method, ..registration() };
            let client = clients.register(&registration, LONGEST).expect("registers");
            let secret = client.client_secret.expect("confidential").expose().to_owned();
            let form = format!("client_id={}&client_secret={secret}", client.client_id);
            let basic = attempt(&clients, Some(&header(&client.client_id, &secret)), "").is_ok();
            let post = attempt(&clients, None, &form).is_ok();
            let none = attempt(&clients, None, &format!("client_id={}", client.client_id)).is_ok();
            (basic, post, none)
        };
        assert_eq!(one(None), (true, true, false));
        assert_eq!(one(Some(ClientSecretMethod::Basic)), (true, false, false));
        assert_eq!(one(Some(ClientSecretMethod::Post)), (false, true, false));

        let public = ClientRegistration {
            confidential: false,
            grant_types: vec!["authorization_code".to_owned()],
            redirect_uris: vec!["https://app.test/cb".to_owned()],
            ..registration()
        };
        let id = clients.register(&public, LONGEST).expect("registers").client_id;
        assert_eq!(attempt(&clients, None, &format!("client_id={id}")), Ok(id.clone()));
        assert!(attempt(&clients, Some(&header(&id, "")), "").is_err());
        assert!(attempt(&clients, Some(&header(&id, "x")), "").is_err());
    }

    #[test]
    fn oa_22_oa_23_bc_054_bc_055_header_and_form_together_or_wrong_secrets_are_refused() {
        let clients = Clients::default();
        let client = clients.register(&registration(), LONGEST).expect("registers");
        let other = clients.register(&registration(), LONGEST).expect("registers");
        let secret = client.client_secret.expect("confidential").expose().to_owned();
        let other_secret = other.client_secret.expect("confidential").expose().to_owned();
        let good = header(&client.client_id, &secret);
        let code = |result: Result<String, OAuthError>| result.expect_err("refused").code;

        assert_eq!(code(attempt(&clients, Some(&good), "client_secret=x")), ErrorCode::InvalidRequest);
        assert_eq!(code(attempt(&clients, Some(&good), "client_id=x")), ErrorCode::InvalidRequest);
        assert!(attempt(&clients, Some(&good), &format!("client_id={}", client.client_id)).is_ok());
        for wrong in ["", "wrong", &other_secret] {
            let presented = header(&client.client_id, wrong);
            assert_eq!(code(attempt(&clients, Some(&presented), "")), ErrorCode::InvalidClient);
        }
        assert_eq!(code(attempt(&clients, Some("Bearer x"), "")), ErrorCode::InvalidClient);
        assert_eq!(code(attempt(&clients, Some("Basic !"), "")), ErrorCode::InvalidClient);
        assert_eq!(code(attempt(&clients, None, "")), ErrorCode::InvalidClient);
    }

    #[test]
    fn oa_21_identifier_and_secret_are_form_urlencoded_inside_basic() {
        let field = format!("bAsIc  {}", STANDARD.encode("a%3Ab+c:d%2Be"));
        assert_eq!(basic(&field), Some(("a:b c".to_owned(), "d+e".to_owned())));
    }

    #[test]
    fn oa_24_two_secrets_live_while_one_is_rotated() {
        let clients = Clients::default();
        let client = clients.register(&registration(), LONGEST).expect("registers");
        let id = client.client_id;
        let first = client.client_secret.expect("confidential");
        let works = |secret: &Secret| attempt(&clients, Some(&header(&id, secret.expose())), "").is_ok();
        let second = clients.rotate_secret(&id).expect("rotates");
        assert!(works(&first) && works(&second));
        let third = clients.rotate_secret(&id).expect("rotates");
        assert!(!works(&first) && works(&second) && works(&third));
    }

    #[test]
    fn oa_23_failures_are_throttled_per_client() {
        let clients = Clients::default();
        let client = clients.register(&registration(), LONGEST).expect("registers");
        let other = clients.register(&registration(), LONGEST).expect("registers");
        let good =
            |c: &RegisteredClient| header(&c.client_id, c.client_secret.as_ref().expect("confidential").expose());
        let wrong = header(&client.client_id, "wrong");
        let answers: Vec<_> = (0..30).map(|_| attempt(&clients, Some(&wrong), "").expect_err("refused").code).collect();
        assert_eq!(answers[0], ErrorCode::InvalidClient);
        assert_eq!(answers[29], ErrorCode::TemporarilyUnavailable);
        assert!(attempt(&clients, Some(&good(&client)), "").is_err(), "also the right secret has to wait");
        assert!(attempt(&clients, Some(&good(&other)), "").is_ok());
    }
}
