//! Login sessions and anti-CSRF tokens (RFC 6749 §10.12, RFC 6265).
//!
//! A visitor who is not logged in costs no memory: the cookie is a random string, and the anti-CSRF token of every form
//! is an HMAC of it under a key of this process. A login replaces the cookie, so that none that was planted beforehand
//! becomes a session.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderValue, Request, Response};
use sha2::Sha256;

use super::opaque::{self, Digest};
use super::user::User;
use crate::clock::UnixTime;
use crate::expiring::ExpiringMap;

/// How long a login lasts.
const LIFETIME: Duration = Duration::from_secs(3600);

/// A browser, as far as its cookie tells.
pub(super) struct Visitor {
    cookie: String,
    is_new: bool,
    /// Who logged in, with the user's epoch at that time.
    pub(super) login: Option<(Arc<User>, u64)>,
}

/// All sessions.
pub(super) struct Sessions {
    logins: Mutex<ExpiringMap<Digest, (Arc<User>, u64)>>,
    csrf_key: [u8; 32],
    https: bool,
}

impl Sessions {
    /// `https`: whether browsers reach the server over TLS.
    pub(super) fn new(https: bool) -> Self {
        Self { logins: Mutex::default(), csrf_key: opaque::random(), https }
    }

    /// The name's prefix makes browsers insist on `Secure`, `Path=/` and no `Domain`.
    fn cookie_name(&self) -> &'static str {
        if self.https { "__Host-authbench-session" } else { "authbench-session" }
    }

    /// Who sends the request. A visitor without a cookie of ours gets a new one by [`Sessions::remember`].
    pub(super) fn visitor(&self, request: &Request<Bytes>, now: UnixTime) -> Visitor {
        let cookies = request.headers().get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
        let cookie = cookies
            .flat_map(|field| field.split("; "))
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, value)| *name == self.cookie_name() && opaque::bytes32(value).is_some());
        let Some((_, cookie)) = cookie else {
            return Visitor { cookie: opaque::secret(), is_new: true, login: None };
        };
        let logins = self.logins.lock().expect("no holder panics");
        let login = logins.get(now, &opaque::digest(cookie)).filter(|(user, epoch)| user.epoch() == *epoch).cloned();
        Visitor { cookie: cookie.to_owned(), is_new: false, login }
    }

    /// Opens a session; the visitor gets another cookie.
    pub(super) fn open(&self, user: Arc<User>, epoch: u64, now: UnixTime) -> Visitor {
        let cookie = opaque::secret();
        let expires = UnixTime(now.0 + LIFETIME);
        let mut logins = self.logins.lock().expect("no holder panics");
        logins.insert(now, expires, opaque::digest(&cookie), (user.clone(), epoch));
        Visitor { cookie, is_new: true, login: Some((user, epoch)) }
    }

    /// Sets a new visitor's cookie.
    pub(super) fn remember(&self, visitor: &Visitor, mut response: Response<Bytes>) -> Response<Bytes> {
        if visitor.is_new {
            let secure = if self.https { "; Secure" } else { "" };
            let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Lax{secure}", self.cookie_name(), visitor.cookie);
            let cookie = HeaderValue::try_from(cookie).expect("base64url is visible ASCII");
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    fn mac(&self, visitor: &Visitor) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.csrf_key).expect("HMAC takes keys of any length");
        mac.update(visitor.cookie.as_bytes());
        mac
    }

    /// The token that forms for this visitor carry.
    pub(super) fn csrf_token(&self, visitor: &Visitor) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(visitor).finalize().into_bytes())
    }

    /// Whether a form came from a page that this visitor was shown.
    pub(super) fn csrf_token_fits(&self, visitor: &Visitor, token: Option<&str>) -> bool {
        let decoded = token.and_then(opaque::bytes32);
        decoded.is_some_and(|bytes| self.mac(visitor).verify_slice(&bytes).is_ok())
    }
}
