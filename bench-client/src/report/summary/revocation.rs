//! How long revoked credentials of a variant lived on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::cell::Cell;
use super::super::expect::{self, Notice};
use super::super::format::duration;
use super::trials::Trials;
use crate::plan::{MeasurementKind, Plan, ProbeKind, Variant};
use crate::record::{RevocationResult, RevocationWindow};
use crate::stats::{kolmogorov_bound, kolmogorov_distance_from_uniform, median};

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
    /// Whether nothing but the credential's own end stops it: a stateless token.
    pub until_expiry: bool,
    /// Requests accepted after the acknowledgement, median per credential.
    pub exposure_median: f64,
    /// Requests of other credentials that were refused while one credential was watched, at most. Watches overlap, so that
    /// one refused request falls into several of them: a sum would count it as often.
    pub blast_radius: u64,
    /// Every window, in the order of the records.
    pub windows: Vec<WindowView>,
    /// With several replicas: mean over the credentials of the time until the last replica refused.
    pub last_replica_mean_ns: Option<f64>,
    /// How the windows compare with the law that the mechanism obeys; absent where there is none.
    pub law: Option<Law>,
    /// The same credentials over each kind of connection that was probed, the compared one first.
    pub by_connection: Vec<ByConnection>,
}

/// The distribution that windows must have, and how far they are from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Law {
    /// In words, like "uniform on 0 to 2 s".
    pub name: String,
    /// Kolmogorov distance between the middles of the windows and the law, from 0 to 1.
    pub distance: f64,
    /// What chance alone exceeds in one of twenty runs (Dvoretzky, Kiefer, Wolfowitz; Massart 1990).
    pub chance: f64,
    /// Windows that it is computed from.
    pub windows: usize,
    /// With several replicas whose copies are filled independently: what the mean until the last replica refuses must be,
    /// `period · k / (k + 1)` for `k` replicas.
    pub last_replica_mean_ns: Option<f64>,
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
    /// See [`Bracket::low_ns`].
    pub low_ns: u64,
    /// See [`Bracket::high_ns`].
    pub high_ns: Option<u64>,
    /// How long was watched.
    pub watched_ns: u64,
}

impl WindowView {
    fn new(window: &RevocationWindow) -> Self {
        Self {
            low_ns: window.last_accepted_ns.unwrap_or(0),
            high_ns: window.first_rejected_ns,
            watched_ns: window.watched_ns,
        }
    }

    fn bracket(&self) -> Bracket {
        Bracket { low_ns: self.low_ns as f64, high_ns: self.high_ns.map(|ns| ns as f64) }
    }
}

/// Adds the revocation trials of a variant up: of the first measurement of that kind that revoked any of its
/// credentials.
pub(super) fn summarise<'a>(plan: &'a Plan, trials: &Trials<'a>, variant: &'a Variant) -> Cell<RevocationSummary> {
    let mut found = Cell::blank("not measured by this scenario");
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
    let all: Vec<&RevocationWindow> = results.iter().flat_map(|result| &result.windows).collect();
    let over = |kind: ProbeKind| all.iter().copied().filter(|window| window.probe == kind).collect::<Vec<_>>();
    let windows = over(probes[0]);
    let views: Vec<WindowView> = windows.iter().map(|window| WindowView::new(window)).collect();
    // A window that never closed is longer than any that did.
    let length = |view: &&WindowView| (view.high_ns.unwrap_or(u64::MAX), view.low_ns);
    let (Some(min), Some(max)) = (views.iter().min_by_key(length), views.iter().max_by_key(length)) else {
        return Cell::blank("no credential was revoked");
    };
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
    Cell::Known(RevocationSummary {
        measurement: measurement.to_owned(),
        connection: probes[0],
        revoked: windows.iter().filter(|window| window.replica == 0).count(),
        replicas: windows.iter().map(|window| window.replica as usize + 1).max().unwrap_or(1),
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
        blast_radius: windows.iter().map(|window| window.blast_radius).max().unwrap_or(0),
        last_replica_mean_ns: last_replica_mean(results, probes[0]),
        law: law(variant, &windows),
        by_connection: probes.iter().filter_map(|kind| by_connection(*kind, &over(*kind), floored)).collect(),
        windows: views,
    })
}

fn by_connection(
    connection: ProbeKind,
    windows: &[&RevocationWindow],
    floored: impl Fn(Bracket) -> Bracket,
) -> Option<ByConnection> {
    let views = windows.iter().map(|window| WindowView::new(window));
    let max = views.max_by_key(|view| (view.high_ns.unwrap_or(u64::MAX), view.low_ns))?;
    let still_accepted = windows.iter().filter(|window| window.first_rejected_ns.is_none()).count();
    Some(ByConnection { connection, windows: windows.len(), still_accepted, max: floored(max.bracket()) })
}

/// Mean over credentials of the longest window among replicas, where all of them closed.
fn last_replica_mean(results: &[&RevocationResult], probe: ProbeKind) -> Option<f64> {
    let mut longest = Vec::new();
    let mut several = false;
    for result in results {
        let mut by_trial = BTreeMap::<u32, f64>::new();
        for window in result.windows.iter().filter(|window| window.probe == probe) {
            several |= window.replica > 0;
            let end = by_trial.entry(window.trial).or_default();
            *end = end.max(middle(window)?);
        }
        longest.extend(by_trial.into_values());
    }
    (several && !longest.is_empty()).then(|| longest.iter().sum::<f64>() / longest.len() as f64)
}

/// The middle of the bracket, where it closed.
fn middle(window: &RevocationWindow) -> Option<f64> {
    Some(f64::midpoint(window.last_accepted_ns.unwrap_or(0) as f64, window.first_rejected_ns? as f64))
}

/// Share of runs in which chance alone is further from the law than [`Law::chance`].
const LAW_ALPHA: f64 = 0.05;

fn law(variant: &Variant, windows: &[&RevocationWindow]) -> Option<Law> {
    let ends: Vec<f64> = windows.iter().filter_map(|window| middle(window)).collect();
    let of_uniform = |name: String, ends: &[f64], length: f64, last_replica_mean_ns| {
        Some(Law {
            name,
            distance: kolmogorov_distance_from_uniform(ends, length)?,
            chance: kolmogorov_bound(ends.len().max(1), LAW_ALPHA),
            windows: ends.len(),
            last_replica_mean_ns,
        })
    };
    match expect::notice(variant) {
        Notice::Within { period, .. } => {
            let length = period.as_nanos() as f64;
            let replicas = windows.iter().map(|window| window.replica + 1).max().unwrap_or(1);
            // Entries of caches are filled when the replica is first asked; polls have phases of their own that stay.
            let independent = replicas > 1 && expect::cache_lifetime(&variant.method) == Some(period);
            let mean = independent.then(|| length * f64::from(replicas) / f64::from(replicas + 1));
            of_uniform(format!("uniform on 0 to {}", duration(length)), &ends, length, mean)
        }
        _ => None,
    }
}

fn promise(notice: Notice, lifetime_ns: Option<u64>) -> String {
    match notice {
        Notice::Immediate => "next request".to_owned(),
        Notice::Within { period, what } => format!("{what} {}", duration(period.as_nanos() as f64)),
        Notice::AtExpiry { leeway } => {
            let lifetime = lifetime_ns.map_or_else(String::new, |ns| format!(", {} here", duration(ns as f64)));
            let leeway = match leeway.as_nanos() {
                0 => String::new(),
                ns => format!(", + {} leeway", duration(ns as f64)),
            };
            format!("token expiry{lifetime}{leeway}")
        }
        Notice::NextHandshake { period } => {
            format!("CRL reload {} and a new handshake", duration(period.as_nanos() as f64))
        }
        Notice::Pushed { silence } => {
            format!("told by the store; silence of {}", duration(silence.as_nanos() as f64))
        }
        Notice::Nothing => "nothing to revoke".to_owned(),
        Notice::Untold => super::NOT_TOLD.to_owned(),
    }
}

fn promise_ns(notice: Notice, lifetime_ns: Option<u64>) -> Option<u64> {
    let nanoseconds = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).ok();
    match notice {
        Notice::Immediate => Some(0),
        Notice::Within { period, .. } => nanoseconds(period),
        Notice::AtExpiry { leeway } => lifetime_ns?.checked_add(nanoseconds(leeway)?),
        // How soon the news is there is not promised; the silence is what is borne when there is none.
        Notice::Pushed { .. } => None,
        Notice::NextHandshake { .. } | Notice::Nothing | Notice::Untold => None,
    }
}
