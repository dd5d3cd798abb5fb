//! Connections that end although nobody asks anything on them. Time is paused: it passes when nobody has anything to do.

use tokio::time::Instant;

use super::super::registry::GRACE;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

impl Fixture {
    fn registry(&self) -> Arc<Registry> {
        self.mtls.client_certificates().registry.expect("connections are watched")
    }

    async fn identity(&self, lifetime: Duration) -> (Issued, Arc<ClientIdentity>) {
        let request = IssueRequest { count: 1, lifetime: Some(lifetime), scopes: vec![READ_SCOPE.to_owned()] };
        let one = self.mtls.issue(&request).await.unwrap().remove(0);
        let open = self.handshake(&rustls::version::TLS13, issued(&one)).unwrap();
        let client = open.client.expect("a certificate");
        (one, client)
    }
}

#[tokio::test(start_paused = true)]
async fn mt_26_bc_147_an_idle_connection_ends_when_its_certificate_is_revoked_and_its_neighbour_stays() {
    let fixture = fixture();
    let ((revoked, client), (_, other)) = (fixture.identity(DAY).await, fixture.identity(DAY).await);
    let registry = fixture.registry();
    let mut watched = std::pin::pin!(registry.until_end(Some(client)));
    let mut neighbour = std::pin::pin!(registry.until_end(Some(other)));
    assert!((&mut watched).now_or_never().is_none() && (&mut neighbour).now_or_never().is_none());
    fixture.mtls.revoke(&revoked.id).await.unwrap();
    let told = Instant::now();
    watched.await;
    assert!(told.elapsed() <= GRACE + SECOND, "it does not wait for its next look");
    assert!(neighbour.now_or_never().is_none());
    assert_eq!(fixture.environment.meter.connections_lapsed.get(), 1);
}

/// Nobody looks at a CRL, and nobody is asked about a connection without requests; this node knows all the same.
#[tokio::test(start_paused = true)]
async fn mt_26_by_ocsp_alone_an_idle_connection_ends_when_its_certificate_is_revoked_here() {
    let fixture = with(&MtlsConfig::by_ocsp(asked_at("http://127.0.0.1:1/", HOUR)));
    let ((revoked, client), (_, other)) = (fixture.identity(DAY).await, fixture.identity(DAY).await);
    let registry = fixture.registry();
    let mut watched = std::pin::pin!(registry.until_end(Some(client)));
    let mut neighbour = std::pin::pin!(registry.until_end(Some(other)));
    assert!((&mut watched).now_or_never().is_none() && (&mut neighbour).now_or_never().is_none());
    fixture.mtls.revoke(&revoked.id).await.unwrap();
    let told = Instant::now();
    watched.await;
    assert!(told.elapsed() <= GRACE + SECOND, "it does not wait for its next look");
    assert!(neighbour.now_or_never().is_none());
    assert_eq!(fixture.environment.meter.counters().store_lookups, 0, "nobody was asked");
}

#[tokio::test(start_paused = true)]
async fn mt_26_where_requests_do_not_look_again_nor_does_the_registry() {
    let fixture = with(&MtlsConfig { recheck: false, ..config() });
    let (revoked, client) = fixture.identity(DAY).await;
    let registry = fixture.registry();
    let begun = Instant::now();
    fixture.mtls.revoke(&revoked.id).await.unwrap();
    registry.until_end(Some(client)).await;
    assert!(begun.elapsed() > GRACE + SECOND, "its age alone ends it");
}

#[tokio::test(start_paused = true)]
async fn mt_27_a_connection_ends_with_its_certificate_whoever_moves_the_clock() {
    let fixture = fixture();
    let (_, client) = fixture.identity(60 * SECOND).await;
    let registry = fixture.registry();
    let begun = Instant::now();
    let mut watched = std::pin::pin!(registry.until_end(Some(client.clone())));
    assert!((&mut watched).now_or_never().is_none());
    fixture.clock.advance(2 * 60 * SECOND).unwrap();
    watched.await;
    assert!(begun.elapsed() <= 60 * SECOND, "within a minute of the end: {:?}", begun.elapsed());
    // One that has ended already.
    let begun = Instant::now();
    registry.until_end(Some(client)).await;
    assert_eq!(begun.elapsed(), GRACE);
}

#[tokio::test(start_paused = true)]
async fn mt_28_connections_have_a_longest_age_and_do_not_end_together() {
    let default = fixture().registry();
    assert_eq!(default.longest, MtlsConfig::LONGEST_CONNECTION);
    let fixture = with(&MtlsConfig { max_connection_age: Some(10 * 60 * SECOND), ..config() });
    let registry = fixture.registry();
    let mut ages = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        registry.until_end(None).await;
        ages.push(begun.elapsed());
    }
    assert!(ages.iter().all(|age| (540 * SECOND..=601 * SECOND).contains(age)), "{ages:?}");
    ages.dedup();
    assert!(ages.len() > 1, "all the same: {ages:?}");
}
