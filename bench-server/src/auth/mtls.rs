//! Client certificates: TLS (RFC 8446 §4.4.2), X.509 (RFC 5280), identities by SPIFFE X509-SVID.
//!
//! A certificate is verified once, in the handshake. What may change while its connection lives is checked again for
//! every request from memory: the end of the certificate, and whether its serial number is on the current CRL. A
//! revocation therefore takes effect within one reload interval, on new and on open connections, and on resumed sessions
//! where the configuration allows them. Whoever switches that off (`recheck`) can measure what then survives.
//!
//! Instead of CRLs, or beside them, the CA can be asked by OCSP. That takes a network's time and must not hold up a
//! handshake, so it is part of the authenticator call: in every request, or in a connection's first where the others do
//! not check again. With neither, certificates are short-lived: a revocation is recorded, and nobody looks.
//!
//! The CA that signs certificates can be replaced by another below the same CA. A process hears of it when it looks at the
//! CRL files; until then it refuses what the new one signed, since no list speaks for that. Where OCSP is asked instead, the
//! first such certificate tells. The old one ends like a certificate: in a CRL, that of the CA above it.

mod forwarded;
#[cfg(test)]
mod mutated;
mod ocsp;
pub(crate) mod offline;
mod registry;
mod revocation;
mod trust;
mod verifier;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::watch;

use self::ocsp::{Ground, Ocsp};
pub(crate) use self::registry::Registry;
use self::revocation::Status;
use self::trust::Trust;
use self::verifier::Verifier;
use crate::auth::{
    AdminError, BuildError, Cause, ClientCertificates, Connection, Environment, Principal, PrincipalKind, Rejection,
    Request,
};
use crate::clock::{Clock, UnixTime};
use crate::config::{CrlPolicy, MtlsConfig, OcspConfig, READ_SCOPE};
use crate::contract::{IssueRequest, Issued, IssuerKey, KeyRollover, Material};
use crate::credential::x509::{self, ClientIdentity};
use crate::issuer::ca::{CaError, CertificateAuthority, OcspResponder};
use crate::store::file;
use crate::telemetry::Meter;

/// Most certificates made by one request: more would fill the memory before the answer is sent.
const MAX_COUNT: usize = 1_000_000;

/// Pause after a CA could not be revoked, most likely because the disk is full.
const END_PAUSE: Duration = Duration::from_secs(1);

/// The method `mtls`: a profile's client CA and validator.
pub struct Mtls {
    /// Absent where certificates are somebody else's.
    authority: Option<Arc<CertificateAuthority>>,
    verifier: Arc<Verifier>,
    /// Told after every change of what is known to be revoked.
    changed: watch::Sender<()>,
    clock: Clock,
    /// `spiffe://{trust domain}/`.
    identity_prefix: String,
    /// Certificates carry no scopes; whoever belongs to the trust domain may read.
    scopes: Arc<str>,
    config: MtlsConfig,
    /// Absent where nobody is asked.
    ocsp: Option<Arc<Ocsp>>,
    next_client: Arc<AtomicU64>,
    meter: Arc<Meter>,
}

impl Mtls {
    pub(crate) fn build(name: &str, config: &MtlsConfig, environment: &Environment) -> Result<Self, BuildError> {
        check_config(name, config)?;
        let authority = if config.pki.is_none() { Some(own_authority(name, config, environment)?) } else { None };
        let trust = match (&authority, &config.pki) {
            (Some(authority), _) => Trust::Own(authority.clone()),
            (None, pki) => Trust::foreign(pki.as_ref().expect("one of the two"), config.crl_reload.is_some())?,
        };
        let changed = watch::Sender::new(());
        let process = (environment.clock.clone(), environment.meter.clone());
        let verifier = Verifier::new(trust.clone(), config, changed.clone(), process.clone());
        let verifier = Arc::new(verifier.map_err(|error| state("CRLs", error))?);
        let weak = authority.as_ref().map(Arc::downgrade);
        if let Some(interval) = config.crl_reload {
            tokio::spawn(follow_crls(weak.clone(), Arc::downgrade(&verifier), interval));
        }
        let algorithms = *verifier.algorithms();
        let asking = |ocsp| {
            let url = check_ocsp(name, ocsp)?;
            Ocsp::new(url, ocsp, trust.clone(), algorithms, changed.clone(), process.clone())
        };
        let ocsp = config.ocsp.as_ref().map(asking).transpose()?.map(Arc::new);
        if let Some(authority) = weak {
            // Of a rollover before this start.
            tokio::spawn(end_overlaps(authority, Arc::downgrade(&verifier), asked_by(&ocsp)));
        }
        let issued = authority.as_ref().map_or(0, |authority| authority.issued() as u64);
        Ok(Self {
            next_client: Arc::new(AtomicU64::new(issued)),
            authority,
            verifier,
            changed,
            clock: environment.clock.clone(),
            identity_prefix: format!("spiffe://{}/", config.trust_domain),
            scopes: READ_SCOPE.into(),
            config: config.clone(),
            ocsp,
            meter: environment.meter.clone(),
        })
    }

    /// The server's own CA.
    fn own(&self) -> Result<&Arc<CertificateAuthority>, AdminError> {
        self.authority.as_ref().ok_or(AdminError::NotHere("the certificates are somebody else's; ask their CA"))
    }

    pub(crate) async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        let identity = self.holder(request.connection, &request.head.headers, request.now).await?;
        if !self.is_allowed(&identity.spiffe_id) {
            return Err(Rejection::Forbidden("client-identity-not-allowed"));
        }
        let (id, scopes, serial) = (identity.spiffe_id.clone(), self.scopes.clone(), identity.serial.clone());
        Ok(Principal::new(PrincipalKind::CertificateHolder, id, scopes, serial))
    }

    /// Whose request it is: who holds the connection's certificate, or whom a proxy passes on. Judged for this request, on a
    /// route as wherever else somebody is known by a certificate.
    pub(crate) async fn holder(
        &self,
        connection: &Connection,
        fields: &HeaderMap,
        now: UnixTime,
    ) -> Result<Arc<ClientIdentity>, Rejection> {
        let Some(identity) = connection.client.as_ref() else {
            self.count_fields(fields);
            return Err(Rejection::Missing);
        };
        self.judge(identity, connection, now).await?;
        let forwarded = self.on_behalf(identity, fields, now).map_err(forwarded::of_another)?;
        let Some(client) = forwarded else { return Ok(identity.clone()) };
        self.judge_forwarded(&client, now).await.map_err(forwarded::of_another)?;
        Ok(Arc::new(client))
    }

    /// What may have changed since the handshake.
    async fn judge(&self, identity: &ClientIdentity, connection: &Connection, now: UnixTime) -> Result<(), Rejection> {
        // `notAfter` belongs to the lifetime (RFC 5280 §4.1.2.5) and counts whole seconds.
        if now.as_secs() > identity.not_after.as_secs() {
            return Err(Rejection::Invalid(Cause::Expired));
        }
        if self.config.recheck {
            self.look_up(identity, now)?;
        }
        if let Some(ocsp) = self.ocsp.as_ref().filter(|_| self.config.recheck || connection.asked.get().is_none())
            && ocsp.check(identity, now).await? == Ground::Answer
        {
            // Others on the same connection may have been accepted meanwhile.
            let _ = connection.asked.set(());
        }
        Ok(())
    }

    /// A certificate that a proxy passes on was looked up when its path was verified; what is left is to ask about it.
    async fn judge_forwarded(&self, client: &ClientIdentity, now: UnixTime) -> Result<(), Rejection> {
        match &self.ocsp {
            Some(ocsp) => ocsp.check(client, now).await.map(drop),
            None => Ok(()),
        }
    }

    /// Whether the route is for somebody: of the trust domain, and on the list where there is one.
    fn is_allowed(&self, spiffe_id: &str) -> bool {
        let listed = self.config.identities.is_empty() || self.config.identities.iter().any(|one| one == spiffe_id);
        listed && spiffe_id.starts_with(&self.identity_prefix)
    }

    /// Looks a certificate up in the CRLs of the moment. Not counted as a store lookup: the revoked serials came with the
    /// CRL, nothing is read for this request.
    fn look_up(&self, identity: &ClientIdentity, now: UnixTime) -> Result<(), Rejection> {
        let (Some(current), Some(reload)) = (self.verifier.current(), self.config.crl_reload) else { return Ok(()) };
        match current.status(&identity.issuer, identity.issuer_key_id.as_deref(), &identity.serial, now) {
            Status::Good => Ok(()),
            Status::Revoked => Err(Rejection::Invalid(Cause::Revoked)),
            Status::Unknown if self.verifier.overlooks_unknown(now) => Ok(()),
            Status::Unknown => Err(Rejection::Unavailable { dependency: "crl", retry_after: reload }),
        }
    }

    pub(crate) async fn issue(&self, request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        let (prefix, next_client) = (self.identity_prefix.clone(), self.next_client.clone());
        self.issue_to(request, move || format!("{prefix}client/{}", next_client.fetch_add(1, Ordering::Relaxed))).await
    }

    /// Another certificate for the same identity (X509-SVID §4); the one before ends when it ends.
    pub(crate) async fn renew(&self, identity: &str, request: &IssueRequest) -> Result<Issued, AdminError> {
        let unknown = || AdminError::NotFound(format!("identity {identity:?}"));
        if !(identity.starts_with(&self.identity_prefix) && x509::is_spiffe_id(identity)) {
            return Err(unknown());
        }
        let wanted = identity.to_owned();
        let issued = self.issue_to(request, move || wanted.clone()).await?;
        issued.into_iter().next().ok_or_else(unknown)
    }

    async fn issue_to(
        &self,
        request: &IssueRequest,
        identity: impl Fn() -> String + Send + 'static,
    ) -> Result<Vec<Issued>, AdminError> {
        if !(1..=MAX_COUNT).contains(&request.count) {
            return Err(AdminError::BadRequest(format!("count is {}; ask for 1 to {MAX_COUNT}", request.count)));
        }
        if request.scopes != [READ_SCOPE] {
            let text =
                format!("certificates carry no scopes; every client may {READ_SCOPE:?}, so ask for exactly that");
            return Err(AdminError::BadRequest(text));
        }
        let lifetime = request.lifetime.unwrap_or(self.config.lifetime());
        if !CertificateAuthority::LIFETIMES.contains(&lifetime) {
            let text = format!("lifetime is {lifetime:?}; {:?} is possible", CertificateAuthority::LIFETIMES);
            return Err(AdminError::BadRequest(text));
        }
        if self.config.is_short_lived() && lifetime > MtlsConfig::LONGEST_UNREVOKED {
            let longest = MtlsConfig::LONGEST_UNREVOKED;
            let text = format!("lifetime is {lifetime:?}; at most {longest:?} of what nobody can take back");
            return Err(AdminError::BadRequest(text));
        }
        let (authority, count, key) = (self.own()?.clone(), request.count, self.config.key);
        // Off the reactor: an RSA key takes about a tenth of a second.
        let made = tokio::task::spawn_blocking(move || {
            let one = || {
                let principal = identity();
                let certificate = authority.client_certificate(&principal, lifetime, key)?;
                let material = Material::Certificate { chain_pem: certificate.chain_pem, key_pem: certificate.key_pem };
                Ok(Issued { id: certificate.serial, principal, material })
            };
            (0..count).map(|_| one()).collect::<Result<_, CaError>>()
        });
        made.await
            .map_err(|_| AdminError::Store("the thread that signed certificates stopped".to_owned()))?
            .map_err(|error| AdminError::Store(error.to_string()))
    }

    /// Takes back one certificate by its serial number; returns once the CRL that says so is published, from which the
    /// OCSP responder answers too.
    pub(crate) async fn revoke(&self, serial: &str) -> Result<(), AdminError> {
        let (authority, verifier, wanted) = (self.own()?.clone(), self.verifier.clone(), serial.to_owned());
        let ocsp = self.ocsp.clone();
        self.meter.store_writes.add();
        // All of it in one go: who asked may hang up.
        let revoke = move || {
            let revoked = authority.revoke(&wanted)?;
            // This node knows at once, however rarely it looks or asks.
            if let Some(ocsp) = ocsp.filter(|_| revoked) {
                ocsp.revoke(&wanted);
            }
            verifier.reload().map_err(|error| CaError(error.to_string()))?;
            Ok::<_, CaError>(revoked)
        };
        let revoked = tokio::task::spawn_blocking(revoke).await;
        match revoked.map_err(|_| AdminError::Store("the thread that signed the CRL stopped".to_owned()))? {
            Ok(true) => Ok(()),
            Ok(false) => Err(AdminError::NotFound(format!("certificate {serial:?}"))),
            Err(error) => Err(AdminError::Store(error.to_string())),
        }
    }

    /// Has the next CA sign certificates, as after the `lead` of a rollover, and those before it revoked when the `overlap`
    /// is over; returns once it is published.
    pub(crate) async fn roll_over(&self, rollover: &KeyRollover) -> Result<(), AdminError> {
        let refused = |text: &str| Err(AdminError::BadRequest(text.to_owned()));
        if rollover.standby {
            return refused("a CA does not stand by; leave standby out, and publish the next one by lead");
        }
        if !self.own()?.can_roll_over() {
            return refused("the root signs certificates, and nobody revokes a root; use a chain_length of 2 or 3");
        }
        if self.config.is_short_lived() {
            return refused("certificates that nobody looks up do not end with their CA; write crl_reload or ocsp");
        }
        // Two looks, since one takes time too.
        let lead = rollover.lead.unwrap_or_else(|| 2 * self.config.crl_reload.unwrap_or_default());
        // Times in certificates count whole seconds.
        let overlap = rollover.overlap.unwrap_or(self.config.lifetime() + Duration::from_secs(1));
        if lead.max(overlap) > *CertificateAuthority::LIFETIMES.end() {
            let longest = CertificateAuthority::LIFETIMES.end();
            return refused(&format!(
                "a lead of {lead:?} and an overlap of {overlap:?}; at most {longest:?} is possible"
            ));
        }
        let (authority, verifier, ocsp) = (self.own()?.clone(), self.verifier.clone(), self.ocsp.clone());
        // All of it in one go: who asked may hang up.
        let make = move || {
            authority.roll_over(lead, overlap)?;
            tokio::spawn(end_overlaps(Arc::downgrade(&authority), Arc::downgrade(&verifier), asked_by(&ocsp)));
            // What ends at once has ended when this returns.
            authority.renew_crls()?;
            // This node looks and asks at once, however rarely it does otherwise.
            ocsp.iter().for_each(|ocsp| ocsp.forget());
            verifier.reload().map(drop).map_err(|error| CaError(error.to_string()))
        };
        tokio::task::spawn_blocking(make)
            .await
            .map_err(|_| AdminError::Store("the thread that made a CA stopped".to_owned()))?
            .map_err(|error| AdminError::Store(error.to_string()))
    }

    /// What certificates are signed with.
    pub(crate) fn issuer_key(&self) -> Result<IssuerKey, AdminError> {
        self.own()?.issuer_key().map_err(|error| AdminError::Store(error.to_string()))
    }

    /// Answers OCSP requests about this profile's certificates, where it is configured.
    pub(crate) fn ocsp_responder(&self) -> Option<Result<OcspResponder, CaError>> {
        let (ocsp, authority) = self.config.ocsp.as_ref().zip(self.authority.as_ref())?;
        Some(OcspResponder::new(authority.clone(), ocsp.validity))
    }

    /// How this profile's listener asks for certificates; the verifier follows the CRL files by itself.
    pub(crate) fn client_certificates(&self) -> ClientCertificates {
        ClientCertificates {
            verifier: self.verifier.clone(),
            resumption: self.config.resumption,
            registry: Some(Arc::new(Registry {
                clock: self.clock.clone(),
                verifier: self.verifier.clone(),
                ocsp: self.ocsp.clone(),
                recheck: self.config.recheck,
                longest: self.config.connection_age(),
                changed: self.changed.clone(),
                meter: self.meter.clone(),
            })),
        }
    }
}

/// The CA in the profile's folder.
fn own_authority(
    name: &str,
    config: &MtlsConfig,
    environment: &Environment,
) -> Result<Arc<CertificateAuthority>, BuildError> {
    let dir = file::profile_dir(&environment.shared_dir, name)?.join("ca");
    let opened = CertificateAuthority::open(&dir, environment.clock.clone(), config.crl_validity, config.chain_length);
    let authority = opened.map_err(|error| state("client CA", error))?;
    authority.fill_crl(config.crl_population).map_err(|error| state("client CA", error))?;
    Ok(Arc::new(authority))
}

/// Where the responder is.
fn check_ocsp<'c>(name: &str, config: &'c OcspConfig) -> Result<&'c str, BuildError> {
    let wrong = |what: String| BuildError::Config(format!("profile {name:?}: ocsp.{what}"));
    let possible = Duration::from_millis(1)..=OcspConfig::LONGEST_VALIDITY;
    if !possible.contains(&config.validity) {
        return Err(wrong(format!("validity is {:?}; {possible:?} is possible", config.validity)));
    }
    let url = config.url.as_deref().ok_or_else(|| {
        wrong("url is missing, and no listener of this process answers OCSP requests about the profile".to_owned())
    })?;
    let is_plain = |url: &url::Url| url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
    if !url::Url::parse(url).is_ok_and(|url| is_plain(&url)) {
        return Err(wrong(format!("url is {url:?}; OCSP goes over plain HTTP, like \"http://127.0.0.1:8080/\"")));
    }
    Ok(url)
}

/// Looks at the CRL files every `interval` from a random phase on, as independent validators would, and has those of the
/// server's own CA renewed that come close to their end.
async fn follow_crls(authority: Option<Weak<CertificateAuthority>>, verifier: Weak<Verifier>, interval: Duration) {
    tokio::time::sleep(interval.mul_f64(rand::random::<f64>())).await;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last_alarm = None;
    loop {
        ticks.tick().await;
        let Some(verifier) = verifier.upgrade() else { return };
        // Those of somebody else's are renewed by somebody else.
        let authority = match authority.as_ref().map(Weak::upgrade) {
            Some(None) => return,
            own => own.flatten(),
        };
        let look = tokio::task::spawn_blocking(move || {
            let renewed = authority.map_or(Ok(()), |own| own.renew_crls().map_err(|error| error.to_string()));
            let reloaded = verifier.reload().map_err(|error| error.to_string());
            renewed.and(reloaded.map(drop))
        });
        let alarm = look.await.unwrap_or_else(|_| Err("the thread that read the CRLs stopped".to_owned())).err();
        // The same fault again is not news: the interval may be milliseconds.
        if alarm != last_alarm {
            match &alarm {
                Some(error) => tracing::error!(%error, "CRLs not taken over; the last good ones stay until nextUpdate"),
                None => tracing::info!("CRLs are good again"),
            }
            last_alarm = alarm;
        }
    }
}

/// Who asks, if anybody does, not kept alive.
fn asked_by(ocsp: &Option<Arc<Ocsp>>) -> Weak<Ocsp> {
    ocsp.as_ref().map_or_else(Weak::new, Arc::downgrade)
}

/// Revokes each CA at the end of its overlap, not when its CRL is next looked at: nobody may look at any here.
async fn end_overlaps(authority: Weak<CertificateAuthority>, verifier: Weak<Verifier>, ocsp: Weak<Ocsp>) {
    loop {
        let left = authority.upgrade().and_then(|authority| authority.next_end());
        let Some(left) = left else { return };
        tokio::time::sleep(left).await;
        let (Some(authority), Some(verifier)) = (authority.upgrade(), verifier.upgrade()) else { return };
        let ocsp = ocsp.upgrade();
        let end = tokio::task::spawn_blocking(move || {
            authority.renew_crls().map_err(|error| error.to_string())?;
            ocsp.iter().for_each(|ocsp| ocsp.forget());
            verifier.reload().map_err(|error| error.to_string())
        });
        let ended = end.await.unwrap_or_else(|_| Err("the thread that signed the CRL stopped".to_owned()));
        if let Err(error) = ended {
            tracing::error!(%error, "a CA is not revoked yet although its overlap is over; trying again");
            tokio::time::sleep(END_PAUSE).await;
        }
    }
}

fn check_config(name: &str, config: &MtlsConfig) -> Result<(), BuildError> {
    let (reload, lifetime) = (config.crl_reload, config.lifetime());
    let problem = if reload.is_some_and(|reload| reload.is_zero()) {
        "crl_reload is 0; give the time between two looks at the CRL files, like 1s".to_owned()
    } else if let Some(reload) = reload.filter(|reload| *reload > config.crl_validity / 4) {
        format!(
            "crl_reload {reload:?} is over a quarter of crl_validity {:?}; a CRL could end between two looks",
            config.crl_validity
        )
    } else if config.is_short_lived() && config.certificate_lifetime.is_none_or(|it| it > MtlsConfig::LONGEST_UNREVOKED)
    {
        format!(
            "neither crl_reload nor ocsp, so certificates live until they end; write one of them, or a \
             certificate_lifetime of at most {:?}",
            MtlsConfig::LONGEST_UNREVOKED
        )
    } else if config.crl_population > 0 && reload.is_none() {
        "crl_population without crl_reload, so nobody looks at the CRL; leave it out".to_owned()
    } else if !CertificateAuthority::LIFETIMES.contains(&lifetime) {
        format!("certificate_lifetime is {lifetime:?}; {:?} is possible", CertificateAuthority::LIFETIMES)
    } else if !x509::is_trust_domain(&config.trust_domain) {
        format!("trust_domain {:?} is not a SPIFFE trust domain, like \"authbench.test\"", config.trust_domain)
    } else if config.crl_population > MtlsConfig::MAX_CRL_POPULATION {
        let (population, most) = (config.crl_population, MtlsConfig::MAX_CRL_POPULATION);
        format!("crl_population is {population}; at most {most} is possible")
    } else if config.crl_policy == CrlPolicy::Soft && reload.is_none() {
        "crl_policy without crl_reload, so nobody looks at the CRL; leave it out".to_owned()
    } else if config.pki.is_some() && config.crl_population > 0 {
        "crl_population with pki, whose CRLs are somebody else's; leave it out".to_owned()
    } else if config.connection_age() > MtlsConfig::LONGEST_CONNECTION
        || config.connection_age() < MtlsConfig::SHORTEST_CONNECTION
    {
        let (least, most) = (MtlsConfig::SHORTEST_CONNECTION, MtlsConfig::LONGEST_CONNECTION);
        format!("max_connection_age is {:?}; {least:?} to {most:?} is possible", config.connection_age())
    } else if let Some(one) = config.identities.iter().chain(&config.proxies).find(|one| !x509::is_spiffe_id(one)) {
        format!("{one:?} among identities or proxies is not a SPIFFE ID, like \"spiffe://authbench.test/client/1\"")
    } else {
        return Ok(());
    };
    Err(BuildError::Config(format!("profile {name:?}: {problem}")))
}

fn state(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> BuildError {
    BuildError::State { what: what.to_owned(), source: Box::new(error) }
}

impl fmt::Debug for Mtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mtls").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Mtls {
    /// The server's own CA, where a test has one.
    fn authority(&self) -> &Arc<CertificateAuthority> {
        self.authority.as_ref().expect("the certificates are the server's own")
    }
}

#[cfg(test)]
mod tests;
