//! Servers that are wrong in one way each, and their twin that is right. They speak just enough HTTP/1.1.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

/// What is wrong with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Nothing.
    None,
    RefusesEverything,
    AcceptsEverything,
    FailsOnTheUnexpected,
    NeverAnswersTheUnexpected,
    TrustsForwardedUsers,
    TrustsOriginalUrl,
    ProtectsOneSpelling,
    TakesTheLastField,
    TakesTheUrl,
    // Keys
    ComparesCaseBlind,
    ComparesABeginning,
    ComparesWhatKeysBeginWith,
    IgnoresRevocation,
    // Passwords
    PasswordsCaseBlind,
    EmptyPasswords,
    TrimsUsers,
    // Tokens
    AcceptsNone,
    ConfusesAlgorithms,
    WeakMac,
    IgnoresSignatures,
    AcceptsZeros,
    TrustsEmbeddedKeys,
    FollowsUrls,
    IgnoresAud,
    IgnoresIss,
    SkipsExp,
    IgnoresNbf,
    IgnoresTyp,
    IgnoresCrit,
    TakesTheLastMember,
    TakesStringsForTimes,
    // Certificates
    AcceptsAnyCertificate,
    TrustsForwardedCertificates,
    ResumesAfterRevocation,
    JudgesInTheHandshakeAlone,
}

/// Which credential a server asks for.
pub(crate) enum Asks {
    Keys(Vec<String>),
    Users(Vec<(String, String)>),
    Tokens { point: Vec<u8>, pem: String },
    Certificates { acceptor: TlsAcceptor, clients: Clients },
}

/// Clients with a certificate: name, and the certificate in DER.
pub(crate) type Clients = Vec<(String, Vec<u8>)>;

/// A server.
pub(crate) struct Config {
    pub(crate) mutant: Mutant,
    pub(crate) asks: Asks,
    /// Where a file lies for each credential that is revoked.
    pub(crate) revoked: PathBuf,
}

pub(crate) const ISSUER: &str = "https://issuer.test";
pub(crate) const AUDIENCE: &str = "https://api.test";
const LONGEST: u64 = 3_600;

/// Starts it in a thread of its own, which lives as long as the test.
pub(crate) fn start(config: Config) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    listener.set_nonblocking(true).expect("a socket");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            let config = Arc::new(config);
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let config = config.clone();
                tokio::spawn(async move {
                    match &config.asks {
                        Asks::Certificates { acceptor, .. } => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                let chain = stream.get_ref().1.peer_certificates();
                                let leaf = chain.and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
                                serve(&config, stream, leaf).await;
                            }
                        }
                        _ => serve(&config, stream, None).await,
                    }
                });
            }
        });
    });
    address
}

struct Request {
    target: String,
    fields: Vec<(String, Vec<u8>)>,
}

impl Request {
    fn all(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_slice()).collect()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.all(name).first().map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

async fn serve(config: &Config, mut stream: impl AsyncRead + AsyncWrite + Unpin, leaf: Option<Vec<u8>>) {
    let mut received = Vec::new();
    loop {
        let (status, length) = loop {
            let mut headers = [httparse::EMPTY_HEADER; 120];
            let mut request = httparse::Request::new(&mut headers);
            match request.parse(&received) {
                Ok(httparse::Status::Complete(length)) => {
                    let request = Request {
                        target: request.path.unwrap_or_default().to_owned(),
                        fields: request
                            .headers
                            .iter()
                            .map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()))
                            .collect(),
                    };
                    let status = answer(config, &request, leaf.as_deref());
                    break (status, length);
                }
                Ok(httparse::Status::Partial) if received.len() < 40_000 => {
                    let mut chunk = [0; 8192];
                    match stream.read(&mut chunk).await {
                        Ok(read) if read > 0 => received.extend_from_slice(&chunk[..read]),
                        _ => return,
                    }
                }
                Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => break (431, usize::MAX),
                Err(_) => break (400, usize::MAX),
            }
        };
        if status == 0 {
            std::future::pending::<()>().await;
        }
        let last = if length == usize::MAX { "connection: close\r\n" } else { "" };
        let challenge = if status == 401 { "www-authenticate: Bearer realm=\"test\"\r\n" } else { "" };
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n{challenge}{last}\r\nok");
        if stream.write_all(answer.as_bytes()).await.is_err() || length == usize::MAX {
            // So that the answer is not lost with what was not read.
            let _ = stream.shutdown().await;
            let mut rest = [0; 8192];
            while matches!(stream.read(&mut rest).await, Ok(read) if read > 0) {}
            return;
        }
        received.drain(..length);
    }
}

fn answer(config: &Config, request: &Request, leaf: Option<&[u8]>) -> u16 {
    let mutant = config.mutant;
    match mutant {
        Mutant::RefusesEverything => return 401,
        Mutant::AcceptsEverything => return 200,
        Mutant::TrustsForwardedUsers if request.text("x-forwarded-user").is_some() => return 200,
        Mutant::TrustsOriginalUrl if request.text("x-original-url").is_some() => return 200,
        Mutant::TrustsForwardedCertificates if request.text("x-forwarded-client-cert").is_some() => return 200,
        _ => {}
    }
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    if path != "/whoami" {
        return if mutant == Mutant::ProtectsOneSpelling { 200 } else { 404 };
    }
    let in_url = query.split('&').find_map(|pair| pair.strip_prefix("access_token=").or(pair.strip_prefix("api_key=")));
    let taken_from_url = in_url.filter(|_| mutant == Mutant::TakesTheUrl);
    if in_url.is_some() && taken_from_url.is_none() {
        return 400;
    }
    if let Asks::Certificates { clients, .. } = &config.asks {
        return certificate(config, clients, leaf);
    }
    let fields = request.all("authorization");
    let field = match fields.as_slice() {
        [] => None,
        [one] => Some(*one),
        [.., last] if mutant == Mutant::TakesTheLastField => Some(*last),
        _ => return 400,
    };
    let presented = match (taken_from_url, field) {
        (Some(value), _) => value.to_owned(),
        (None, None) => return 401,
        (None, Some(field)) => {
            let unexpected = match mutant {
                Mutant::FailsOnTheUnexpected => 500,
                Mutant::NeverAnswersTheUnexpected => 0,
                _ => 401,
            };
            let Some(field) = std::str::from_utf8(field).ok().filter(|field| field.is_ascii()) else {
                return unexpected;
            };
            let scheme = if matches!(config.asks, Asks::Users(_)) { "basic" } else { "bearer" };
            match field.split_once(' ') {
                Some((used, value)) if used.eq_ignore_ascii_case(scheme) => value.to_owned(),
                _ => return 401,
            }
        }
    };
    let accepted = match &config.asks {
        Asks::Keys(keys) => key(config, keys, &presented),
        Asks::Users(users) => user(mutant, users, &presented),
        Asks::Tokens { point, pem } => token(config, &presented, point, pem).is_some(),
        Asks::Certificates { .. } => false,
    };
    if accepted { 200 } else { 401 }
}

fn key(config: &Config, keys: &[String], presented: &str) -> bool {
    let fits = |key: &&String| match config.mutant {
        Mutant::ComparesCaseBlind => key.eq_ignore_ascii_case(presented),
        Mutant::ComparesABeginning => presented.starts_with(key.as_str()),
        Mutant::ComparesWhatKeysBeginWith => presented.len() >= 12 && key.starts_with(presented),
        _ => *key == presented,
    };
    let Some(place) = keys.iter().position(|key| fits(&key)) else { return false };
    config.mutant == Mutant::IgnoresRevocation || !config.revoked.join(format!("key-{place}")).exists()
}

fn user(mutant: Mutant, users: &[(String, String)], presented: &str) -> bool {
    let Ok(decoded) = STANDARD.decode(presented) else { return false };
    let Ok(text) = String::from_utf8(decoded) else { return false };
    let Some((name, password)) = text.split_once(':') else { return false };
    let name = if mutant == Mutant::TrimsUsers { name.trim() } else { name };
    users.iter().any(|(known, secret)| {
        known == name
            && match mutant {
                Mutant::PasswordsCaseBlind => secret.eq_ignore_ascii_case(password),
                Mutant::EmptyPasswords => password.is_empty() || secret == password,
                _ => secret == password,
            }
    })
}

/// An object whose members are all different, or, where told, the last of each.
struct Members {
    all: Vec<(String, Value)>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members { all })
            }
        }
        deserializer.deserialize_map(Read)
    }
}

impl Members {
    fn read(text: &str, mutant: Mutant) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let members: Self = serde_json::from_slice(&bytes).ok()?;
        let names: BTreeSet<&str> = members.all.iter().map(|(name, _)| name.as_str()).collect();
        (names.len() == members.all.len() || mutant == Mutant::TakesTheLastMember).then_some(members)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.all.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }
}

/// For whom a token is, if it is one.
fn token(config: &Config, token: &str, point: &[u8], pem: &str) -> Option<String> {
    let mutant = config.mutant;
    let parts: Vec<&str> = token.split('.').collect();
    let (header, claims, signature) = match parts.as_slice() {
        [header, claims, signature] if token.len() <= 8192 => (*header, *claims, *signature),
        [header, claims] if mutant == Mutant::IgnoresSignatures => (*header, *claims, ""),
        _ => return None,
    };
    let input = format!("{header}.{claims}");
    let header = Members::read(header, mutant)?;
    let claims = Members::read(claims, mutant)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let mac = |key: &[u8]| hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), input.as_bytes(), &signature).is_ok();
    let es256 = |point: &[u8]| {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(input.as_bytes(), &signature).is_ok()
    };
    if let (Mutant::FollowsUrls, Some(url)) = (mutant, header.text("jku")) {
        let address = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
        let _ = std::net::TcpStream::connect(address);
    }
    let embedded = || {
        let jwk = header.get("jwk")?;
        let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str()?).ok();
        Some([&[4][..], &part("x")?, &part("y")?].concat())
    };
    let signed = match header.text("alg") {
        _ if mutant == Mutant::IgnoresSignatures => true,
        Some(alg) if mutant == Mutant::AcceptsNone && alg.eq_ignore_ascii_case("none") => true,
        Some("HS256") if mutant == Mutant::ConfusesAlgorithms => mac(pem.as_bytes()),
        Some("HS256") if mutant == Mutant::WeakMac => mac(b"secret"),
        Some("ES256") if mutant == Mutant::AcceptsZeros && signature.iter().all(|byte| *byte == 0) => true,
        Some("ES256") => {
            let key = embedded().filter(|_| mutant == Mutant::TrustsEmbeddedKeys);
            es256(key.as_deref().unwrap_or(point))
        }
        _ => false,
    };
    let typ = header.text("typ").is_some_and(|typ| typ.eq_ignore_ascii_case("at+jwt"));
    let understood = header.get("crit").is_none() || mutant == Mutant::IgnoresCrit;
    if !signed
        || !(typ || mutant == Mutant::IgnoresTyp)
        || !understood
        || header.get("zip").or(header.get("cty")).is_some()
    {
        return None;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    let time = |name: &str| match claims.get(name) {
        Some(Value::String(text)) if mutant == Mutant::TakesStringsForTimes => text.parse::<f64>().ok(),
        Some(value) => value.as_f64(),
        None => None,
    };
    let (iat, exp) = (time("iat"), time("exp"));
    let in_time = match (iat, exp) {
        (Some(iat), Some(exp)) => {
            let limited = mutant == Mutant::TakesStringsForTimes || exp - iat <= LONGEST as f64;
            iat <= now + 60.0 && now < exp && limited
        }
        _ => false,
    };
    if !in_time && mutant != Mutant::SkipsExp {
        return None;
    }
    let begun = match claims.get("nbf") {
        None => true,
        Some(_) => mutant == Mutant::IgnoresNbf || time("nbf").is_some_and(|nbf| nbf <= now + 60.0),
    };
    let for_us = match claims.get("aud") {
        Some(Value::String(audience)) => audience == AUDIENCE,
        Some(Value::Array(all)) => all.iter().all(Value::is_string) && all.iter().any(|one| one == AUDIENCE),
        _ => false,
    };
    let from = claims.text("iss") == Some(ISSUER);
    let sub = claims.text("sub").filter(|sub| (1..=255).contains(&sub.len()))?;
    let jti = claims.text("jti")?;
    let revoked = config.revoked.join(jti).exists() && mutant != Mutant::IgnoresRevocation;
    let good = begun
        && (for_us || mutant == Mutant::IgnoresAud)
        && (from || mutant == Mutant::IgnoresIss)
        && claims.text("client_id").is_some()
        && !revoked;
    good.then(|| sub.to_owned())
}

fn certificate(config: &Config, clients: &Clients, leaf: Option<&[u8]>) -> u16 {
    let Some(leaf) = leaf else { return 403 };
    // The others judge in the handshake, or never.
    let in_handshake = matches!(
        config.mutant,
        Mutant::ResumesAfterRevocation | Mutant::JudgesInTheHandshakeAlone | Mutant::IgnoresRevocation
    );
    if !in_handshake && is_revoked(&config.revoked, clients, leaf) { 403 } else { 200 }
}

/// Whether a file is named after the client whose certificate it is.
pub(crate) fn is_revoked(revoked: &Path, clients: &Clients, leaf: &[u8]) -> bool {
    clients.iter().any(|(name, der)| der == leaf && revoked.join(name).exists())
}
