//! The first steps of a caller, one at a time, each with what it took: connecting, the requests that bring a credential,
//! the first request to the API.

use std::time::{Duration, Instant};

use bench_server::contract::{Issued, Material};

use super::connect::{ConnectError, Totals};
use super::round_trips;
use super::slot::{Conversation, Slot, Wire};
use super::{Endpoint, Exchanged, LoadError};
use crate::outcome::Outcome;
use crate::plan::ConnectionKind;

/// A caller with a credential, and at first no connection.
pub struct FirstCall {
    endpoint: Endpoint,
    wire: Wire,
    slot: Slot,
    conversation: Option<Conversation>,
}

/// What a step took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How long.
    pub elapsed: Duration,
    /// Round trips, by what the protocols demand.
    pub round_trips: u32,
    /// Bytes written to TCP.
    pub sent: u64,
    /// Bytes read from TCP.
    pub received: u64,
}

impl FirstCall {
    /// A caller that presents `credential`.
    ///
    /// # Errors
    /// [`LoadError`] when the credential cannot be presented, or the endpoint's host, path or roots cannot be used.
    pub fn new(endpoint: Endpoint, credential: &Issued) -> Result<Self, LoadError> {
        let wire = Wire::new(&endpoint, std::slice::from_ref(credential))?;
        let slot = Slot::new(&wire, 0, credential, None)?;
        Ok(Self { endpoint, wire, slot, conversation: None })
    }

    /// A caller without credential, for [`FirstCall::fetch`].
    ///
    /// # Errors
    /// [`LoadError::Connect`] when the endpoint's host, path or roots cannot be used.
    pub fn anonymous(endpoint: Endpoint) -> Result<Self, LoadError> {
        Self::new(endpoint, &Issued { id: String::new(), principal: String::new(), material: Material::None })
    }

    /// Opens the connection, with a full handshake where there is TLS.
    ///
    /// # Errors
    /// [`LoadError::Connect`].
    pub async fn connect(&mut self) -> Result<Taken, LoadError> {
        let (begun, before) = self.begin();
        let opened = self.slot.converse(&self.wire, ConnectionKind::Fresh).await;
        let (conversation, established) = opened.map_err(|error: ConnectError| LoadError::Connect {
            address: self.endpoint.address,
            message: error.source.to_string(),
        })?;
        self.conversation = Some(conversation);
        Ok(self.taken(begun, before, round_trips::connection(self.endpoint.transport, established.handshake)))
    }

    /// Sends the request to the API.
    ///
    /// # Panics
    /// Without [`FirstCall::connect`].
    pub async fn request(&mut self) -> (Outcome, Taken) {
        let (begun, before) = self.begin();
        let conversation = self.conversation.as_mut().expect(CONNECTED);
        let Exchanged { outcome, .. } = self.slot.exchange(&self.wire, conversation, 0).await;
        (outcome, self.taken(begun, before, round_trips::REQUEST))
    }

    /// Sends another request of HTTP/1.1, byte for byte, and reads status and body of its answer.
    ///
    /// # Errors
    /// [`LoadError::Connect`] when the answer does not come or is no HTTP/1.1.
    ///
    /// # Panics
    /// Without [`FirstCall::connect`].
    pub async fn fetch(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>, Taken), LoadError> {
        let (begun, before) = self.begin();
        let fetched = self.conversation.as_mut().expect(CONNECTED).fetch(request).await;
        let (status, body) = fetched
            .map_err(|error| LoadError::Connect { address: self.endpoint.address, message: error.to_string() })?;
        Ok((status, body, self.taken(begun, before, round_trips::REQUEST)))
    }

    /// Ends the connection.
    pub async fn close(mut self) {
        if let Some(conversation) = self.conversation.take() {
            self.slot.hang_up(conversation).await;
        }
    }

    fn begin(&self) -> (Instant, Totals) {
        (Instant::now(), self.wire.connector.traffic.totals())
    }

    fn taken(&self, begun: Instant, before: Totals, round_trips: u32) -> Taken {
        let elapsed = begun.elapsed();
        let after = self.wire.connector.traffic.totals();
        Taken { elapsed, round_trips, sent: after.sent - before.sent, received: after.received - before.received }
    }
}

const CONNECTED: &str = "requests follow a connection";

#[cfg(test)]
mod tests {
    use bench_server::contract::{HttpVersion, Transport};

    use super::super::testing::{PLAIN, Pki, Reply, Setup, keys, ok, serve};
    use super::*;

    #[tokio::test]
    async fn every_step_has_its_bytes_and_round_trips() {
        let pki = Pki::new();
        for (transport, connecting) in [(Transport::Tls12, 3), (Transport::Tls13, 2)] {
            for http in [HttpVersion::Http1, HttpVersion::Http2] {
                let setup = Setup { transport, http, pki: Some(&pki), client_certificates: true };
                let endpoint = serve(setup, |_| Reply::Answer(ok("app-0"))).await;
                let mut call = FirstCall::new(endpoint, &pki.client("app-0")).unwrap();
                let connected = call.connect().await.unwrap();
                let (outcome, requested) = call.request().await;
                assert_eq!(outcome, Outcome::Accepted);
                assert_eq!((connected.round_trips, requested.round_trips), (connecting, 1), "{transport:?} {http:?}");
                let totals = call.wire.connector.traffic.totals();
                assert_eq!(totals.sent, connected.sent + requested.sent, "{transport:?} {http:?}");
                assert_eq!(totals.received, connected.received + requested.received);
                assert!(connected.sent > 500, "a certificate was sent: {connected:?}");
                assert_eq!((totals.full, totals.certificates), (1, 1));
                call.close().await;
            }
        }
    }

    #[tokio::test]
    async fn other_requests_are_sent_as_they_are() {
        let endpoint = serve(PLAIN, |seen| {
            assert!(seen.head.starts_with("GET /other HTTP/1.1\r\n"), "{}", seen.head);
            Reply::Answer(
                "HTTP/1.1 418 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n".to_owned(),
            )
        })
        .await;
        let mut call = FirstCall::anonymous(endpoint).unwrap();
        assert_eq!(call.connect().await.unwrap().round_trips, 1);
        let request = b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n";
        let (status, body, taken) = call.fetch(request).await.unwrap();
        assert_eq!((status, body.as_slice()), (418, b"abc".as_slice()));
        assert_eq!(taken.sent, request.len() as u64);
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_is_an_error() {
        let endpoint = serve(PLAIN, |_| Reply::Close).await;
        let mut call = FirstCall::new(endpoint, &keys(1)[0]).unwrap();
        call.connect().await.unwrap();
        assert!(call.fetch(b"GET / HTTP/1.1\r\n\r\n").await.is_err());
    }
}
