//! One HTTP/1.1 connection of a client.
//!
//! Invariant: at any moment either a request is under way or a time-out is running. One timer per connection, re-armed only
//! when it fires, so a request costs no timer. A refused upload is read on for a moment before its answer is written, for a
//! socket closed with unread bytes resets the connection and the client would never see the refusal (RFC 9112 section 9.6).

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue};
use http::{Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tower::{Service, ServiceExt};

use super::accept::{Phase, reached};
use super::body::{self, ClientBody, Served, Serving};
use super::stream::Stream;
use super::wake::{self, Beside};
use super::{Inbound, Settings};

/// How much of a refused upload is read before its answer.
const READ_ON_BYTES: u64 = 1024 * 1024;
/// How long that may take.
const READ_ON_TIME: Duration = Duration::from_secs(1);

/// What a connection's timer and its requests share.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Requests under way: on HTTP/1.1 one at most.
    pub(super) serving: AtomicU32,
    pub(super) requests: AtomicU64,
    /// The next answer is this connection's last.
    last: AtomicBool,
    /// The body of a request that was answered before it was read.
    pub(super) unread: Mutex<Option<Incoming>>,
}

impl Line {
    /// Requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// No request is under way, and none has begun since there were `seen`.
    pub(super) fn is_idle_since(&self, seen: u64) -> bool {
        self.serving.load(Relaxed) == 0 && self.requests() == seen
    }
}

/// Serves one connection to its end.
pub(super) async fn serve<S, B>(
    stream: Stream,
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
    let trusted = settings.trusted.clone();
    let http = service_fn(move |request: Request<Incoming>| {
        let peer = trusted.behind_request(request.headers(), peer);
        answer(service.clone(), request, peer, Arc::clone(&requests))
    });
    // One buffer for head and events: a plain write costs less than a vectored one, and events are short (a tenth of the
    // instructions of a stream's event).
    let io = TokioIo::new(stream);
    let server = hyper::server::conn::http1::Builder::new().writev(false).serve_connection(io, http);
    let mut connection = pin!(server);
    let mut timer = pin!(tokio::time::sleep(settings.header_timeout));
    let mut closing = pin!(async {
        reached(&mut phase, Phase::Draining).await;
        line.last.store(true, Relaxed);
        reached(&mut phase, Phase::Closing).await;
    });
    let mut closed = false;
    let mut seen = 0;
    let beside = Beside::new();
    poll_fn(|cx| {
        loop {
            if wake::poll(connection.as_mut(), cx).is_ready() {
                return Poll::Ready(());
            }
            let Some(waker) = beside.woken(cx) else { return Poll::Pending };
            let cx = &mut Context::from_waker(&waker);
            while timer.as_mut().poll(cx).is_ready() {
                if line.is_idle_since(seen) {
                    return Poll::Ready(());
                }
                seen = line.requests();
                timer.as_mut().reset(tokio::time::Instant::now() + settings.idle_timeout);
            }
            if closed || closing.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            closed = true;
            connection.as_mut().graceful_shutdown();
        }
    })
    .await;
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
    let serving = Serving::begin(&line);
    let addressed = is_addressed(&request);
    let request = request.map(|incoming| ClientBody::of_http1(incoming, Arc::clone(&line)));
    let mut response = pin!(service.oneshot(Inbound { request, peer, addressed }));
    let response = poll_fn(|cx| wake::with_task(cx, |cx| response.as_mut().poll(cx))).await;
    let unread = line.unread.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(body) = unread {
        let mut reading = pin!(tokio::time::timeout(READ_ON_TIME, read_on(body)));
        let _ = poll_fn(|cx| wake::with_task(cx, |cx| reading.as_mut().poll(cx))).await;
    }
    response.map(|mut response| {
        if line.last.load(Relaxed) {
            // RFC 9112 section 9.6. hyper closes when it has been written.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| Served { body, serving })
    })
}

/// Exactly one `host`, which is an authority or empty (RFC 9112 section 3.2); HTTP/1.0 may do without.
fn is_addressed(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            host.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(b))
        }
        (None, None) => request.version() == Version::HTTP_10,
        _ => false,
    }
}

async fn read_on(mut body: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = poll_fn(|_| body::take(&mut body)).await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > READ_ON_BYTES {
            return;
        }
    }
}
