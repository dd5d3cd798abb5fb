//! API keys, JWTs and opaque tokens behind one route. The form of a token alone decides who looks at it (RFC 8725 §3.12):
//! nobody is tried after another has refused, so that a token is never shown to a verifier that it was not meant for.
//!
//! | token | verifier |
//! | --- | --- |
//! | in `X-API-Key`, or begins like a key of this server | API keys |
//! | has two dots (RFC 7515 §7.1) | JWTs |
//! | anything else | introspection (RFC 7662) |
//!
//! The forms exclude each other: a key has no dot, a JWS begins with the base64url of `{`, and the opaque tokens of this
//! server begin with a prefix of their own.

use http::HeaderName;
use http::request::Parts;
use memchr::memchr_iter;

use super::api_key::{ApiKey, check_environments};
use super::{AdminError, BuildError, Environment, Principal, Rejection, Request, header};
use super::{jwt::Jwt, oauth2::OAuth2};
use crate::config::{MixedConfig, TokenValidation};
use crate::contract::{IssueRequest, Issued};
use crate::store::denylist;

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How keys of every environment begin.
const KEY: &str = "ab_";

/// How the names of keys begin, which a revocation tells from those of tokens.
const KEY_ID: &str = "key-";

/// The method `mixed`.
pub struct Mixed {
    api_key: ApiKey,
    jwt: Jwt,
    opaque: OAuth2,
}

/// Whose a credential is by its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Key,
    Jwt,
    Opaque,
}

impl Mixed {
    pub(crate) async fn build(name: &str, config: &MixedConfig, environment: &Environment) -> Result<Self, BuildError> {
        if !matches!(config.opaque.validation, TokenValidation::Opaque { .. }) {
            let remedy = "opaque: its validation is of JWTs, which the part `jwt` checks; write token = \"opaque\"";
            return Err(BuildError::Config(remedy.to_owned()));
        }
        check_environments(("api-key", &config.api_key), ("opaque", &config.opaque))?;
        // Folders and issuers of their own, as if they were profiles.
        let part = |part: &str| format!("{name}.{part}");
        Ok(Self {
            api_key: ApiKey::build(&part("api-key"), &config.api_key, environment).await?,
            jwt: Jwt::build(&part("jwt"), &config.jwt, environment).await?,
            opaque: OAuth2::build(&config.opaque, environment)?,
        })
    }

    pub(crate) async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        match form(request.head)? {
            Form::Key => self.api_key.authenticate(request).await,
            Form::Jwt => self.jwt.authenticate(request).await,
            Form::Opaque => self.opaque.authenticate(request).await,
        }
    }

    /// Counts a request that a key opened. Which it was says the form again: the name of a token is its issuer's to choose, and
    /// might be that of a key.
    pub(crate) fn bill(&self, principal: &Principal, request: &Request<'_>) {
        if form(request.head) == Ok(Form::Key) {
            self.api_key.bill(&principal.credential_id, request.now);
        }
    }

    /// The keys that are taken here.
    pub(crate) fn api_key(&self) -> &ApiKey {
        &self.api_key
    }

    /// Keys and JWTs by turns, beginning with a key. Opaque tokens come from the token endpoint.
    pub(crate) async fn issue(&self, request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        let part = |count| IssueRequest { count, ..request.clone() };
        let keys = self.api_key.issue(&part(request.count.div_ceil(2))).await?;
        let jwts = match request.count / 2 {
            0 => Vec::new(),
            count => self.jwt.issue(&part(count)).await?,
        };
        let mut jwts = jwts.into_iter();
        Ok(keys.into_iter().flat_map(|key| [Some(key), jwts.next()]).flatten().collect())
    }

    /// Another credential of the kind that the principal has.
    pub(crate) async fn renew(&self, principal: &str, request: &IssueRequest) -> Result<Issued, AdminError> {
        // Subjects have a form that no application's name has.
        match self.jwt.renew(principal, request).await {
            Err(AdminError::NotFound(_)) => self.api_key.renew(principal, request).await,
            renewed => renewed,
        }
    }

    pub(crate) async fn revoke(&self, id: &str) -> Result<(), AdminError> {
        if id.starts_with(KEY_ID) { self.api_key.revoke(id).await } else { self.jwt.revoke(id).await }
    }

    /// What the deny-list of JWTs takes, where there is one.
    pub(crate) fn denylist_size(&self) -> Option<denylist::Size> {
        self.jwt.denylist_size()
    }

    /// Whether what a decision needs gives an answer.
    pub(crate) async fn probe(&self) -> Result<(), &'static str> {
        self.api_key.probe().await?;
        self.jwt.probe().await?;
        self.opaque.probe().await
    }

    /// Removes what is in the stores, where those are servers of their own.
    pub(crate) async fn discard(&self) -> Result<(), AdminError> {
        self.api_key.discard().await?;
        self.jwt.discard().await
    }
}

/// Whose the credential of a request is. Where there is none, or one in a wrong place, API keys say so: they know all the
/// places.
fn form(head: &Parts) -> Result<Form, Rejection> {
    if head.headers.contains_key(&X_API_KEY) {
        return Ok(Form::Key);
    }
    match header::authorization(head, "Bearer") {
        Ok(Some(token)) => Ok(form_of(token)),
        Ok(None) | Err(Rejection::Missing) => Ok(Form::Key),
        Err(rejection) => Err(rejection),
    }
}

fn form_of(token: &str) -> Form {
    if token.starts_with(KEY) {
        Form::Key
    } else if memchr_iter(b'.', token.as_bytes()).count() == 2 {
        Form::Jwt
    } else {
        Form::Opaque
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KeyEnvironment;
    use crate::credential::key;

    #[test]
    fn xc_25_a_token_has_one_form() {
        for environment in [KeyEnvironment::Live, KeyEnvironment::Test] {
            let key = key::generate(environment, &mut rand::rngs::SysRng).unwrap();
            assert_eq!(form_of(key.expose()), Form::Key, "{KEY}");
        }
        for (token, expected) in [
            ("ab_live_0123", Form::Key),
            ("ab_live_with.two.dots", Form::Key),
            ("eyJhbGciOiJFUzI1NiJ9.e30.c2ln", Form::Jwt),
            ("..", Form::Jwt),
            ("at_0123", Form::Opaque),
            ("one.dot", Form::Opaque),
            ("a.j.w.e.!", Form::Opaque),
            ("AB_live_0123", Form::Opaque),
            ("", Form::Opaque),
        ] {
            assert_eq!(form_of(token), expected, "{token:?}");
        }
    }

    #[test]
    fn xc_25_a_request_has_one_form_or_is_refused() {
        let head = |fields: &[(&str, &str)]| {
            let request =
                fields.iter().fold(http::Request::builder(), |request, (name, value)| request.header(*name, *value));
            request.body(()).expect("a valid request").into_parts().0
        };
        // Beside `Authorization` it is refused, by the part that looks at both.
        assert_eq!(form(&head(&[("x-api-key", "a.b.c"), ("authorization", "Bearer a.b.c")])), Ok(Form::Key));
        assert_eq!(form(&head(&[("authorization", "bEARER  a.b.c")])), Ok(Form::Jwt));
        for fields in [&[][..], &[("authorization", "Basic YTpi")], &[("cookie", "api_key=x")]] {
            assert_eq!(form(&head(fields)), Ok(Form::Key), "{fields:?}");
        }
        let repeated = head(&[("authorization", "Bearer a.b.c"), ("authorization", "Bearer a.b.c")]);
        assert!(matches!(form(&repeated), Err(Rejection::Ambiguous(_))));
    }
}
