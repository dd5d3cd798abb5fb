//! `kind = "handshake"`, and the group of the key exchange that its figures hang on.

use bench_server::contract::{KeyExchange, Transport};

use super::measurement::{CONNECTIONS_MAX, slices};
use super::reader::Section;
use super::value::{duration, list_of, one_of, positive, whole};
use crate::plan::{HandshakePlan, SessionKind};

const SESSIONS: &[(&str, SessionKind)] = &[("full", SessionKind::Full), ("resumed", SessionKind::Resumed)];

/// Requests on one connection. More than this would no longer tell a handshake's share from nothing.
const REQUESTS_MAX: u32 = 1_000_000;

/// Every combination of the lists; none when anything is wrong.
pub(super) fn read(section: &mut Section<'_>) -> Vec<HandshakePlan> {
    let connections = section.required("connections", "16", whole(1..=CONNECTIONS_MAX));
    let sessions =
        section.or("sessions", vec![SessionKind::Full], list_of(one_of(SESSIONS), "[\"full\", \"resumed\"]"));
    let requests = section.or("requests_per_connection", vec![1], list_of(whole(1..=REQUESTS_MAX), "[1, 10, 100]"));
    let warmup = section.required("warmup", "\"100ms\"", duration);
    let measure = section.required("measure", "\"500ms\"", positive);
    let slice = section.optional("slice", positive);
    let (Some(connections), Some(warmup), Some(measure)) = (connections, warmup, measure) else { return Vec::new() };
    let Some((slice, slices)) = slices(section, measure, slice) else { return Vec::new() };
    let combinations = sessions.iter().flat_map(|session| requests.iter().map(|requests| (*session, *requests)));
    combinations
        .map(|(session, requests_per_connection)| HandshakePlan {
            connections,
            session,
            requests_per_connection,
            warmup,
            slice,
            slices,
        })
        .collect()
}

/// `[server] key_exchange`.
pub(super) fn read_key_exchange(server: &mut Section<'_>, transport: Transport) -> Option<KeyExchange> {
    const GROUPS: &[(&str, KeyExchange)] = &[
        ("X25519MLKEM768", KeyExchange::X25519MLKEM768),
        ("X25519", KeyExchange::X25519),
        ("P-256", KeyExchange::P256),
    ];
    let group = server.optional("key_exchange", one_of(GROUPS))?;
    if let Some(misfit) = misfit(group, transport) {
        server.error("key_exchange", format!("{misfit}; change one of them, like transport = \"tls1.3\""));
    }
    Some(group)
}

/// Why a group cannot be had over a transport.
fn misfit(group: KeyExchange, transport: Transport) -> Option<&'static str> {
    match (transport, group) {
        (Transport::Plaintext, _) => Some("key_exchange goes with TLS, but transport is \"plaintext\""),
        (Transport::Tls12, KeyExchange::X25519MLKEM768) => {
            Some("key_exchange is \"X25519MLKEM768\", which TLS 1.2 does not have")
        }
        _ => None,
    }
}
