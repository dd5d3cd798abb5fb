//! `attack`: every bad credential of the table is presented, and must be refused; good ones beside them must not be, or a server
//! that refuses everybody would pass.
//!
//! One after the other, each on a connection of its own: what the counters of the reference server say between two requests
//! belongs to one of them.

mod certificate;
mod features;
mod hello;
mod judge;
mod kit;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_server::contract::{ClientRegistration, Issued, IssuerKey, Material, READ_SCOPE, Transport};
use rustls::ClientConfig;

use self::features::{features, leeway};
use self::judge::{Judge, Scheme};
use self::kit::{Kit, Made};
use self::wire::{Came, Line};
use super::pace::Pace;
use super::remaining::Group;
use super::setup::Place;
use super::start::Server;
use super::{MeasureError, check_alive};
use crate::attack::{
    Answer, Attacker, Case, CertificateKind, Connection, Hello, MethodKind, Missing, Needed, Needs, State, Table,
    TokenKey, Try,
};
use crate::load::Endpoint;
use crate::plan::{AttackPlan, Variant};
use crate::record::{AttackCase, AttackResult, AttackTry, AttackVerdict, Begun, Measured, Record};
use crate::run::RunFolder;
use crate::target::{Flow, Target};

/// Longest wait for a credential to end: what takes longer is for a revocation measurement.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Beside the bound of a revocation: for an answer that was under way, and for timers.
const GRACE: Duration = Duration::from_millis(500);

/// Time between two looks at whether a credential has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What of a user's grant a request may hold.
const FLOW: [&str; 6] = ["code", "code-spent", "refresh", "refresh-spent", "access-replayed", "access-of-spent"];

/// Attacks the servers of a group's variants, one after the other, and keeps the records.
pub(super) async fn carry_out(
    group: &Group<'_, AttackPlan>,
    place: Place,
    servers: &mut [Server<'_>],
    folder: &mut RunFolder,
    pace: &mut Pace<'_>,
) -> Result<(), MeasureError> {
    let table = group.settings.table().map_err(MeasureError::Machine)?;
    for &case in &group.cases {
        let begun = Begun::now();
        let server = servers.iter().find(|server| server.variant.name == case.variant);
        let server = server.expect("a start has a server for each of its cases");
        pace.stage(&format!("{} of {}", group.measurement.name, case.variant));
        let result = {
            let attack = Attack::prepare(&server.target, server.variant, &group.settings).await?;
            attack.run(&table, pace).await?
        };
        // A server that died has not refused anybody.
        check_alive(servers)?;
        folder.append(&Record::of(case, (place.start, place.round), begun, Measured::Attack(result)))?;
    }
    Ok(())
}

/// One target with a valid credential of its own.
struct Attack<'a> {
    target: &'a Target,
    variant: &'a Variant,
    settings: &'a AttackPlan,
    kit: Kit<'a>,
    valid: Issued,
}

impl<'a> Attack<'a> {
    async fn prepare(target: &'a Target, variant: &'a Variant, settings: &'a AttackPlan) -> Result<Self, MeasureError> {
        let mut issued = target.issue(1, None).await?;
        let valid = issued.pop().ok_or_else(|| MeasureError::Machine("no credential was issued".to_owned()))?;
        let issuer = target.issuer_key().await?;
        let tokens = match &issuer {
            Some(IssuerKey::Token { algorithm, key, .. }) => {
                let read = TokenKey::read(*algorithm, key.expose());
                Some(read.map_err(|why| MeasureError::Machine(format!("variant \"{}\": {why}", variant.name)))?)
            }
            _ => None,
        };
        let leeway = leeway(variant).unwrap_or(settings.leeway).as_secs();
        let mut kit = Kit {
            endpoint: target.endpoint(),
            method: variant.method.name(),
            features: settings.offers.iter().cloned().collect(),
            tokens,
            issuer,
            leeway,
            attacker: Attacker::default(),
            canary: kit::Canary::new(),
            authorization: None,
            flow: Default::default(),
        };
        if let Some((endpoint, _)) = target.authorization_server() {
            let registration = ClientRegistration {
                grant_types: ["authorization_code", "client_credentials"].map(str::to_owned).to_vec(),
                redirect_uris: vec![kit::REDIRECT_URI.to_owned()],
                ..ClientRegistration::service("attacked client", &[READ_SCOPE])
            };
            let client = target.register(&registration).await?;
            kit.authorization = Some(kit::Authorization { endpoint, client });
        }
        kit.features.extend(features(target, variant, &kit, &valid));
        Ok(Self { target, variant, settings, kit, valid })
    }

    async fn run(&self, table: &Table, pace: &mut Pace<'_>) -> Result<AttackResult, MeasureError> {
        let mut cases = Vec::new();
        for case in &table.cases {
            let wanted = self.settings.only.is_empty() || self.settings.only.contains(&case.id);
            if !wanted || !self.is_about(case) {
                continue;
            }
            let mut result = AttackCase {
                id: case.id.clone(),
                title: case.title.clone(),
                control: case.control,
                severity: case.severity,
                source: case.source.clone(),
                not_run: self.obstacle(case),
                tries: Vec::new(),
            };
            if result.not_run.is_none() {
                for it in &case.tries {
                    pace.check()?;
                    result.tries.push(self.carry_out(case, it).await?);
                }
            }
            cases.push(result);
        }
        Ok(AttackResult { table: table.digest.clone(), strict: self.target.is_reference(), cases })
    }

    /// Whether a case is about this variant's method.
    fn is_about(&self, case: &Case) -> bool {
        let bearer = matches!(self.valid.material, Material::Bearer { .. });
        case.method.iter().any(|kind| match kind {
            MethodKind::Any => !matches!(self.valid.material, Material::None | Material::Certificate { .. }),
            MethodKind::ApiKey => self.kit.method == "api-key",
            MethodKind::Basic => self.kit.method == "basic",
            MethodKind::Bearer => bearer,
            MethodKind::Jws => bearer && kit::is_jws(&self.valid),
            MethodKind::Opaque => bearer && !kit::is_jws(&self.valid),
            MethodKind::Mtls => self.kit.method == "mtls",
            MethodKind::OAuth2 => self.kit.method == "oauth2",
            // A key can be presented, or used to sign; a token can stand alone, or beside a key.
            MethodKind::Signed => matches!(self.kit.method, "signed" | "api-key"),
            MethodKind::Layered => matches!(self.kit.method, "layered" | "oauth2"),
        })
    }

    /// Why a case cannot be run here.
    fn obstacle(&self, case: &Case) -> Option<String> {
        if let Some(feature) = case.features.iter().find(|feature| !self.kit.features.contains(*feature)) {
            return Some(format!("not offered by the target: {feature}"));
        }
        if case.tries.is_empty() {
            return Some("the table does not say yet how it is sent".to_owned());
        }
        let signs = case.tries.iter().any(|it| {
            it.credential.iter().any(|mutation| mutation.needed() == Some(Needed::IssuerKey))
                || it.certificate.is_some_and(CertificateKind::needs_ca)
        });
        (case.needs == Needs::Issuer && signs && self.kit.issuer.is_none()).then(|| "needs the issuer's key".to_owned())
    }

    async fn carry_out(&self, case: &Case, it: &Try) -> Result<AttackTry, MeasureError> {
        let expect = it.expect.as_ref().unwrap_or(&case.expect);
        let before = if expect.at_most.is_empty() { None } else { self.target.counters().await? };
        let sent = self.send(case, it).await;
        let what = it.describe();
        let (came, shown, issued) = match sent {
            Ok(sent) => sent,
            Err(Missing(what_is_missing)) => {
                let why = format!("needs {what_is_missing}");
                let (sent, came) = (String::new(), String::new());
                return Ok(AttackTry { what, sent, came, verdict: AttackVerdict::NotRun, why });
            }
        };
        let convention = self.kit.endpoint.convention.as_deref();
        let judge = Judge { strict: self.target.is_reference(), scheme: self.scheme(), convention };
        let (mut verdict, mut why) = judge.judge(expect, &came, &issued);
        let calls = self.kit.canary.calls();
        if verdict == AttackVerdict::Held && calls > 0 {
            (verdict, why) =
                (AttackVerdict::Otherwise, format!("the server connected {calls} times to an address in the token"));
        }
        if let (AttackVerdict::Held, Some(before)) = (verdict, before)
            && let Some(after) = self.target.counters().await?
            && let (Some(before), Some(after)) = (before.first(), after.first())
            && let Some(grown) = judge::grown(&expect.at_most, &after.since(before))
        {
            (verdict, why) = (AttackVerdict::Otherwise, grown);
        }
        Ok(AttackTry { what, sent: shown, came: judge::describe(&came), verdict, why })
    }

    fn scheme(&self) -> Scheme {
        match self.valid.material {
            Material::Password { .. } => Scheme::Basic,
            Material::None | Material::Certificate { .. } => Scheme::None,
            _ => Scheme::Bearer,
        }
    }

    /// Sends it: what came, how what was sent is shown, and whose credential it was.
    async fn send(&self, case: &Case, it: &Try) -> Result<(Came, String, Issued), Missing> {
        if let Some(hello) = it.hello {
            return self.greet(hello).await;
        }
        let issued = match it.state {
            State::Valid => self.valid.clone(),
            State::Unscoped => self.target.issue_unscoped().await.map_err(Missing)?,
            State::Expired => self.expired().await?,
            State::Revoked | State::Replaced => return self.ended(it).await,
        };
        let wanted: Vec<&str> = FLOW.iter().copied().filter(|name| it.names(name)).collect();
        if wanted.iter().any(|name| name.starts_with("access-")) {
            // A token that nobody asks about lives to its end, whatever becomes of its grant.
            self.bound()?;
        }
        let flow = if wanted.is_empty() { Flow::new() } else { self.target.flow(&wanted).await.map_err(Missing)? };
        self.kit.flow.replace(flow);
        let made = self.kit.make(it, &issued)?;
        let is_control = case.control || matches!(it.expect.as_ref().unwrap_or(&case.expect).answer, Answer::Either);
        let as_ever = it.certificate.is_none_or(|kind| kind == CertificateKind::Good) && it.state == State::Valid;
        if made.unchanged && as_ever && !is_control {
            return Err(Missing("a credential that this changes".to_owned()));
        }
        let tls = self.tls(it, &issued, false)?;
        let came = match it.times {
            None => self.once(self.kit.endpoint_of(it)?, &made, tls).await,
            Some(times) => self.often(it, &issued, times, tls).await?,
        };
        Ok((came, made.shown, issued))
    }

    /// One request on a connection of its own.
    async fn once(&self, endpoint: &Endpoint, made: &Made, tls: Option<Arc<ClientConfig>>) -> Came {
        match Line::open(endpoint, tls, self.settings.timeout).await {
            Ok(mut line) => line.exchange(&made.bytes, made.is_head, self.settings.timeout).await,
            Err(came) => came,
        }
    }

    /// The same many times, each anew; until one is let in, or the server fails.
    async fn often(
        &self,
        it: &Try,
        issued: &Issued,
        times: u32,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Came, Missing> {
        let (mut line, mut came) = (None, Came::Closed);
        for _ in 0..times {
            let made = self.kit.make(it, issued)?;
            if line.is_none() {
                line = Line::open(self.kit.endpoint, tls.clone(), self.settings.timeout).await.ok();
            }
            came = match &mut line {
                Some(open) => open.exchange(&made.bytes, made.is_head, self.settings.timeout).await,
                None => return Ok(Came::Unreachable("no connection could be opened".to_owned())),
            };
            match &came {
                Came::Answer(seen) if seen.status < 300 || seen.status >= 500 => break,
                Came::Answer(seen) => {
                    if seen.all("connection").any(|value| value.eq_ignore_ascii_case("close")) {
                        line = None;
                    }
                }
                _ => line = None,
            }
        }
        Ok(came)
    }

    /// A credential whose time is over.
    async fn expired(&self) -> Result<Issued, Missing> {
        const LIFETIME: Duration = Duration::from_secs(1);
        let leeway = match self.valid.material {
            Material::Bearer { .. } => Duration::from_secs(self.kit.leeway),
            _ => Duration::ZERO,
        };
        // Times count whole seconds, of which the last belongs to a certificate's life.
        let wait = LIFETIME + leeway + Duration::from_secs(1) + GRACE;
        if wait > LONGEST_WAIT {
            return Err(Missing(format!("a leeway of less than {LONGEST_WAIT:?}")));
        }
        let issued = self.target.issue_short(LIFETIME).await.map_err(Missing)?;
        tokio::time::sleep(wait).await;
        Ok(issued)
    }

    /// A credential that was accepted, and is then taken back or replaced: what comes when its bound is over at the latest.
    async fn ended(&self, it: &Try) -> Result<(Came, String, Issued), Missing> {
        let bound = self.bound()?;
        let issued = self.target.issue(1, None).await.map_err(|error| Missing(error.to_string()))?;
        let issued = issued.into_iter().next().ok_or_else(|| Missing("a credential to spare".to_owned()))?;
        let made = self.kit.make(it, &issued)?;
        let patience = self.settings.timeout;
        let tls = self.tls(it, &issued, it.connection == Connection::Resumed)?;
        let mut line = Line::open(self.kit.endpoint, tls.clone(), patience)
            .await
            .map_err(|came| Missing(format!("a credential that is accepted ({})", judge::describe(&came))))?;
        let first = line.exchange(&made.bytes, made.is_head, patience).await;
        if !is_accepted(&first) {
            return Err(Missing(format!("a credential that is accepted ({})", judge::describe(&first))));
        }
        match it.state {
            State::Replaced => self.target.renew(&issued).await.map(drop),
            _ => self.target.revoke(&issued).await,
        }
        .map_err(|error| Missing(error.to_string()))?;
        let since = Instant::now();
        loop {
            let came = match it.connection {
                Connection::Kept => line.exchange(&made.bytes, made.is_head, patience).await,
                Connection::Fresh | Connection::Resumed => self.once(self.kit.endpoint, &made, tls.clone()).await,
            };
            if !is_accepted(&came) || since.elapsed() > bound + GRACE {
                return Ok((came, made.shown, issued));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How long an ended credential may live on.
    fn bound(&self) -> Result<Duration, Missing> {
        let bound = match self.target.is_reference() {
            true => self.variant.longest_window(None),
            false => self.settings.within,
        };
        if self.target.is_reference() && bound > LONGEST_WAIT {
            return Err(Missing(format!("a server that notices a revocation within {LONGEST_WAIT:?}")));
        }
        if !self.target.can_revoke_one() {
            return Err(Missing("a way to revoke, and a credential to spare".to_owned()));
        }
        Ok(bound)
    }

    /// What the client brings to the handshake.
    fn tls(&self, it: &Try, issued: &Issued, resumes: bool) -> Result<Option<Arc<ClientConfig>>, Missing> {
        let kind = match (it.certificate, &issued.material) {
            (Some(kind), _) => kind,
            (None, Material::Certificate { .. }) => CertificateKind::Good,
            (None, _) => CertificateKind::None,
        };
        let presented = certificate::make(kind, issued, self.kit.issuer.as_ref(), kit::now())?;
        certificate::client(self.kit.endpoint_of(it)?, presented, resumes)
    }

    /// Something else than a handshake of today.
    async fn greet(&self, hello: Hello) -> Result<(Came, String, Issued), Missing> {
        let Endpoint { transport, host, .. } = self.kit.endpoint;
        if *transport == Transport::Plaintext {
            return Err(Missing("a port that speaks TLS".to_owned()));
        }
        let patience = self.settings.timeout;
        let opened = Line::open(self.kit.endpoint, None, patience).await;
        let mut line = match opened {
            Ok(line) => line,
            Err(came) => return Ok((came, String::new(), self.valid.clone())),
        };
        let (came, shown) = match hello::bytes(hello, host) {
            Some(bytes) => (line.greet(&bytes, patience).await, format!("a ClientHello of {} bytes", bytes.len())),
            None => {
                let made = self.kit.make(&Try::default(), &self.valid)?;
                (line.exchange(&made.bytes, false, patience).await, format!("in plaintext: {}", made.shown))
            }
        };
        Ok((came, shown, self.valid.clone()))
    }
}

fn is_accepted(came: &Came) -> bool {
    matches!(came, Came::Answer(seen) if (200..300).contains(&seen.status))
}
