//! One caller with one credential: what probes a revocation.

use std::time::Instant;

use bench_server::contract::{HttpVersion, Issued};

use super::request::Requests;
use super::slot::{Slot, Wire, is_certificate};
use super::{Endpoint, LoadError, PATIENCE};
use crate::outcome::{Outcome, Transport};
use crate::plan::ConnectionKind;
use crate::record::HandshakeCounts;

/// One caller with one credential: what probes a revocation.
pub struct Caller {
    endpoint: Endpoint,
    wire: Wire,
    slot: Slot,
    kind: ConnectionKind,
    primings: HandshakeCounts,
}

/// What one call came to.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// When the request was sent (for a new connection: when it was begun).
    pub sent: Instant,
    /// When the outcome was known.
    pub done: Instant,
    /// The outcome.
    pub outcome: Outcome,
}

impl Caller {
    /// A caller that presents `credential`. It connects when first called.
    ///
    /// # Errors
    /// [`LoadError`] when the credential cannot be presented, or the endpoint's host, path or roots cannot be used.
    pub fn new(endpoint: Endpoint, credential: &Issued, kind: ConnectionKind) -> Result<Self, LoadError> {
        let wire = Wire::new(&endpoint, std::slice::from_ref(credential))?;
        let shared = (endpoint.http == HttpVersion::Http2).then(Default::default);
        let slot = Slot::new(&wire, 0, credential, shared)?;
        Ok(Self { endpoint, wire, slot, kind, primings: HandshakeCounts::default() })
    }

    /// TLS handshakes of the requests that are reported.
    pub fn handshakes(&self) -> HandshakeCounts {
        self.all_handshakes().since(self.primings)
    }

    /// TLS handshakes that were made so that those of the requests had a session to resume.
    pub fn primings(&self) -> HandshakeCounts {
        self.primings
    }

    fn all_handshakes(&self) -> HandshakeCounts {
        let totals = self.wire.connector.traffic.totals();
        let full = totals.full - totals.refused_late;
        HandshakeCounts { full, resumed: totals.resumed, refused: totals.refused }
    }

    /// From the next call on presents `credential`, over the connections that there are.
    ///
    /// # Errors
    /// [`LoadError::Credential`] for one that requests do not carry, or that cannot stand in a request: what was presented
    /// before stays.
    pub fn present(&mut self, credential: &Issued) -> Result<(), LoadError> {
        if is_certificate(credential) {
            return Err(LoadError::Credential {
                id: credential.id.clone(),
                message: "connections present a client certificate, not requests; make another caller".to_owned(),
            });
        }
        self.wire.requests = Requests::render(&self.endpoint, std::slice::from_ref(credential))?;
        Ok(())
    }

    /// Sends one request and waits for its outcome, at most 10 s. Reconnects where the server closed the connection; a
    /// caller of kind `Resumed` first makes the full handshake that it resumes, with a request that is not reported.
    pub async fn call(&mut self) -> Answer {
        match self.kind {
            ConnectionKind::Reused => self.slot.drop_dead().await,
            ConnectionKind::Resumed => {
                let before = self.all_handshakes();
                // Should it fail, the request below meets the same and reports it.
                let _ = tokio::time::timeout(PATIENCE, self.slot.prime(&self.wire, 0)).await;
                self.primings = [self.primings, self.all_handshakes().since(before)].into_iter().sum();
            }
            ConnectionKind::Fresh => {}
        }
        let kept = self.kind == ConnectionKind::Reused && self.slot.keeps_connection();
        let mut answer = self.request().await;
        // The server closed while the request was on its way to a connection that looked open. It was not answered, so it
        // may be repeated (RFC 9110 §9.2.2): whether the credential still works is for a new connection to find out.
        if kept && answer.outcome == Outcome::Failed(Transport::Closed) {
            answer = self.request().await;
        }
        self.slot.close_spent().await;
        answer
    }

    async fn request(&mut self) -> Answer {
        let sent = Instant::now();
        let request = self.slot.request(&self.wire, self.kind, 0);
        let outcome = tokio::time::timeout(PATIENCE, request).await.unwrap_or(Outcome::Failed(Transport::Timeout));
        Answer { sent, done: Instant::now(), outcome }
    }
}

#[cfg(test)]
mod tests {
    use bench_server::contract::Transport as Carrier;

    use super::super::testing::{PLAIN, Pki, Reply, Setup, answer, honest, keys, ok, serve};
    use super::*;
    use crate::outcome::RejectReason;

    fn tls(pki: &Pki, transport: Carrier, http: HttpVersion) -> Setup<'_> {
        Setup { transport, http, pki: Some(pki), client_certificates: true }
    }

    #[tokio::test]
    async fn a_reused_connection_is_kept_until_the_server_closes_it() {
        let endpoint = serve(PLAIN, |seen| match seen.number {
            // Without announcing it.
            2 => Reply::Last(ok("app-0")),
            // In the middle of a request: the caller cannot know before it sends.
            3 if seen.connection == 1 => Reply::Answer(ok("app-0")),
            4 => Reply::Close,
            _ => honest(seen),
        })
        .await;
        let mut caller = Caller::new(endpoint, &keys(1)[0], ConnectionKind::Reused).unwrap();
        for opened in [1, 1, 1, 2, 3, 3] {
            let answer = caller.call().await;
            assert_eq!(answer.outcome, Outcome::Accepted);
            assert!(answer.sent <= answer.done);
            assert_eq!(caller.wire.connector.traffic.totals().opened, opened);
        }
    }

    #[tokio::test]
    async fn another_credential_travels_on_the_same_connection() {
        let pki = Pki::new();
        for http in [HttpVersion::Http1, HttpVersion::Http2] {
            let setup = Setup { client_certificates: false, ..tls(&pki, Carrier::Tls13, http) };
            let endpoint = serve(setup, honest).await;
            let keys = keys(2);
            let mut caller = Caller::new(endpoint, &keys[0], ConnectionKind::Reused).unwrap();
            for key in [&keys[0], &keys[1], &keys[0]] {
                caller.present(key).unwrap();
                // The answer must name the principal of the credential that was sent.
                assert_eq!(caller.call().await.outcome, Outcome::Accepted);
            }
            assert_eq!(caller.wire.connector.traffic.totals().opened, 1, "{http:?}");
            let refused = caller.present(&pki.client("app-0")).expect_err("a connection presents it");
            assert!(refused.to_string().contains("another caller"), "{refused}");
            assert_eq!(caller.call().await.outcome, Outcome::Accepted, "what was presented before stays");
        }
    }

    #[tokio::test]
    async fn callers_may_run_as_tasks() {
        let endpoint = serve(PLAIN, honest).await;
        let mut caller = Caller::new(endpoint, &keys(1)[0], ConnectionKind::Reused).unwrap();
        let answer = tokio::spawn(async move { caller.call().await }).await.unwrap();
        assert_eq!(answer.outcome, Outcome::Accepted);
    }

    #[tokio::test]
    async fn a_new_connection_that_is_closed_is_a_failure() {
        let endpoint = serve(PLAIN, |_| Reply::Close).await;
        let mut caller = Caller::new(endpoint, &keys(1)[0], ConnectionKind::Reused).unwrap();
        assert_eq!(caller.call().await.outcome, Outcome::Failed(Transport::Closed));
        assert_eq!(caller.wire.connector.traffic.totals().opened, 1, "nothing was repeated");
    }

    #[tokio::test]
    async fn fresh_and_resumed_callers_do_as_they_are_called() {
        let pki = Pki::new();
        for transport in [Carrier::Tls12, Carrier::Tls13] {
            for http in [HttpVersion::Http1, HttpVersion::Http2] {
                let endpoint = serve(tls(&pki, transport, http), |_| Reply::Answer(ok("app-0"))).await;
                for (kind, totals) in [(ConnectionKind::Fresh, (3, 0)), (ConnectionKind::Resumed, (1, 3))] {
                    let mut caller = Caller::new(endpoint.clone(), &pki.client("app-0"), kind).unwrap();
                    for _ in 0..3 {
                        assert_eq!(caller.call().await.outcome, Outcome::Accepted);
                    }
                    let seen = caller.wire.connector.traffic.totals();
                    assert_eq!((seen.full, seen.resumed), totals, "{transport:?} {http:?} {kind:?}");
                    let counts = |full, resumed| HandshakeCounts { full, resumed, refused: 0 };
                    let (reported, primings) = match kind {
                        ConnectionKind::Resumed => (counts(0, 3), counts(1, 0)),
                        ConnectionKind::Fresh | ConnectionKind::Reused => (counts(3, 0), counts(0, 0)),
                    };
                    assert_eq!((caller.handshakes(), caller.primings()), (reported, primings));
                }
            }
        }
    }

    #[tokio::test]
    async fn a_refused_certificate_is_a_rejection_not_a_failure() {
        let pki = Pki::new();
        let stranger = Pki::new().client("app-0");
        for transport in [Carrier::Tls12, Carrier::Tls13] {
            for http in [HttpVersion::Http1, HttpVersion::Http2] {
                let endpoint = serve(tls(&pki, transport, http), |_| Reply::Answer(ok("app-0"))).await;
                for kind in [ConnectionKind::Reused, ConnectionKind::Fresh, ConnectionKind::Resumed] {
                    let mut caller = Caller::new(endpoint.clone(), &stranger, kind).unwrap();
                    for _ in 0..3 {
                        let outcome = caller.call().await.outcome;
                        let expected = Outcome::Rejected(RejectReason::TlsAlert);
                        assert_eq!(outcome, expected, "{transport:?} {http:?} {kind:?}");
                    }
                    // In TLS 1.3 the client took each for done at first.
                    let refused = HandshakeCounts { refused: 3, ..HandshakeCounts::default() };
                    assert_eq!(caller.handshakes(), refused, "{transport:?} {http:?} {kind:?}");
                    let primed = if kind == ConnectionKind::Resumed { refused } else { HandshakeCounts::default() };
                    assert_eq!(caller.primings(), primed, "{transport:?} {http:?} {kind:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_server_of_another_pki_is_not_trusted() {
        let (pki, other) = (Pki::new(), Pki::new());
        let endpoint = serve(tls(&pki, Carrier::Tls13, HttpVersion::Http1), |_| Reply::Answer(ok("app-0"))).await;
        let trusting_another = serve(tls(&other, Carrier::Tls13, HttpVersion::Http1), honest).await.roots;
        let endpoint = Endpoint { roots: trusting_another, ..endpoint };
        let mut caller = Caller::new(endpoint, &pki.client("app-0"), ConnectionKind::Fresh).unwrap();
        assert_eq!(caller.call().await.outcome, Outcome::Failed(Transport::Handshake));
    }

    #[tokio::test]
    async fn a_rejection_is_told_with_its_reason() {
        let endpoint = serve(PLAIN, |_| {
            Reply::Answer(answer("401 No", "www-authenticate: Bearer realm=\"x\", error=\"invalid_token\"\r\n", ""))
        })
        .await;
        let mut caller = Caller::new(endpoint, &keys(1)[0], ConnectionKind::Reused).unwrap();
        assert_eq!(caller.call().await.outcome, Outcome::Rejected(RejectReason::InvalidCredential));
    }

    #[tokio::test]
    async fn a_certificate_needs_tls() {
        let endpoint = serve(PLAIN, honest).await;
        let refused = Caller::new(endpoint, &Pki::new().client("app-0"), ConnectionKind::Fresh);
        assert!(refused.err().expect("plaintext carries no certificate").to_string().contains("use TLS"));
    }
}
