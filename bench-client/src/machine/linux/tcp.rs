//! What the kernel counts on TCP connections (`TCP_INFO`), asked for with sock_diag(7): `getsockopt` would be shorter and
//! has no safe form.

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::{Nla, TcpInfo};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as NetlinkAddress};

use super::super::tcp::{Ends, TcpCounts};

/// Says that a socket is named by its addresses alone (sock_diag(7), `idiag_cookie`).
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// Room for one answer: `TCP_INFO` and what little comes unasked.
const ANSWER: usize = 4096;

/// The counts of each connection; `None` for one that is no longer there.
pub(in crate::machine) fn tcp_counts(connections: &[Ends]) -> Result<Vec<Option<TcpCounts>>, String> {
    let socket = open().map_err(|error| format!("the kernel's socket diagnosis cannot be asked: {error}"))?;
    let mut answer = Vec::with_capacity(ANSWER);
    connections.iter().map(|ends| ask(&socket, ends, &mut answer)).collect()
}

fn open() -> std::io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&NetlinkAddress::new(0, 0))?; // the kernel
    Ok(socket)
}

fn ask(socket: &Socket, ends: &Ends, answer: &mut Vec<u8>) -> Result<Option<TcpCounts>, String> {
    let failed = |message: &dyn std::fmt::Display| format!("the kernel's socket diagnosis failed: {message}");
    socket.send(&request(ends), 0).map_err(|error| failed(&error))?;
    answer.clear();
    socket.recv(answer, 0).map_err(|error| failed(&error))?;
    let message = NetlinkMessage::<SockDiagMessage>::deserialize(answer).map_err(|error| failed(&error))?;
    match message.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
            let info = found.nlas.iter().find_map(|nla| match nla {
                Nla::TcpInfo(info) => Some(counts(info)),
                _ => None,
            });
            info.map(Some).ok_or_else(|| failed(&"TCP_INFO is missing, which needs CONFIG_INET_TCP_DIAG"))
        }
        NetlinkPayload::Error(error) => match rustix::io::Errno::from_io_error(&error.to_io()) {
            Some(rustix::io::Errno::NOENT) => Ok(None),
            _ => Err(failed(&error.to_io())),
        },
        other => Err(failed(&format_args!("unexpected answer {other:?}"))),
    }
}

fn request(ends: &Ends) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let family = if ends.local.is_ipv4() { AF_INET } else { AF_INET6 };
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO,
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: ends.local.port(),
            destination_port: ends.remote.port(),
            source_address: ends.local.ip(),
            destination_address: ends.remote.ip(),
            interface_id: 0,
            cookie: NO_COOKIE,
        },
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn counts(info: &TcpInfo) -> TcpCounts {
    TcpCounts {
        bytes_sent: info.bytes_sent,
        bytes_received: info.bytes_received,
        bytes_retransmitted: info.bytes_retrans,
        segments_sent: info.segs_out.into(),
        segments_received: info.segs_in.into(),
        segments_retransmitted: info.total_retrans.into(),
    }
}
