//! Both loops against servers that do what the test says.

use std::sync::atomic::{AtomicUsize, Ordering};

use bench_server::contract::Transport as Carrier;
use hdrhistogram::Histogram;
use tokio::sync::Notify;

use super::*;
use crate::load::FirstCall;
use crate::load::testing::{PLAIN, Pki, Reply, Setup, answer, honest, keys, ok, serve};
use crate::outcome::RejectReason;
use crate::plan::{ClientWait, Rate};

const REUSED: ConnectionKind = ConnectionKind::Reused;

async fn session(endpoint: Endpoint, credentials: usize, connections: usize) -> Session {
    let pool = Arc::new(Pool::new(keys(credentials), 1.0, 1));
    Session::open(endpoint, pool, connections, 1, ClientWait::Sleep).await.unwrap()
}

/// One open-loop slice at a steady rate.
async fn open_loop(
    session: &mut Session,
    model: ArrivalModel,
    rate_per_s: f64,
    length: Duration,
    connections: usize,
    tally: &mut Tally,
) {
    let profile = Profile::new(&Rate::Steady(rate_per_s), length);
    session.open_loop(OpenLoop { model, profile: &profile }, Duration::ZERO, length, connections, REUSED, tally).await;
}

/// Closed-loop slices until more than `enough` requests were answered, however slow the machine is.
async fn loop_until(session: &mut Session, enough: u64, connections: usize, kind: ConnectionKind) -> Tally {
    let mut tally = Tally::new();
    for _ in 0..500 {
        session.closed_loop(Duration::from_millis(20), connections, kind, &mut tally).await;
        if tally.outcomes.total() > enough {
            return tally;
        }
    }
    panic!("10 s brought {:?}", tally.outcomes);
}

fn at_least(histogram: &Histogram<u64>, value: Duration) -> u64 {
    // Three significant digits: a value may be stored up to 0.1 % lower.
    let value = value.as_nanos() as u64 / 1000 * 998;
    histogram.iter_recorded().filter(|step| step.value_iterated_to() >= value).map(|step| step.count_at_value()).sum()
}

fn failed(tally: &Tally, cause: Transport) -> u64 {
    tally.outcomes.failed.get(&cause).copied().unwrap_or(0)
}

#[tokio::test]
async fn a_stall_is_charged_from_the_intended_time() {
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arrived2, release2) = (Arc::clone(&arrived), Arc::clone(&release));
    let endpoint = serve(PLAIN, move |seen| match seen.number {
        0 => {
            arrived2.notify_one();
            Reply::Held(Arc::clone(&release2), ok("app-0"))
        }
        _ => honest(seen),
    })
    .await;
    let mut session = session(endpoint, 1, 1).await;
    let mut tally = Tally::new();
    let stall = Duration::from_millis(100);
    let load = open_loop(&mut session, ArrivalModel::Constant, 1000.0, stall, 1, &mut tally);
    tokio::join!(load, async {
        arrived.notified().await;
        tokio::time::sleep(stall).await;
        release.notify_one();
    });
    // What fell due during the stall counts, too, behind the slice's end as before it.
    let due = tally.measured.as_micros().div_ceil(1000) as u64;
    assert!(due >= 100 && tally.outcomes.accepted.abs_diff(due) <= 1, "{due} were due, {:?}", tally.outcomes);
    assert_eq!((tally.outcomes.unexpected(tally.wanted), tally.dropped), (0, 0));
    // Request i was due i ms after the first, whose answer took the stall or longer: it waited stall − i ms at least,
    // however slow this machine is.
    for share in [25, 50, 75] {
        let waited = at_least(&tally.latency, stall - Duration::from_millis(share));
        assert!(waited > share, "{waited} requests waited {} ms or more", 100 - share);
    }
    // They queued behind the server's stall; none of it is the client's lateness.
    assert!(tally.queued > 75, "{}", tally.queued);
    assert_eq!(tally.queued + tally.lateness.len(), tally.outcomes.accepted);
    let long = at_least(&tally.service_time, stall / 2);
    assert!((1..10).contains(&long), "only the held request itself took long: {long}");
}

#[tokio::test]
async fn a_stall_over_the_end_of_a_closed_slice_is_counted() {
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arrived2, release2) = (Arc::clone(&arrived), Arc::clone(&release));
    let endpoint = serve(PLAIN, move |seen| match seen.number {
        0 => {
            arrived2.notify_one();
            Reply::Held(Arc::clone(&release2), ok("app-0"))
        }
        _ => honest(seen),
    })
    .await;
    let mut session = session(endpoint, 1, 1).await;
    let mut tally = Tally::new();
    let (slice, stall) = (Duration::from_millis(10), Duration::from_millis(100));
    let load = session.closed_loop(slice, 1, REUSED, &mut tally);
    tokio::join!(load, async {
        arrived.notified().await;
        tokio::time::sleep(stall).await;
        release.notify_one();
    });
    assert_eq!((tally.outcomes.accepted, tally.answered), (1, 1), "the slice ended with the answer it waited for");
    assert!(tally.measured >= stall, "{:?}", tally.measured);
    // Little's law with one connection: in flight all the time, but for the moments before the first send.
    assert!(tally.in_flight <= tally.measured && tally.in_flight >= stall, "{:?}", tally.in_flight);
}

#[tokio::test]
async fn what_cannot_be_sent_is_dropped_and_what_hangs_times_out() {
    let endpoint = serve(PLAIN, |_| Reply::Nothing).await;
    let mut session = session(endpoint, 1, 2).await;
    session.patience = Duration::from_millis(50);
    session.extension = Duration::ZERO;
    let mut tally = Tally::new();
    let length = Duration::from_millis(50);
    open_loop(&mut session, ArrivalModel::Constant, 1000.0, length, 2, &mut tally).await;
    assert_eq!(failed(&tally, Transport::Timeout), 2);
    assert_eq!((tally.dropped, tally.answered, tally.lateness.len()), (48, 0, 0));

    let mut tally = Tally::new();
    session.closed_loop(length, 2, REUSED, &mut tally).await;
    assert_eq!((failed(&tally, Transport::Timeout), tally.connections_opened), (2, 2), "both were opened again");
}

#[tokio::test]
async fn what_is_not_sent_until_load_must_end_is_dropped() {
    let endpoint = serve(PLAIN, honest).await;
    let mut session = session(endpoint, 1, 1).await;
    session.extension = Duration::ZERO;
    let mut tally = Tally::new();
    // More than any server answers over one connection in this time.
    let length = Duration::from_millis(20);
    open_loop(&mut session, ArrivalModel::Constant, 10_000_000.0, length, 1, &mut tally).await;
    assert!(tally.dropped > 0);
    assert_eq!(tally.outcomes.accepted + tally.dropped, 200_000);
    assert_eq!(tally.measured, length);
}

#[tokio::test]
async fn open_loop_sends_what_the_seed_says() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let endpoint = serve(PLAIN, move |request| {
        log.lock().unwrap().push(request.head.to_owned());
        honest(request)
    })
    .await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        // One connection keeps the order.
        let mut session = session(endpoint.clone(), 50, 1).await;
        let mut tally = Tally::new();
        let length = Duration::from_millis(50);
        open_loop(&mut session, ArrivalModel::Poisson, 2000.0, length, 1, &mut tally).await;
        assert_eq!(tally.outcomes.unexpected(tally.wanted), 0);
        runs.push(std::mem::take(&mut *seen.lock().unwrap()));
    }
    // How long the answers take decides where they end, not what is sent until then.
    let both = runs[0].len().min(runs[1].len());
    assert!(both > 50, "100 are due on average: {both}");
    assert_eq!(runs[0][..both], runs[1][..both]);
}

#[tokio::test]
async fn closed_loop_counts_what_ends_inside_and_drains_the_rest() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let endpoint = serve(PLAIN, move |seen| {
        count.fetch_add(1, Ordering::Relaxed);
        honest(seen)
    })
    .await;
    let mut session = session(endpoint, 10, 4).await;
    let tally = loop_until(&mut session, 100, 4, REUSED).await;
    let slices = tally.measured.as_millis() as u64 / 20;
    let accepted = tally.outcomes.accepted;
    assert_eq!(tally.answered, served.load(Ordering::Relaxed) as u64, "every request was answered");
    assert!(tally.answered - accepted <= 4 * slices, "at most one per connection was out when a slice ended");
    assert_eq!((tally.latency.len(), tally.service_time.len(), tally.lateness.len()), (accepted, accepted, 0));
    assert_eq!((tally.outcomes.unexpected(tally.wanted), tally.connections_opened), (0, 0));
    let bytes = |n: usize| n as u64 * tally.answered;
    assert_eq!(
        tally.bytes_sent,
        bytes(session.wire.requests.http1(0, &mut super::super::signing::Desk::default()).len())
    );
    assert_eq!(tally.bytes_received, bytes(ok("app-0").len()));
}

#[tokio::test]
async fn fewer_connections_than_were_opened_can_be_used() {
    let highest = Arc::new(AtomicUsize::new(0));
    let seen_highest = Arc::clone(&highest);
    let endpoint = serve(PLAIN, move |seen| {
        seen_highest.fetch_max(seen.connection, Ordering::Relaxed);
        honest(seen)
    })
    .await;
    let mut session = session(endpoint, 1, 6).await;
    loop_until(&mut session, 10, 2, REUSED).await;
    assert_eq!(highest.load(Ordering::Relaxed), 1);
    loop_until(&mut session, 10, 100, REUSED).await;
    assert_eq!(highest.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn every_kind_of_answer_is_counted_as_what_it_is() {
    let endpoint = serve(PLAIN, |seen| match seen.number % 6 {
        0 => Reply::Answer(ok("somebody-else")),
        1 => Reply::Answer(answer("401 No", "www-authenticate: Bearer error=\"invalid_token\"\r\n", "")),
        2 => Reply::Answer(answer("503 Later", "retry-after: 1\r\n", "later")),
        3 => Reply::Close,
        4 => Reply::Answer("garbage\r\n\r\n".to_owned()),
        _ => Reply::Answer(ok("app-0")),
    })
    .await;
    let mut session = session(endpoint, 1, 1).await;
    let mut tally = Tally::new();
    let length = Duration::from_millis(60);
    open_loop(&mut session, ArrivalModel::Constant, 1000.0, length, 1, &mut tally).await;
    // 60 requests, and what fell due until they were answered: the kinds follow one another in a circle.
    let sent = tally.outcomes.total();
    assert!(sent >= 60, "{sent}");
    let kind = |number: u64| (sent + 5 - number) / 6;
    assert_eq!(failed(&tally, Transport::WrongPrincipal), kind(0));
    assert_eq!(tally.outcomes.rejected[&RejectReason::InvalidCredential], kind(1));
    assert_eq!(tally.outcomes.rejected[&RejectReason::Unavailable], kind(2));
    assert_eq!(failed(&tally, Transport::Closed), kind(3));
    assert_eq!(failed(&tally, Transport::Protocol), kind(4));
    assert_eq!((tally.outcomes.accepted, tally.latency.len()), (kind(5), kind(5)));
    assert_eq!(tally.answered, sent - kind(3) - kind(4));
    // A connection is replaced by the next request.
    assert!(tally.connections_opened.abs_diff(kind(3) + kind(4)) <= 1, "closed and confused ones were replaced");
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_followed() {
    let endpoint =
        serve(PLAIN, |_| Reply::Last(answer("200 OK", "connection: close\r\n", "{\"principal\":\"app-0\"}"))).await;
    let mut session = session(endpoint, 1, 2).await;
    let tally = loop_until(&mut session, 10, 2, REUSED).await;
    assert_eq!(tally.outcomes.unexpected(tally.wanted), 0);
    assert_eq!(tally.connections_opened, tally.answered - 2, "the first two were open before");
}

#[tokio::test]
async fn connections_closed_between_slices_are_opened_again() {
    let endpoint = serve(PLAIN, |_| Reply::Last(ok("app-0"))).await;
    let mut session = session(endpoint, 1, 1).await;
    for expected in [0, 1, 1] {
        let mut tally = Tally::new();
        // One arrival (the next is due 200 ms later): the server closes behind it and does not announce that.
        open_loop(&mut session, ArrivalModel::Constant, 5.0, Duration::from_millis(200), 1, &mut tally).await;
        assert_eq!((tally.outcomes.accepted, tally.outcomes.unexpected(tally.wanted)), (1, 0));
        assert_eq!(tally.connections_opened, expected);
        // Until the end of the stream is here, as it is when another case had its slice in between.
        while {
            session.slots[0].drop_dead().await;
            session.slots[0].keeps_connection()
        } {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_dead_server_fails_requests_without_spinning() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint { address: listener.local_addr().unwrap(), ..serve(PLAIN, honest).await };
    let mut session = session(endpoint.clone(), 1, 1).await;
    drop(listener);
    let mut tally = Tally::new();
    session.closed_loop(Duration::from_millis(200), 1, REUSED, &mut tally).await;
    let failures = failed(&tally, Transport::Connect);
    assert!((1..20).contains(&failures), "3 at once, then one per pause: {failures}");
    assert_eq!(tally.answered, 0);

    let error = Session::open(endpoint, Arc::clone(&session.pool), 1, 1, ClientWait::Sleep).await.err();
    assert!(error.expect("nobody listens").to_string().starts_with("cannot connect to 127.0.0.1:"));
}

#[tokio::test]
async fn handshakes_are_counted_as_what_they_were() {
    let pki = Pki::new();
    for transport in [Carrier::Tls12, Carrier::Tls13] {
        let setup = Setup { transport, http: HttpVersion::Http1, pki: Some(&pki), client_certificates: false };
        let endpoint = serve(setup, honest).await;
        let mut session = session(endpoint, 10, 3).await;
        let reused = loop_until(&mut session, 10, 3, REUSED).await;
        assert_eq!((reused.handshakes_full, reused.handshakes_resumed), (0, 0));
        let fresh = loop_until(&mut session, 10, 3, ConnectionKind::Fresh).await;
        assert_eq!((fresh.handshakes_full, fresh.handshakes_resumed), (fresh.answered, 0));
        let resumed = loop_until(&mut session, 10, 3, ConnectionKind::Resumed).await;
        assert_eq!((resumed.handshakes_full, resumed.handshakes_resumed), (3, resumed.answered), "{transport:?}");
        let resumed = loop_until(&mut session, 10, 3, ConnectionKind::Resumed).await;
        assert_eq!((resumed.handshakes_full, resumed.handshakes_resumed), (0, resumed.answered), "primed once");

        for tally in [reused, fresh, resumed] {
            assert_eq!(tally.outcomes.unexpected(tally.wanted), 0);
        }
    }
}

#[tokio::test]
async fn streams_share_connections_in_http2() {
    let pki = Pki::new();
    for (transport, pki) in [(Carrier::Plaintext, None), (Carrier::Tls13, Some(&pki))] {
        let highest = Arc::new(AtomicUsize::new(0));
        let seen_highest = Arc::clone(&highest);
        let setup = Setup { transport, http: HttpVersion::Http2, pki, client_certificates: false };
        let endpoint = serve(setup, move |seen| {
            seen_highest.fetch_max(seen.connection, Ordering::Relaxed);
            honest(seen)
        })
        .await;
        let mut session = session(endpoint, 10, 40).await;
        let tally = loop_until(&mut session, 100, 40, REUSED).await;
        assert_eq!((tally.outcomes.unexpected(tally.wanted), tally.connections_opened), (0, 0));
        assert_eq!(highest.load(Ordering::Relaxed), 2, "40 streams, 16 to a connection");

        let tally = loop_until(&mut session, 10, 2, ConnectionKind::Fresh).await;
        assert_eq!((tally.outcomes.unexpected(tally.wanted), tally.connections_opened), (0, tally.answered));
    }
}

#[tokio::test]
async fn http2_connections_that_the_server_ends_are_replaced() {
    let setup = Setup { http: HttpVersion::Http2, ..PLAIN };
    let endpoint = serve(setup, |seen| match seen.number {
        5 => Reply::Close,
        6 => Reply::Answer(answer("403 No", "www-authenticate: Bearer error=\"insufficient_scope\"\r\n", "")),
        _ => honest(seen),
    })
    .await;
    let mut session = session(endpoint, 1, 1).await;
    let mut tally = Tally::new();
    let length = Duration::from_millis(50);
    open_loop(&mut session, ArrivalModel::Constant, 1000.0, length, 1, &mut tally).await;
    assert_eq!(tally.outcomes.rejected[&RejectReason::InsufficientScope], 1);
    let sent = tally.outcomes.total();
    assert!(sent >= 50 && tally.outcomes.accepted >= sent - 3, "{:?}", tally.outcomes);
    assert_eq!(tally.connections_opened, 1);
}

#[tokio::test]
async fn each_connection_presents_its_own_certificate() {
    let pki = Pki::new();
    let setup =
        Setup { transport: Carrier::Tls13, http: HttpVersion::Http1, pki: Some(&pki), client_certificates: true };
    // The certificate is seen by TLS, not by this handler: connections are opened in order.
    let endpoint = serve(setup, |seen| Reply::Answer(ok(&format!("app-{}", seen.connection % 2)))).await;
    let stranger = Pki::new().client("app-0");
    let pool = Arc::new(Pool::new(vec![pki.client("app-0"), pki.client("app-1")], 1.0, 1));
    let mut session = Session::open(endpoint.clone(), pool, 1, 1, ClientWait::Sleep).await.unwrap();
    let tally = loop_until(&mut session, 10, 1, REUSED).await;
    assert_eq!(
        tally.outcomes.unexpected(tally.wanted),
        0,
        "only the principal of certificate 0 is expected on connection 0"
    );

    let pool = Arc::new(Pool::new(vec![stranger], 1.0, 1));
    let mut session = Session::open(endpoint, pool, 1, 1, ClientWait::Sleep).await.unwrap();
    let tally = loop_until(&mut session, 10, 1, ConnectionKind::Fresh).await;
    assert!(tally.outcomes.rejected[&RejectReason::TlsAlert] > 10);
    assert_eq!((tally.outcomes.accepted, tally.outcomes.failed.len()), (0, 0));
}

/// In TLS 1.3 a client is done before the server has looked at its certificate (RFC 8446 §4.4.2.4), and whoever has a
/// certificate that is good has no answer yet.
#[tokio::test]
async fn mt_10_success_is_an_answer_and_not_the_end_of_a_handshake() {
    let pki = Pki::new();
    let setup = |transport| Setup { transport, http: HttpVersion::Http1, pki: Some(&pki), client_certificates: true };
    for (transport, connects) in [(Carrier::Tls12, false), (Carrier::Tls13, true)] {
        let endpoint = serve(setup(transport), |_| Reply::Answer(ok("app-0"))).await;
        let mut call = FirstCall::new(endpoint, &Pki::new().client("app-0")).unwrap();
        assert_eq!(call.connect().await.is_ok(), connects, "{transport:?}");
        if connects {
            assert_eq!(call.request().await.0, Outcome::Rejected(RejectReason::TlsAlert));
        }
    }
    // A server that takes the certificate, and ends the connection without a byte of an answer.
    let endpoint = serve(setup(Carrier::Tls13), |_| Reply::Close).await;
    let pool = Arc::new(Pool::new(vec![pki.client("app-0")], 1.0, 1));
    let mut session = Session::open(endpoint, pool, 1, 1, ClientWait::Sleep).await.unwrap();
    let tally = loop_until(&mut session, 10, 1, ConnectionKind::Fresh).await;
    assert_eq!(failed(&tally, Transport::Closed), tally.outcomes.total(), "{:?}", tally.outcomes);
    assert!(tally.handshakes_full > 10, "it was let in each time: {}", tally.handshakes_full);
}

/// The kernel's account of a session under a closed loop, and what the session itself counted.
#[cfg(target_os = "linux")]
async fn kernel_and_own_counts(kind: ConnectionKind) -> (Cell<crate::machine::TcpCounts>, Tally) {
    let endpoint = serve(PLAIN, honest).await;
    let mut session = session(endpoint, 4, 2).await;
    let before = session.tcp();
    let tally = loop_until(&mut session, 20, 2, kind).await;
    let after = session.tcp();
    (before.and_then(|before| after.and_then(|after| after.since(before).into())), tally)
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_kernel_counts_the_same_bytes_on_kept_connections() {
    let (kernel, own) = kernel_and_own_counts(REUSED).await;
    let kernel = kernel.known().copied().expect("Linux tells");
    assert_eq!(kernel.bytes_sent - kernel.bytes_retransmitted, own.bytes_sent);
    assert_eq!(kernel.bytes_received, own.bytes_received);
    assert!(kernel.segments_sent > 0);
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn connections_that_closed_leave_no_account() {
    let (kernel, own) = kernel_and_own_counts(ConnectionKind::Fresh).await;
    assert!(own.connections_opened > 20);
    assert!(kernel.reason().is_some_and(|reason| reason.contains("closed")), "{kernel:?}");
}
