//! What became of the calls around a rollover or an outage.

use serde::{Deserialize, Serialize};

use super::EncodedHistogram;

/// Calls of many callers, counted along the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineResult {
    /// Callers, each with a credential of its own.
    pub callers: usize,
    /// Time between two calls of one caller.
    pub interval_ns: u64,
    /// Length of the spans that `bins` counts over.
    pub bin_ns: u64,
    /// What was slow or gone, of an outage; absent where the variant asks nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency: Option<String>,
    /// What happened when, in order.
    pub moments: Vec<Moment>,
    /// Spans from the first call on; a call belongs to the span in which it was due.
    pub bins: Vec<TimelineBin>,
    /// From the time at which a call was due to its last byte, of calls that were accepted: before the event, during it,
    /// after it.
    pub latency: [EncodedHistogram; 3],
    /// Credentials that were taken back, or whose time was over, while their callers went on.
    pub ended: usize,
    /// From a credential's end to the send of its last call that was still accepted, at most; absent if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lived_on_ns: Option<u64>,
    /// Credentials that had ended and whose last call was accepted: they lived on for longer than that.
    pub still_accepted: usize,
    /// Callers of good standing of which at least one call was not served.
    pub cut_off: usize,
    /// When the first and the last call of good standing were due that were not served, counted from the event's begin, and
    /// none of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harmed_ns: Option<(u64, u64)>,
    /// Why there is nothing to replace or to cut off; then nothing was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<String>,
}

/// Something that happened, counted from the first call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at_ns: u64,
    /// What.
    pub what: Happening,
}

/// What happens in a rollover or an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// The fault begins.
    FaultBegins,
    /// It is over.
    FaultEnds,
    /// The new credentials or the new key are there.
    NewIsThere,
    /// The new key begins to sign.
    NewSigns,
    /// The last caller has changed over.
    AllChangedOver,
    /// The old credentials or the old key have ended.
    OldEnds,
}

/// How the calls ended that were due within one span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimelineBin {
    /// Good standing, accepted.
    pub accepted: u64,
    /// Good standing, and refused.
    pub wrongly_refused: u64,
    /// Good standing, and answered 503.
    pub unavailable: u64,
    /// Good standing, and no judgement.
    pub failed: u64,
    /// Good standing, and never sent: the caller was still waiting for its last answer.
    pub held_up: u64,
    /// A credential that had ended, and was accepted.
    pub wrongly_accepted: u64,
    /// A credential that had ended, and was not accepted.
    pub rightly_refused: u64,
    /// A credential that was ending at that time: either answer is right.
    pub undecided: u64,
}

impl TimelineBin {
    /// Calls of good standing that were not served.
    pub fn not_served(&self) -> u64 {
        self.wrongly_refused + self.unavailable + self.failed + self.held_up
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            wrongly_refused: self.wrongly_refused + other.wrongly_refused,
            unavailable: self.unavailable + other.unavailable,
            failed: self.failed + other.failed,
            held_up: self.held_up + other.held_up,
            wrongly_accepted: self.wrongly_accepted + other.wrongly_accepted,
            rightly_refused: self.rightly_refused + other.rightly_refused,
            undecided: self.undecided + other.undecided,
        }
    }
}
