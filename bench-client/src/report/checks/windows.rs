//! Demands on revocation windows.

use std::borrow::Cow;
use std::time::Duration;

use super::super::expect::{self, Notice};
use super::super::format::{duration, number};
use super::super::summary::{NOT_MEASURED, Summary, Trials};
use super::Check;
use crate::plan::{MeasurementKind, Plan, RevocationPlan, Variant};
use crate::record::RevocationWindow;
use crate::stats::{kolmogorov_bound, kolmogorov_distance_from_uniform};

/// Chance, at most, that a correct run fails one check of spread. A run has about five of them, and one that fails makes
/// the run exit with 3. A much smaller chance would let everything pass: a few dozen windows hardly tell more.
const SPREAD_ALPHA: f64 = 0.001;

/// Kolmogorov distance that must be visible for the check to mean anything. All windows in one half of the period lie
/// 0.5 from even.
const SPREAD_VISIBLE: f64 = 0.45;

/// Probe intervals that an immediate revocation, or the end of a token, may be off by.
const PROBES: u64 = 2;

/// What the wall clock, which tokens expire by, may drift against the steady clock that windows are measured with: a clock
/// being slewed drifts by 500 ppm, over the ten seconds or so that a watch lasts.
const CLOCK_DRIFT: Duration = Duration::from_millis(5);

/// All demands on the variant's windows.
pub(super) fn check<'a>(plan: &'a Plan, trials: &Trials<'a>, summary: &Summary, variant: &'a Variant) -> Vec<Check> {
    let notice = expect::notice(variant);
    if matches!(notice, Notice::Nothing | Notice::Untold) {
        return Vec::new();
    }
    let cell = summary.variant(&variant.name).map(|variant| &variant.revocation);
    let Some(found) = cell.and_then(|cell| cell.known()) else {
        let reason = cell.and_then(|cell| cell.reason()).unwrap_or(NOT_MEASURED);
        return vec![Check::not_tested(format!("{}: {}", variant.name, title(notice)), expectation(notice), reason)];
    };
    let windows: Vec<&RevocationWindow> = trials
        .revocations(&variant.name, measurement(plan, &found.measurement))
        .iter()
        .flat_map(|result| &result.windows)
        .collect();
    let name = format!("{}: {}", variant.name, title(notice));
    match notice {
        // Whether a connection is kept is for the client to say.
        Notice::Nothing | Notice::Untold | Notice::NextHandshake { .. } => Vec::new(),
        Notice::Immediate => vec![immediate(name, &windows, found.probe_interval_ns)],
        // How soon within that is for the figures to say: it depends on the machine.
        Notice::Pushed { silence } => vec![within(name, &windows, silence)],
        Notice::FirstOf { period, .. } => vec![within(name, &windows, period)],
        Notice::AtExpiry { what, leeway } => {
            vec![at_expiry(name, &windows, (what, leeway), found.lifetime_ns, found.probe_interval_ns)]
        }
        Notice::Within { period, .. } => {
            let spread = format!("{}: windows spread over the period", variant.name);
            vec![within(name, &windows, period), spreads(spread, &windows, period, settings(plan, &found.measurement))]
        }
    }
}

fn title(notice: Notice) -> Cow<'static, str> {
    match notice {
        Notice::Immediate => "a revocation is noticed at once".into(),
        Notice::Within { .. } | Notice::FirstOf { .. } => "a revocation is noticed within the period".into(),
        Notice::NextHandshake { .. } => "a revocation is noticed with the next handshake".into(),
        Notice::Pushed { .. } => "a revocation is noticed when the store tells of it".into(),
        Notice::AtExpiry { what, .. } => format!("a revoked {what} lives until it expires").into(),
        Notice::Nothing => "nothing to revoke".into(),
        Notice::Untold => "a revocation is noticed".into(),
    }
}

fn expectation(notice: Notice) -> String {
    match notice {
        Notice::Immediate => format!("under {PROBES} probe intervals"),
        Notice::Within { period, what, .. } | Notice::FirstOf { period, what } => {
            format!("0 to {} ({what})", duration(period.as_nanos() as f64))
        }
        Notice::NextHandshake { period, .. } => format!("{} in new handshakes", duration(period.as_nanos() as f64)),
        Notice::Pushed { silence } => format!("0 to {} (longest silence)", duration(silence.as_nanos() as f64)),
        Notice::AtExpiry { what, .. } => format!("the {what}'s expiry"),
        Notice::Nothing | Notice::Untold => "nothing".to_owned(),
    }
}

/// The plan's own copy of the name.
fn measurement<'a>(plan: &'a Plan, name: &str) -> &'a str {
    plan.measurement(name).map_or("", |measurement| measurement.name.as_str())
}

fn settings<'a>(plan: &'a Plan, name: &str) -> Option<&'a RevocationPlan> {
    match plan.measurement(name).map(|measurement| &measurement.kind) {
        Some(MeasurementKind::Revocation(settings)) => Some(settings),
        _ => None,
    }
}

/// No window may reach 2 probe intervals: the first request after the acknowledgement must fail, and one more is granted
/// for a probe that was on its way.
fn immediate(name: String, windows: &[&RevocationWindow], probe_interval_ns: u64) -> Check {
    let limit = PROBES * probe_interval_ns;
    let expected = format!("under {PROBES} probe intervals ({})", duration(limit as f64));
    let open = windows.iter().filter(|window| window.first_rejected_ns.is_none()).count();
    let longest = windows.iter().filter_map(|window| window.last_accepted_ns).max().unwrap_or(0);
    let found = match open {
        0 => format!("longest of {}: last accepted after {}", windows.len(), duration(longest as f64)),
        open => format!("{open} of {} still accepted when the watch ended", windows.len()),
    };
    Check::judged(name, expected, found, open == 0 && longest < limit)
}

/// Every window must end within the period; the resolution of its own probes is granted.
fn within(name: String, windows: &[&RevocationWindow], period: Duration) -> Check {
    let limit = nanoseconds(period);
    let expected = format!("0 to {} + resolution", duration(limit as f64));
    let late = |window: &&&RevocationWindow| {
        window.first_rejected_ns.is_none()
            || window.last_accepted_ns.unwrap_or(0) > limit.saturating_add(window.resolution_ns)
    };
    let offenders = windows.iter().filter(late).count();
    let longest = windows.iter().filter_map(|window| window.last_accepted_ns).max().unwrap_or(0);
    let found = match offenders {
        0 => format!("longest of {}: last accepted after {}", windows.len(), duration(longest as f64)),
        n => {
            format!("{n} of {} beyond it, the longest last accepted after {}", windows.len(), duration(longest as f64))
        }
    };
    Check::judged(name, expected, found, offenders == 0)
}

/// Revocations fall on the period at random, so the windows are spread evenly over it: a bunch of equal windows would
/// mean that the probes, the revocations and the period run in step.
///
/// Kolmogorov's distance is compared with the bound of Dvoretzky, Kiefer, Wolfowitz and Massart, widened by what is
/// known to be uneven: phases drawn from a span that is no multiple of the period, and the resolution.
fn spreads(name: String, windows: &[&RevocationWindow], period: Duration, settings: Option<&RevocationPlan>) -> Check {
    let length = nanoseconds(period) as f64;
    let ends: Vec<f64> = windows
        .iter()
        .filter_map(|window| {
            let high = window.first_rejected_ns?;
            Some(f64::midpoint(window.last_accepted_ns.unwrap_or(0) as f64, high as f64))
        })
        .collect();
    let resolution = windows.iter().map(|window| window.resolution_ns).max().unwrap_or(0) as f64;
    let phase = settings.map_or(0.0, |settings| nanoseconds(settings.phase) as f64);
    let limit = kolmogorov_bound(ends.len().max(1), SPREAD_ALPHA) + uneven(phase, length) + resolution / length;
    let expected = format!("even over {}, Kolmogorov distance at most {}", duration(length), number(limit.min(1.0)));
    match kolmogorov_distance_from_uniform(&ends, length) {
        Some(distance) if limit <= SPREAD_VISIBLE => Check::judged(
            name,
            expected,
            format!("{} over {} windows", number(distance), ends.len()),
            distance <= limit,
        ),
        _ => Check::not_tested(
            name,
            format!("even over {}", duration(length)),
            format!(
                "{} windows cannot show it: chance, phase and resolution alone allow a distance of {}",
                ends.len(),
                number(limit.min(1.0))
            ),
        ),
    }
}

/// Largest difference between the distribution of a phase drawn evenly from `[0, span]`, taken modulo `period`, and an
/// even one. The remainder `f` of the span is covered once more than the rest, so that the difference peaks at `f`.
fn uneven(span: f64, period: f64) -> f64 {
    if span <= 0.0 {
        return 1.0;
    }
    let rest = span % period;
    rest * (period - rest) / (period * span)
}

/// A token or certificate that nobody asks about lives until its end, and no longer. None was issued after the
/// acknowledgement, so none ends later than a lifetime after that: a caller whose refresh token was revoked and who goes on
/// renewing is seen by it.
fn at_expiry(
    name: String,
    windows: &[&RevocationWindow],
    (what, leeway): (&str, Duration),
    lifetime_ns: Option<u64>,
    probe_interval_ns: u64,
) -> Check {
    let leeway_ns = nanoseconds(leeway) as f64;
    let expected = format!("accepted until {PROBES} probe intervals before the {what}'s end, rejected after it");
    let ends: Option<Vec<f64>> =
        windows.iter().map(|window| window.expires_after_ns.map(|ns| ns as f64 + leeway_ns)).collect();
    let Some(ends) = ends else {
        return Check::not_tested(name, expected, format!("the records do not say when the {what}s end"));
    };
    let latest = lifetime_ns.map(|ns| ns as f64 + leeway_ns + nanoseconds(CLOCK_DRIFT) as f64);
    let renewed = ends.iter().filter(|end| latest.is_some_and(|latest| **end > latest)).count();
    if renewed > 0 {
        let found = format!("{renewed} of {} held a {what} that was issued after the revocation", windows.len());
        return Check::judged(name, expected, found, false);
    }
    let seen_to_the_end = windows.iter().zip(&ends).filter(|(window, end)| window.watched_ns as f64 > **end);
    let seen: Vec<(&&RevocationWindow, &f64)> = seen_to_the_end.collect();
    if seen.is_empty() {
        return Check::not_tested(name, expected, format!("the watch ended before any {what} did"));
    }
    let off = |(window, end): &&(&&RevocationWindow, &f64)| {
        // Probes are no finer than they really were, and never finer than planned.
        let probe = probe_interval_ns.max(window.resolution_ns) as f64;
        let Some(rejected) = window.first_rejected_ns else { return true };
        let accepted = window.last_accepted_ns.unwrap_or(0) as f64;
        // A request may be sent just before the end and judged just after it.
        accepted < **end - PROBES as f64 * probe
            || accepted > **end + nanoseconds(CLOCK_DRIFT) as f64
            || (rejected as f64) < **end - probe
    };
    let offenders = seen.iter().filter(off).count();
    let found = match offenders {
        0 => format!("{} of {} revoked {what}s lived exactly until their end", seen.len(), windows.len()),
        n => format!("{n} of {} ended at another time", seen.len()),
    };
    Check::judged(name, expected, found, offenders == 0)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(last_accepted_ms: u64, expires_after_ms: Option<i64>) -> RevocationWindow {
        RevocationWindow {
            trial: 0,
            replica: 0,
            probe: crate::plan::ProbeKind::Reused,
            acknowledged_after_ns: 1_000_000,
            last_accepted_ns: (last_accepted_ms > 0).then_some(last_accepted_ms * 1_000_000),
            first_rejected_ns: Some((last_accepted_ms + 20) * 1_000_000),
            resolution_ns: 20_000_000,
            watched_ns: 12_000_000_000,
            exposure: last_accepted_ms / 20,
            blast_radius: 0,
            expires_after_ns: expires_after_ms.map(|ms| ms * 1_000_000),
        }
    }

    fn passes(check: &Check) -> bool {
        check.verdict == super::super::CheckVerdict::Passed
    }

    #[test]
    fn a_phase_span_of_whole_periods_is_even() {
        assert!(uneven(4.0, 2.0).abs() < 1e-12);
        assert!((uneven(3.0, 2.0) - 1.0 / 6.0).abs() < 1e-12);
        assert!((uneven(1.0, 2.0) - 0.5).abs() < 1e-12);
        assert_eq!(uneven(0.0, 2.0), 1.0);
    }

    #[test]
    fn immediate_means_under_two_probes() {
        let (near, far) = (window(39, None), window(41, None));
        assert!(passes(&immediate(String::new(), &[&near], 20_000_000)));
        assert!(immediate(String::new(), &[&near, &far], 20_000_000).failed());
        let open = RevocationWindow { first_rejected_ns: None, ..window(0, None) };
        assert!(immediate(String::new(), &[&open], 20_000_000).failed());
    }

    #[test]
    fn a_window_may_exceed_the_period_by_its_resolution_only() {
        let period = Duration::from_secs(2);
        assert!(passes(&within(String::new(), &[&window(2020, None)], period)));
        assert!(within(String::new(), &[&window(2021, None)], period).failed());
        let open = RevocationWindow { first_rejected_ns: None, ..window(100, None) };
        assert!(within(String::new(), &[&open], period).failed());
    }

    #[test]
    fn bunched_windows_are_not_spread() {
        let settings = RevocationPlan {
            trials: 8,
            probe_interval: Duration::from_millis(20),
            phase: Duration::from_secs(4),
            watch: Duration::from_secs(12),
            lifetime: None,
            at_a_time: 1,
            probes: vec![crate::plan::ProbeKind::Reused],
            bystanders: 0,
        };
        let period = Duration::from_secs(2);
        let even: Vec<RevocationWindow> = (0..24).map(|i| window(1 + i * 83, None)).collect();
        let bunched: Vec<RevocationWindow> = (0..24).map(|i| window(1900 + i, None)).collect();
        let check = |windows: &[RevocationWindow]| {
            spreads(String::new(), &windows.iter().collect::<Vec<_>>(), period, Some(&settings))
        };
        assert!(passes(&check(&even)));
        assert!(check(&bunched).failed());
        // At 0.1 %, 19 windows allow 0.447 and 20 allow 0.436, besides 0.01 of resolution.
        let untested =
            |windows: &[RevocationWindow]| matches!(check(windows).verdict, super::super::CheckVerdict::NotTested(_));
        assert!(untested(&bunched[..19]) && !untested(&bunched[..20]));
    }

    #[test]
    fn a_stateless_token_dies_at_its_end_neither_before_nor_after() {
        let check = |window: RevocationWindow| {
            at_expiry(String::new(), &[&window], ("token", Duration::ZERO), None, 20_000_000)
        };
        assert!(passes(&check(window(8985, Some(9000)))));
        assert!(check(window(8900, Some(9000))).failed(), "died early");
        assert!(check(window(9030, Some(9000))).failed(), "lived on");
        assert!(matches!(check(window(8985, Some(13_000))).verdict, super::super::CheckVerdict::NotTested(_)));
        assert!(matches!(check(window(8985, None)).verdict, super::super::CheckVerdict::NotTested(_)));
        let second = Duration::from_secs(1);
        let leeway = at_expiry(String::new(), &[&window(9985, Some(9000))], ("token", second), None, 20_000_000);
        assert!(passes(&leeway));
    }

    #[test]
    fn a_token_that_ends_later_than_any_that_was_there_was_issued_after_the_revocation() {
        let lived = window(8985, Some(9000));
        let check = |lifetime_ns: u64, leeway: Duration| {
            at_expiry(String::new(), &[&lived], ("token", leeway), Some(lifetime_ns), 20_000_000)
        };
        assert!(passes(&check(9_000_000_000, Duration::ZERO)));
        assert!(check(8_900_000_000, Duration::ZERO).failed(), "it was renewed");
        let still_open = RevocationWindow { first_rejected_ns: None, ..window(11_990, Some(14_000)) };
        let none = ("token", Duration::ZERO);
        assert!(at_expiry(String::new(), &[&still_open], none, Some(4_000_000_000), 20_000_000).failed());
    }
}
