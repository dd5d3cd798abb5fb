//! When a trial under load must not be counted, and what a reader should know of one that is. Pure.
//!
//! A trial is *invalid*, not slow: the number would be about the client, the hypervisor or an error path, and not about
//! the variant. An invalid trial keeps its record with the reasons.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::outcome::{Outcomes, Wanted};
use crate::plan::ArrivalModel;
use crate::record::{DROPPED_MAX, LoadResult};

/// Samples that must lie beyond a percentile for it to mean something (DESIGN's rule for every table).
const SAMPLES_BEYOND: f64 = 10.0;

/// Lateness in the tail that is always forgiven: the length of a time slice of the scheduler, for which a client on a
/// shared machine loses its processor now and then. Latency counts from the intended time, so what is forgiven here is
/// still in the numbers.
const LATE_FORGIVEN: Duration = Duration::from_millis(5);

/// Beyond that, the share of the latency's tail that lateness may make up. With more, the tail is the client's to a degree
/// that a reader of the table would notice.
const LATE_SHARE_MAX: f64 = 0.10;

/// Lateness in the tail worth a warning: it is in the size of what validation costs.
const LATE_WARNED: Duration = Duration::from_millis(1);

/// Share of processor time that the hypervisor may take. Quiet virtual machines show less than 0.1 %; at 2 % the slices
/// it fell into differ from the others by more than the methods do.
const STEAL_MAX: f64 = 0.02;

/// Share of requests that may find every connection busy without a word about it. Their wait is in the latency, but with
/// more connections the server would have seen them sooner.
const QUEUED_WARNED: f64 = 0.01;

/// Share of the requested rate below which the achieved one is worth a warning.
const ACHIEVED_MIN: f64 = 0.99;

/// Standard deviations of the Poisson count that a shortfall must exceed too: a random schedule is rarely exact.
const ACHIEVED_SIGMAS: f64 = 3.0;

/// Share of a closed loop's time that the client may compute before the throughput is taken for the client's own.
const CLIENT_BUSY: f64 = 0.90;

/// What is wrong with a trial, and what is worth knowing about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) invalid: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// The 99th percentile of a histogram of nanoseconds; in a trial too short for it, the highest percentile with enough
/// samples beyond.
pub(super) fn tail(histogram: &Histogram<u64>) -> Duration {
    let enough = 1.0 - SAMPLES_BEYOND / histogram.len().max(1) as f64;
    if enough <= 0.0 {
        return Duration::ZERO;
    }
    Duration::from_nanos(histogram.value_at_quantile(enough.min(0.99)))
}

/// Judges a trial. `model` is the schedule's, for an open loop; `late` and `latency` are the [`tail`]s of the histograms
/// that `result` holds encoded; `reason` is the server's for refusals, where they are wanted.
pub(super) fn judge(
    result: &LoadResult,
    reason: Option<&str>,
    model: Option<ArrivalModel>,
    late: Duration,
    latency: Duration,
) -> Findings {
    let mut findings = Findings::default();
    let mut invalid = |reason: String| findings.invalid.push(reason);
    let outcomes = &result.outcomes;
    let unexpected = outcomes.unexpected(result.wanted);
    if unexpected > 0 {
        let total = outcomes.total();
        invalid(match result.wanted {
            Wanted::Accepted => format!("{unexpected} of {total} requests were not accepted: {}", by_reason(outcomes)),
            Wanted::Refused => format!(
                "{unexpected} of {total} requests were not refused for their credential: {} accepted, {}",
                outcomes.accepted,
                by_reason(outcomes)
            ),
        });
    }
    if result.answered == 0 {
        invalid("no request was answered".to_owned());
    }
    if let Some(server) = &result.server {
        let (word, counted) = match result.wanted {
            Wanted::Accepted => ("accepted", server.accepted),
            Wanted::Refused => ("refused", server.rejected.values().sum()),
        };
        if counted != result.answered {
            invalid(format!("the server counted {counted} {word} requests, the client {} answers", result.answered));
        }
        // The client sees the same 401 whatever the reason.
        if let Some(reason) = reason {
            let others = server.rejected.iter().filter(|(word, _)| *word != reason);
            let others: Vec<String> = others.map(|(word, count)| format!("{count} \"{word}\"")).collect();
            if !others.is_empty() {
                let others = others.join(", ");
                invalid(format!("of the requests that were to be refused as \"{reason}\" the server refused {others}"));
            }
        }
    }
    let unanswered = result.server.as_ref().map_or(0, |server| server.ocsp_accepted_unanswered);
    if unanswered > 0 {
        findings.warnings.push(format!(
            "{unanswered} requests were accepted without an OCSP answer, as the soft policy has it: revoked certificates \
             would have been too"
        ));
    }
    let due = outcomes.total() + result.dropped;
    if result.dropped as f64 > due as f64 * DROPPED_MAX {
        invalid(format!("{} of {due} requests were never sent; lower rate_per_s or raise connections", result.dropped));
    }
    let late_max = LATE_FORGIVEN.max(latency.mul_f64(LATE_SHARE_MAX));
    if late > late_max {
        invalid(format!(
            "requests went out late: {} in the tail, {} is tolerated; the client did not keep up with the schedule: \
             lower rate_per_s, or give the client a processor of its own",
            millis(late),
            millis(late_max)
        ));
    } else if late > LATE_WARNED {
        findings.warnings.push(format!("requests went out {} late in the tail", millis(late)));
    }
    if result.queued as f64 > due as f64 * QUEUED_WARNED {
        findings.warnings.push(format!(
            "all connections were busy for {:.0} % of the requests; their wait is in the latency",
            result.queued as f64 / due as f64 * 100.0
        ));
    }
    if let Some(steal) = result.steal.filter(|steal| *steal > STEAL_MAX) {
        findings.invalid.push(format!(
            "the hypervisor took {:.1} % of the processor time, {:.0} % is tolerated",
            steal * 100.0,
            STEAL_MAX * 100.0
        ));
    }
    match (model, result.requested_rate_per_s) {
        (Some(model), Some(rate)) => findings.warnings.extend(slow_schedule(result, model, rate)),
        _ => findings.warnings.extend(busy_client(result)),
    }
    findings
}

fn slow_schedule(result: &LoadResult, model: ArrivalModel, rate_per_s: f64) -> Option<String> {
    let seconds = Duration::from_nanos(result.measured_ns).as_secs_f64();
    let expected = rate_per_s * seconds;
    let answered = result.outcomes.answered() as f64;
    let chance = match model {
        ArrivalModel::Poisson => ACHIEVED_SIGMAS * expected.sqrt(),
        ArrivalModel::Constant => 1.0, // the last gap may end behind the last slice
    };
    (answered < expected * ACHIEVED_MIN && answered < expected - chance)
        .then(|| format!("{:.0} requests per second were achieved, {rate_per_s} requested", answered / seconds))
}

fn busy_client(result: &LoadResult) -> Option<String> {
    let share = |cpu_ns: u64| (cpu_ns as f64 / result.measured_ns as f64).min(1.0);
    let client = share(result.client_cpu_ns);
    if client <= CLIENT_BUSY {
        return None;
    }
    // The percentages are left out: one line for all trials of a kind is enough.
    let server = result.server_cpu_ns.as_ref().map(|roles| share(roles.values().sum()));
    Some(match server {
        Some(server) if server > CLIENT_BUSY => "client and server were both saturated: each used over 90 % of a processor"
            .to_owned(),
        _ => "the client was the bottleneck: it computed for over 90 % of the time, so the server may carry more than this"
            .to_owned(),
    })
}

/// Milliseconds with as many digits as matter beside a threshold.
fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// The outcomes other than accepted, in the words that records use.
fn by_reason(outcomes: &Outcomes) -> String {
    let word = |value: serde_json::Result<serde_json::Value>| match value {
        Ok(serde_json::Value::String(word)) => word,
        _ => unreachable!("reasons are serialised as strings"),
    };
    let rejected = outcomes.rejected.iter().map(|(reason, n)| format!("{n} {}", word(serde_json::to_value(reason))));
    let failed = outcomes.failed.iter().map(|(cause, n)| format!("{n} failed ({})", word(serde_json::to_value(cause))));
    rejected.chain(failed).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use bench_server::contract::Counters;

    use super::*;
    use crate::outcome::{Outcome, RejectReason, Transport};
    use crate::record::{EncodedHistogram, new_histogram};

    /// A flawless trial of 1000 requests in one second, of an open loop.
    fn flawless() -> LoadResult {
        let empty = EncodedHistogram::encode(&new_histogram());
        LoadResult {
            measured_ns: 1_000_000_000,
            in_flight_ns: 0,
            requested_rate_per_s: Some(1000.0),
            dropped: 0,
            wanted: Wanted::Accepted,
            outcomes: Outcomes { accepted: 1000, ..Outcomes::default() },
            answered: 1000,
            latency: empty.clone(),
            service_time: empty.clone(),
            queued: 0,
            lateness: None,
            bytes_sent: 1,
            bytes_received: 1,
            handshakes_full: 0,
            handshakes_resumed: 0,
            client_cpu_ns: 950_000_000,
            client_polled_ns: 0,
            server_cpu_ns: None,
            server: Some(Counters { requests: 1000, accepted: 1000, ..Counters::default() }),
            slices: Vec::new(),
            parts: Vec::new(),
            capacity: None,
            beside: None,
            validation: Some(empty),
            usage: Default::default(),
            tcp: crate::cell::Cell::blank("not looked at"),
            steal: Some(0.001),
        }
    }

    const MS: Duration = Duration::from_millis(1);

    fn count_on_server(result: &mut LoadResult, accepted: u64) {
        result.server.as_mut().expect("the reference server counts").accepted = accepted;
    }

    fn open(result: &LoadResult) -> Findings {
        judge(result, None, Some(ArrivalModel::Constant), Duration::ZERO, MS)
    }

    fn closed(mut result: LoadResult) -> Findings {
        result.requested_rate_per_s = None;
        judge(&result, None, None, Duration::ZERO, MS)
    }

    #[test]
    fn a_flawless_trial_counts_without_a_word() {
        assert_eq!(open(&flawless()), Findings::default());
    }

    #[test]
    fn one_unexpected_answer_voids_the_trial_and_is_named() {
        for (outcome, text) in [
            (
                Outcome::Rejected(RejectReason::InvalidCredential),
                "1 of 1000 requests were not accepted: 1 invalid_credential",
            ),
            (Outcome::Failed(Transport::Timeout), "1 of 1000 requests were not accepted: 1 failed (timeout)"),
        ] {
            let mut result = flawless();
            result.outcomes.accepted = 999;
            count_on_server(&mut result, 1000);
            result.outcomes.add(outcome);
            assert_eq!(open(&result).invalid, [text]);
        }
    }

    #[test]
    fn a_credential_that_is_to_be_refused_must_be_by_each_answer() {
        let mut result = LoadResult { wanted: Wanted::Refused, outcomes: Outcomes::default(), ..flawless() };
        result.outcomes.rejected.insert(RejectReason::InvalidCredential, 1000);
        let server = result.server.as_mut().expect("the reference server counts");
        (server.accepted, server.rejected) = (0, [("unknown".to_owned(), 1000)].into());
        assert_eq!(open(&result), Findings::default());

        result.outcomes.rejected.insert(RejectReason::InvalidCredential, 999);
        result.outcomes.accepted = 1;
        assert_eq!(
            open(&result).invalid,
            ["1 of 1000 requests were not refused for their credential: 1 accepted, 999 invalid_credential"]
        );
        result.outcomes = Outcomes::default();
        result.outcomes.rejected.insert(RejectReason::Throttled, 1000);
        assert_eq!(open(&result).invalid.len(), 1, "a brake is no judgement of the credential");
        result.outcomes.rejected = [(RejectReason::InvalidCredential, 1000)].into();
        result.server.as_mut().expect("the reference server counts").rejected = [("unknown".to_owned(), 999)].into();
        assert_eq!(open(&result).invalid, ["the server counted 999 refused requests, the client 1000 answers"]);
    }

    #[test]
    fn a_refusal_for_another_reason_is_not_the_one_that_was_to_be_timed() {
        let mut result = LoadResult { wanted: Wanted::Refused, outcomes: Outcomes::default(), ..flawless() };
        result.outcomes.rejected.insert(RejectReason::InvalidCredential, 1000);
        let mut judge = |rejected: &[(&str, u64)], reason| {
            let server = result.server.as_mut().expect("the reference server counts");
            server.accepted = 0;
            server.rejected = rejected.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect();
            judge(&result, reason, Some(ArrivalModel::Constant), Duration::ZERO, MS).invalid
        };
        assert_eq!(judge(&[("revoked", 1000)], Some("revoked")), Vec::<String>::new());
        // The tokens ended while they were in use.
        let says = "of the requests that were to be refused as \"revoked\" the server refused";
        assert_eq!(judge(&[("expired", 1000)], Some("revoked")), [format!("{says} 1000 \"expired\"")]);
        assert_eq!(
            judge(&[("expired", 1), ("revoked", 998), ("too_many", 1)], Some("revoked")),
            [format!("{says} 1 \"expired\", 1 \"too_many\"")]
        );
        assert_eq!(judge(&[("expired", 1000)], None), Vec::<String>::new(), "nobody says which reason it is to be");
    }

    #[test]
    fn the_two_sides_must_count_the_same() {
        let mut result = flawless();
        count_on_server(&mut result, 1001);
        assert_eq!(open(&result).invalid, ["the server counted 1001 accepted requests, the client 1000 answers"]);
    }

    #[test]
    fn certificates_accepted_without_an_answer_are_an_alarm() {
        let mut result = flawless();
        result.server.as_mut().expect("the reference server counts").ocsp_accepted_unanswered = 3;
        let found = open(&result);
        assert!(
            found.invalid.is_empty() && found.warnings[0].starts_with("3 requests were accepted without"),
            "{found:?}"
        );
    }

    #[test]
    fn a_server_that_does_not_count_is_not_compared() {
        let result = LoadResult { server: None, validation: None, ..flawless() };
        assert_eq!(open(&result), Findings::default());
    }

    #[test]
    fn silence_is_invalid() {
        let mut result = flawless();
        (result.outcomes.accepted, result.answered) = (0, 0);
        count_on_server(&mut result, 0);
        assert!(open(&result).invalid.contains(&"no request was answered".to_owned()));
    }

    #[test]
    fn one_dropped_request_in_a_thousand_is_tolerated() {
        let mut result = flawless();
        (result.outcomes.accepted, result.answered) = (999, 999);
        count_on_server(&mut result, 999);
        result.dropped = 1;
        assert_eq!(open(&result).invalid, Vec::<String>::new());
        result.dropped = 2;
        let findings = open(&result);
        assert!(findings.invalid[0].starts_with("2 of 1001 requests were never sent"), "{findings:?}");
    }

    #[test]
    fn lateness_is_held_to_the_latency_it_spoils() {
        let judge = |late, latency| judge(&flawless(), None, Some(ArrivalModel::Constant), late, latency);
        assert_eq!(judge(MS, 2 * MS), Findings::default());
        assert_eq!(judge(5 * MS, 6 * MS).invalid, Vec::<String>::new());
        assert_eq!(judge(5 * MS, 6 * MS).warnings.len(), 1);
        assert_eq!(judge(6 * MS, 7 * MS).invalid.len(), 1);
        assert_eq!(judge(10 * MS, 100 * MS).invalid, Vec::<String>::new());
        assert_eq!(judge(11 * MS, 100 * MS).invalid.len(), 1);
    }

    #[test]
    fn a_tail_has_ten_samples_beyond_it() {
        let of = |values: std::ops::RangeInclusive<u64>| {
            let mut histogram = new_histogram();
            values.for_each(|value| histogram.record(value * 1_000_000).expect("within the bounds"));
            tail(&histogram).as_millis() // three significant digits are exact to the millisecond here
        };
        assert_eq!(tail(&new_histogram()), Duration::ZERO);
        assert_eq!(of(1..=10), 0);
        assert_eq!(of(1..=100), 90);
        assert_eq!(of(1..=1000), 990);
        assert_eq!(of(1..=2000), 1980);
    }

    #[test]
    fn two_per_cent_of_steal_are_tolerated_and_unknown_steal_is() {
        let mut result = flawless();
        result.steal = Some(0.02);
        assert_eq!(open(&result).invalid, Vec::<String>::new());
        result.steal = Some(0.03);
        assert_eq!(open(&result).invalid, ["the hypervisor took 3.0 % of the processor time, 2 % is tolerated"]);
        result.steal = None;
        assert_eq!(open(&result).invalid, Vec::<String>::new());
    }

    #[test]
    fn a_rate_not_achieved_is_a_warning_but_chance_is_not() {
        let mut result = flawless();
        (result.outcomes.accepted, result.answered) = (930, 930);
        count_on_server(&mut result, 930);
        assert_eq!(open(&result).warnings, ["930 requests per second were achieved, 1000 requested"]);
        // 70 of 1000 are 2.2 standard deviations of a Poisson count.
        assert_eq!(judge(&result, None, Some(ArrivalModel::Poisson), Duration::ZERO, MS), Findings::default());
        (result.outcomes.accepted, result.answered) = (900, 900);
        count_on_server(&mut result, 900);
        assert_eq!(judge(&result, None, Some(ArrivalModel::Poisson), Duration::ZERO, MS).warnings.len(), 1);
    }

    #[test]
    fn a_busy_client_is_a_bottleneck_in_a_closed_loop_only() {
        let mut result = flawless();
        assert!(closed(result.clone()).warnings[0].contains("the client was the bottleneck"));
        result.server_cpu_ns = Some(std::collections::BTreeMap::from([("resource".to_owned(), 980_000_000)]));
        assert!(closed(result.clone()).warnings[0].contains("both saturated"));
        assert_eq!(open(&result).warnings, Vec::<String>::new());
        result.client_cpu_ns = 900_000_000;
        assert_eq!(closed(result), Findings::default());
    }
}
