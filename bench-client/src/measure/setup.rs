//! `setup`: from nothing to the first authorised request, step by step as the method's standard says.
//!
//! What a person or a process in service does (registering, issuing) goes over the control socket and counts as out of
//! band; what the client does goes over TCP, with its bytes and round trips. The trials of all cases take turns, so that
//! a slow spell hits them alike.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::contract::{Issued, Material, MethodConfig, READ_SCOPE, RegisteredClient, Secret};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::pace::Pace;
use super::random::{Purpose, derived_seed, shuffled};
use super::remaining::Group;
use super::start::Server;
use super::{MeasureError, check_alive};
use crate::load::{Endpoint, FirstCall, Taken};
use crate::outcome::Outcome;
use crate::plan::{Case, Plan, SetupPlan, Variant};
use crate::record::{Begun, Channel, KeptSecret, Measured, Record, SetupResult, SetupStep, SetupTrial};
use crate::target::{Target, principal_of_client};

/// Longest that a trial may take: the slowest password hash is computed twice in it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where in a start its record stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Number of the start in records.
    pub(super) start: u32,
    /// First round of the start.
    pub(super) round: u32,
}

/// All trials of a group's cases, one after the other.
pub(super) async fn trials(
    plan: &Plan,
    group: &Group<'_, SetupPlan>,
    place: Place,
    servers: &mut [Server<'_>],
    pace: &mut Pace<'_>,
) -> Result<Vec<Record>, MeasureError> {
    let mut cases: Vec<(&Case, &Variant, Gathered)> = Vec::with_capacity(group.cases.len());
    for &case in &group.cases {
        let variant = plan.variant(&case.variant).expect("a case's variant is one of the plan's");
        cases.push((case, variant, Gathered::new()));
    }
    for trial in 0..group.settings.trials {
        let order = [u64::from(place.round), group.index as u64, trial as u64];
        for index in shuffled(cases.len(), derived_seed(plan.seed, Purpose::Order, &order)) {
            pace.check()?;
            let (case, variant, gathered) = &mut cases[index];
            let server = servers.iter().find(|server| server.variant.name == case.variant);
            let target = &server.expect("a start has a server for each of its cases").target;
            let one = tokio::time::timeout(PATIENCE, walk(target, variant)).await;
            match one.unwrap_or_else(|_| Err(format!("no end within {} s", PATIENCE.as_secs()))) {
                Ok((steps, secrets)) => {
                    gathered.trials.push(SetupTrial { steps });
                    gathered.secrets = secrets;
                }
                Err(reason) => gathered.invalid.push(format!("trial {trial}: {reason}")),
            }
        }
        check_alive(servers)?;
    }
    let records = cases.into_iter().map(|(case, variant, gathered)| {
        let measured = Measured::Setup(SetupResult {
            trials: gathered.trials,
            secrets: gathered.secrets,
            moving_parts: plan.moving_parts(variant).into_iter().map(str::to_owned).collect(),
        });
        let record = Record::of(case, (place.start, place.round), gathered.begun, measured);
        Record { invalid: gathered.invalid, ..record }
    });
    Ok(records.collect())
}

/// What was gathered of a case.
struct Gathered {
    begun: Begun,
    trials: Vec<SetupTrial>,
    secrets: Vec<KeptSecret>,
    invalid: Vec<String>,
}

impl Gathered {
    fn new() -> Self {
        Self { begun: Begun::now(), trials: Vec::new(), secrets: Vec::new(), invalid: Vec::new() }
    }
}

type Walked = Result<(Vec<SetupStep>, Vec<KeptSecret>), String>;

/// One trial.
async fn walk(target: &Target, variant: &Variant) -> Walked {
    let mut steps = Vec::new();
    let (credential, secrets) = if let Some(MethodConfig::OAuth2(_)) = variant.method.reference() {
        by_client_credentials(target, variant, &mut steps).await?
    } else {
        provisioned(target, variant, &mut steps).await?
    };
    let mut call = FirstCall::new(target.endpoint().clone(), &credential).map_err(|error| error.to_string())?;
    let connected = call.connect().await.map_err(|error| error.to_string())?;
    steps.push(step("connection to the API", Channel::Connection, connected));
    let (outcome, requested) = call.request().await;
    steps.push(step("first request", Channel::Request, requested));
    call.close().await;
    match outcome {
        Outcome::Accepted => Ok((steps, secrets)),
        other => Err(format!("the first request was not accepted: {other:?}")),
    }
}

/// A credential that is handed out; for method `none` there is nothing to hand out.
async fn provisioned(
    target: &Target,
    variant: &Variant,
    steps: &mut Vec<SetupStep>,
) -> Result<(Issued, Vec<KeptSecret>), String> {
    let method = variant.method.reference().ok_or("only the reference server issues credentials")?;
    let name = match method {
        MethodConfig::None => None,
        MethodConfig::ApiKey(_) | MethodConfig::Signed(_) | MethodConfig::Mixed(_) | MethodConfig::Layered(_) => {
            Some("key issued")
        }
        MethodConfig::Basic(_) => Some("user registered"),
        MethodConfig::Jwt(_) | MethodConfig::OAuth2(_) => Some("token issued"),
        MethodConfig::Mtls(_) => Some("key pair and certificate issued"),
    };
    let begun = Instant::now();
    let issued = target.issue(1, None).await.map_err(|error| error.to_string())?;
    let elapsed = begun.elapsed();
    steps.extend(name.map(|name| out_of_band(name, elapsed)));
    let credential = issued.into_iter().next().ok_or("no credential was issued")?;
    let secrets = kept(&credential, variant.credential_lifetime())?;
    Ok((credential, secrets.into_iter().collect()))
}

/// A client that is registered and then asks for a token itself (RFC 6749 §4.4), at the place that the metadata names
/// (RFC 8414).
async fn by_client_credentials(
    target: &Target,
    variant: &Variant,
    steps: &mut Vec<SetupStep>,
) -> Result<(Issued, Vec<KeptSecret>), String> {
    #[derive(Deserialize)]
    struct Metadata {
        issuer: String,
        token_endpoint: String,
    }
    #[derive(Deserialize)]
    struct TokenResponse {
        access_token: Secret,
    }
    let begun = Instant::now();
    let client = target.register_client().await.map_err(|error| error.to_string())?;
    steps.push(out_of_band("client registered", begun.elapsed()));
    let (endpoint, identifier) = target.authorization_server().ok_or("the variant has no authorization server")?;
    let authority = authority(endpoint);

    let mut errand = FirstCall::anonymous(endpoint.clone()).map_err(|error| error.to_string())?;
    let connected = errand.connect().await.map_err(|error| error.to_string())?;
    steps.push(step("connection to the authorization server", Channel::Connection, connected));
    let request = format!("GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let metadata: Metadata = fetch(&mut errand, "metadata", &request, steps).await?;
    if metadata.issuer != identifier {
        return Err(format!("the metadata name another issuer, {:?}", metadata.issuer)); // RFC 8414 §3.3
    }
    let path = metadata
        .token_endpoint
        .strip_prefix(identifier)
        .ok_or_else(|| format!("the token endpoint {:?} is elsewhere", metadata.token_endpoint))?;
    let body = format!("grant_type=client_credentials&scope={READ_SCOPE}");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Basic {}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        basic(&client),
        body.len(),
    );
    let response: TokenResponse = fetch(&mut errand, "token request", &request, steps).await?;
    errand.close().await;

    let principal = principal_of_client(&client);
    let secret = client.client_secret.ok_or("the client was registered without a secret")?;
    let token =
        Issued { id: "token".to_owned(), principal, material: Material::Bearer { token: response.access_token } };
    let mut secrets =
        vec![KeptSecret { what: "client secret".to_owned(), bytes: secret.expose().len(), lifetime_s: None }];
    secrets.extend(kept(&token, variant.credential_lifetime())?);
    Ok((token, secrets))
}

async fn fetch<T: serde::de::DeserializeOwned>(
    errand: &mut FirstCall,
    name: &str,
    request: &str,
    steps: &mut Vec<SetupStep>,
) -> Result<T, String> {
    let (status, body, taken) = errand.fetch(request.as_bytes()).await.map_err(|error| error.to_string())?;
    steps.push(step(name, Channel::Request, taken));
    if status != 200 {
        return Err(format!("the {name} was answered {status}"));
    }
    // serde's text may quote a value, and values may be secrets.
    serde_json::from_slice(&body).map_err(|_| format!("the {name} was answered with other JSON than the standard says"))
}

/// Host and port, as the request's `Host` names them.
fn authority(endpoint: &Endpoint) -> String {
    format!("{}:{}", endpoint.host, endpoint.address.port())
}

/// Identifier and secret, form-encoded before Basic's own encoding (RFC 6749 §2.3.1).
fn basic(client: &RegisteredClient) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let secret = client.client_secret.as_ref().map(|secret| encode(secret.expose())).unwrap_or_default();
    STANDARD.encode(format!("{}:{secret}", encode(&client.client_id)))
}

fn step(name: &str, over: Channel, taken: Taken) -> SetupStep {
    SetupStep {
        name: name.to_owned(),
        over,
        elapsed_ns: nanoseconds(taken.elapsed),
        round_trips: taken.round_trips,
        bytes_sent: taken.sent,
        bytes_received: taken.received,
    }
}

fn out_of_band(name: &str, elapsed: Duration) -> SetupStep {
    let none = Taken { elapsed, round_trips: 0, sent: 0, received: 0 };
    step(name, Channel::OutOfBand, none)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What of a credential must be kept secret.
fn kept(credential: &Issued, lifetime: Option<Duration>) -> Result<Option<KeptSecret>, String> {
    let (what, bytes) = match &credential.material {
        Material::None => return Ok(None),
        Material::ApiKey { key } => ("API key", key.expose().len()),
        Material::Password { password, .. } => ("password", password.expose().len()),
        Material::Bearer { token } => ("token", token.expose().len()),
        Material::SigningKey { key, .. } => ("signing key", key.expose().len() / 2), // in hexadecimal
        Material::Certificate { key_pem, .. } => {
            // The cause is left out: it might quote the key.
            let key = PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes())
                .map_err(|_| "the private key is not PEM".to_owned())?;
            ("private key", key.secret_der().len())
        }
    };
    Ok(Some(KeptSecret { what: what.to_owned(), bytes, lifetime_s: lifetime.map(|lifetime| lifetime.as_secs()) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(material: Material) -> Issued {
        Issued { id: "1".to_owned(), principal: "p".to_owned(), material }
    }

    #[test]
    fn secrets_are_counted_as_they_are_presented() {
        let token = issued(Material::Bearer { token: Secret::new("abc.def.ghi") });
        let found = kept(&token, Some(Duration::from_secs(900))).unwrap().unwrap();
        assert_eq!((found.what.as_str(), found.bytes, found.lifetime_s), ("token", 11, Some(900)));
        let user = Material::Password { username: "alice".to_owned(), password: Secret::new("p w") };
        assert_eq!(kept(&issued(user), None).unwrap().unwrap().bytes, 3, "the name is no secret");
        assert_eq!(kept(&issued(Material::None), None).unwrap(), None);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = key.serialize_der().len();
        let certificate = Material::Certificate { chain_pem: String::new(), key_pem: Secret::new(key.serialize_pem()) };
        assert_eq!(kept(&issued(certificate), None).unwrap().unwrap().bytes, der);
        let broken = Material::Certificate { chain_pem: String::new(), key_pem: Secret::new("hunter2") };
        assert!(!kept(&issued(broken), None).unwrap_err().contains("hunter2"));
    }

    #[test]
    fn clients_authenticate_form_encoded() {
        let client = RegisteredClient { client_id: "a:b".to_owned(), client_secret: Some(Secret::new("p w")) };
        assert_eq!(basic(&client), STANDARD.encode("a%3Ab:p+w"));
    }
}
