//! What a service manager is told (sd_notify(3)): when we serve, reload and stop.
//!
//! Invariant: without `NOTIFY_SOCKET` nothing happens, and a manager that does not listen is not waited for.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says one thing.
pub fn notify(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_encoded_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        _ => SocketAddr::from_pathname(&name),
    };
    let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) else { return };
    let _ = socket.set_nonblocking(true);
    let _ = socket.send_to_addr(state.as_bytes(), &address);
}
