//! What became of the traffic beside a variant.

use serde::{Deserialize, Serialize};

use super::EncodedHistogram;
use crate::load::Tally;
use crate::outcome::Outcomes;
use crate::plan::Beside;

/// Requests on the same server that are not the variant's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BesideResult {
    /// What their schedule asked for.
    pub requested_rate_per_s: f64,
    /// Whether they brought wrong passwords on purpose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrong: bool,
    /// Sum of its slices' lengths, each until the last of its own requests was answered: a slice of the variant's may have
    /// ended before that, or later. Absent in records from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_ns: Option<u64>,
    /// Due and never sent.
    pub dropped: u64,
    /// How they ended.
    pub outcomes: Outcomes,
    /// Intended time → last byte, accepted requests only.
    pub latency: EncodedHistogram,
}

impl BesideResult {
    pub(crate) fn new(traffic: &Beside, tally: &Tally) -> Self {
        Self {
            requested_rate_per_s: traffic.rate_per_s,
            wrong: traffic.wrong,
            measured_ns: Some(tally.measured.as_nanos() as u64),
            dropped: tally.dropped,
            outcomes: tally.outcomes.clone(),
            latency: EncodedHistogram::encode(&tally.latency),
        }
    }

    /// How many were due.
    pub(crate) fn due(&self) -> u64 {
        self.outcomes.total() + self.dropped
    }

    /// What a reader should know: not all of that traffic was served, so that more of it would have cost no more; or, of
    /// wrong passwords, not all were refused.
    pub(crate) fn warning(&self) -> Option<String> {
        let due = self.due();
        let (met, what) = if self.wrong {
            let refused = self.outcomes.answered() - self.outcomes.accepted;
            (refused, "requests with wrong passwords beside the variant were not refused")
        } else {
            (self.outcomes.accepted, "requests beside the variant were not served")
        };
        (met < due).then(|| format!("{} of {due} {what}", due - met))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Outcome, RejectReason, Transport};
    use crate::record::new_histogram;

    fn result(wrong: bool, ended: &[Outcome], dropped: u64) -> BesideResult {
        let mut outcomes = Outcomes::default();
        ended.iter().for_each(|outcome| outcomes.add(*outcome));
        let latency = EncodedHistogram::encode(&new_histogram());
        BesideResult { requested_rate_per_s: 1.0, wrong, measured_ns: Some(1), dropped, outcomes, latency }
    }

    #[test]
    fn what_was_not_served_is_told_of_right_passwords_and_what_was_not_refused_of_wrong_ones() {
        let (accepted, refused) = (Outcome::Accepted, Outcome::Rejected(RejectReason::InvalidCredential));
        let failed = Outcome::Failed(Transport::Timeout);
        assert_eq!(result(false, &[accepted, accepted], 0).warning(), None);
        assert_eq!(result(true, &[refused, Outcome::Rejected(RejectReason::Throttled)], 0).warning(), None);
        for (wrong, ended, dropped, says) in [
            (false, &[accepted, refused, failed][..], 1, "3 of 4 requests beside the variant were not served"),
            (true, &[refused, accepted, failed][..], 1, "3 of 4 requests with wrong passwords"),
            (true, &[refused][..], 5, "5 of 6 requests with wrong passwords beside the variant were not refused"),
        ] {
            let warning = result(wrong, ended, dropped).warning().expect("something is wrong");
            assert!(warning.starts_with(says), "{warning}");
        }
    }
}
