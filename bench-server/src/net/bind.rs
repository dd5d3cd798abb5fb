//! Listening sockets: as many as there are workers on one address, so that the kernel spreads connections over them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;

use tokio::net::TcpSocket;

/// Connections that may wait to be accepted, per socket; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// The sockets of one listener.
pub(crate) struct Bound {
    /// The address with its real port.
    pub(crate) address: SocketAddr,
    /// One socket per worker; connections are accepted as soon as a worker takes it over.
    pub(crate) sockets: Vec<TcpListener>,
}

/// Binds `copies` sockets to one address. Runs inside a runtime.
///
/// # Errors
/// As the operating system: the address is in use, not this machine's, or not permitted.
pub(crate) fn bind(address: SocketAddr, copies: NonZeroUsize) -> io::Result<Bound> {
    let shared = copies.get() > 1;
    if shared && address.port() != 0 {
        // With SO_REUSEPORT a second server of the same user would bind too and silently take half of the connections.
        drop(socket(address)?);
    }
    let first = listen(address, shared)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    while sockets.len() < copies.get() {
        sockets.push(listen(address, shared)?);
    }
    Ok(Bound { address, sockets })
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    if shared { shareable(address)? } else { socket(address)? }.listen(BACKLOG)?.into_std()
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = unbound(address)?;
    socket.bind(address)?;
    Ok(socket)
}

fn shareable(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = unbound(address)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn unbound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of an earlier server that still wait in TIME_WAIT do not matter.
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    fn copies(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    #[tokio::test]
    async fn all_sockets_share_one_real_port() {
        let bound = bind(ANY, copies(3)).unwrap();
        assert_ne!(bound.address.port(), 0);
        assert_eq!(bound.sockets.len(), 3);
        for socket in &bound.sockets {
            assert_eq!(socket.local_addr().unwrap(), bound.address);
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_refused_although_it_could_be_shared() {
        for (held, wanted) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let bound = bind(ANY, copies(held)).unwrap();
            let error = bind(bound.address, copies(wanted)).err().expect("the port is taken");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{held} held, {wanted} wanted");
            drop(bound.sockets);
            bind(bound.address, copies(wanted)).expect("the port is free again");
        }
    }
}
