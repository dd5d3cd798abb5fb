//! From probes to a revocation window. Pure.
//!
//! A probe is judged at some moment between its send and its answer. So the last acceptance counts by its *send*, the first
//! refusal by its *answer*: the change lies between the two. What was on its way when the acknowledgement arrived may
//! still have been judged before the revocation, and counts neither way. Probes bracket the change, they do not pin it:
//! both ends are kept, and the gap between two probes is the resolution.

use std::time::{Duration, Instant};

use crate::outcome::{Outcome, RejectReason};

/// What a probe says about the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was accepted.
    Accepted,
    /// It was refused for what it is.
    Refused,
    /// Nothing: the server did not answer, or refused for a reason that is not the credential's.
    Nothing,
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted => Self::Accepted,
            Outcome::Rejected(RejectReason::InvalidCredential | RejectReason::Forbidden | RejectReason::TlsAlert) => {
                Self::Refused
            }
            // A server that is busy (429, 503) or finds fault with the request has not noticed a revocation.
            Outcome::Rejected(_) | Outcome::Failed(_) => Self::Nothing,
        }
    }
}

/// One probe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    pub(super) sent: Instant,
    /// When its answer was there.
    pub(super) done: Instant,
    pub(super) verdict: Verdict,
}

/// When a revocation was sent and acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Revocation {
    pub(super) sent: Instant,
    pub(super) acknowledged: Instant,
}

/// What the probes of one credential bracket; times count from the acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Send of the last request that was still accepted.
    pub(super) last_accepted: Option<Duration>,
    /// Answer to the first request that was refused. Before `last_accepted` when nodes or threads disagreed for a while.
    pub(super) first_rejected: Option<Duration>,
    /// Longest gap between probes around the change.
    pub(super) resolution: Duration,
    /// Requests accepted.
    pub(super) exposure: u64,
}

/// The window that `probes`, in the order they were sent, bracket. `interval` is the planned gap between them: no
/// resolution is better than that.
pub(super) fn window(probes: &[Probe], acknowledged: Instant, interval: Duration) -> Window {
    let judged: Vec<&Probe> = probes.iter().filter(|probe| probe.verdict != Verdict::Nothing).collect();
    // Strictly after: a clock too coarse to tell must not turn a request on its way into an exposure.
    let after =
        |verdict: Verdict| judged.iter().filter(move |probe| probe.verdict == verdict && probe.sent > acknowledged);
    Window {
        last_accepted: after(Verdict::Accepted).next_back().map(|probe| probe.sent - acknowledged),
        first_rejected: after(Verdict::Refused).next().map(|probe| probe.done - acknowledged),
        resolution: longest_gap(around_change(&judged, acknowledged)).max(interval),
        exposure: after(Verdict::Accepted).count() as u64,
    }
}

/// The probes between which the change lies: from the last accepted one before any refusal to the first refusal that no
/// acceptance follows. Without a refusal there is no change, and the probes since the acknowledgement are returned.
fn around_change<'a, 'p>(judged: &'a [&'p Probe], acknowledged: Instant) -> &'a [&'p Probe] {
    let accepted = |probe: &&Probe| probe.verdict == Verdict::Accepted;
    let (begin, end) = match judged.iter().position(|probe| probe.verdict == Verdict::Refused) {
        Some(first_refused) => {
            let settled = judged.iter().rposition(accepted).map_or(0, |last| last + 1);
            (first_refused.saturating_sub(1), settled.max(first_refused))
        }
        None => {
            let unacknowledged = judged.iter().filter(|probe| probe.sent <= acknowledged).count();
            (unacknowledged.saturating_sub(1), judged.len())
        }
    };
    &judged[begin..judged.len().min(end + 1)]
}

fn longest_gap(probes: &[&Probe]) -> Duration {
    probes.windows(2).map(|pair| pair[1].sent - pair[0].sent).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Transport;

    const INTERVAL: Duration = Duration::from_millis(20);

    /// How long an answer takes; less than the milliseconds that are looked at.
    const ANSWERED: Duration = Duration::from_micros(300);

    /// `a` accepted, `r` refused, `-` no judgement, each with its milliseconds; `|` marks the acknowledgement.
    /// The result as `(last_accepted, first_rejected, resolution, exposure)` in milliseconds.
    fn of(text: &str) -> (Option<u64>, Option<u64>, u64, u64) {
        let base = Instant::now();
        let mut probes = Vec::new();
        let mut acknowledged = None;
        for word in text.split_whitespace() {
            let (kind, ms) = word.split_at(1);
            let at = base + Duration::from_millis(ms.parse().expect("milliseconds"));
            let verdict = match kind {
                "a" => Verdict::Accepted,
                "r" => Verdict::Refused,
                "-" => Verdict::Nothing,
                "|" => {
                    acknowledged = Some(at);
                    continue;
                }
                other => panic!("{other:?}"),
            };
            probes.push(Probe { sent: at, done: at + ANSWERED, verdict });
        }
        let window = window(&probes, acknowledged.expect("one `|`"), INTERVAL);
        let ms = |duration: Duration| duration.as_millis() as u64;
        (window.last_accepted.map(ms), window.first_rejected.map(ms), ms(window.resolution), window.exposure)
    }

    #[test]
    fn windows() {
        let table = [
            ("immediate", "a0 a20 |30 r40 r60 r80", (None, Some(10), 20, 0)),
            ("after a while", "a0 a20 |30 a40 a60 r80 r100 r120", (Some(30), Some(50), 20, 2)),
            ("never rejected", "a0 a20 |30 a40 a60 a80", (Some(50), None, 20, 3)),
            ("overlap: rejected, then accepted again", "a0 |10 a20 r40 a60 r80 r100 r120", (Some(50), Some(30), 20, 2)),
            ("on its way at the acknowledgement", "a0 a25 |30 r50 r70 r90", (None, Some(20), 25, 0)),
            ("sent in the same instant as the acknowledgement", "a0 a30 |30 r50 r70 r90", (None, Some(20), 20, 0)),
            ("refused before the acknowledgement", "a0 r20 |30 r40 r60 r80", (None, Some(10), 20, 0)),
            (
                "refused before the acknowledgement, then accepted",
                "a0 r20 |30 a40 r60 r80 r100",
                (Some(10), Some(30), 20, 1),
            ),
            ("a slow answer widens the gap", "a0 |10 a20 r90 r110 r130", (Some(10), Some(80), 70, 1)),
            ("gaps away from the change do not count", "a0 a200 |210 a220 r240 r900 r920", (Some(10), Some(30), 20, 1)),
            ("a probe without judgement leaves a gap", "a0 |10 a20 -40 r60 r80 r100", (Some(10), Some(50), 40, 1)),
            ("gaps within an overlap count", "a0 |10 a20 r40 a100 r120 r140", (Some(90), Some(30), 60, 2)),
            ("closer than planned is not claimed", "a0 a5 |6 r10 r15 r20", (None, Some(4), 20, 0)),
            ("nothing but silence", "a0 |10 -20 -40", (None, None, 20, 0)),
        ];
        for (name, probes, expected) in table {
            assert_eq!(of(probes), expected, "{name}: {probes}");
        }
    }

    #[test]
    fn only_a_judgement_on_the_credential_is_a_refusal() {
        use RejectReason::{
            Forbidden, InsufficientScope, InvalidCredential, InvalidRequest, MissingCredential, OtherStatus, Throttled,
            TlsAlert, Unavailable,
        };
        assert_eq!(Verdict::from(Outcome::Accepted), Verdict::Accepted);
        for reason in [InvalidCredential, Forbidden, TlsAlert] {
            assert_eq!(Verdict::from(Outcome::Rejected(reason)), Verdict::Refused, "{reason:?}");
        }
        for reason in [InsufficientScope, InvalidRequest, MissingCredential, OtherStatus, Throttled, Unavailable] {
            assert_eq!(Verdict::from(Outcome::Rejected(reason)), Verdict::Nothing, "{reason:?}");
        }
        assert_eq!(Verdict::from(Outcome::Failed(Transport::Timeout)), Verdict::Nothing);
    }
}
