//! Which core a new connection goes to: the one with the fewest.
//!
//! Invariant: a hand-over never waits and never loses a connection; where a core's inbox is full, the connection stays
//! where it was accepted.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::mpsc;

/// Connections that may wait for a core.
const INBOX: usize = 1024;

/// The cores, and how many connections each has.
#[derive(Debug)]
pub struct Placement {
    cores: Vec<Seat>,
}

#[derive(Debug)]
struct Seat {
    open: AtomicUsize,
    inbox: mpsc::Sender<(TcpStream, SocketAddr)>,
}

/// What other cores hand to this one.
pub type Inbox = mpsc::Receiver<(TcpStream, SocketAddr)>;

impl Placement {
    /// For so many cores; the inbox of each.
    #[must_use]
    pub fn new(cores: usize) -> (Arc<Self>, Vec<Inbox>) {
        let (cores, inboxes) = (0..cores)
            .map(|_| {
                let (inbox, receiver) = mpsc::channel(INBOX);
                (Seat { open: AtomicUsize::new(0), inbox }, receiver)
            })
            .unzip();
        (Arc::new(Self { cores }), inboxes)
    }

    /// Open connections, over all cores.
    #[must_use]
    pub fn open(&self) -> usize {
        self.cores.iter().map(|c| c.open.load(Relaxed)).sum()
    }

    /// The core that a connection accepted by `here` should go to. It counts from this moment on, so that a burst of
    /// accepts spreads; a difference of one is left alone.
    #[must_use]
    pub fn choose(self: &Arc<Self>, here: usize) -> Seated {
        let open = |core: usize| self.cores[core].open.load(Relaxed);
        let least = (0..self.cores.len()).min_by_key(|core| open(*core)).unwrap_or(here);
        let core = if open(here) > open(least) { least } else { here };
        self.seat(core)
    }

    fn seat(self: &Arc<Self>, core: usize) -> Seated {
        self.cores[core].open.fetch_add(1, Relaxed);
        Seated { placement: Arc::clone(self), core }
    }

    /// Counts a connection that another core handed over: its seat there has been given up.
    #[must_use]
    pub fn arrived(self: &Arc<Self>, core: usize) -> Seated {
        self.seat(core)
    }

    /// Hands a connection to its core; gives it back where there is no room.
    ///
    /// # Errors
    /// The connection itself.
    pub fn hand_over(&self, core: usize, stream: TcpStream, peer: SocketAddr) -> Result<(), (TcpStream, SocketAddr)> {
        self.cores[core].inbox.try_send((stream, peer)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back) => back,
        })
    }
}

/// A connection's place among those of its core, until it is dropped.
#[derive(Debug)]
pub struct Seated {
    placement: Arc<Placement>,
    /// Which core.
    pub core: usize,
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.placement.cores[self.core].open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_accepted_by_one_core_spread_over_all() {
        let (placement, _inboxes) = Placement::new(4);
        let seats: Vec<_> = (0..12).map(|_| placement.choose(0)).collect();
        for core in 0..4 {
            assert_eq!(seats.iter().filter(|s| s.core == core).count(), 3, "core {core}");
        }
        drop(seats);
        assert_eq!(placement.open(), 0);
    }

    #[test]
    fn a_full_inbox_gives_the_connection_back() {
        let (placement, inboxes) = Placement::new(2);
        drop(inboxes);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer = stream.peer_addr().unwrap();
        assert!(placement.hand_over(1, stream, peer).is_err());
    }
}
