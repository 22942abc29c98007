//! HTTP/2 connections to a provider (RFC 9113), chosen by ALPN: many requests at one time on each.
//!
//! One background task per connection, hyper's; a request holds a [`Lease`] on one. Invariants: at most [`STREAMS`] requests
//! on a connection, then another one is opened, by one request while the others wait for it; a client that reads slowly
//! holds up its own stream alone, for the connection's window is the sum of its streams'; a request is sent again only where
//! the provider says that it has not looked at it (section 8.7).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, Uri, Version, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::call::Attempt;
use crate::protocol::body::Frames;

/// Requests at one time on one connection. Providers allow 100 and more.
pub const STREAMS: u32 = 100;
/// What a provider may send of one answer before we have read it.
const STREAM_WINDOW: u32 = 128 * 1024;
/// The same of all answers of a connection.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS;
/// What waits to be sent of one request.
const SEND_BUFFER: usize = 64 * 1024;
/// An answer's header list.
const HEADER_LIST: u32 = 64 * 1024;
/// A provider that has vanished is found out by pings, while requests are under way.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_PATIENCE: Duration = Duration::from_secs(10);

/// A connection that requests share.
#[derive(Debug, Clone)]
pub struct Shared {
    sender: http2::SendRequest<Sending>,
    streams: Arc<AtomicU32>,
    /// When the last request began.
    pub used: Instant,
}

impl Shared {
    /// Begins HTTP/2 on a stream whose ALPN chose it.
    ///
    /// # Errors
    /// hyper's: the other side does not speak it after all.
    pub async fn begin(stream: TlsStream<TcpStream>) -> hyper::Result<Self> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(HEADER_LIST)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_PATIENCE)
            .handshake(TokioIo::new(stream))
            .await?;
        #[expect(clippy::let_underscore_future, reason = "it ends with its last sender; its requests hear its errors")]
        let _ = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, streams: Arc::default(), used: Instant::now() })
    }

    /// Room for one more request, if there is.
    #[must_use]
    pub fn lease(&mut self) -> Option<Lease> {
        if self.is_closed() || self.streams.load(Relaxed) >= STREAMS {
            return None;
        }
        self.used = Instant::now();
        self.streams.fetch_add(1, Relaxed);
        Some(Lease { sender: self.sender.clone(), place: Place(Arc::clone(&self.streams)) })
    }

    /// The other side has closed it, or wants no more requests on it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// No request is under way on it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.streams.load(Relaxed) == 0
    }
}

/// One request's place on a connection.
#[derive(Debug)]
pub struct Lease {
    sender: http2::SendRequest<Sending>,
    place: Place,
}

/// Given up when the answer's body is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The provider has not looked at the request: it may be sent again.
    Unserved,
    /// The connection or the stream ended.
    HungUp,
    /// What came is not HTTP/2.
    Garbage,
}

impl Lease {
    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn send(mut self, request: Request<Sending>) -> Result<(Response<Incoming>, Place), Trouble> {
        match self.sender.try_send_request(request).await {
            Ok(answer) => Ok((answer, self.place)),
            Err(error) if error.message().is_some() => Err(Trouble::Unserved),
            Err(error) => Err(trouble(&error.into_error())),
        }
    }
}

fn trouble(error: &hyper::Error) -> Trouble {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(h2) = inner.downcast_ref::<h2::Error>() {
            return match h2.reason() {
                Some(h2::Reason::REFUSED_STREAM) => Trouble::Unserved,
                Some(h2::Reason::PROTOCOL_ERROR | h2::Reason::FRAME_SIZE_ERROR) if h2.is_library() => Trouble::Garbage,
                _ => Trouble::HungUp,
            };
        }
        cause = inner.source();
    }
    Trouble::HungUp
}

/// An attempt as a request; `None` if its path cannot be a request's target.
#[must_use]
pub fn render(attempt: &Attempt) -> Option<Request<Sending>> {
    let authority = attempt.target.provider.origin.authority.as_bytes();
    let uri = [b"https://", authority, &*attempt.path].concat();
    let mut request = Request::new(Sending::new(attempt.body.clone()));
    *request.method_mut() = http::Method::from_bytes(attempt.call.endpoint.method().as_bytes()).ok()?;
    *request.uri_mut() = Uri::from_maybe_shared(Bytes::from(uri)).ok()?;
    *request.version_mut() = Version::HTTP_2;
    // The host is the URI's authority (section 8.3.1).
    *request.headers_mut() = attempt.forwarded.to_map(|field| attempt.passes(field));
    let ours = attempt.ours().filter(|(name, _)| **name != header::HOST);
    request.headers_mut().extend(ours.map(|(name, value)| (name.clone(), value.clone())));
    Some(request)
}

/// A request body: held frames, each given up as it is taken.
#[derive(Debug)]
pub struct Sending {
    frames: smallvec::IntoIter<[Bytes; 2]>,
    left: u64,
}

impl Sending {
    fn new(body: Frames) -> Self {
        Self { left: body.len() as u64, frames: body.into_iter() }
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.frames.next();
        self.left -= frame.as_ref().map_or(0, |f| f.len() as u64);
        Poll::Ready(frame.map(|f| Ok(Frame::data(f))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
