//! Leaves asked about by OCSP (RFC 6960): one question in flight for each, answers kept while they are good.
//!
//! Whatever keeps an answer from being used (nobody there, too slow, forged, stale, about something else) counts as no
//! answer, and the policy says what a certificate is then worth: by default nothing.
//!
//! Questions go by POST with a nonce, so that no copy on the way can answer them, and an old answer that somebody
//! recorded is none.

mod answer;

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use rustls::crypto::WebPkiSupportedAlgorithms;
use tokio::sync::watch;
use x509_cert::der::asn1::OctetString;
use x509_cert::der::{self, Encode};
use x509_cert::ext::Extension;
use x509_ocsp::{OcspRequest, TbsRequest, Version};

pub(super) use self::answer::{Issuer, Unusable, Verdict};
use super::trust::Trust;
use crate::auth::flights::Flights;
use crate::auth::outbound::{Http, OncePerSecond, Trouble, send_for};
use crate::auth::{BuildError, Cause, Rejection};
use crate::clock::{Clock, UnixTime};
use crate::config::{CacheConfig, OcspConfig, OcspPolicy};
use crate::credential::ocsp::{NONCE, NONCE_LENGTH, NotACertificate, REQUEST_TYPE, RESPONSE_TYPE};
use crate::credential::x509::ClientIdentity;
use crate::issuer::ca::{CaError, CertificateAuthority};
use crate::store::cache::TtlCache;
use crate::telemetry::Meter;

/// When to try again after there was no answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Known revocations after so many of which those that have ended go.
const PRUNED_EVERY: usize = 256;

/// What an acceptance rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// An answer that says so.
    Answer,
    /// The policy, for want of one.
    Policy,
}

/// Why nothing is known of a certificate. For the log.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error(transparent)]
    Http(#[from] Trouble),
    #[error(transparent)]
    Question(#[from] NotACertificate),
    #[error("the question cannot be encoded: {0}")]
    Encoding(#[from] der::Error),
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("the random source failed")]
    NoRandom,
}

/// What names a leaf: a serial number is its issuer's (RFC 5280 §4.1.2.2), so the digest of that goes with it.
type LeafId = ([u8; 32], Arc<str>);

/// Asks about leaves of the CAs that are trusted.
pub(super) struct Ocsp {
    url: String,
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
    /// The CAs that sign leaves, as far as they are known here.
    issuers: ArcSwap<Vec<Arc<Issuer>>>,
    policy: OcspPolicy,
    clock: Clock,
    http: Http,
    meter: Arc<Meter>,
    /// Good leaves. One that the CA does not know yet may be known a moment later.
    cache: TtlCache<LeafId, (), RandomState>,
    /// Questions under way; `None` when there was no answer.
    flights: Flights<LeafId, Option<Verdict>>,
    /// Leaves that are known to be revoked, with the second after which they have ended by themselves: what was refused once
    /// is refused for good, whoever keeps the responder from saying so again.
    revoked: RwLock<HashMap<LeafId, u64>>,
    /// Told when there are more of them.
    changed: watch::Sender<()>,
    logged: OncePerSecond,
}

impl Ocsp {
    /// Asks the responder at `url`.
    pub(super) fn new(
        url: &str,
        config: &OcspConfig,
        trust: Trust,
        algorithms: WebPkiSupportedAlgorithms,
        changed: watch::Sender<()>,
        (clock, meter): (Clock, Arc<Meter>),
    ) -> Result<Self, BuildError> {
        let issuers = issuers(&trust, algorithms).map_err(|error| super::state("the CA's certificate", error))?;
        Ok(Self {
            url: url.to_owned(),
            trust,
            algorithms,
            issuers: ArcSwap::from_pointee(issuers),
            policy: config.policy,
            clock,
            http: Http::new(None, meter.clone())?,
            meter,
            cache: TtlCache::new(&CacheConfig::new(config.validity), RandomState::new())?,
            flights: Flights::default(),
            revoked: RwLock::default(),
            changed,
            logged: OncePerSecond::default(),
        })
    }

    /// Whether a leaf is accepted by a request of that time, and if so, on what that rests.
    pub(super) async fn check(&self, leaf: &ClientIdentity, now: UnixTime) -> Result<Ground, Rejection> {
        // The responder speaks for CAs that are known here; of others it knows nothing.
        let Some(issuer) = self.issuer_of(leaf).await else { return self.unanswered() };
        let id = (issuer.digest(), leaf.serial.clone());
        if self.known_revoked().contains_key(&id) {
            return Err(Rejection::Invalid(Cause::Revoked));
        }
        match self.verdict(&issuer, &id, now).await {
            Some(Verdict::Good) => Ok(Ground::Answer),
            Some(Verdict::Revoked) => {
                self.remember_revoked(id, leaf.not_after, now);
                Err(Rejection::Invalid(Cause::Revoked))
            }
            Some(Verdict::Unknown) => Err(Rejection::Invalid(Cause::Unknown)),
            None => self.unanswered(),
        }
    }

    /// What a leaf is worth that nobody could be asked about.
    fn unanswered(&self) -> Result<Ground, Rejection> {
        if self.policy == OcspPolicy::Soft {
            self.meter.ocsp_accepted_unanswered.add();
            return Ok(Ground::Policy);
        }
        Err(Rejection::Unavailable { dependency: "ocsp", retry_after: RETRY_AFTER })
    }

    /// Whether a leaf is known to be revoked, without asking.
    pub(super) fn is_known_revoked(&self, leaf: &ClientIdentity) -> bool {
        let issuers = self.issuers.load();
        let issuer = issuers.iter().find(|issuer| issuer.has_issued(leaf));
        issuer.is_some_and(|issuer| self.known_revoked().contains_key(&(issuer.digest(), leaf.serial.clone())))
    }

    /// Remembers that a leaf was taken back here. The server's own CAs draw serial numbers at random, and none twice, so it is
    /// remembered of each of them.
    pub(super) fn revoke(&self, serial: &str) {
        let (serial, now) = (Arc::<str>::from(serial), self.clock.now());
        let last = UnixTime(now.0 + *CertificateAuthority::LIFETIMES.end());
        // One that was made meanwhile may have signed it.
        if let Ok(issuers) = issuers(&self.trust, self.algorithms) {
            self.issuers.store(Arc::new(issuers));
        }
        for issuer in &**self.issuers.load() {
            let id = (issuer.digest(), serial.clone());
            self.cache.refuse(&id);
            self.remember_revoked(id, last, now);
        }
    }

    /// Drops every answer that is kept: a CA was taken back here.
    pub(super) fn forget(&self) {
        self.cache.forget();
    }

    fn remember_revoked(&self, id: LeafId, not_after: UnixTime, now: UnixTime) {
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        // A leaf lives through all of the second that `notAfter` names.
        revoked.insert(id, not_after.as_secs() + 1);
        if revoked.len().is_multiple_of(PRUNED_EVERY) {
            revoked.retain(|_, ended| *ended >= now.as_secs());
        }
        drop(revoked);
        self.changed.send_replace(());
    }

    fn known_revoked(&self) -> RwLockReadGuard<'_, HashMap<LeafId, u64>> {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no question is in flight: for tests.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    async fn verdict(&self, issuer: &Issuer, id: &LeafId, now: UnixTime) -> Option<Verdict> {
        loop {
            if self.cache.get(id, now).is_some() {
                self.meter.cache_hits.add();
                return Some(Verdict::Good);
            }
            let flight = self.flights.join(id.clone());
            let mut own = false;
            let answered = flight.answer.get_or_init(|| {
                own = true;
                self.load(issuer, id, now)
            });
            match *answered.await {
                // Somebody else's question was under way before this request came, and the leaf may have been taken back
                // in between. The cache keeps no such answer, so it is the cache that tells.
                Some(Verdict::Good) if !own => {}
                verdict => return verdict,
            }
        }
    }

    /// The CA that signed a leaf. One that was made meanwhile is heard of by the first of its leaves.
    async fn issuer_of(&self, leaf: &ClientIdentity) -> Option<Arc<Issuer>> {
        let known = || self.issuers.load().iter().find(|issuer| issuer.has_issued(leaf)).cloned();
        if let Some(issuer) = known() {
            return Some(issuer);
        }
        let (trust, algorithms) = (self.trust.clone(), self.algorithms);
        // Off the reactor: files are read.
        match tokio::task::spawn_blocking(move || issuers(&trust, algorithms)).await {
            Ok(Ok(issuers)) => self.issuers.store(Arc::new(issuers)),
            Ok(Err(error)) => tracing::error!(%error, "the CAs that sign client certificates were not read"),
            Err(_) => tracing::error!("the thread that read the CAs stopped"),
        }
        known()
    }

    /// Asks, and keeps the answer.
    async fn load(&self, issuer: &Issuer, id: &LeafId, now: UnixTime) -> Option<Verdict> {
        let load = self.cache.begin(id.clone(), now);
        let verdict = match self.ask(issuer, &id.1).await {
            Ok((Verdict::Good, until)) => {
                self.cache.insert(load.no_later_than(until), ());
                Some(Verdict::Good)
            }
            Ok((verdict @ (Verdict::Revoked | Verdict::Unknown), _)) => {
                // Whoever began to ask before must not bring it back.
                self.cache.refuse(id);
                Some(verdict)
            }
            Err(reason) => {
                self.meter.ocsp_unanswered.add();
                self.log(&reason, now);
                None
            }
        };
        // Those who come from now on ask anew, or find it in the cache.
        self.flights.end(id);
        verdict
    }

    /// What the responder says of a leaf, and until when that holds.
    async fn ask(&self, issuer: &Issuer, serial: &str) -> Result<(Verdict, UnixTime), NoAnswer> {
        self.meter.store_lookups.add();
        self.meter.ocsp_queries.add();
        let asked = issuer.certificate(serial)?;
        let mut nonce = [0; NONCE_LENGTH];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| NoAnswer::NoRandom)?;
        let question = x509_ocsp::Request { req_cert: asked.clone(), single_request_extensions: None };
        let value = OctetString::new(OctetString::new(nonce)?.to_der()?)?;
        let question = TbsRequest {
            version: Version::V1,
            requestor_name: None,
            request_list: vec![question],
            request_extensions: Some(vec![Extension { extn_id: NONCE, critical: false, extn_value: value }]),
        };
        let question = OcspRequest { tbs_request: question, optional_signature: None };
        let request = self.http.client()?.post(&self.url).body(question.to_der()?);
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static(REQUEST_TYPE));
        let response = send_for(request, RESPONSE_TYPE).await?;
        // Judged by the moment at which it arrived: it may have been given after the request's own reading of the clock.
        Ok(issuer.judge(&response, &asked, &nonce, self.clock.now())?)
    }

    fn log(&self, reason: &NoAnswer, now: UnixTime) {
        if self.logged.is_due(now) {
            tracing::warn!(url = self.url, policy = ?self.policy, %reason, "no OCSP answer");
        }
    }
}

/// The CAs that sign leaves, as there are by now.
fn issuers(trust: &Trust, algorithms: WebPkiSupportedAlgorithms) -> Result<Vec<Arc<Issuer>>, CaError> {
    let issuer = |ca| {
        let issuer = Issuer::new(ca, algorithms);
        issuer.map(Arc::new).map_err(|error| CaError(error.to_string()))
    };
    trust.leaves_cas()?.into_iter().map(issuer).collect()
}
