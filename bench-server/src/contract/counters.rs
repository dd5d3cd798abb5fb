//! What the server counts.

use serde::{Deserialize, Serialize};

/// What the server did since it started. Differences of two readings are what a trial cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Requests that reached an authenticator.
    pub requests: u64,
    /// Requests that an authenticator accepted.
    pub accepted: u64,
    /// Reads of a credential store: memory, SQLite, deny-list, or an introspection or OCSP question over HTTP.
    pub store_lookups: u64,
    /// Writes to a credential store.
    pub store_writes: u64,
    /// Answers taken from a cache.
    pub cache_hits: u64,
    /// Acceptances on what is past its time, because nothing newer could be had (`stale_if_error`).
    pub stale_hits: u64,
    /// Signature or MAC verifications of tokens.
    pub verify_calls: u64,
    /// Password hashes computed.
    pub hash_calls: u64,
    /// Fetches of a JWKS.
    pub jwks_fetches: u64,
    /// Introspection requests sent (also counted as lookups).
    pub introspections: u64,
    /// Questions to an OCSP responder (also counted as lookups).
    #[serde(alias = "ocsp_questions")] // as it was called in records of earlier versions
    pub ocsp_queries: u64,
    /// Those of them that brought no answer that could be used.
    pub ocsp_unanswered: u64,
    /// Requests accepted although nobody had said that the certificate is good, because the policy is soft: an alarm.
    pub ocsp_accepted_unanswered: u64,
    /// TCP connections begun to those who are asked about credentials: authorization servers and OCSP responders. They are
    /// written in the configuration or named by an issuer that is trusted, never by a credential. Stores are not among them.
    pub outbound_connects: u64,
    /// Entries that deny-lists hold now: not a total.
    #[serde(skip_serializing_if = "is_zero")]
    pub denylist_entries: u64,
    /// Bytes of memory that they take.
    #[serde(skip_serializing_if = "is_zero")]
    pub denylist_bytes: u64,
    /// Certificates accepted, in a handshake or in a request, although no CRL in force spoke for them, because the policy is
    /// soft: an alarm.
    #[serde(skip_serializing_if = "is_zero")]
    pub crl_accepted_unknown: u64,
    /// Requests with a field that claims a client certificate, from somebody who is not believed.
    #[serde(skip_serializing_if = "is_zero")]
    pub certificate_fields_ignored: u64,
    /// Connections ended because their certificate was taken back or over, or their time was.
    #[serde(skip_serializing_if = "is_zero")]
    pub connections_lapsed: u64,
    /// TCP connections accepted on the listeners.
    pub connections_accepted: u64,
    /// Full TLS handshakes completed.
    pub handshakes_full: u64,
    /// Resumed TLS handshakes completed.
    pub handshakes_resumed: u64,
    /// Completed TLS handshakes in which the client's certificate was verified; also counted as full.
    pub handshakes_with_certificate: u64,
    /// TLS handshakes that failed.
    pub handshakes_failed: u64,
    /// Failed TLS handshakes in which the server refused the client's certificate, or missed one.
    pub handshakes_refused: u64,
    /// Requests refused, by reason (see [`crate::auth::Rejection::reason`]).
    pub rejected: std::collections::BTreeMap<String, u64>,
    /// Those of them that were refused because something gave no answer or was full, by what that was.
    pub unavailable: std::collections::BTreeMap<String, u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Counters {
    /// What happened between `earlier` and `self`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        type ByReason = std::collections::BTreeMap<String, u64>;
        let since = |now: &ByReason, earlier: &ByReason| -> ByReason {
            let grown = now.iter().map(|(reason, n)| (reason.clone(), n - earlier.get(reason).copied().unwrap_or(0)));
            grown.filter(|(_, n)| *n > 0).collect()
        };
        Self {
            requests: self.requests - earlier.requests,
            accepted: self.accepted - earlier.accepted,
            store_lookups: self.store_lookups - earlier.store_lookups,
            store_writes: self.store_writes - earlier.store_writes,
            cache_hits: self.cache_hits - earlier.cache_hits,
            stale_hits: self.stale_hits - earlier.stale_hits,
            verify_calls: self.verify_calls - earlier.verify_calls,
            hash_calls: self.hash_calls - earlier.hash_calls,
            jwks_fetches: self.jwks_fetches - earlier.jwks_fetches,
            introspections: self.introspections - earlier.introspections,
            ocsp_queries: self.ocsp_queries - earlier.ocsp_queries,
            ocsp_unanswered: self.ocsp_unanswered - earlier.ocsp_unanswered,
            ocsp_accepted_unanswered: self.ocsp_accepted_unanswered - earlier.ocsp_accepted_unanswered,
            outbound_connects: self.outbound_connects - earlier.outbound_connects,
            denylist_entries: self.denylist_entries,
            denylist_bytes: self.denylist_bytes,
            crl_accepted_unknown: self.crl_accepted_unknown - earlier.crl_accepted_unknown,
            certificate_fields_ignored: self.certificate_fields_ignored - earlier.certificate_fields_ignored,
            connections_lapsed: self.connections_lapsed - earlier.connections_lapsed,
            connections_accepted: self.connections_accepted - earlier.connections_accepted,
            handshakes_full: self.handshakes_full - earlier.handshakes_full,
            handshakes_resumed: self.handshakes_resumed - earlier.handshakes_resumed,
            handshakes_with_certificate: self.handshakes_with_certificate - earlier.handshakes_with_certificate,
            handshakes_failed: self.handshakes_failed - earlier.handshakes_failed,
            handshakes_refused: self.handshakes_refused - earlier.handshakes_refused,
            rejected: since(&self.rejected, &earlier.rejected),
            unavailable: since(&self.unavailable, &earlier.unavailable),
        }
    }
}

/// Counters, and the validation times recorded since the last take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Totals since the start.
    pub counters: Counters,
    /// Time inside the authenticator call in nanoseconds: an HdrHistogram in V2 form, base64 (standard, padded).
    pub validation: String,
}
