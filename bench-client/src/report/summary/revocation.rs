//! How long revoked credentials of a variant lived on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::expect::{self, Notice};
use super::super::format::duration;
use super::trials::Trials;
use crate::cell::Cell;
use crate::plan::{MeasurementKind, Plan, ProbeKind, Variant};
use crate::record::{BlastGroup, HandshakeCounts, RevocationHandshakes, RevocationResult, RevocationWindow};
use crate::stats::{kolmogorov_bound, kolmogorov_distance_between, kolmogorov_distance_from_uniform, median};

/// A variant after revocations. Times count from the acknowledgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevocationSummary {
    /// The measurement that this comes from.
    pub measurement: String,
    /// Probes went over this kind of connection.
    pub connection: ProbeKind,
    /// Credentials revoked.
    pub revoked: usize,
    /// Replicas that were probed; each has a window of its own for each credential.
    pub replicas: usize,
    /// How many of the windows were still open when the watch ended.
    pub still_accepted: usize,
    /// The shortest window.
    pub min: Bracket,
    /// Median of the lower ends to median of the upper ends.
    pub median: Bracket,
    /// The longest window.
    pub max: Bracket,
    /// Time between two probes, as planned.
    pub probe_interval_ns: u64,
    /// Longest gap between two probes around a change: the resolution really had.
    pub resolution_ns: u64,
    /// How long was watched, at least.
    pub watched_ns: u64,
    /// Lifetime that the credentials were issued with, where the method has one.
    pub lifetime_ns: Option<u64>,
    /// What the configuration promises, in words.
    pub promise: String,
    /// The same as a time: the longest that a revoked credential may live; absent where it is not known.
    pub promise_ns: Option<u64>,
    /// Whether nothing but the credential's own end stops it: a stateless token, a short-lived certificate.
    pub until_expiry: bool,
    /// Requests accepted after the acknowledgement, median per credential.
    pub exposure_median: f64,
    /// Requests of other credentials that were refused while one credential was watched, at most. Watches overlap, so that
    /// one refused request falls into several of them: a sum would count it as often.
    pub blast_radius: u64,
    /// Whom the revocation of one more credential cut off, by kind, over all starts; empty where that was not asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blast: Vec<BlastGroup>,
    /// Every window, in the order of the records.
    pub windows: Vec<WindowView>,
    /// With several replicas: mean over the credentials of the time until the last replica refused.
    pub last_replica_mean_ns: Option<f64>,
    /// How the windows compare with the law that the mechanism obeys; absent where there is none.
    pub law: Option<Law>,
    /// The same credentials over each kind of connection that was probed, the compared one first.
    pub by_connection: Vec<ByConnection>,
    /// The TLS handshakes of probes and bystanders over all kinds of connection; absent where none were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshakes: Option<HandshakesOfBoth>,
}

/// The same handshakes as each side counted them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandshakesOfBoth {
    /// As the client saw them.
    pub client: HandshakeCounts,
    /// As the resource server's processes did, all replicas together.
    pub server: Cell<HandshakeCounts>,
}

/// The distribution that windows must have, and how far they are from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Law {
    /// In words, like "uniform on 0 to 2 s".
    pub name: String,
    /// The same for computing with.
    pub form: LawForm,
    /// Kolmogorov distance between the windows and the law, from 0 to 1. Of windows whose law is chance the middles are
    /// compared, of others the moment in the bracket that is nearest to the law.
    pub distance: f64,
    /// What chance alone exceeds in one of twenty runs (Dvoretzky, Kiefer, Wolfowitz; Massart 1990); absent where the law
    /// leaves nothing to chance.
    pub chance: Option<f64>,
    /// Windows that it is computed from.
    pub windows: usize,
    /// With several replicas whose copies are filled independently: what the mean until the last replica refuses must be,
    /// `period · k / (k + 1)` for `k` replicas.
    pub last_replica_mean_ns: Option<f64>,
    /// For the same: Kolmogorov distance between the times until the last replica refused and their law, whose share of
    /// times up to `t` is `(t / period)^k`.
    pub last_replica_distance: Option<f64>,
}

/// A law for computing with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LawForm {
    /// Evenly spread from 0 on.
    Uniform {
        /// Up to this.
        period_ns: u64,
    },
    /// Each window ends when its own credential does by itself; see [`WindowView::expires_after_ns`].
    OwnEnd {
        /// What is tolerated after that.
        leeway_ns: u64,
    },
}

/// Windows over one kind of connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ByConnection {
    /// The kind.
    pub connection: ProbeKind,
    /// Windows.
    pub windows: usize,
    /// How many were still open when the watch ended: the credential survives on such a connection.
    pub still_accepted: usize,
    /// The longest window.
    pub max: Bracket,
    /// TLS handshakes of the probes over it, as the client saw them; absent where none were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshakes: Option<HandshakeCounts>,
}

/// The two ends that a window's true end lies between.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bracket {
    /// The credential was still accepted then; 0 if it was not accepted again.
    pub low_ns: f64,
    /// It was rejected then; absent when it was still accepted at the end of the watch.
    pub high_ns: Option<f64>,
}

/// One window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WindowView {
    /// Which of the revoked credentials, from 0: it has a window at each replica.
    #[serde(default)]
    pub credential: u32,
    /// See [`Bracket::low_ns`].
    pub low_ns: u64,
    /// See [`Bracket::high_ns`].
    pub high_ns: Option<u64>,
    /// How long was watched.
    pub watched_ns: u64,
    /// When the credential ends by itself, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after_ns: Option<i64>,
}

impl WindowView {
    fn new(credential: u32, window: &RevocationWindow) -> Self {
        Self {
            credential,
            low_ns: window.last_accepted_ns.unwrap_or(0),
            high_ns: window.first_rejected_ns,
            watched_ns: window.watched_ns,
            expires_after_ns: window.expires_after_ns,
        }
    }

    /// The middle of the bracket, where it closed.
    pub(crate) fn middle_ns(&self) -> Option<f64> {
        Some(f64::midpoint(self.low_ns as f64, self.high_ns? as f64))
    }

    /// The moment in the bracket that is nearest to that time, where the bracket closed.
    fn nearest_ns(&self, to: f64) -> Option<f64> {
        let (low, high) = (self.low_ns as f64, self.high_ns? as f64);
        // Where nodes disagreed, the first refusal is before the last acceptance.
        Some(to.clamp(low.min(high), low.max(high)))
    }

    /// When the credential ends by itself, `leeway_ns` included, where it does.
    pub(crate) fn own_end_ns(&self, leeway_ns: u64) -> Option<f64> {
        Some(self.expires_after_ns? as f64 + leeway_ns as f64)
    }

    fn bracket(&self) -> Bracket {
        Bracket { low_ns: self.low_ns as f64, high_ns: self.high_ns.map(|ns| ns as f64) }
    }
}

/// Adds the revocation trials of a variant up: of the first measurement of that kind that revoked any of its
/// credentials.
pub(super) fn summarise<'a>(plan: &'a Plan, trials: &Trials<'a>, variant: &'a Variant) -> Cell<RevocationSummary> {
    let mut found = Cell::blank(super::NOT_MEASURED);
    for measurement in &plan.measurements {
        let MeasurementKind::Revocation(settings) = &measurement.kind else { continue };
        let name = measurement.name.as_str();
        if plan.cases.iter().any(|case| case.variant == variant.name && case.measurement == name) {
            found = trials
                .state(&variant.name, name)
                .and_then(|()| of_measurement(trials, variant, name, &settings.probes));
        }
        if found.known().is_some() {
            break;
        }
    }
    found
}

fn of_measurement<'a>(
    trials: &Trials<'a>,
    variant: &'a Variant,
    measurement: &'a str,
    probes: &[ProbeKind],
) -> Cell<RevocationSummary> {
    let results = trials.revocations(&variant.name, measurement);
    if let Some(reason) = results.iter().find_map(|result| result.not_applicable.as_ref()) {
        return Cell::blank(reason.clone());
    }
    let over = |kind: ProbeKind| -> Vec<&RevocationWindow> {
        results.iter().flat_map(|result| &result.windows).filter(|window| window.probe == kind).collect()
    };
    let windows = over(probes[0]);
    let views = views(results, probes[0]);
    // A window that never closed is longer than any that did.
    let length = |view: &&WindowView| (view.high_ns.unwrap_or(u64::MAX), view.low_ns);
    let (Some(min), Some(max)) = (views.iter().min_by_key(length), views.iter().max_by_key(length)) else {
        return Cell::blank("no credential was revoked");
    };
    let replicas = windows.iter().map(|window| window.replica as usize + 1).max().unwrap_or(1);
    let lows: Vec<f64> = views.iter().map(|view| view.low_ns as f64).collect();
    let highs: Vec<f64> = views.iter().map(|view| view.high_ns.map_or(f64::INFINITY, |ns| ns as f64)).collect();
    let exposures: Vec<f64> = windows.iter().map(|window| window.exposure as f64).collect();
    let probe_interval_ns = results.iter().map(|result| result.probe_interval_ns).max().unwrap_or(0);
    let resolution_ns = windows.iter().map(|window| window.resolution_ns).max().unwrap_or(0);
    // Credentials that were never accepted again ended before the first probe, whose distance from the acknowledgement
    // is chance. What is known is that they ended within the resolution.
    let floor = probe_interval_ns.max(resolution_ns) as f64;
    let floored = |bracket: Bracket| Bracket {
        high_ns: bracket.high_ns.map(|high| if bracket.low_ns == 0.0 { high.max(floor) } else { high }),
        ..bracket
    };
    // As issued: the measurement's lifetime, or else the variant's own.
    let lifetime_ns = results.iter().find_map(|result| result.lifetime_ns);
    let notice = expect::notice(variant);
    let handshakes: Vec<&RevocationHandshakes> = results.iter().filter_map(|it| it.handshakes.as_ref()).collect();
    Cell::Known(RevocationSummary {
        measurement: measurement.to_owned(),
        connection: probes[0],
        revoked: windows.iter().filter(|window| window.replica == 0).count(),
        replicas,
        still_accepted: views.iter().filter(|view| view.high_ns.is_none()).count(),
        min: floored(min.bracket()),
        median: floored(Bracket {
            low_ns: median(&lows).unwrap_or(0.0),
            high_ns: median(&highs).filter(|ns| ns.is_finite()),
        }),
        max: floored(max.bracket()),
        probe_interval_ns,
        resolution_ns,
        watched_ns: windows.iter().map(|window| window.watched_ns).min().unwrap_or(0),
        lifetime_ns,
        promise: promise(notice, lifetime_ns),
        promise_ns: promise_ns(notice, lifetime_ns),
        until_expiry: matches!(notice, Notice::AtExpiry { .. }),
        exposure_median: median(&exposures).unwrap_or(0.0),
        blast: blast(results),
        blast_radius: windows.iter().map(|window| window.blast_radius).max().unwrap_or(0),
        last_replica_mean_ns: last_replicas(&views, replicas)
            .filter(|ends| !ends.is_empty())
            .map(|ends| ends.iter().sum::<f64>() / ends.len() as f64),
        law: law(variant, &views, replicas),
        by_connection: probes.iter().filter_map(|kind| by_connection(results, *kind, &handshakes, floored)).collect(),
        windows: views,
        handshakes: of_both(&handshakes),
    })
}

/// The windows over one kind of connection, in the order of the records.
fn views(results: &[&RevocationResult], probe: ProbeKind) -> Vec<WindowView> {
    let mut views = Vec::new();
    let mut before = 0;
    for result in results {
        let of_kind = result.windows.iter().filter(|window| window.probe == probe);
        views.extend(of_kind.map(|window| WindowView::new(before + window.trial, window)));
        before += result.windows.iter().map(|window| window.trial + 1).max().unwrap_or(0);
    }
    views
}

fn by_connection(
    results: &[&RevocationResult],
    connection: ProbeKind,
    handshakes: &[&RevocationHandshakes],
    floored: impl Fn(Bracket) -> Bracket,
) -> Option<ByConnection> {
    let views = views(results, connection);
    let max = views.iter().max_by_key(|view| (view.high_ns.unwrap_or(u64::MAX), view.low_ns))?;
    let made = handshakes.iter().filter_map(|made| made.probes.get(&connection)).copied();
    Some(ByConnection {
        connection,
        windows: views.len(),
        still_accepted: views.iter().filter(|view| view.high_ns.is_none()).count(),
        max: floored(max.bracket()),
        handshakes: (!handshakes.is_empty()).then(|| made.sum()),
    })
}

fn of_both(handshakes: &[&RevocationHandshakes]) -> Option<HandshakesOfBoth> {
    let server = match handshakes.iter().find_map(|made| made.server.reason()) {
        Some(reason) => Cell::blank(reason),
        None => Cell::Known(handshakes.iter().filter_map(|made| made.server.known()).copied().sum()),
    };
    let client = handshakes.iter().map(|made| made.client()).sum();
    (!handshakes.is_empty()).then_some(HandshakesOfBoth { client, server })
}

/// For each credential, when the last of the replicas refused it; `None` where there is one replica or a window is open.
pub(crate) fn last_replicas(views: &[WindowView], replicas: usize) -> Option<Vec<f64>> {
    if replicas < 2 {
        return None;
    }
    let mut by_credential = BTreeMap::<u32, f64>::new();
    for view in views {
        let end = by_credential.entry(view.credential).or_default();
        *end = end.max(view.middle_ns()?);
    }
    Some(by_credential.into_values().collect())
}

/// The same kinds of all results, added up.
fn blast(results: &[&RevocationResult]) -> Vec<BlastGroup> {
    let mut groups: Vec<BlastGroup> = Vec::new();
    for group in results.iter().flat_map(|result| &result.blast) {
        match groups.iter_mut().find(|known| known.who == group.who) {
            Some(known) => {
                known.callers += group.callers;
                known.cut_off += group.cut_off;
            }
            None => groups.push(*group),
        }
    }
    groups
}

/// Share of runs in which chance alone is further from the law than [`Law::chance`].
const LAW_ALPHA: f64 = 0.05;

fn law(variant: &Variant, views: &[WindowView], replicas: usize) -> Option<Law> {
    match expect::notice(variant) {
        Notice::Within { period, own, .. } => uniform(period, views, replicas, own),
        Notice::AtExpiry { what, leeway } => own_end(what, leeway, views),
        Notice::FirstOf { .. }
        | Notice::Immediate
        | Notice::Pushed { .. }
        | Notice::NextHandshake { .. }
        | Notice::Nothing
        | Notice::Untold => None,
    }
}

/// A revocation meets the period at a random phase.
fn uniform(period: Duration, views: &[WindowView], replicas: usize, independent: bool) -> Option<Law> {
    let length = period.as_nanos() as f64;
    let ends: Vec<f64> = views.iter().filter_map(WindowView::middle_ns).collect();
    let last = last_replicas(views, replicas).filter(|_| independent);
    // By its own law each becomes an even share of 1.
    let power = |ends: Vec<f64>| ends.into_iter().map(|end| (end / length).powi(replicas as i32)).collect::<Vec<_>>();
    Some(Law {
        name: format!("uniform on 0 to {}", duration(length)),
        form: LawForm::Uniform { period_ns: u64::try_from(period.as_nanos()).ok()? },
        distance: kolmogorov_distance_from_uniform(&ends, length)?,
        chance: Some(kolmogorov_bound(ends.len(), LAW_ALPHA)),
        windows: ends.len(),
        last_replica_mean_ns: (independent && replicas > 1).then(|| length * replicas as f64 / (replicas + 1) as f64),
        last_replica_distance: last.and_then(|ends| kolmogorov_distance_from_uniform(&power(ends), 1.0)),
    })
}

/// What nobody asks about ends when it says so itself: its windows are as long as it had left, as far as the probes
/// can tell. Those that were still open when the watch ended say nothing about it.
fn own_end(what: &str, leeway: Duration, views: &[WindowView]) -> Option<Law> {
    let leeway_ns = u64::try_from(leeway.as_nanos()).ok()?;
    let seen: Vec<(f64, f64)> = views
        .iter()
        .filter_map(|view| Some((view.nearest_ns(view.own_end_ns(leeway_ns)?)?, view.own_end_ns(leeway_ns)?)))
        .collect();
    let (ends, own): (Vec<f64>, Vec<f64>) = seen.into_iter().unzip();
    Some(Law {
        name: format!("each {what}'s own end"),
        form: LawForm::OwnEnd { leeway_ns },
        distance: kolmogorov_distance_between(&ends, &own)?,
        chance: None,
        windows: ends.len(),
        last_replica_mean_ns: None,
        last_replica_distance: None,
    })
}

fn promise(notice: Notice, lifetime_ns: Option<u64>) -> String {
    match notice {
        Notice::Immediate => "next request".to_owned(),
        Notice::Within { period, what, .. } | Notice::FirstOf { period, what } => {
            format!("{what} {}", duration(period.as_nanos() as f64))
        }
        Notice::AtExpiry { what, leeway } => {
            let lifetime = lifetime_ns.map_or_else(String::new, |ns| format!(", {} here", duration(ns as f64)));
            let leeway = match leeway.as_nanos() {
                0 => String::new(),
                ns => format!(", + {} leeway", duration(ns as f64)),
            };
            format!("{what} expiry{lifetime}{leeway}")
        }
        Notice::NextHandshake { period, what } => {
            format!("{what} {} and a new handshake", duration(period.as_nanos() as f64))
        }
        Notice::Pushed { silence } => {
            format!("told by the store; silence of {}", duration(silence.as_nanos() as f64))
        }
        Notice::Nothing => "nothing to revoke".to_owned(),
        Notice::Untold => super::NOT_TOLD.to_owned(),
    }
}

fn promise_ns(notice: Notice, lifetime_ns: Option<u64>) -> Option<u64> {
    let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).ok();
    match notice {
        Notice::Immediate => Some(0),
        Notice::Within { period, .. } | Notice::FirstOf { period, .. } => nanoseconds(period),
        Notice::AtExpiry { leeway, .. } => lifetime_ns?.checked_add(nanoseconds(leeway)?),
        // How soon the news is there is not promised; the silence is what is borne when there is none.
        Notice::Pushed { .. } => None,
        Notice::NextHandshake { .. } | Notice::Nothing | Notice::Untold => None,
    }
}
