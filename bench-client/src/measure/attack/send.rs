//! How what a try says is sent: once or often, after something else, with a credential that is good or one that has ended.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_server::contract::{Issued, KeyRollover, Material, MethodConfig, PasswordHash, Secret, Transport};
use rustls::ClientConfig;

use super::kit::{self, Made};
use super::wire::{Came, Line};
use super::{Attack, certificate, hello, judge};
use crate::attack::{
    Answer, Caller, Case, CertificateKind, Chosen, Connection, HashKind, Hello, Missing, Place, State, Try, fill,
};
use crate::credential::spoil;
use crate::load::Endpoint;
use crate::plan::Presents;
use crate::target::{FLOW_PRINCIPAL, Flow, Holding};

/// Longest wait for a credential to end: what takes longer is for a revocation measurement.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Beside the bound of a revocation: for an answer that was under way, and for timers.
const GRACE: Duration = Duration::from_millis(500);

/// Time between two looks at whether a credential has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Lifetime of a credential that is to end by itself: the shortest that counts whole seconds.
const SHORT: Duration = Duration::from_secs(1);

/// Lifetime of a token that nobody is asked about, and that is to be accepted once before its end.
const SHORT_BUT_USED: Duration = Duration::from_secs(2);

/// How long a replaced key is good beside the new one: to see that it is, and to see that it ends.
const LONG_OVERLAP: Duration = Duration::from_secs(60);
const SHORT_OVERLAP: Duration = Duration::from_secs(1);

/// Times of tokens and certificates count whole seconds, of which the last belongs to their life.
const LAST_SECOND: Duration = Duration::from_secs(1);

/// What of a user's grant a request may hold.
const FLOW: [&str; 10] = [
    "code",
    "code-expired",
    "code-spent",
    "refresh",
    "refresh-spent",
    "access",
    "access-kept",
    "access-replayed",
    "access-of-spent",
    "consent-path",
];

/// What came, how what was sent is shown, and whose credential it was.
type Sent = (Came, String, Issued);

/// Where and how a request is sent.
struct Way<'w> {
    endpoint: &'w Endpoint,
    tls: Option<Arc<ClientConfig>>,
    from: Option<IpAddr>,
}

impl Attack<'_> {
    /// Sends what a try says.
    ///
    /// # Errors
    /// What is missing for it.
    pub(super) async fn send(&self, case: &Case, it: &Try) -> Result<Sent, Missing> {
        if let Some(hello) = it.hello {
            return self.greet(hello).await;
        }
        let ends = !matches!(it.state, State::Valid | State::Expired | State::Unscoped);
        if ends || it.caller == Caller::Revoked {
            return self.ended(it).await;
        }
        let holding = self.holding(it).await?;
        let mut owner = holding.issued.clone();
        let flow = self.flow(it).await?;
        if let Some(principal) = flow.get(FLOW_PRINCIPAL).filter(|_| it.names("access-kept")) {
            principal.expose().clone_into(&mut owner.principal);
        }
        self.kit.flow.replace(flow);
        let way = self.way(it, &holding, false)?;
        if let Some(first) = &it.first {
            let came = self.often(first, &holding, first.times.unwrap_or(1), &way).await?;
            if it.patient {
                tokio::time::sleep(retry_after(&came)?).await;
            }
        }
        let made = self.kit.make(it, &holding)?;
        if made.unchanged && as_ever(it) && !is_control(case, it) {
            return Err(Missing("a credential that this changes".to_owned()));
        }
        if it.again {
            let first = self.once(&way, &made).await;
            if !is_accepted(&first) {
                return Err(Missing(format!("a request that is accepted at first ({})", judge::describe(&first))));
            }
        }
        let came = match it.times {
            None => self.once(&way, &made).await,
            Some(times) => self.often(it, &holding, times, &way).await?,
        };
        Ok((came, made.shown, owner))
    }

    /// The credential that a try changes, with who calls.
    async fn holding(&self, it: &Try) -> Result<Holding, Missing> {
        let mut holding = match (it.state, &it.user) {
            (State::Valid, Some(user)) => self.user(user).await?,
            (State::Valid, None) if !it.apart => self.valid.clone(),
            (State::Unscoped, _) => self.target.hold_unscoped().await.map_err(Missing)?,
            (State::Expired, _) => self.expired().await?,
            _ => self.target.hold().await.map_err(Missing)?,
        };
        let nobody = || Missing("somebody who calls for the user".to_owned());
        match it.caller {
            Caller::Good => {}
            Caller::None => drop(holding.caller.take().ok_or_else(nobody)?),
            Caller::Unknown => {
                let caller = holding.caller.as_mut().ok_or_else(nobody)?;
                if !matches!(caller.material, Material::ApiKey { .. }) {
                    return Err(Missing("an application that calls with a key".to_owned()));
                }
                spoil(caller, Presents::Unknown).map_err(Missing)?;
            }
            Caller::Another | Caller::Unscoped | Caller::Revoked => {
                holding.caller = Some(self.target.another_caller(&holding, it.caller).await.map_err(Missing)?);
            }
        }
        Ok(holding)
    }

    async fn user(&self, Chosen { password, hash }: &Chosen) -> Result<Holding, Missing> {
        let names = |name: &str| Err(Missing(format!("a password without <{name}>")));
        let password = fill(password, kit::now(), &names)?;
        let password = String::from_utf8(password).map_err(|_| Missing("a password in UTF-8".to_owned()))?;
        let hash = hash.map(|HashKind::Bcrypt| PasswordHash::BCRYPT);
        self.target.hold_user(Secret::new(password), hash).await.map_err(Missing)
    }

    /// A credential whose time is over.
    async fn expired(&self) -> Result<Holding, Missing> {
        let leeway = match self.valid.issued.material {
            Material::Bearer { .. } => Duration::from_secs(self.kit.leeway),
            _ => Duration::ZERO,
        };
        let wait = SHORT + leeway + LAST_SECOND + GRACE;
        if wait > LONGEST_WAIT {
            return Err(Missing(format!("a leeway of less than {LONGEST_WAIT:?}")));
        }
        let holding = self.target.hold_for(SHORT).await.map_err(Missing)?;
        tokio::time::sleep(wait).await;
        Ok(holding)
    }

    /// What of a user's grant a try names.
    async fn flow(&self, it: &Try) -> Result<Flow, Missing> {
        let wanted: Vec<&str> = FLOW.iter().copied().filter(|name| it.names(name)).collect();
        if wanted.iter().any(|name| matches!(*name, "access-replayed" | "access-of-spent")) {
            // A token that nobody asks about lives to its end, whatever becomes of its grant.
            self.bound(&Try { state: State::Revoked, ..Try::default() })?;
        }
        if wanted.is_empty() {
            return Ok(Flow::new());
        }
        self.target.flow(&wanted, LONGEST_WAIT).await.map_err(Missing)
    }

    fn way(&self, it: &Try, holding: &Holding, resumes: bool) -> Result<Way<'_>, Missing> {
        let endpoint = self.kit.endpoint_of(it)?;
        let from = if it.apart { self.another_address()? } else { None };
        Ok(Way { endpoint, tls: self.tls(it, holding, endpoint, resumes)?, from })
    }

    /// An address of this machine from which nothing else comes, if the target is on this machine.
    fn another_address(&self) -> Result<Option<IpAddr>, Missing> {
        let IpAddr::V4(to) = self.kit.endpoint.address.ip() else { return Ok(None) };
        if !to.is_loopback() {
            return Ok(None);
        }
        let [b, c] = rand::random::<[u8; 2]>();
        // Neither 127.0.0.1 nor an end of a network.
        let from = IpAddr::from(Ipv4Addr::new(127, b, c, rand::random_range(2..255)));
        match TcpListener::bind((from, 0)) {
            Ok(_) => Ok(Some(from)),
            Err(error) => Err(Missing(format!("a second address of this machine ({from}: {error})"))),
        }
    }

    /// One request on a connection of its own.
    async fn once(&self, way: &Way<'_>, made: &Made) -> Came {
        let patience = self.settings.timeout;
        match Line::open(way.endpoint, way.tls.clone(), way.from, patience).await {
            Ok(mut line) => line.exchange(&made.bytes, made.is_head, patience).await,
            Err(came) => came,
        }
    }

    /// The same many times, each anew: a bad credential until it is let in, a good one until it is refused, and either until
    /// the server fails.
    async fn often(&self, it: &Try, holding: &Holding, times: u32, way: &Way<'_>) -> Result<Came, Missing> {
        let patience = self.settings.timeout;
        let (mut line, mut came) = (None, Came::Closed);
        for _ in 0..times {
            let made = self.kit.make(it, holding)?;
            if line.is_none() {
                line = Line::open(way.endpoint, way.tls.clone(), way.from, patience).await.ok();
            }
            came = match &mut line {
                Some(open) => open.exchange(&made.bytes, made.is_head, patience).await,
                None => return Ok(Came::Unreachable("no connection could be opened".to_owned())),
            };
            match &came {
                Came::Answer(seen) if seen.status >= 500 || is_accepted(&came) != made.unchanged => break,
                Came::Answer(seen) => {
                    if seen.all("connection").any(|value| value.eq_ignore_ascii_case("close")) {
                        line = None;
                    }
                }
                _ => line = None,
            }
        }
        Ok(came)
    }

    /// A credential that was accepted, and then ends: what comes when its bound is over at the latest.
    async fn ended(&self, it: &Try) -> Result<Sent, Missing> {
        let bound = self.bound(it)?;
        let holding = match self.kit.method {
            // A token that nobody is asked about lives to its end, so it is one that ends soon.
            "layered" if it.state == State::Revoked => self.target.hold_for(SHORT_BUT_USED).await.map_err(Missing)?,
            _ => self.holding(it).await?,
        };
        let made = self.kit.make(it, &holding)?;
        let patience = self.settings.timeout;
        let way = self.way(it, &holding, it.connection == Connection::Resumed)?;
        let refused = |came: &Came| Missing(format!("a credential that is accepted ({})", judge::describe(came)));
        let line = Line::open(way.endpoint, way.tls.clone(), way.from, patience).await;
        let mut line = line.map_err(|came| refused(&came))?;
        let first = line.exchange(&made.bytes, made.is_head, patience).await;
        if !is_accepted(&first) {
            return Err(refused(&first));
        }
        self.end(it, &holding).await?;
        let since = Instant::now();
        loop {
            // Anew, for what is signed once is good once.
            let made = self.kit.make(it, &holding)?;
            let came = match it.connection {
                Connection::Kept => line.exchange(&made.bytes, made.is_head, patience).await,
                Connection::Fresh | Connection::Resumed => self.once(&way, &made).await,
            };
            if !is_accepted(&came) || since.elapsed() > bound + GRACE {
                return Ok((came, made.shown, holding.issued));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes back or replaces what is held.
    async fn end(&self, it: &Try, Holding { issued, caller }: &Holding) -> Result<(), Missing> {
        let ended = match (it.state, caller) {
            (_, Some(caller)) if it.caller == Caller::Revoked => self.target.revoke_caller(caller).await,
            (State::Replaced, _) => self.target.renew(issued).await.map(drop),
            (State::Rotated, _) => self.target.rotate(issued, SHORT_OVERLAP).await,
            (State::Overlapping, _) => self.target.rotate(issued, LONG_OVERLAP).await,
            (State::KeyRemoved, _) => match self.target.roll_over_key(&KeyRollover::AFTER_THEFT).await {
                Some(rolled) => rolled,
                None => return Err(Missing("a key that others have to learn of".to_owned())),
            },
            _ => self.target.revoke(issued).await,
        };
        ended.map_err(|error| Missing(error.to_string()))
    }

    /// How long an ended credential may live on.
    fn bound(&self, it: &Try) -> Result<Duration, Missing> {
        if !self.target.can_revoke_one() {
            return Err(Missing("a way to revoke, and a credential to spare".to_owned()));
        }
        if !self.target.is_reference() {
            return Ok(self.settings.within);
        }
        let own = || self.variant.longest_window(None);
        let bound = match (it.state, self.variant.method.reference()) {
            (State::Rotated, _) => SHORT_OVERLAP + own(),
            (State::Overlapping, _) => Duration::ZERO,
            (State::KeyRemoved, Some(MethodConfig::OAuth2(oauth2))) => oauth2.jwks.refresh,
            (_, Some(method @ MethodConfig::Layered(_))) if it.caller == Caller::Revoked => {
                // Keys are looked up for each request.
                method.certificates().and_then(|certificates| certificates.crl_reload).unwrap_or_default()
            }
            (_, Some(MethodConfig::Layered(_))) => SHORT_BUT_USED + Duration::from_secs(self.kit.leeway) + LAST_SECOND,
            _ => own(),
        };
        if bound > LONGEST_WAIT {
            return Err(Missing(format!("a server that notices a revocation within {LONGEST_WAIT:?}")));
        }
        Ok(bound)
    }

    /// What the client brings to the handshake.
    fn tls(
        &self,
        it: &Try,
        holding: &Holding,
        endpoint: &Endpoint,
        resumes: bool,
    ) -> Result<Option<Arc<ClientConfig>>, Missing> {
        let is_certificate = |of: &&Issued| matches!(of.material, Material::Certificate { .. });
        let of = holding.caller.as_ref().filter(is_certificate).unwrap_or(&holding.issued);
        let kind = match it.certificate {
            Some(kind) => kind,
            None if is_certificate(&of) && it.at == Place::Resource => CertificateKind::Good,
            None => CertificateKind::None,
        };
        let presented = certificate::make(kind, of, self.kit.issuer.as_ref(), kit::now())?;
        certificate::client(endpoint, presented, resumes)
    }

    /// Something else than a handshake of today.
    async fn greet(&self, hello: Hello) -> Result<Sent, Missing> {
        let Endpoint { transport, host, .. } = self.kit.endpoint;
        if *transport == Transport::Plaintext {
            return Err(Missing("a port that speaks TLS".to_owned()));
        }
        let (patience, owner) = (self.settings.timeout, self.valid.issued.clone());
        let mut line = match Line::open(self.kit.endpoint, None, None, patience).await {
            Ok(line) => line,
            Err(came) => return Ok((came, String::new(), owner)),
        };
        let (came, shown) = match hello::bytes(hello, host) {
            Some(bytes) => (line.greet(&bytes, patience).await, format!("a ClientHello of {} bytes", bytes.len())),
            None => {
                let made = self.kit.make(&Try::default(), &self.valid)?;
                (line.exchange(&made.bytes, false, patience).await, format!("in plaintext: {}", made.shown))
            }
        };
        Ok((came, shown, owner))
    }
}

/// Whether nothing but the request says what is bad.
fn as_ever(it: &Try) -> bool {
    let repeated = it.times.is_some() || it.again || it.first.is_some();
    let same = it.certificate.is_none_or(|kind| kind == CertificateKind::Good) && it.caller == Caller::Good;
    same && it.state == State::Valid && !repeated
}

/// Whether it may be accepted.
fn is_control(case: &Case, it: &Try) -> bool {
    case.control || matches!(it.expect.as_ref().unwrap_or(&case.expect).answer, Answer::Either | Answer::Accepted)
}

fn is_accepted(came: &Came) -> bool {
    matches!(came, Came::Answer(seen) if (200..300).contains(&seen.status))
}

/// How long an answer asks to wait (RFC 9110 §10.2.3).
fn retry_after(came: &Came) -> Result<Duration, Missing> {
    let Came::Answer(seen) = came else { return Err(Missing("an answer that says when to come back".to_owned())) };
    let seconds = seen.all("retry-after").next().and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
    let missing = || Missing(format!("an answer that says when to come back, within {LONGEST_WAIT:?}"));
    seconds.filter(|wait| *wait <= LONGEST_WAIT).ok_or_else(missing)
}
