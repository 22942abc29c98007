//! A new process takes the listening sockets over from a running one, which then finishes what it has begun.
//!
//! Both speak through a socket file of mode 0600 (`listen.handover`), and the running one answers only its own user. The
//! sockets themselves change hands (SCM_RIGHTS, unix(7)), so a connection that waits to be accepted is lost by neither.
//! Invariant: the old process stops accepting only after the new one has said that it serves; should the new one die before
//! that, nothing has happened.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tracing::{info, warn};

/// First word of both sides, with the version of this protocol.
const HELLO: &[u8] = b"tollgate handover 1\n";
const SERVING: &[u8] = b"serving\n";
const DRAINING: &[u8] = b"draining\n";
/// Descriptors in one message; the kernel allows 253 (SCM_MAX_FD).
const AT_ONCE: usize = 200;
/// Descriptors in all: 1,024 workers and the operators' listener.
const MOST: usize = 1_025;
/// How long one side waits for the other's word, but for the last one.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the new process may take to begin to serve.
const START: Duration = Duration::from_secs(60);

/// What a running process gives away.
#[derive(Debug)]
pub struct Taken {
    /// The agents' listeners.
    pub listeners: Vec<TcpListener>,
    /// The operators' listener.
    pub admin: TcpListener,
    /// To say that we serve.
    old: UnixStream,
}

/// Asks the process that listens at `path`, if there is one, for the listeners of these addresses.
///
/// # Errors
/// There is one, and it gave something else, or nothing.
pub fn take(path: &Path, address: SocketAddr, admin: SocketAddr) -> io::Result<Option<Taken>> {
    let mut old = match UnixStream::connect(path) {
        Ok(old) => old,
        // No such file, or one that a process has left behind.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(e) => return Err(e),
    };
    old.set_read_timeout(Some(PATIENCE))?;
    old.set_write_timeout(Some(PATIENCE))?;
    old.write_all(HELLO)?;
    let mut all = Vec::new();
    let mut count = [0; 4];
    old.read_exact(&mut count)?;
    let count = u32::from_be_bytes(count) as usize;
    while all.len() < count.min(MOST) {
        all.extend(receive(&old)?);
    }
    let (mut listeners, mut operators) = (Vec::new(), None);
    for listener in all {
        match listener.local_addr()? {
            local if local == address => listeners.push(listener),
            local if local == admin => operators = Some(listener),
            // The addresses have changed: those are let go of, and bound anew.
            _ => {}
        }
    }
    match operators {
        Some(admin) if !listeners.is_empty() => Ok(Some(Taken { listeners, admin, old })),
        _ => Err(io::Error::other("the running process listens on other addresses; end it first")),
    }
}

fn receive(old: &UnixStream) -> io::Result<Vec<TcpListener>> {
    let mut space = [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(old, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut listeners = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            listeners.extend(descriptors.map(TcpListener::from));
        }
    }
    match received.bytes == 1 && !listeners.is_empty() {
        true => Ok(listeners),
        false => Err(io::Error::other("the running process sent no sockets")),
    }
}

impl Taken {
    /// Tells the old process that it may stop accepting, and waits until it has heard.
    ///
    /// # Errors
    /// It has gone: then it accepts nothing either.
    pub fn serving(mut self) -> io::Result<()> {
        self.old.write_all(SERVING)?;
        let mut heard = [0; DRAINING.len()];
        self.old.read_exact(&mut heard)
    }
}

/// Listeners on offer to the next process.
#[derive(Debug)]
pub struct Offer {
    path: PathBuf,
    socket: UnixListener,
    listeners: Vec<TcpListener>,
}

impl Offer {
    /// Offers copies of these at a path.
    ///
    /// # Errors
    /// The socket file cannot be made.
    pub fn new(path: &Path, listeners: Vec<TcpListener>) -> io::Result<Self> {
        // Beside it first and then in its place, so that there is never a file with other rights, nor none.
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let _ = std::fs::remove_file(&beside);
        let socket = UnixListener::bind(&beside)?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&beside, path)?;
        Ok(Self { path: path.to_owned(), socket, listeners })
    }

    /// Waits until another process serves in our place. Blocks its thread; never returns if nobody comes.
    pub fn wait(self) {
        loop {
            let Ok((stream, _)) = self.socket.accept() else {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            match self.give(stream) {
                Ok(()) => return,
                Err(error) => warn!(%error, "a handover was begun and not finished; this process goes on"),
            }
        }
    }

    fn give(&self, mut new: UnixStream) -> io::Result<()> {
        let peer = rustix::net::sockopt::socket_peercred(&new)?;
        if peer.uid != rustix::process::geteuid() {
            return Err(io::Error::other("another user asked for the sockets"));
        }
        new.set_read_timeout(Some(PATIENCE))?;
        new.set_write_timeout(Some(PATIENCE))?;
        let mut hello = [0; HELLO.len()];
        new.read_exact(&mut hello)?;
        if hello != HELLO {
            return Err(io::Error::other("it speaks another version of this protocol"));
        }
        let count = u32::try_from(self.listeners.len()).map_err(io::Error::other)?;
        new.write_all(&count.to_be_bytes())?;
        for some in self.listeners.chunks(AT_ONCE) {
            let descriptors: Vec<BorrowedFd<'_>> = some.iter().map(AsFd::as_fd).collect();
            let mut space = [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            sendmsg(&new, &[IoSlice::new(b"+")], &mut ancillary, SendFlags::NOSIGNAL)?;
        }
        new.set_read_timeout(Some(START))?;
        let mut serving = [0; SERVING.len()];
        new.read_exact(&mut serving)?;
        if serving != SERVING {
            return Err(io::Error::other("it did not say that it serves"));
        }
        info!(path = %self.path.display(), process = peer.pid.as_raw_nonzero().get(), "another process serves now");
        // It may have gone already; it serves all the same.
        let _ = new.write_all(DRAINING);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    #[test]
    fn sockets_change_hands_once_the_new_process_serves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover");
        let (agents, operators) = (listener(), listener());
        let (address, admin) = (agents.local_addr().unwrap(), operators.local_addr().unwrap());
        assert!(take(&path, address, admin).unwrap().is_none(), "nobody is there");
        let offer = Offer::new(&path, vec![agents, operators]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let old = std::thread::spawn(move || offer.wait());
        // One that dies before it serves changes nothing.
        drop(take(&path, address, admin).unwrap().unwrap());
        assert!(!old.is_finished());
        let taken = take(&path, address, admin).unwrap().unwrap();
        assert_eq!(taken.listeners[0].local_addr().unwrap(), address);
        assert_eq!(taken.admin.local_addr().unwrap(), admin);
        let agents = taken.listeners[0].try_clone().unwrap();
        taken.serving().unwrap();
        old.join().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(agents.accept().unwrap().1, client.local_addr().unwrap());
        assert!(take(&path, address, admin).unwrap().is_none(), "what is left of the file is nobody's");
    }

    #[test]
    fn other_addresses_are_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover");
        let (agents, operators) = (listener(), listener());
        let address = agents.local_addr().unwrap();
        let offer = Offer::new(&path, vec![agents, operators]).unwrap();
        std::thread::spawn(move || offer.wait());
        assert!(take(&path, address, "127.0.0.1:1".parse().unwrap()).is_err());
    }
}
