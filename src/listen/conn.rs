//! One connection of a client.
//!
//! Invariant: at any moment either a request is under way or a time-out is running. One timer per connection, re-armed only
//! when it fires, so a request costs no timer. A refused upload is read on for a moment before its answer is written, for a
//! socket closed with unread bytes resets the connection and the client would never see the refusal (RFC 9112 section 9.6).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::{Service, ServiceExt};

use super::accept::{Phase, reached};
use super::{Inbound, Settings};

/// How much of a refused upload is read before its answer.
const READ_ON_BYTES: u64 = 1024 * 1024;
/// How long that may take.
const READ_ON_TIME: Duration = Duration::from_secs(1);

/// What a connection's timer and its requests share.
#[derive(Debug, Default)]
struct Line {
    serving: AtomicBool,
    requests: AtomicU64,
    /// The body of a request that was answered before it was read.
    unread: Mutex<Option<Incoming>>,
}

/// Serves one connection to its end.
pub(super) async fn serve<S, B>(
    stream: TcpStream,
    peer: SocketAddr,
    service: S,
    settings: Settings,
    mut phase: watch::Receiver<Phase>,
) where
    S: Service<Inbound<ClientBody>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let line = Arc::new(Line::default());
    let requests = Arc::clone(&line);
    let http = service_fn(move |request| answer(service.clone(), request, peer, Arc::clone(&requests)));
    // One buffer for head and events: a plain write costs less than a vectored one, and events are short (a tenth of the
    // instructions of a stream's event).
    let server = hyper::server::conn::http1::Builder::new().writev(false).serve_connection(TokioIo::new(stream), http);
    let mut connection = pin!(server);
    let mut timer = pin!(tokio::time::sleep(settings.header_timeout));
    let mut seen = 0;
    let mut closing = false;
    loop {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = timer.as_mut() => {
                let requests = line.requests.load(Relaxed);
                if !line.serving.load(Relaxed) && requests == seen {
                    return;
                }
                seen = requests;
                timer.as_mut().reset(tokio::time::Instant::now() + settings.idle_timeout);
            }
            () = reached(&mut phase, Phase::Closing), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer<S, B>(
    service: S,
    request: Request<Incoming>,
    peer: SocketAddr,
    line: Arc<Line>,
) -> Result<Response<Served<B>>, Infallible>
where
    S: Service<Inbound<ClientBody>, Response = Response<B>, Error = Infallible>,
{
    line.requests.fetch_add(1, Relaxed);
    line.serving.store(true, Relaxed);
    let serving = Serving(Arc::clone(&line));
    let request = request.map(|incoming| ClientBody { incoming: Some(incoming), line: Arc::clone(&line) });
    let response = service.oneshot(Inbound { request, peer }).await;
    let unread = line.unread.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(body) = unread {
        let _ = tokio::time::timeout(READ_ON_TIME, read_on(body)).await;
    }
    response.map(|response| response.map(|body| Served { body, serving }))
}

/// A request is under way until its answer's body is dropped (also by a client that leaves).
struct Serving(Arc<Line>);

pin_project! {
    /// An answer's body, which keeps its connection busy.
    struct Served<B> {
        #[pin]
        body: B,
        serving: Serving,
    }
}

impl<B: Body> Body for Served<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.serving.store(false, Relaxed);
    }
}

async fn read_on(mut body: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > READ_ON_BYTES {
            return;
        }
    }
}

/// A request's body; what is left of it when it is dropped is read on by the connection.
#[derive(Debug)]
pub struct ClientBody {
    /// `None` only while it is dropped.
    incoming: Option<Incoming>,
    line: Arc<Line>,
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take().filter(|body| !body.is_end_stream()) {
            *self.line.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(incoming);
        }
    }
}
