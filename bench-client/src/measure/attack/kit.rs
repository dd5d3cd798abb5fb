//! What requests are made of: a valid credential, where it goes, what signs it, and a listener that nobody should call.
//!
//! Every request is made twice: with the real credential, to be sent, and with a stand-in of the same form, to be shown. So
//! nothing secret can get into a report, whatever a mutation does to it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::contract::{Algorithm, Issued, IssuerKey, Material, RegisteredClient, Transport};

use crate::attack::{Attacker, Credential, Jws, Missing, Place, Source, TokenKey, Try, algorithm, fill};
use crate::load::Endpoint;
use crate::target::Flow;

/// So much of a request is shown.
const SHOWN: usize = 400;

/// What a target's requests are made of.
pub(super) struct Kit<'t> {
    pub(super) endpoint: &'t Endpoint,
    /// Word of the method.
    pub(super) method: &'static str,
    /// What the target is known to offer.
    pub(super) features: BTreeSet<String>,
    /// What signs tokens, where that is known.
    pub(super) tokens: Option<TokenKey>,
    /// What signs credentials, where that is known.
    pub(super) issuer: Option<IssuerKey>,
    pub(super) leeway: u64,
    pub(super) attacker: Attacker,
    pub(super) canary: Canary,
    /// The authorization server, and a client of it.
    pub(super) authorization: Option<Authorization<'t>>,
    /// What of a user's grant is in hand for the request that is made next.
    pub(super) flow: RefCell<Flow>,
}

/// An authorization server with a client that is registered there.
pub(super) struct Authorization<'t> {
    pub(super) endpoint: &'t Endpoint,
    pub(super) client: RegisteredClient,
}

/// Where the client has codes sent to.
pub(super) const REDIRECT_URI: &str = "https://client.test/callback";

/// A request, and how it is shown.
pub(super) struct Made {
    pub(super) bytes: Vec<u8>,
    pub(super) shown: String,
    pub(super) is_head: bool,
    /// Whether it is what a caller with the valid credential sends.
    pub(super) unchanged: bool,
}

impl<'t> Kit<'t> {
    /// Where a request goes.
    ///
    /// # Errors
    /// When the target has no such endpoint.
    pub(super) fn endpoint_of(&self, it: &Try) -> Result<&'t Endpoint, Missing> {
        match (it.at, &self.authorization) {
            (Place::Resource, _) => Ok(self.endpoint),
            (_, Some(authorization)) => Ok(authorization.endpoint),
            (_, None) => Err(Missing("an authorization server".to_owned())),
        }
    }

    /// The request of a try that changes `issued`.
    ///
    /// # Errors
    /// What is missing for it.
    pub(super) fn make(&self, it: &Try, issued: &Issued) -> Result<Made, Missing> {
        let bytes = self.view(issued, false).request(it)?;
        let valid = self.view(issued, false).request(&Try::default())?;
        let shown = shown(&self.view(issued, true).request(it)?);
        let is_head = it.verb.as_deref() == Some("HEAD");
        Ok(Made { unchanged: bytes == valid, bytes, shown, is_head })
    }

    fn view<'v>(&'v self, issued: &'v Issued, shown: bool) -> View<'v> {
        let credential = credential_of(issued, shown);
        let jws = match &credential {
            Credential::Jws(jws) => Some((**jws).clone()),
            Credential::Text(_) | Credential::Pair { .. } => None,
        };
        View { kit: self, issued, credential, jws, shown, now: now() }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether a credential is a token whose parts can be read.
pub(super) fn is_jws(issued: &Issued) -> bool {
    matches!(credential_of(issued, false), Credential::Jws(_))
}

fn credential_of(issued: &Issued, shown: bool) -> Credential {
    let hidden = |text: &str| if shown { "x".repeat(text.len()) } else { text.to_owned() };
    match &issued.material {
        Material::ApiKey { key } => {
            // What keys of the same kind have in common is no secret.
            let key = key.expose();
            let begin = key.rfind('_').map_or(0, |place| place + 1);
            Credential::Text(format!("{}{}", &key[..begin], hidden(&key[begin..])).into_bytes())
        }
        Material::Bearer { token } => match Jws::parse(token.expose()) {
            Some(jws) => Credential::Jws(Box::new(if shown { jws.stand_in() } else { jws })),
            None => Credential::Text(hidden(token.expose()).into_bytes()),
        },
        Material::Password { username, password } => {
            Credential::Pair { user: hidden(username).into_bytes(), password: hidden(password.expose()).into_bytes() }
        }
        _ => Credential::Text(Vec::new()),
    }
}

/// A credential and what can be made of it.
struct View<'v> {
    kit: &'v Kit<'v>,
    issued: &'v Issued,
    credential: Credential,
    jws: Option<Jws>,
    shown: bool,
    now: u64,
}

impl View<'_> {
    fn request(&self, it: &Try) -> Result<Vec<u8>, Missing> {
        let none = |name: &str| self.name(name, None);
        let source = Source {
            now: self.now,
            names: &none,
            issuer: self.kit.tokens.as_ref(),
            attacker: &self.kit.attacker,
            shown: self.shown,
        };
        let mut credential = self.credential.clone();
        for mutation in &it.credential {
            credential = mutation.apply(credential, &source)?;
        }
        let value = credential.text();
        let names = |name: &str| self.name(name, Some(&value));
        let fill = |text: &str| fill(text, self.now, &names);
        let endpoint = self.kit.endpoint_of(it)?;
        let mut form = Vec::new();
        for (name, value) in &it.form {
            let pair =
                [name.as_bytes(), &fill(value)?].map(|part| form_urlencoded::byte_serialize(part).collect::<String>());
            form.push(pair.join("="));
        }
        let form = form.join("&");
        // Where the reference server has its endpoints.
        let (usual, path, body) = match it.at {
            Place::Resource => ("GET", endpoint.path.clone(), None),
            Place::Authorize => ("GET", format!("/authorize?{form}"), None),
            Place::Token => ("POST", "/token".to_owned(), Some(form)),
            Place::Introspect => ("POST", "/introspect".to_owned(), Some(form)),
            Place::Revoke => ("POST", "/revoke".to_owned(), Some(form)),
        };
        let path = match &it.path {
            Some(path) => fill(path)?,
            None => path.into_bytes(),
        };
        let mut lines: Vec<Vec<u8>> = vec![format!("Host: {}", authority(endpoint)).into_bytes()];
        match &it.fields {
            Some(fields) => {
                for field in fields {
                    lines.push(fill(field)?);
                }
            }
            None if it.at == Place::Resource => lines.extend(self.presents().then(|| self.line(&value))),
            None => {}
        }
        if let Some(body) = &body {
            lines.push(b"Content-Type: application/x-www-form-urlencoded".to_vec());
            lines.push(format!("Content-Length: {}", body.len()).into_bytes());
        }
        lines.extend((0..it.flood).map(|number| format!("X-Flood-{number}: x").into_bytes()));
        let verb = it.verb.as_deref().unwrap_or(usual);
        let mut request = [verb.as_bytes(), b" ", &path, b" HTTP/1.1\r\n"].concat();
        for line in lines {
            request.extend_from_slice(&line);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request.extend(body.into_iter().flat_map(String::into_bytes));
        Ok(request)
    }

    /// Of the client that is registered with the authorization server: its identifier, and its secret.
    fn client(&self) -> Result<(&str, &str), Missing> {
        let client = self.kit.authorization.as_ref().map(|authorization| &authorization.client);
        let client = client.ok_or_else(|| Missing("a registered client".to_owned()))?;
        let secret = client.client_secret.as_ref().map_or("", |secret| secret.expose());
        Ok((&client.client_id, if self.shown { "xxxx" } else { secret }))
    }

    /// Whether requests present the credential, rather than connections.
    fn presents(&self) -> bool {
        !matches!(self.issued.material, Material::None | Material::Certificate { .. })
    }

    /// The field that presents a credential: its name, and what stands before and behind the value.
    fn field(&self) -> (&str, &str, &str) {
        let convention = self.kit.endpoint.convention.as_deref();
        match convention.and_then(|convention| convention.header.as_ref()) {
            Some(field) => {
                let (before, after) = field.value.text().split_once("{credential}").unwrap_or_default();
                (&field.name, before, after)
            }
            None if matches!(self.issued.material, Material::Password { .. }) => ("Authorization", "Basic ", ""),
            None => ("Authorization", "Bearer ", ""),
        }
    }

    fn line(&self, value: &[u8]) -> Vec<u8> {
        let (name, before, after) = self.field();
        [name.as_bytes(), b": ", before.as_bytes(), value, after.as_bytes()].concat()
    }

    fn name(&self, name: &str, value: Option<&[u8]>) -> Result<Vec<u8>, Missing> {
        let text = |text: &str| Ok(text.as_bytes().to_vec());
        let Kit { endpoint, canary, attacker, leeway, .. } = self.kit;
        let path = endpoint.path.split('?').next().unwrap_or_default();
        let bare = path.trim_start_matches('/');
        let good = || self.credential.text();
        let (field, prefix, _) = self.field();
        let own = self.jws.as_ref();
        let of_token =
            |part: Option<String>| part.map(String::into_bytes).ok_or_else(|| Missing(format!("a token with {name}")));
        match (name, &self.credential) {
            ("value", _) => value.map(<[u8]>::to_vec).ok_or_else(|| Missing("a value here".to_owned())),
            ("good", _) => Ok(good()),
            ("line", _) => value.map(|value| self.line(value)).ok_or_else(|| Missing("a value here".to_owned())),
            ("good-line", _) => Ok(self.line(&good())),
            ("field", _) => text(field),
            ("prefix", _) => text(prefix),
            ("prefix-lower", _) => text(&prefix.to_ascii_lowercase()),
            ("prefix-upper", _) => text(&prefix.to_ascii_uppercase()),
            ("basic-good", _) => Ok(STANDARD.encode([&good()[..], b":"].concat()).into_bytes()),
            ("path", _) => text(path),
            ("name", _) => text(bare),
            ("path-upper", _) => text(&path.to_ascii_uppercase()),
            ("path-encoded", _) => match bare.bytes().next() {
                Some(first) => text(&format!("/%{first:02x}{}", &bare[1..])),
                None => Err(Missing("a route with a name".to_owned())),
            },
            ("authority", _) => text(&authority(endpoint)),
            ("canary", _) => text(&canary.address()?),
            ("id", _) => text(if self.shown { "id" } else { &self.issued.id }),
            ("principal", _) => text(if self.shown { "principal" } else { &self.issued.principal }),
            ("user", Credential::Pair { user, .. }) => Ok(user.clone()),
            ("user-upper", Credential::Pair { user, .. }) => Ok(user.to_ascii_uppercase()),
            ("password", Credential::Pair { password, .. }) => Ok(password.clone()),
            ("password-upper", Credential::Pair { password, .. }) => Ok(password.to_ascii_uppercase()),
            ("leeway", _) => text(&leeway.to_string()),
            ("iss", _) => of_token(own.and_then(|jws| jws.claims.string("iss"))),
            ("aud", _) => of_token(own.and_then(|jws| jws.claims.string("aud"))),
            ("kid", _) => of_token(own.and_then(|jws| jws.header.string("kid"))),
            ("alg", _) => of_token(own.and_then(|jws| jws.header.string("alg"))),
            ("client-id", _) => text(self.client()?.0),
            ("client-secret", _) => text(self.client()?.1),
            ("client-basic", _) => {
                let (id, secret) = self.client()?;
                let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                text(&STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
            }
            ("redirect-uri", _) => text(REDIRECT_URI),
            ("attacker-jwk" | "attacker-x5c", _) => {
                let own = own.and_then(|jws| jws.header.string("alg")).as_deref().and_then(algorithm);
                let key = attacker.key(own.filter(|own| !own.is_symmetric()).unwrap_or(Algorithm::ES256))?;
                let made = if name == "attacker-jwk" { key.jwk() } else { key.self_signed() };
                made.map(String::into_bytes).ok_or_else(|| Missing("a public key".to_owned()))
            }
            _ => match self.kit.flow.borrow().get(name) {
                Some(_) if self.shown => text(name),
                Some(secret) => text(secret.expose()),
                None => Err(Missing(format!("a credential with <{name}>"))),
            },
        }
    }
}

/// What `Host` says (RFC 9110 §4.2.3).
fn authority(endpoint: &Endpoint) -> String {
    match (endpoint.transport, endpoint.address.port()) {
        (Transport::Plaintext, 80) | (Transport::Tls12 | Transport::Tls13, 443) => endpoint.host.clone(),
        (_, port) => format!("{}:{port}", endpoint.host),
    }
}

/// A request on one line, without what is not printable and without its end where it is long.
fn shown(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let lines: Vec<String> = text
        .trim_end_matches("\r\n")
        .split("\r\n")
        .filter(|line| !line.starts_with("Host: "))
        .map(|line| {
            line.chars()
                .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
                .collect()
        })
        .collect();
    let line = lines.join(" ⏎ ");
    if line.chars().count() <= SHOWN { line } else { line.chars().take(SHOWN).chain(['…']).collect() }
}

/// A listener that nobody has a reason to call but a server that follows a URL in a token.
pub(super) struct Canary(RefCell<Option<TcpListener>>);

impl Canary {
    /// One that listens when it is first named.
    pub(super) fn new() -> Self {
        Self(RefCell::new(None))
    }

    fn address(&self) -> Result<String, Missing> {
        let mut listener = self.0.borrow_mut();
        if listener.is_none() {
            let open = || {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                listener.set_nonblocking(true)?;
                Ok::<_, std::io::Error>(listener)
            };
            *listener = Some(open().map_err(|error| Missing(format!("a listener of our own: {error}")))?);
        }
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        address.map(|address| address.to_string()).ok_or_else(|| Missing("a listener of our own".to_owned()))
    }

    /// How many have called since this was last asked.
    pub(super) fn calls(&self) -> usize {
        let listener = self.0.borrow();
        listener.as_ref().map_or(0, |listener| std::iter::from_fn(|| listener.accept().ok()).count())
    }
}

#[cfg(test)]
mod tests;
