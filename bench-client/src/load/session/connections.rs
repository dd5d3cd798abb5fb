//! The third way to load: connections that are opened one after the other, each for so many requests.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::watch::join_until;
use super::{Credentials, Session, first, prepare};
use crate::load::slot::{Slot, Wire};
use crate::load::{Exchanged, Handshakes, Tally};
use crate::outcome::{Outcome, Transport};
use crate::plan::ConnectionKind;

/// What all slots of a slice share.
struct Loop<'a> {
    wire: &'a Wire,
    kind: ConnectionKind,
    /// Requests on each connection.
    requests: u32,
    credentials: RefCell<Credentials<'a>>,
    /// When no more connections are opened.
    end: Instant,
    tally: RefCell<(&'a mut Tally, Handshakes)>,
}

impl Session {
    /// Makes, for each of the first `connections` slots, a session that connections of kind `Resumed` can resume; does
    /// nothing for other kinds. The server may have let go of earlier ones, and a TLS 1.3 ticket is used once.
    pub async fn prime(&mut self, connections: usize, kind: ConnectionKind) {
        if kind != ConnectionKind::Resumed {
            return;
        }
        let slots = first(&mut self.slots, connections);
        slots.iter_mut().for_each(Slot::forget_session);
        prepare(&self.wire, slots, kind).await;
    }

    /// One slice over the first `connections` slots: each opens a connection of that kind, sends `requests` requests on it,
    /// closes it, and opens the next, for `length`. Then the connections that are open are used to their end (bounded:
    /// after 10 s they count as timed out), so that handshakes and requests stand in the exact ratio; what is measured
    /// ends with the last of them. The slice is added to `tally`, with [`Tally::handshakes`].
    pub async fn connection_loop(
        &mut self,
        length: Duration,
        connections: usize,
        kind: ConnectionKind,
        requests: u32,
        tally: &mut Tally,
    ) {
        let (_, credential_rng) = self.next_streams();
        let watches = self.watches();
        let slots = first(&mut self.slots, connections);
        let before = self.wire.connector.traffic.totals();
        let start = Instant::now();
        let handshakes = tally.handshakes.take().unwrap_or_default();
        let shared = Loop {
            wire: &self.wire,
            kind,
            requests,
            credentials: RefCell::new(Credentials { pool: &self.pool, rng: credential_rng }),
            end: start + length,
            tally: RefCell::new((&mut *tally, *handshakes)),
        };
        let workers = slots.iter_mut().map(|slot| shared.lead(slot));
        let polled = join_until(shared.end + self.patience, watches, workers).await;
        let measured = start.elapsed();

        let (_, mut handshakes) = shared.tally.into_inner();
        handshakes.add_traffic(before, self.wire.connector.traffic.totals());
        tally.handshakes = Some(Box::new(handshakes));
        tally.measured += measured;
        tally.polled += polled;
        self.finish(connections, before, tally);
    }
}

impl Loop<'_> {
    async fn lead(&self, slot: &mut Slot) {
        loop {
            let begun = Instant::now();
            if begun >= self.end {
                break;
            }
            match slot.converse(self.wire, self.kind).await {
                Ok((mut conversation, established)) => {
                    self.tally.borrow_mut().1.ready(&established);
                    for number in 1..=self.requests {
                        let credential = slot.certificate.unwrap_or_else(|| self.credentials.borrow_mut().pick());
                        let sent = Instant::now();
                        let Exchanged { outcome, keep } = slot.exchange(self.wire, &mut conversation, credential).await;
                        let done = Instant::now();
                        let (tally, handshakes) = &mut *self.tally.borrow_mut();
                        tally.conversed(sent, done, outcome);
                        if number == 1 && outcome == Outcome::Accepted {
                            handshakes.answered(done - begun);
                        }
                        if number == self.requests && !matches!(outcome, Outcome::Failed(_)) {
                            handshakes.connections += 1;
                        } else if !keep {
                            if outcome == Outcome::Accepted {
                                // It ended before its time: what follows cannot be sent where it belongs.
                                tally.outcomes.add(Outcome::Failed(Transport::Closed));
                            }
                            break;
                        }
                    }
                    slot.hang_up(conversation).await;
                }
                Err(error) => {
                    self.tally.borrow_mut().0.refused(error.outcome);
                    slot.pause_after_failures().await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bench_server::contract::{HttpVersion, Transport as Carrier};

    use super::*;
    use crate::credential::Pool;
    use crate::load::testing::{Pki, Reply, Seen, Setup, honest, keys, ok, serve};
    use crate::plan::ClientWait;

    const CONNECTIONS: usize = 3;

    /// Slices of a loop until more than `enough` connections were used, however slow the machine is.
    async fn looped(session: &mut Session, kind: ConnectionKind, requests: u32, enough: u64) -> Tally {
        let mut tally = Tally::new();
        session.prime(CONNECTIONS, kind).await;
        for _ in 0..500 {
            let length = Duration::from_millis(10);
            session.connection_loop(length, CONNECTIONS, kind, requests, &mut tally).await;
            if tally.connections_opened > enough {
                return tally;
            }
        }
        panic!("5 s brought {:?}", tally.outcomes);
    }

    async fn session(setup: Setup<'_>, handler: impl Fn(&Seen<'_>) -> Reply + Send + Sync + 'static) -> Session {
        let endpoint = serve(setup, handler).await;
        Session::open(endpoint, Arc::new(Pool::new(keys(10), 1.0, 1)), CONNECTIONS, 1, ClientWait::Sleep).await.unwrap()
    }

    /// What is counted of a loop, exactly: connections, full, resumed, with certificate.
    #[track_caller]
    fn counts(tally: &Tally, requests: u32) -> [u64; 4] {
        let handshakes = tally.handshakes.as_ref().expect("it was a loop of connections");
        assert_eq!(tally.outcomes.unexpected(tally.wanted), 0, "{:?}", tally.outcomes);
        assert_eq!(tally.answered, handshakes.connections * u64::from(requests), "connections are whole");
        assert_eq!(tally.outcomes.accepted, tally.answered);
        assert_eq!(tally.connections_opened, handshakes.connections);
        for times in [&handshakes.ready, &handshakes.tcp, &handshakes.tls, &handshakes.first_answer] {
            assert_eq!(times.len(), handshakes.connections);
        }
        [handshakes.connections, tally.handshakes_full, tally.handshakes_resumed, handshakes.certificates]
    }

    #[tokio::test]
    async fn every_connection_is_of_the_kind_asked_for_and_carries_its_requests() {
        let pki = Pki::new();
        for transport in [Carrier::Tls12, Carrier::Tls13] {
            for http in [HttpVersion::Http1, HttpVersion::Http2] {
                let setup = Setup { transport, http, pki: Some(&pki), client_certificates: false };
                // Over HTTP/2 the head of the test's server is the field alone.
                let mut session = session(setup, honest).await;
                for requests in [1, 5] {
                    let full = looped(&mut session, ConnectionKind::Fresh, requests, 10).await;
                    let [connections, ..] = counts(&full, requests);
                    assert_eq!(counts(&full, requests), [connections, connections, 0, 0], "{transport:?} {http:?}");
                    let resumed = looped(&mut session, ConnectionKind::Resumed, requests, 10).await;
                    let [connections, ..] = counts(&resumed, requests);
                    assert_eq!(counts(&resumed, requests), [connections, 0, connections, 0], "{transport:?} {http:?}");
                    let groups = &full.handshakes.as_ref().unwrap().key_exchange;
                    assert_eq!(groups.values().sum::<u64>(), full.handshakes_full, "{groups:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn certificates_are_counted_where_the_server_asks_for_them() {
        let pki = Pki::new();
        for asks in [true, false] {
            let setup = Setup { client_certificates: asks, ..setup_of(&pki) };
            let endpoint = serve(setup, |_| Reply::Answer(ok("app-0"))).await;
            let issued = (0..CONNECTIONS).map(|_| pki.client("app-0")).collect();
            let pool = Arc::new(Pool::new(issued, 1.0, 1));
            let mut session = Session::open(endpoint, pool, CONNECTIONS, 1, ClientWait::Sleep).await.unwrap();
            let tally = looped(&mut session, ConnectionKind::Fresh, 1, 10).await;
            let [connections, full, resumed, certificates] = counts(&tally, 1);
            assert_eq!((full, resumed, certificates), (connections, 0, if asks { connections } else { 0 }));
        }
    }

    fn setup_of(pki: &Pki) -> Setup<'_> {
        Setup { transport: Carrier::Tls13, http: HttpVersion::Http1, pki: Some(pki), client_certificates: true }
    }

    #[tokio::test]
    async fn a_server_that_never_resumes_is_seen_to_make_full_handshakes() {
        let pki = Pki::forgetful();
        for transport in [Carrier::Tls12, Carrier::Tls13] {
            let setup = Setup { transport, client_certificates: false, ..setup_of(&pki) };
            let mut session = session(setup, honest).await;
            let tally = looped(&mut session, ConnectionKind::Resumed, 1, 10).await;
            let [connections, full, resumed, _] = counts(&tally, 1);
            assert_eq!((full, resumed), (connections, 0), "{transport:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_before_its_time_is_a_failure() {
        let pki = Pki::new();
        let setup = Setup { client_certificates: false, ..setup_of(&pki) };
        let mut session = session(setup, |seen| match honest(seen) {
            Reply::Answer(answer) => Reply::Last(answer),
            other => other,
        })
        .await;
        let tally = looped(&mut session, ConnectionKind::Fresh, 2, 10).await;
        let failed = tally.outcomes.failed.get(&Transport::Closed).copied().unwrap_or_default();
        assert!(failed > 0 && failed == tally.outcomes.accepted, "{:?}", tally.outcomes);
        assert_eq!(tally.handshakes.unwrap().connections, 0);
    }
}
