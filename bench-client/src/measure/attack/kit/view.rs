//! One look at what a request is made of: as it is sent, or as it is shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::contract::{Algorithm, Material, Transport};

use super::{Kit, Moment, REDIRECT_URI, authority, credential_of};
use crate::attack::{Bound, Credential, Jws, Missing, Place, ProofFor, Sent, Source, TokenKey, Try, algorithm, fill};
use crate::load::Endpoint;
use crate::target::Holding;

/// A credential and what can be made of it.
pub(super) struct View<'v> {
    pub(super) kit: &'v Kit<'v>,
    pub(super) holding: &'v Holding,
    /// What is held, the real one or its stand-in.
    pub(super) credential: Credential,
    pub(super) shown: bool,
    pub(super) moment: Moment,
}

/// What places are filled with, as far as it is known.
#[derive(Clone, Copy)]
struct Known<'k> {
    /// The valid credential.
    good: &'k Credential,
    /// What the mutations made of it.
    changed: Option<&'k Credential>,
    /// The request that it is presented with.
    sent: Option<&'k Sent<'k>>,
}

impl View<'_> {
    /// The bytes of a request.
    ///
    /// # Errors
    /// What is missing for it.
    pub(super) fn request(&self, it: &Try) -> Result<Vec<u8>, Missing> {
        let endpoint = self.kit.endpoint_of(it)?;
        let good = self.begin(it, endpoint)?;
        let changed = self.changed(it, &good)?;
        let known = Known { good: &good, changed: Some(&changed), sent: None };
        let names = |name: &str| self.name(name, known);
        let fill_in = |text: &str| fill(text, self.moment.now, &names);
        let mut form = Vec::new();
        for (name, value) in &it.form {
            let pair = [name.as_bytes(), &fill_in(value)?]
                .map(|part| form_urlencoded::byte_serialize(part).collect::<String>());
            form.push(pair.join("="));
        }
        let form = form.join("&");
        // Where the reference server has its endpoints.
        let (usual, path, form) = match it.at {
            Place::Resource | Place::Neighbour => ("GET", endpoint.path.clone(), None),
            Place::Authorize => ("GET", format!("/authorize?{form}"), None),
            Place::Token => ("POST", "/token".to_owned(), Some(form)),
            Place::Introspect => ("POST", "/introspect".to_owned(), Some(form)),
            Place::Revoke => ("POST", "/revoke".to_owned(), Some(form)),
            Place::Consent => ("POST", "/consent".to_owned(), Some(form)),
        };
        let verb = it.verb.as_deref().unwrap_or(usual);
        let path = it.path.as_deref().map_or_else(|| Ok(path.into_bytes()), fill_in)?;
        let host = it.host.as_deref().map_or_else(|| Ok(authority(endpoint).into_bytes()), fill_in)?;
        let content = match (form, &it.body) {
            (Some(form), _) => Some(("application/x-www-form-urlencoded", form.into_bytes())),
            (None, Some(body)) => Some(("application/json", fill_in(body)?)),
            (None, None) => None,
        };
        let body = content.as_ref().map_or(&[][..], |(_, body)| body.as_slice());
        let (target, host_text) = (String::from_utf8_lossy(&path), String::from_utf8_lossy(&host));
        let sent = Sent { method: verb, authority: &host_text, target: &target, body };
        let known = Known { sent: Some(&sent), ..known };
        let mut lines: Vec<Vec<u8>> = vec![[b"Host: ", &host[..]].concat()];
        match &it.fields {
            Some(fields) => {
                for field in fields {
                    lines.push(fill(field, self.moment.now, &|name: &str| self.name(name, known))?);
                }
            }
            None if it.at == Place::Resource && self.presents() => lines.push(self.lines(&changed, &sent)?),
            None => {}
        }
        if let Some((kind, body)) = &content {
            lines.push(format!("Content-Type: {kind}").into_bytes());
            lines.push(format!("Content-Length: {}", body.len()).into_bytes());
        }
        lines.extend((0..it.flood).map(|number| format!("X-Flood-{number}: x").into_bytes()));
        let mut request = [verb.as_bytes(), b" ", &path, b" HTTP/1.1\r\n"].concat();
        for line in lines {
            request.extend_from_slice(&line);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        Ok(request)
    }

    /// The valid credential for a request, with what proves that its key is the caller's.
    fn begin(&self, it: &Try, endpoint: &Endpoint) -> Result<Credential, Missing> {
        let Some(key) = self.kit.proofs else { return Ok(self.credential.clone()) };
        let scheme = if endpoint.transport == Transport::Plaintext { "http" } else { "https" };
        let url = format!("{scheme}://{}{}", authority(endpoint), self.path());
        let token = self.credential.text();
        let of = ProofFor {
            method: it.verb.as_deref().unwrap_or("GET"),
            url: &url,
            token: Some(&token),
            now: self.moment.now,
            unique: self.moment.nonce,
        };
        let proof = Jws::proof(key, &of)?;
        Ok(Credential::Bound(Box::new(Bound { token, proof, is_signed: false })))
    }

    /// What the mutations of a try make of it.
    fn changed(&self, it: &Try, good: &Credential) -> Result<Credential, Missing> {
        let known = Known { good, changed: None, sent: None };
        let names = |name: &str| self.name(name, known);
        let source = Source {
            now: self.moment.now,
            names: &names,
            issuer: self.kit.tokens.as_ref(),
            attacker: &self.kit.attacker,
            shown: self.shown,
        };
        it.credential.iter().try_fold(good.clone(), |credential, mutation| mutation.apply(credential, &source))
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
        !matches!(self.holding.issued.material, Material::None | Material::Certificate { .. })
    }

    /// The field that presents a credential: its name, and what stands before and behind the value.
    fn field(&self) -> (&str, &str, &str) {
        let convention = self.kit.endpoint.convention.as_deref();
        match convention.and_then(|convention| convention.header.as_ref()) {
            Some(field) => {
                let (before, after) = field.value.text().split_once("{credential}").unwrap_or_default();
                (&field.name, before, after)
            }
            None => match &self.holding.issued.material {
                Material::Password { .. } => ("Authorization", "Basic ", ""),
                Material::SigningKey { .. } => ("Signature-Input", "sig1=", ""),
                _ if self.kit.proofs.is_some() => ("Authorization", "DPoP ", ""),
                _ => ("Authorization", "Bearer ", ""),
            },
        }
    }

    fn line(&self, value: &[u8]) -> Vec<u8> {
        let (name, before, after) = self.field();
        [name.as_bytes(), b": ", before.as_bytes(), value, after.as_bytes()].concat()
    }

    /// All field lines that present a credential with a request, and who calls.
    fn lines(&self, credential: &Credential, sent: &Sent<'_>) -> Result<Vec<u8>, Missing> {
        let mut lines: Vec<Vec<u8>> = match credential {
            Credential::Signed(signature) => signature.lines(sent)?.into_iter().map(String::into_bytes).collect(),
            Credential::Bound(bound) => {
                vec![self.line(&bound.token), [&b"DPoP: "[..], self.proof(bound)?.as_bytes()].concat()]
            }
            _ => vec![self.line(&credential.text())],
        };
        if let Some(key) = self.caller()? {
            lines.push([&b"X-API-Key: "[..], &key].concat());
        }
        Ok(lines.join(&b"\r\n"[..]))
    }

    /// The key of the application that calls, where one does.
    fn caller(&self) -> Result<Option<Vec<u8>>, Missing> {
        match &self.holding.caller {
            Some(caller) if matches!(caller.material, Material::ApiKey { .. }) => {
                credential_of(caller, self.shown, self.moment).map(|key| Some(key.text()))
            }
            _ => Ok(None),
        }
    }

    /// A proof, signed by the key that the token is bound to unless it is to have another signature.
    fn proof(&self, bound: &Bound) -> Result<String, Missing> {
        let proof = bound.proof.clone();
        let proof = match (bound.is_signed, self.shown) {
            (true, _) => proof,
            (false, true) => proof.unsigned(),
            (false, false) => proof.signed(self.proof_key()?)?,
        };
        Ok(proof.text())
    }

    fn proof_key(&self) -> Result<&TokenKey, Missing> {
        self.kit.proofs.ok_or_else(|| Missing("the key that the token is bound to".to_owned()))
    }

    /// The route's path without its query.
    fn path(&self) -> &str {
        self.kit.endpoint.path.split('?').next().unwrap_or_default()
    }

    fn name(&self, name: &str, known: Known<'_>) -> Result<Vec<u8>, Missing> {
        let text = |text: &str| Ok(text.as_bytes().to_vec());
        let here = || Missing("a value here".to_owned());
        let Kit { endpoint, canary, attacker, leeway, .. } = self.kit;
        let path = self.path();
        let bare = path.trim_start_matches('/');
        let good = || known.good.text();
        let (field, prefix, _) = self.field();
        let own = match &self.credential {
            Credential::Jws(jws) => Some(&**jws),
            _ => None,
        };
        let of_token =
            |part: Option<String>| part.map(String::into_bytes).ok_or_else(|| Missing(format!("a token with {name}")));
        match (name, known.good) {
            ("value", _) => known.changed.map(Credential::text).ok_or_else(here),
            ("good", _) => Ok(good()),
            ("line", _) => {
                let (changed, sent) = known.changed.zip(known.sent).ok_or_else(here)?;
                self.lines(changed, sent)
            }
            ("good-line", good) => self.lines(good, known.sent.ok_or_else(here)?),
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
            ("id", _) => text(if self.shown { "id" } else { &self.holding.issued.id }),
            ("principal", _) => text(if self.shown { "principal" } else { &self.holding.issued.principal }),
            ("user", Credential::Pair { user, .. }) => Ok(user.clone()),
            ("user-upper", Credential::Pair { user, .. }) => Ok(user.to_ascii_uppercase()),
            ("password", Credential::Pair { password, .. }) => Ok(password.clone()),
            ("password-upper", Credential::Pair { password, .. }) => Ok(password.to_ascii_uppercase()),
            ("caller", _) => self.caller()?.ok_or_else(|| Missing("an application that calls with a key".to_owned())),
            ("proof", Credential::Bound(bound)) => self.proof(bound).map(String::into_bytes),
            ("proof-jwk-private", Credential::Bound(_)) => text(&private_jwk(self.proof_key()?)?),
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
            ("public-client", _) => {
                let authorization = self.kit.authorization.as_ref();
                let authorization = authorization.ok_or_else(|| Missing("a registered client".to_owned()))?;
                text(&authorization.public.client_id)
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

/// The public key of proofs with a private member beside it. What that says is nobody's secret: no member of the kind may be
/// there (RFC 9449 §4.3).
fn private_jwk(key: &TokenKey) -> Result<String, Missing> {
    let public = key.jwk().ok_or_else(|| Missing("a key with a public half".to_owned()))?;
    Ok(format!("{},\"d\":\"{}\"}}", public.trim_end_matches('}'), "A".repeat(43)))
}
