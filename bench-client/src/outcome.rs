//! What came of a request: accepted, rejected for a reason, or failed in transport. Three kinds, never mixed.

use serde::{Deserialize, Serialize};

/// The outcome of one request. Only `Failed` is a fault of the run; an mTLS alert is a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The expected status, and the answer names the expected principal.
    Accepted,
    /// The server refused the credential.
    Rejected(RejectReason),
    /// No judgement was received.
    Failed(Transport),
}

/// Why the server refused, as far as a caller can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// 401 with `error="invalid_token"`, or a 401 Basic challenge to a sent credential; of a server of the user's, a status
    /// (other than 403) by which it rejects.
    InvalidCredential,
    /// 401 without `error`: the server saw no credential.
    MissingCredential,
    /// 400.
    InvalidRequest,
    /// 403 `insufficient_scope`.
    InsufficientScope,
    /// 403 for another reason, a revoked client certificate on an open connection among them.
    Forbidden,
    /// 429.
    Throttled,
    /// 503: a dependency of the server is down or full.
    Unavailable,
    /// A TLS alert refused the client certificate (RFC 8446 §6.2); in TLS 1.3 it is seen on the first read.
    TlsAlert,
    /// Any other status.
    OtherStatus,
}

/// Why no judgement was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// The connection could not be established.
    Connect,
    /// The TLS handshake failed, other than by an alert about the client certificate.
    Handshake,
    /// The connection ended before the answer did.
    Closed,
    /// Bytes that are not HTTP.
    Protocol,
    /// The answer did not come in time.
    Timeout,
    /// An accepting status, but the answer names another principal than the credential's, or lacks the text that it must
    /// contain.
    WrongPrincipal,
}

/// What is to come of a variant's requests. Anything else is a surprise, and voids the trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// All are accepted.
    #[default]
    Accepted,
    /// All are refused for their credential, which is there to be refused.
    Refused,
}

impl Wanted {
    /// Whether it is what a request came to.
    pub fn is(self, outcome: Outcome) -> bool {
        match self {
            Self::Accepted => outcome == Outcome::Accepted,
            Self::Refused => outcome == Outcome::Rejected(RejectReason::InvalidCredential),
        }
    }

    /// Whether it is what nearly every variant wants, for serde.
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    pub fn is_accepted(&self) -> bool {
        *self == Self::Accepted
    }
}

/// How many requests ended how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Accepted requests.
    pub accepted: u64,
    /// Rejected requests by reason.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub rejected: std::collections::BTreeMap<RejectReason, u64>,
    /// Failed requests by cause.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub failed: std::collections::BTreeMap<Transport, u64>,
}

impl Outcomes {
    /// Counts one.
    pub fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Rejected(reason) => *self.rejected.entry(reason).or_default() += 1,
            Outcome::Failed(cause) => *self.failed.entry(cause).or_default() += 1,
        }
    }

    /// Adds another count.
    pub fn merge(&mut self, other: &Self) {
        self.accepted += other.accepted;
        for (reason, n) in &other.rejected {
            *self.rejected.entry(*reason).or_default() += n;
        }
        for (cause, n) in &other.failed {
            *self.failed.entry(*cause).or_default() += n;
        }
    }

    /// Requests that the server judged: accepted or rejected.
    pub fn answered(&self) -> u64 {
        self.accepted + self.rejected.values().sum::<u64>()
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.answered() + self.failed.values().sum::<u64>()
    }

    /// Requests that ended as they were to.
    pub fn expected(&self, wanted: Wanted) -> u64 {
        match wanted {
            Wanted::Accepted => self.accepted,
            Wanted::Refused => self.rejected.get(&RejectReason::InvalidCredential).copied().unwrap_or_default(),
        }
    }

    /// Requests that ended otherwise.
    pub fn unexpected(&self, wanted: Wanted) -> u64 {
        self.total() - self.expected(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_keep_the_kinds_apart() {
        let mut first = Outcomes::default();
        first.add(Outcome::Accepted);
        first.add(Outcome::Rejected(RejectReason::TlsAlert));
        let mut second = Outcomes::default();
        second.add(Outcome::Rejected(RejectReason::TlsAlert));
        second.add(Outcome::Failed(Transport::WrongPrincipal));
        first.merge(&second);
        assert_eq!((first.accepted, first.answered(), first.total()), (1, 3, 4));
        assert_eq!((first.expected(Wanted::Accepted), first.unexpected(Wanted::Accepted)), (1, 3));
        assert_eq!((first.expected(Wanted::Refused), first.unexpected(Wanted::Refused)), (0, 4));
        assert_eq!(first.rejected[&RejectReason::TlsAlert], 2);
        assert_eq!(first.failed[&Transport::WrongPrincipal], 1);
    }

    #[test]
    fn a_refusal_is_wanted_for_the_credential_alone() {
        let invalid = Outcome::Rejected(RejectReason::InvalidCredential);
        for outcome in [
            Outcome::Accepted,
            invalid,
            Outcome::Rejected(RejectReason::Throttled),
            Outcome::Rejected(RejectReason::MissingCredential),
            Outcome::Failed(Transport::Closed),
        ] {
            let mut outcomes = Outcomes::default();
            outcomes.add(outcome);
            for (wanted, met) in [(Wanted::Accepted, Outcome::Accepted), (Wanted::Refused, invalid)] {
                assert_eq!(wanted.is(outcome), outcome == met);
                assert_eq!(outcomes.expected(wanted), u64::from(outcome == met));
                assert_eq!(outcomes.unexpected(wanted), u64::from(outcome != met));
            }
        }
    }

    #[test]
    fn records_name_reasons_in_words() {
        let mut outcomes = Outcomes::default();
        outcomes.add(Outcome::Rejected(RejectReason::InvalidCredential));
        let json = serde_json::to_string(&outcomes).expect("plain data");
        assert_eq!(json, r#"{"accepted":0,"rejected":{"invalid_credential":1}}"#);
        assert_eq!(serde_json::from_str::<Outcomes>(&json).expect("it was just written"), outcomes);
    }
}
