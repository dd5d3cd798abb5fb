//! What became of the traffic beside a variant.

use serde::{Deserialize, Serialize};

use super::EncodedHistogram;
use crate::load::Tally;
use crate::outcome::{Outcomes, Wanted};
use crate::plan::Beside;

/// Requests on the same server that are not the variant's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BesideResult {
    /// What their schedule asked for.
    pub requested_rate_per_s: f64,
    /// Whether they brought wrong passwords on purpose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrong: bool,
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
            dropped: tally.dropped,
            outcomes: tally.outcomes.clone(),
            latency: EncodedHistogram::encode(&tally.latency),
        }
    }

    /// What a reader should know: not all of that traffic was served, so that more of it would have cost no more.
    pub(crate) fn warning(&self) -> Option<String> {
        let lost = self.outcomes.unexpected(Wanted::Accepted) + self.dropped;
        let due = self.outcomes.accepted + lost;
        (!self.wrong && lost > 0).then(|| format!("{lost} of {due} requests beside the variant were not served"))
    }
}
