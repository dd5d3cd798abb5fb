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
mod send;
mod wire;

use bench_server::contract::{ClientRegistration, IssuerKey, Material, READ_SCOPE};

use self::features::{features, leeway};
use self::judge::{Judge, Scheme};
use self::kit::Kit;
use super::pace::Pace;
use super::remaining::Group;
use super::setup::Place;
use super::start::Server;
use super::{MeasureError, check_alive};
use crate::attack::{Attacker, Case, CertificateKind, MethodKind, Missing, Needed, Needs, State, Table, TokenKey, Try};
use crate::plan::{ATTACK, AttackPlan, Variant};
use crate::record::{AttackCase, AttackResult, AttackTry, AttackVerdict, Begun, Measured, Record};
use crate::run::RunFolder;
use crate::target::{Holding, Target, TargetError};

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
            let mut attack = Attack::prepare(&server.target, server.variant, &group.settings).await?;
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
    valid: Holding,
}

impl<'a> Attack<'a> {
    async fn prepare(target: &'a Target, variant: &'a Variant, settings: &'a AttackPlan) -> Result<Self, MeasureError> {
        let valid = hold(target, variant).await?;
        let (issuer, tokens) = keys(target, variant).await?;
        let leeway = leeway(variant).unwrap_or(settings.leeway).as_secs();
        let mut kit = Kit {
            endpoint: target.endpoint(),
            neighbour: target.neighbour(),
            method: variant.method.name(),
            features: settings.offers.iter().cloned().collect(),
            tokens,
            issuer,
            proofs: target.proof_key(),
            leeway,
            attacker: Attacker::default(),
            canary: kit::Canary::new(),
            authorization: None,
            flow: Default::default(),
        };
        if let Some((endpoint, _)) = target.authorization_server() {
            let client = ClientRegistration {
                grant_types: ["authorization_code", "client_credentials"].map(str::to_owned).to_vec(),
                redirect_uris: vec![kit::REDIRECT_URI.to_owned()],
                may_introspect: true,
                ..ClientRegistration::service("attacked client", &[READ_SCOPE])
            };
            let public = ClientRegistration {
                confidential: false,
                grant_types: vec!["authorization_code".to_owned()],
                redirect_uris: vec![kit::REDIRECT_URI.to_owned()],
                ..ClientRegistration::service("attacked client without a secret", &[READ_SCOPE])
            };
            let (client, public) = (target.register(&client).await?, target.register(&public).await?);
            kit.authorization = Some(kit::Authorization { endpoint, client, public });
        }
        kit.features.extend(features(target, variant, &kit, &valid.issued));
        Ok(Self { target, variant, settings, kit, valid })
    }

    async fn run(&mut self, table: &Table, pace: &mut Pace<'_>) -> Result<AttackResult, MeasureError> {
        let wanted = |case: &&Case| self.settings.only.is_empty() || self.settings.only.contains(&case.id);
        let about: Vec<&Case> = table.cases.iter().filter(wanted).filter(|case| self.is_about(case)).collect();
        let share = ATTACK / u32::try_from(about.len()).unwrap_or(u32::MAX).max(1);
        let mut cases = Vec::new();
        for case in about {
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
                    if it.state == State::KeyRemoved {
                        self.renew().await?;
                    }
                }
            }
            cases.push(result);
            pace.spent(share);
        }
        Ok(AttackResult { table: table.digest.clone(), strict: self.target.is_reference(), cases })
    }

    /// Takes what is valid now in the place of what ended with a key.
    async fn renew(&mut self) -> Result<(), MeasureError> {
        (self.kit.issuer, self.kit.tokens) = keys(self.target, self.variant).await?;
        self.valid = hold(self.target, self.variant).await?;
        Ok(())
    }

    /// Whether a case is about what this variant's callers present.
    fn is_about(&self, case: &Case) -> bool {
        let Holding { issued, caller } = &self.valid;
        let (method, bound_to_key) = (self.kit.method, self.kit.proofs.is_some());
        let alone = caller.is_none() && !bound_to_key;
        let bearer = alone && matches!(issued.material, Material::Bearer { .. });
        case.method.iter().any(|kind| match kind {
            MethodKind::Any => {
                let presented = !matches!(issued.material, Material::None | Material::Certificate { .. });
                presented && method != "layered"
            }
            MethodKind::ApiKey => method == "api-key",
            MethodKind::Basic => method == "basic",
            MethodKind::Bearer => bearer,
            MethodKind::Jws => bearer && kit::is_jws(issued),
            MethodKind::Opaque => bearer && !kit::is_jws(issued),
            MethodKind::Mtls => method == "mtls",
            MethodKind::OAuth2 => method == "oauth2" && alone,
            MethodKind::Signed => method == "signed",
            MethodKind::Dpop => bound_to_key,
            MethodKind::Bound => method == "oauth2" && caller.is_some(),
            MethodKind::Layered => method == "layered",
        })
    }

    /// Why a case cannot be run here.
    fn obstacle(&self, case: &Case) -> Option<String> {
        if let Some(why) = &case.unsent {
            return Some(why.clone());
        }
        if let Some(feature) = case.features.iter().find(|feature| !self.kit.features.contains(*feature)) {
            return Some(format!("not offered by the target: {feature}"));
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
        match self.valid.issued.material {
            Material::Password { .. } => Scheme::Basic,
            Material::SigningKey { .. } => Scheme::Signature,
            Material::None | Material::Certificate { .. } => Scheme::None,
            _ if self.kit.proofs.is_some() => Scheme::Dpop,
            _ => Scheme::Bearer,
        }
    }
}

/// A valid credential.
async fn hold(target: &Target, variant: &Variant) -> Result<Holding, MeasureError> {
    let held = target.hold().await;
    held.map_err(|message| TargetError::Request { variant: variant.name.clone(), message }.into())
}

/// What signs credentials, and tokens, as far as that is known.
async fn keys(target: &Target, variant: &Variant) -> Result<(Option<IssuerKey>, Option<TokenKey>), MeasureError> {
    let issuer = target.issuer_key().await?;
    let tokens = match &issuer {
        Some(IssuerKey::Token { algorithm, key, .. }) => {
            let read = TokenKey::read(*algorithm, key.expose());
            Some(read.map_err(|why| MeasureError::Machine(format!("variant \"{}\": {why}", variant.name)))?)
        }
        _ => None,
    };
    Ok((issuer, tokens))
}
