//! How long a plan will take: what progress counts against and `authbench plan` prints. Measuring follows the clock, so
//! most of it is known exactly; only the start of the servers is an estimate.

use std::time::Duration;

use bench_server::contract::{
    AccessTokenFormat, Algorithm, CertificateKey, MethodConfig, MtlsConfig, PasswordHash, StoreConfig,
};

use super::{Event, HandshakePlan, Measurement, MeasurementKind, Objective, Plan, Presents, Variant};

/// What it takes, by experience, to start a variant's processes and issue its pool: about, and the same for all.
pub(crate) const START_COST: Duration = Duration::from_millis(500);
/// One server process, from its execution until it accepts connections, keys made.
const PROCESS_START: Duration = Duration::from_millis(150);
/// Taking one credential back over the control socket or at the revocation endpoint.
const REVOKING: Duration = Duration::from_millis(1);
/// Asking a server of the user's whether it accepts and rejects as the scenario says.
const PROBE: Duration = Duration::from_millis(50);
/// Opening the connections of a case and issuing the credentials that a revocation uses.
const SETTING_UP: Duration = Duration::from_millis(50);
/// One request on a connection that is open, at saturation: how long the connections of a slice go on after it.
const REQUEST: Duration = Duration::from_micros(20);
/// All bad credentials of one variant: a few hundred requests, some of which wait for a credential to end.
pub(crate) const ATTACK: Duration = Duration::from_secs(3);

/// One trial of a setup, besides issuing: two handshakes and a few requests.
const SETUP: Duration = Duration::from_millis(5);
/// Beside a slice's length: what is still out drains, and the next case's turn begins.
const SLICE_OVERHEAD: Duration = Duration::from_millis(3);

/// The parts of one start, that is, of one life of the server processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedStart {
    /// Starting the processes and issuing the pools: an estimate.
    pub start_up: Duration,
    /// Warm-up of every case.
    pub warm_up: Duration,
    /// Slices of all rounds of the start.
    pub load: Duration,
    /// Revocation measurements, one after the other.
    pub revocation: Duration,
    /// Setup measurements: an estimate.
    pub setup: Duration,
    /// Rollovers and outages, one after the other.
    pub events: Duration,
    /// Attacks: an estimate.
    pub attacks: Duration,
}

impl ExpectedStart {
    /// All parts together.
    pub fn total(&self) -> Duration {
        self.start_up + self.warm_up + self.load + self.revocation + self.setup + self.events + self.attacks
    }
}

impl Plan {
    /// How long each part of a start will take.
    pub fn expected_start(&self) -> ExpectedStart {
        let mut expected = ExpectedStart {
            start_up: self.variants.iter().map(|variant| self.start_up(variant)).sum(),
            warm_up: Duration::ZERO,
            load: Duration::ZERO,
            revocation: Duration::ZERO,
            setup: Duration::ZERO,
            events: Duration::ZERO,
            attacks: Duration::ZERO,
        };
        for measurement in &self.measurements {
            let cases = u32::try_from(self.cases_of(measurement).count()).unwrap_or(u32::MAX);
            let (warmup, slice, slices) = match &measurement.kind {
                MeasurementKind::Latency(plan) => (plan.warmup, plan.slice, plan.slices),
                MeasurementKind::Throughput(plan) => {
                    expected.load += plan.objective.map_or(Duration::ZERO, |objective| objective.search() * cases);
                    (plan.warmup, plan.slice, plan.slices)
                }
                MeasurementKind::Handshake(plan) => (plan.warmup, plan.expected_slice(), plan.slices),
                MeasurementKind::Setup(plan) => {
                    let variants = self.cases_of(measurement).filter_map(|case| self.variant(&case.variant));
                    let issuing: Duration = variants.map(Variant::expected_issuing_of_one).sum();
                    expected.setup += times(SETUP * cases + issuing, plan.trials);
                    continue;
                }
                MeasurementKind::Attack(_) => {
                    expected.attacks += ATTACK * cases;
                    continue;
                }
                MeasurementKind::Rollover(_) | MeasurementKind::Outage(_) => {
                    let Some(event) = Event::of(&measurement.kind) else { continue };
                    let variants = self.cases_of(measurement).filter_map(|case| self.variant(&case.variant));
                    let issuing: Duration = variants.map(Variant::expected_issuing_of_one).sum();
                    expected.events += event.length() + SETTING_UP * cases + times(issuing, event.calls().callers);
                    continue;
                }
                MeasurementKind::Revocation(plan) => {
                    let batches = plan.trials.div_ceil(plan.at_a_time) as u32;
                    let variants = self.cases_of(measurement).filter_map(|case| self.variant(&case.variant));
                    // Cases run side by side; the slowest one counts.
                    let window =
                        variants.map(|variant| variant.longest_window(plan.lifetime)).max().unwrap_or_default();
                    let latest = plan.latest_revocation(self.replicas);
                    let first = latest + plan.watch;
                    let later = latest - plan.phase / 2 + window.min(plan.watch) / 2 + plan.probe_interval * 3;
                    expected.revocation += SETTING_UP * cases + first + later * (batches - 1) + plan.blast_lasts();
                    continue;
                }
            };
            expected.warm_up += (SETTING_UP + warmup) * cases;
            expected.load += (slice + SLICE_OVERHEAD) * slices * cases * self.rounds_per_start();
        }
        expected
    }

    /// How long the whole plan will take, reports not included.
    pub fn expected_duration(&self) -> Duration {
        self.expected_start().total() * self.starts
    }

    /// Starting a variant's processes and issuing its pool, which is for measurements under load.
    fn start_up(&self, variant: &Variant) -> Duration {
        let Some(method) = variant.method.reference() else { return PROBE };
        let processes = if variant.authorization_server.is_some() { 2 } else { 1 };
        let loaded = self.cases.iter().filter(|case| case.variant == variant.name).any(|case| {
            let kind = self.measurement(&case.measurement).map(|measurement| &measurement.kind);
            kind.is_some_and(MeasurementKind::is_load)
        });
        let pool = if loaded { variant.expected_issuing() } else { Duration::ZERO };
        PROCESS_START * processes + expected_filling(method) + pool
    }

    /// The cases of a measurement.
    pub fn cases_of<'a>(&'a self, measurement: &'a Measurement) -> impl Iterator<Item = &'a super::Case> {
        self.cases.iter().filter(|case| case.measurement == measurement.name)
    }
}

impl HandshakePlan {
    /// How long a slice takes: its length, and the rest of the connections that it began.
    pub fn expected_slice(&self) -> Duration {
        let connections = u32::try_from(self.connections).unwrap_or(u32::MAX);
        let all = REQUEST.saturating_mul(connections.saturating_mul(self.requests_per_connection));
        // Connections are opened until the slice ends: the last ones begin anywhere before that.
        self.slice + all / 2
    }
}

impl Objective {
    /// How long the search of one capacity takes: some six rates, three or four trials each.
    pub fn search(&self) -> Duration {
        self.trial * 20
    }
}

impl Variant {
    /// Issuing the variant's pool, until it can be presented: an estimate.
    pub fn expected_issuing(&self) -> Duration {
        let taken_back = if self.presents == Presents::Revoked { REVOKING } else { Duration::ZERO };
        times(self.expected_issuing_of_one() + taken_back, self.pool.count) + self.ripens_in()
    }

    /// Issuing one of the variant's credentials: an estimate.
    fn expected_issuing_of_one(&self) -> Duration {
        self.method.reference().map_or(Duration::ZERO, |method| issuing(self, method))
    }
}

/// Filling a method's store, deny-list or CRL with its population when its server starts: an estimate.
pub fn expected_filling(method: &MethodConfig) -> Duration {
    match method {
        MethodConfig::ApiKey(api_key) => {
            let of_one = match api_key.store {
                StoreConfig::Memory => Duration::from_nanos(1_500),
                StoreConfig::Sqlite => Duration::from_micros(6),
                StoreConfig::Redis(_) | StoreConfig::Postgres(_) => Duration::from_micros(15),
            };
            times(of_one, api_key.store_population)
        }
        MethodConfig::Jwt(jwt) => {
            let population = jwt.denylist.as_ref().map_or(0, |denylist| denylist.population);
            times(Duration::from_micros(3), population)
        }
        MethodConfig::Mtls(mtls) => times(Duration::from_micros(2), mtls.crl_population),
        MethodConfig::None | MethodConfig::Basic(_) | MethodConfig::OAuth2(_) | MethodConfig::Signed(_) => {
            Duration::ZERO
        }
        MethodConfig::Mixed(_) | MethodConfig::Layered(_) => Duration::ZERO,
    }
}

fn times(one: Duration, count: usize) -> Duration {
    one.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Issuing one credential, to the nearest power of ten or so on a processor of 2024: signing, hashing, or a request to
/// the token endpoint is what it takes.
fn issuing(variant: &Variant, method: &MethodConfig) -> Duration {
    let signing = |algorithm| match algorithm {
        Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => Duration::from_micros(1_000),
        Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => Duration::from_micros(1_000),
        Algorithm::ES384 => Duration::from_micros(300),
        Algorithm::ES256 | Algorithm::EdDSA => Duration::from_micros(50),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Duration::from_micros(10),
    };
    let token_request = Duration::from_micros(500);
    match method {
        MethodConfig::None => Duration::ZERO,
        MethodConfig::ApiKey(_) | MethodConfig::Signed(_) => Duration::from_micros(20),
        MethodConfig::Mixed(_) | MethodConfig::Layered(_) => Duration::from_micros(20),
        MethodConfig::Basic(basic) => match basic.hash {
            PasswordHash::Argon2id { memory_kib, iterations, .. } => {
                Duration::from_nanos(700) * memory_kib.saturating_mul(iterations)
            }
            PasswordHash::Bcrypt { cost } => Duration::from_micros(50) * (1 << cost.min(20)),
            PasswordHash::Scrypt { log_n, r, p } => {
                Duration::from_nanos(300) * (1 << u32::from(log_n.min(24))) * r.saturating_mul(p).min(64)
            }
            PasswordHash::Pbkdf2Sha256 { iterations } => Duration::from_nanos(150) * iterations,
        },
        MethodConfig::Jwt(jwt) => signing(jwt.algorithm),
        MethodConfig::OAuth2(_) => match variant.authorization_server.as_ref().map(|server| server.access_token) {
            Some(AccessTokenFormat::Jwt { algorithm }) => token_request + signing(algorithm),
            _ => token_request,
        },
        MethodConfig::Mtls(MtlsConfig { key: CertificateKey::Rsa2048, .. }) => Duration::from_millis(80),
        MethodConfig::Mtls(_) => Duration::from_micros(300),
    }
}
