//! The place of one request in flight: an HTTP/1.1 connection, or a stream's worth of an HTTP/2 connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bench_server::contract::{HttpVersion, Issued, Material};
use rustls::ClientConfig;

use super::connect::{ConnectError, Connector, Established, Stream};
use super::http1::Http1;
use super::http2::{self, Http2};
use super::request::Requests;
use super::signing::Desk;
use super::tls::{self, Tls};
use super::{Endpoint, Exchanged, LoadError};
use crate::outcome::Outcome;
use crate::plan::ConnectionKind;

/// Connection attempts that may fail in a row before a slot pauses.
const FAILURES_BEFORE_PAUSE: u32 = 3;

/// Pause of a slot whose server does not let it connect: long enough not to spin, short enough to notice a server that
/// comes back.
const PAUSE: Duration = Duration::from_millis(20);

/// What all slots of one endpoint use.
pub(super) struct Wire {
    pub(super) connector: Connector,
    pub(super) requests: Requests,
    tls: Option<Tls>,
    /// For slots without a certificate.
    anonymous: Option<Arc<ClientConfig>>,
    pub(super) http: HttpVersion,
}

impl Wire {
    /// Renders the requests of `issued` and prepares TLS.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(super) fn new(endpoint: &Endpoint, issued: &[Issued]) -> Result<Self, LoadError> {
        let connector = Connector::new(endpoint)?;
        let tls = Tls::new(endpoint, &connector.traffic)?;
        let anonymous = match (&tls, issued.first()) {
            (Some(tls), Some(credential)) if !is_certificate(credential) => Some(tls.config(credential)?),
            _ => None,
        };
        Ok(Self { connector, requests: Requests::render(endpoint, issued)?, tls, anonymous, http: endpoint.http })
    }

    fn tls_for(&self, credential: &Issued) -> Result<Option<Arc<ClientConfig>>, LoadError> {
        match (&self.tls, &self.anonymous) {
            (Some(_), Some(anonymous)) if !is_certificate(credential) => Ok(Some(Arc::clone(anonymous))),
            (Some(tls), _) => tls.config(credential).map(Some),
            (None, _) if is_certificate(credential) => Err(LoadError::Credential {
                id: credential.id.clone(),
                message: "a client certificate cannot be presented in plaintext; use TLS".to_owned(),
            }),
            (None, _) => Ok(None),
        }
    }
}

/// Whether a connection presents this credential, rather than each request.
pub(super) fn is_certificate(credential: &Issued) -> bool {
    matches!(credential.material, Material::Certificate { .. })
}

enum Channel {
    Http1(Http1),
    Http2(Http2),
}

impl Channel {
    async fn exchange(&mut self, wire: &Wire, credential: usize, room: &mut Room) -> Exchanged {
        let expected = wire.requests.expected(credential);
        let Room { received, desk } = room;
        match self {
            Self::Http1(http1) => http1.exchange(wire.requests.http1(credential, desk), expected, received).await,
            Self::Http2(http2) => http2.exchange(wire.requests.http2(credential, desk), expected, received).await,
        }
    }

    async fn close(self) {
        match self {
            Self::Http1(http1) => http1.close().await,
            Self::Http2(http2) => http2.close().await,
        }
    }
}

/// Where a request is signed, and its answer received: kept, so that neither allocates.
#[derive(Default)]
struct Room {
    received: Vec<u8>,
    desk: Desk,
}

/// A connection that was opened for a number of requests; see [`Slot::converse`].
pub(super) struct Conversation(Channel);

impl Conversation {
    /// Sends a request of HTTP/1.1 as it is, and reads status and body of its answer.
    pub(super) async fn fetch(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        match &mut self.0 {
            Channel::Http1(http1) => http1.fetch(request).await,
            Channel::Http2(_) => Err(io::Error::other("only HTTP/1.1 can be sent as it is")),
        }
    }
}

/// See the module.
pub(super) struct Slot {
    /// The credential that the slot's connections present, where that is a certificate.
    pub(super) certificate: Option<usize>,
    tls: Option<Arc<ClientConfig>>,
    /// The same with a memory for sessions, once it holds one.
    resuming: Option<Arc<ClientConfig>>,
    /// The kept connection of HTTP/2.
    shared: Option<Arc<http2::Shared>>,
    /// What requests on a kept connection travel on.
    kept: Option<Channel>,
    /// What served one request and is to be closed, outside of its measured time.
    spent: Option<Channel>,
    room: Room,
    failures: u32,
    in_flight: bool,
}

impl Slot {
    /// A slot without connection. Its connections present the credential of that index if it is a certificate. `shared`
    /// is for HTTP/2.
    ///
    /// # Errors
    /// [`LoadError::Credential`].
    pub(super) fn new(
        wire: &Wire,
        index: usize,
        credential: &Issued,
        shared: Option<Arc<http2::Shared>>,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            certificate: is_certificate(credential).then_some(index),
            tls: wire.tls_for(credential)?,
            resuming: None,
            shared,
            kept: None,
            spent: None,
            room: Room::default(),
            failures: 0,
            in_flight: false,
        })
    }

    /// Sends one request over the kind of connection asked for, which is opened first where there is none.
    pub(super) async fn request(&mut self, wire: &Wire, kind: ConnectionKind, credential: usize) -> Outcome {
        self.in_flight = true;
        let outcome = self.try_request(wire, kind, credential).await.unwrap_or_else(|error| error.outcome);
        self.in_flight = false;
        outcome
    }

    async fn try_request(
        &mut self,
        wire: &Wire,
        kind: ConnectionKind,
        credential: usize,
    ) -> Result<Outcome, ConnectError> {
        let mut channel = match (kind, self.kept.take()) {
            (ConnectionKind::Reused, Some(channel)) => channel,
            (ConnectionKind::Reused, None) => self.connect_kept(wire).await?,
            (ConnectionKind::Fresh | ConnectionKind::Resumed, kept) => {
                self.kept = kept;
                self.connect_once(wire, kind).await?.0
            }
        };
        let Exchanged { outcome, keep } = channel.exchange(wire, credential, &mut self.room).await;
        match kind {
            ConnectionKind::Reused if keep => self.kept = Some(channel),
            ConnectionKind::Reused => drop(channel),
            ConnectionKind::Fresh | ConnectionKind::Resumed => self.spent = Some(channel),
        }
        Ok(outcome)
    }

    /// Closes the connection that served only the last request: not part of that request's time.
    pub(super) async fn close_spent(&mut self) {
        if let Some(channel) = self.spent.take() {
            channel.close().await;
        }
    }

    /// Opens a connection of that kind for requests by [`Slot::exchange`], until [`Slot::hang_up`]. Kept connections have
    /// no part in it.
    pub(super) async fn converse(
        &mut self,
        wire: &Wire,
        kind: ConnectionKind,
    ) -> Result<(Conversation, Established), ConnectError> {
        self.in_flight = true;
        let opened = self.connect_once(wire, kind).await;
        self.in_flight = opened.is_ok();
        opened.map(|(channel, established)| (Conversation(channel), established))
    }

    /// Sends one request on a connection of [`Slot::converse`].
    pub(super) async fn exchange(
        &mut self,
        wire: &Wire,
        conversation: &mut Conversation,
        credential: usize,
    ) -> Exchanged {
        conversation.0.exchange(wire, credential, &mut self.room).await
    }

    /// Ends a connection of [`Slot::converse`].
    pub(super) async fn hang_up(&mut self, conversation: Conversation) {
        self.in_flight = false;
        conversation.0.close().await;
    }

    /// Waits a little when connecting keeps failing, so that a dead server does not make a busy loop.
    pub(super) async fn pause_after_failures(&self) {
        if self.failures >= FAILURES_BEFORE_PAUSE {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Lets go of the kept connection if the server has closed it.
    pub(super) async fn drop_dead(&mut self) {
        let alive = match &mut self.kept {
            Some(Channel::Http1(http1)) => http1.is_alive().await,
            Some(Channel::Http2(http2)) => http2.is_alive().await,
            None => false,
        };
        if !alive {
            self.kept = None;
        }
    }

    /// Closes the kept connection, unless streams share it.
    pub(super) async fn close_kept(&mut self) {
        if self.shared.is_none()
            && let Some(kept) = self.kept.take()
        {
            kept.close().await;
        }
    }

    /// Opens the kept connection where there is none.
    pub(super) async fn open(&mut self, wire: &Wire) -> Result<(), ConnectError> {
        if self.kept.is_none() {
            self.kept = Some(self.connect_kept(wire).await?);
        }
        Ok(())
    }

    /// Makes the full handshake that resumed ones go back to, and a request on it: TLS 1.3 hands out its tickets after
    /// the handshake, and they are read with an answer.
    pub(super) async fn prime(&mut self, wire: &Wire, credential: usize) {
        if self.tls.is_none() || self.resuming.is_some() {
            return;
        }
        self.resuming = self.tls.as_deref().map(tls::resuming);
        if self.request(wire, ConnectionKind::Resumed, credential).await != Outcome::Accepted {
            // Nothing to resume yet; the next slice tries again.
            self.resuming = None;
        }
        self.close_spent().await;
    }

    /// Lets go of the session that resumed connections would go back to.
    pub(super) fn forget_session(&mut self) {
        self.resuming = None;
    }

    /// Whether a connection is kept.
    pub(super) fn keeps_connection(&self) -> bool {
        self.kept.is_some()
    }

    /// Gives up a request whose future was dropped before it was done; tells whether there was one.
    pub(super) fn abandon(&mut self) -> bool {
        std::mem::take(&mut self.in_flight)
    }

    async fn connect_kept(&mut self, wire: &Wire) -> Result<Channel, ConnectError> {
        let Some(shared) = self.shared.clone() else {
            return self.connect_once(wire, ConnectionKind::Reused).await.map(|(channel, _)| channel);
        };
        let tls = self.tls.as_ref();
        let opened = shared.get(async { Http2::open(wire.connector.connect(tls).await?).await }).await;
        self.note(&opened);
        opened.map(Channel::Http2)
    }

    async fn connect_once(
        &mut self,
        wire: &Wire,
        kind: ConnectionKind,
    ) -> Result<(Channel, Established), ConnectError> {
        let tls = match kind {
            ConnectionKind::Resumed => self.resuming.as_ref().or(self.tls.as_ref()),
            ConnectionKind::Reused | ConnectionKind::Fresh => self.tls.as_ref(),
        };
        let opened = match wire.connector.establish(tls).await {
            Ok((stream, established)) => begin(stream, wire.http).await.map(|channel| (channel, established)),
            Err(error) => Err(error),
        };
        self.note(&opened);
        opened
    }

    /// Keeps the count of failures in a row. A refused certificate is an answer, not a failure.
    fn note<T>(&mut self, opened: &Result<T, ConnectError>) {
        match opened {
            Err(ConnectError { outcome: Outcome::Failed(_), .. }) => self.failures += 1,
            _ => self.failures = 0,
        }
    }
}

async fn begin(stream: Stream, http: HttpVersion) -> Result<Channel, ConnectError> {
    Ok(match http {
        HttpVersion::Http1 => Channel::Http1(Http1::new(stream)),
        HttpVersion::Http2 => Channel::Http2(Http2::open(stream).await?),
    })
}
