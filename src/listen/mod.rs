//! Bytes arrive: sockets, connections, drain.
//!
//! Generic over the service; knows nothing of what is served. Each core has a listening socket of its own (`SO_REUSEPORT`),
//! and hands a new connection to the core with the fewest, because the kernel spreads by hash and a few long-lived
//! connections of agents would lie badly.

pub mod accept;
mod beside;
pub mod body;
pub mod http1;
mod http2;
mod line;
mod peer;
pub mod place;
mod stream;
mod turns;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use http::{Method, Uri, Version};
use socket2::{Domain, Protocol, Socket, Type};

use crate::message::Fields;

/// Connections that the kernel holds for us until they are accepted.
const BACKLOG: i32 = 4096;

pub use peer::Trusted;

/// How clients' connections are treated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Until the first request's head is complete.
    pub header_timeout: Duration,
    /// Without a request under way.
    pub idle_timeout: Duration,
    /// Open connections, over all cores.
    pub max_connections: usize,
    /// The proxies in front.
    pub trusted: Trusted,
}

/// A request and where it came from.
#[derive(Debug)]
pub struct Inbound<B> {
    /// What to do.
    pub method: Method,
    /// With what.
    pub target: Uri,
    /// Of HTTP, as the client speaks it.
    pub version: Version,
    /// The header fields.
    pub fields: Fields,
    /// Unread.
    pub body: B,
    /// The client, as far as proxies that we believe have named it.
    pub peer: SocketAddr,
    /// It says once, and validly, whom it is for (RFC 9112 section 3.2). We route nothing by it; but a request that another
    /// server on the way may have read otherwise is not served.
    pub addressed: bool,
}

/// One listening socket per core on the same address. With port 0 the kernel chooses one port for all.
///
/// # Errors
/// The system's, most often "address in use": another process listens there. (`SO_REUSEPORT` alone would let a second
/// gateway of the same user share the port in silence; so a first socket without it asks. It does not listen: who came to it
/// would be reset.)
pub fn bind(address: SocketAddr, cores: usize) -> io::Result<Vec<TcpListener>> {
    drop(bound(address, false)?);
    let first = listening(address)?;
    let address = first.local_addr()?;
    let mut all = vec![first];
    while all.len() < cores {
        all.push(listening(address)?);
    }
    Ok(all)
}

fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address, true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_share_a_port_and_strangers_do_not() {
        let all = bind(([127, 0, 0, 1], 0).into(), 3).unwrap();
        let address = all[0].local_addr().unwrap();
        assert!(all.iter().all(|l| l.local_addr().unwrap() == address));
        assert_eq!(bind(address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
