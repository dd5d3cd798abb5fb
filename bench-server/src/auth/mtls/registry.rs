//! Connections with client certificates, and when each has to end although nobody asks anything on it.
//!
//! A request on a connection whose certificate was taken back is refused when it comes. One that is idle would stay open, so
//! each connection is watched: it ends when a list is taken over that names its certificate, when the certificate ends, and
//! in any case after a time that is not the same for all, so that they do not all come back together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::ocsp::Ocsp;
use super::revocation::Status;
use super::verifier::Verifier;
use crate::clock::Clock;
use crate::credential::x509::ClientIdentity;
use crate::telemetry::Meter;

/// Longest time between two looks at the clock, which somebody may have set.
const LOOK: Duration = Duration::from_secs(30);

/// How long a connection outlives its certificate, so that who uses it gets an answer that says why: a request on it is
/// refused meanwhile.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// Connections live for at least this share of the longest time.
const LEAST_SHARE: f64 = 0.9;

/// Says when connections have to end.
pub(crate) struct Registry {
    pub(super) clock: Clock,
    pub(super) verifier: Arc<Verifier>,
    pub(super) ocsp: Option<Arc<Ocsp>>,
    /// Whether a revocation ends open connections.
    pub(super) recheck: bool,
    pub(super) longest: Duration,
    /// Told after every change of what is known to be revoked.
    pub(super) changed: watch::Sender<()>,
    pub(super) meter: Arc<Meter>,
}

impl Registry {
    /// Returns when the connection with this client has to end.
    pub(crate) async fn until_end(&self, client: Option<Arc<ClientIdentity>>) {
        let mut changes = self.changed.subscribe();
        let share = LEAST_SHARE + (1.0 - LEAST_SHARE) * rand::random::<f64>();
        let end = Instant::now() + self.longest.mul_f64(share);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let good_for = client.as_deref().map_or(left, |client| self.good_for(client));
            if good_for.is_zero() {
                sleep(GRACE).await;
            }
            let left = left.min(good_for);
            if left.is_zero() {
                self.meter.connections_lapsed.add();
                return;
            }
            tokio::select! {
                // The registry holds the sender itself, so there is always a next change.
                _ = changes.changed() => {}
                () = sleep(left.min(LOOK)) => {}
            }
        }
    }

    /// How long a certificate is good for, as far as is known; zero once it is not.
    fn good_for(&self, client: &ClientIdentity) -> Duration {
        let now = self.clock.now();
        if self.recheck && self.is_revoked(client) {
            return Duration::ZERO;
        }
        // `notAfter` belongs to the lifetime.
        (client.not_after.0 + Duration::from_secs(1)).saturating_sub(now.0)
    }

    fn is_revoked(&self, client: &ClientIdentity) -> bool {
        let listed = self.verifier.current().is_some_and(|current| {
            let key = client.issuer_key_id.as_deref();
            current.status(&client.issuer, key, &client.serial, self.clock.now()) == Status::Revoked
        });
        listed || self.ocsp.as_ref().is_some_and(|ocsp| ocsp.is_known_revoked(client))
    }
}
