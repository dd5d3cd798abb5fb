//! What requests are made of: a valid credential, where it goes, what signs it, and a listener that nobody should call.
//!
//! Every request is made twice: with the real credential, to be sent, and with a stand-in of the same form, to be shown. So
//! nothing secret can get into a report, whatever a mutation does to it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use bench_server::contract::http_signature::read_key;
use bench_server::contract::{Issued, IssuerKey, Material, RegisteredClient, Transport};

use self::view::View;
use crate::attack::{Attacker, Credential, Jws, Missing, Place, Signature, TokenKey, Try};
use crate::load::Endpoint;
use crate::target::{Flow, Holding};

mod view;

/// So much of a request is shown.
const SHOWN: usize = 400;

/// What a target's requests are made of.
pub(super) struct Kit<'t> {
    pub(super) endpoint: &'t Endpoint,
    /// Another listener of the same server, which asks for no certificate.
    pub(super) neighbour: Option<&'t Endpoint>,
    /// Word of the method.
    pub(super) method: &'static str,
    /// What the target is known to offer.
    pub(super) features: BTreeSet<String>,
    /// What signs tokens, where that is known.
    pub(super) tokens: Option<TokenKey>,
    /// What signs credentials, where that is known.
    pub(super) issuer: Option<IssuerKey>,
    /// What tokens are bound to, where they are bound to a key.
    pub(super) proofs: Option<&'t TokenKey>,
    pub(super) leeway: u64,
    pub(super) attacker: Attacker,
    pub(super) canary: Canary,
    /// The authorization server, and clients of it.
    pub(super) authorization: Option<Authorization<'t>>,
    /// What of a user's grant is in hand for the request that is made next.
    pub(super) flow: RefCell<Flow>,
}

/// An authorization server with clients that are registered there.
pub(super) struct Authorization<'t> {
    pub(super) endpoint: &'t Endpoint,
    /// One that asks for tokens, and may introspect.
    pub(super) client: RegisteredClient,
    /// One without a secret, which acts for users alone.
    pub(super) public: RegisteredClient,
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

/// When a request is made, and what makes it unlike all others.
#[derive(Clone, Copy)]
struct Moment {
    now: u64,
    nonce: u128,
}

impl<'t> Kit<'t> {
    /// Where a request goes.
    ///
    /// # Errors
    /// When the target has no such endpoint.
    pub(super) fn endpoint_of(&self, it: &Try) -> Result<&'t Endpoint, Missing> {
        match (it.at, &self.authorization) {
            (Place::Resource, _) => Ok(self.endpoint),
            (Place::Neighbour, _) => {
                self.neighbour.ok_or_else(|| Missing("a listener beside it that asks for no certificate".to_owned()))
            }
            (_, Some(authorization)) => Ok(authorization.endpoint),
            (_, None) => Err(Missing("an authorization server".to_owned())),
        }
    }

    /// The request of a try that changes what is held.
    ///
    /// # Errors
    /// What is missing for it.
    pub(super) fn make(&self, it: &Try, holding: &Holding) -> Result<Made, Missing> {
        // The same for all three, or no two of them would be equal.
        let moment = Moment { now: now(), nonce: rand::random() };
        let bytes = self.view(holding, false, moment)?.request(it)?;
        let valid = self.view(holding, false, moment)?.request(&Try::default())?;
        let shown = shown(&self.view(holding, true, moment)?.request(it)?);
        let is_head = it.verb.as_deref() == Some("HEAD");
        Ok(Made { unchanged: bytes == valid, bytes, shown, is_head })
    }

    fn view<'v>(&'v self, holding: &'v Holding, shown: bool, moment: Moment) -> Result<View<'v>, Missing> {
        Ok(View { kit: self, holding, credential: credential_of(&holding.issued, shown, moment)?, shown, moment })
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether a credential is a token whose parts can be read.
pub(super) fn is_jws(issued: &Issued) -> bool {
    matches!(&issued.material, Material::Bearer { token } if Jws::parse(token.expose()).is_some())
}

fn credential_of(issued: &Issued, shown: bool, moment: Moment) -> Result<Credential, Missing> {
    let hidden = |text: &str| if shown { "x".repeat(text.len()) } else { text.to_owned() };
    Ok(match &issued.material {
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
        Material::SigningKey { key_id, key } => {
            let read = read_key(key.expose()).map_err(|error| Missing(error.to_string()))?;
            let key = if shown { vec![0; read.len()] } else { read.to_vec() };
            Credential::Signed(Box::new(Signature::new(&hidden(key_id), key, moment.now, moment.nonce)))
        }
        Material::None | Material::Certificate { .. } => Credential::Text(Vec::new()),
    })
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
