//! The accept loop of one core.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::Service;
use tower::util::BoxCloneSyncService;
use tracing::warn;

use crate::message::Response;
use crate::telemetry::metrics::Metrics;
use crate::tls::Served;

use super::body::ClientBody;
use super::place::{Inbox, Placement, Seated};
use super::stream::Stream;
use super::{Inbound, Settings};
use super::{http1, http2};

/// Told to stop accepting, and then to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Phase {
    /// Everything is served.
    Open,
    /// Nothing is accepted; each answer says that its connection closes. (Whether requests are served still, is not for
    /// sockets to say.)
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
    /// What clients are shown, where TLS is spoken.
    pub tls: Option<Arc<Served>>,
    /// The counters.
    pub core_cells: Arc<Metrics>,
}

impl<S, B> Acceptor<S>
where
    S: Service<Inbound<ClientBody>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Accepts until told to stop. Connections go on by themselves.
    ///
    /// # Errors
    /// Only if the socket cannot be registered with the runtime.
    pub async fn run(mut self, listeners: Vec<std::net::TcpListener>, mut inbox: Inbox) -> std::io::Result<()> {
        let listeners = listeners.into_iter().map(TcpListener::from_std).collect::<Result<Vec<_>, _>>()?;
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
                accepted = any(&listeners) => match accepted {
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
        let (service, settings, phase) = (self.service.clone(), self.settings.clone(), self.phase.clone());
        let tls = self.tls.as_ref().map(|served| TlsAcceptor::from(served.now()));
        let metrics = Arc::clone(&self.core_cells);
        let core = self.core;
        #[expect(
            clippy::let_underscore_future,
            reason = "the placement counts it until it ends; drain waits for the count"
        )]
        let _ = tokio::spawn(async move {
            let cells = metrics.core(core);
            cells.connections.fetch_add(1, Relaxed);
            match begin(stream, peer, tls, &settings).await {
                // Boxed: a connection of HTTP/1.1 must not be as large as one of HTTP/2. The service too: a second copy of the
                // whole stack would keep the compiler from inlining the first.
                Some((stream, peer)) if stream.speaks_http2() => {
                    let service = BoxCloneSyncService::new(service);
                    Box::pin(http2::serve(stream, peer, service, settings, phase)).await;
                }
                Some((stream, peer)) => http1::serve(stream, peer, service, settings, phase).await,
                None => {
                    cells.handshakes_failed.fetch_add(1, Relaxed);
                }
            }
            cells.connections.fetch_sub(1, Relaxed);
            drop(seat);
        });
    }
}

/// The next connection of any of them.
async fn any(listeners: &[TcpListener]) -> std::io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|cx| {
        let mut polled = listeners.iter().map(|listener| listener.poll_accept(cx));
        polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// The client's end of a connection, and its address, once its proxy has named it and TLS has been agreed on; `None` if that
/// went wrong or took too long.
async fn begin(
    mut stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    settings: &Settings,
) -> Option<(Stream, SocketAddr)> {
    if tls.is_none() && !settings.trusted.proxy_protocol {
        return Some((Stream::Plain(stream), peer));
    }
    // Boxed: its state is large, and gone when the connection begins.
    let beginning = Box::pin(async move {
        let peer = settings.trusted.behind(&mut stream, peer).await?;
        match tls {
            // Scanners and clients that do not trust us: counted, and nothing to tell anybody.
            Some(tls) => Some((Stream::Tls(Box::new(tls.accept(stream).await.ok()?)), peer)),
            None => Some((Stream::Plain(stream), peer)),
        }
    });
    tokio::time::timeout(settings.header_timeout, beginning).await.ok().flatten()
}
