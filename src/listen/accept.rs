//! The accept loop of one core.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::Service;
use tracing::warn;

use crate::telemetry::metrics::Metrics;

use super::body::ClientBody;
use super::conn;
use super::place::{Inbox, Placement, Seated};
use super::{Inbound, Settings};

/// Told to stop accepting, and then to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Phase {
    /// Everything is served.
    Open,
    /// Nothing is accepted; requests on open connections are refused.
    Draining,
    /// Idle connections close; streams under way go on to their end.
    Closing,
}

/// Waits for a phase, or for a later one.
pub(super) async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    // An error means that nobody can tell any more: the core is going down.
    drop(phase.wait_for(|now| *now >= wanted).await);
}

/// What a core accepts with.
#[derive(Debug)]
pub struct Acceptor<S> {
    /// Which core this is.
    pub core: usize,
    /// How connections are treated.
    pub settings: Settings,
    /// Who gets a new connection.
    pub placement: Arc<Placement>,
    /// The stack; cloned for each request.
    pub service: S,
    /// When to stop.
    pub phase: watch::Receiver<Phase>,
    /// The counters.
    pub core_cells: Arc<Metrics>,
}

impl<S, B> Acceptor<S>
where
    S: Service<Inbound<ClientBody>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Future<Output = Result<Response<B>, Infallible>> + Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Accepts until told to stop. Connections go on by themselves.
    ///
    /// # Errors
    /// Only if the socket cannot be registered with the runtime.
    pub async fn run(mut self, listener: std::net::TcpListener, mut inbox: Inbox) -> std::io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let mut phase = self.phase.clone();
        loop {
            tokio::select! {
                biased;
                () = reached(&mut phase, Phase::Draining) => return Ok(()),
                Some((stream, peer)) = inbox.recv() => {
                    let seat = self.placement.arrived(self.core);
                    if let Ok(stream) = TcpStream::from_std(stream) {
                        self.serve(stream, peer, seat);
                    }
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.place(stream, peer),
                    // Out of descriptors, or the connection is gone already: neither is a reason to stop.
                    Err(error) => {
                        warn!(%error, "accept failed");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }
    }

    fn place(&mut self, stream: TcpStream, peer: SocketAddr) {
        self.core_cells.core(self.core).accepted.fetch_add(1, Relaxed);
        if self.placement.open() >= self.settings.max_connections {
            warn!(limit = self.settings.max_connections, "connection refused: too many are open");
            return;
        }
        let seat = self.placement.choose(self.core);
        if seat.core == self.core {
            return self.serve(stream, peer, seat);
        }
        let Ok(stream) = stream.into_std() else { return };
        if let Err((stream, peer)) = self.placement.hand_over(seat.core, stream, peer) {
            let seat = self.placement.arrived(self.core);
            if let Ok(stream) = TcpStream::from_std(stream) {
                self.serve(stream, peer, seat);
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, seat: Seated) {
        // A frame that arrives leaves at once: never wait for more to fill a segment (RFC 896).
        let _ = stream.set_nodelay(true);
        let connection = conn::serve(stream, peer, self.service.clone(), self.settings, self.phase.clone());
        let metrics = Arc::clone(&self.core_cells);
        let core = self.core;
        #[expect(
            clippy::let_underscore_future,
            reason = "the placement counts it until it ends; drain waits for the count"
        )]
        let _ = tokio::spawn(async move {
            metrics.core(core).connections.fetch_add(1, Relaxed);
            connection.await;
            metrics.core(core).connections.fetch_sub(1, Relaxed);
            drop(seat);
        });
    }
}
