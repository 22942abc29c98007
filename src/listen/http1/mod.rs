//! One HTTP/1.1 connection of a client (RFC 9112).
//!
//! Our own, as the upstream's is and for the same reason: connection, service and bodies live in one task, and between them
//! there is nothing to buffer, to signal or to wake (numbers in `ARCHITECTURE.md`). One request after another; what a client
//! sends ahead waits. Invariant: at any moment either a request is under way whose client takes what it is sent, or a
//! time-out is running. One timer per connection, re-armed only when it fires, so a request costs no timer.
//!
//! A refused upload is read on for a moment behind its answer, for a socket closed with unread bytes resets the connection
//! and the client would never see the refusal (RFC 9112 section 9.6).

pub mod head;
mod reply;
mod wire;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tower::{Service, ServiceExt};

use super::accept::{Phase, reached};
use super::beside::Beside;
use super::body::{BodyError, ClientBody, Source};
use super::line::{Line, Serving};
use super::stream::Stream;
use super::{Inbound, Settings};
use crate::http1::gather::Gathering;
use crate::message::name::CONTENT_TYPE;
use crate::message::{Fields, Response};
use head::{Head, Refused};
use reply::{Manner, Reply, WrongLength};
use wire::Wire;

/// How much of a refused upload is read behind its answer.
const READ_ON_BYTES: usize = 1024 * 1024;
/// How long that may take.
const READ_ON_TIME: Duration = Duration::from_secs(1);

/// A request's body.
#[derive(Debug)]
pub(super) struct Incoming {
    wire: Arc<Wire>,
    over: bool,
}

/// A connection, as its requests and its timer see it.
struct Connection {
    wire: Arc<Wire>,
    line: Arc<Line>,
    /// A head has begun and is not there yet.
    half: AtomicBool,
    /// How much the client had taken when it last took no more; 0 while it takes.
    stuck: AtomicU64,
}

/// How a connection ends.
enum End {
    /// There is nothing more to say.
    Over,
    /// Nothing has come for too long, or the server ends.
    Idle,
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
    B: Body<Data = Bytes>,
{
    let wire = Arc::new(Wire::new(stream));
    let connection = Connection { wire, line: Arc::default(), half: AtomicBool::new(false), stuck: AtomicU64::new(0) };
    let line = &connection.line;
    let mut requests = pin!(connection.serve(peer, service, &settings));
    let mut timer = pin!(tokio::time::sleep(settings.header_timeout));
    let mut closing = pin!(async {
        reached(&mut phase, Phase::Draining).await;
        line.end();
        reached(&mut phase, Phase::Closing).await;
    });
    let mut closed = false;
    let (mut seen, mut stuck) = (0, 0);
    let beside = Beside::new();
    let end = poll_fn(|cx| {
        if requests.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Over);
        }
        let Some(waker) = beside.woken(cx) else { return Poll::Pending };
        let cx = &mut Context::from_waker(&waker);
        while timer.as_mut().poll(cx).is_ready() {
            if line.is_idle_since(seen) {
                return Poll::Ready(End::Idle);
            }
            // A client that has taken nothing for that long holds a request, its provider and both their buffers for nothing.
            let now = connection.stuck.load(Relaxed);
            if now != 0 && now == stuck {
                return Poll::Ready(End::Over);
            }
            (seen, stuck) = (line.requests(), now);
            timer.as_mut().reset(tokio::time::Instant::now() + settings.idle_timeout);
        }
        if !closed && closing.as_mut().poll(cx).is_ready() {
            closed = true;
            if line.is_idle() && !connection.half.load(Relaxed) {
                return Poll::Ready(End::Idle);
            }
        }
        Poll::Pending
    });
    match end.await {
        End::Over => {}
        End::Idle if connection.half.load(Relaxed) => connection.refuse(Refused::Late).await,
        // TLS says it in so many words (close_notify, RFC 8446 section 6.1).
        End::Idle => {
            let _ = tokio::time::timeout(READ_ON_TIME, poll_fn(|cx| connection.wire.poll_shutdown(cx))).await;
        }
    }
}

impl Connection {
    /// One request after another, until one is the last.
    async fn serve<S, B>(&self, peer: SocketAddr, service: S, settings: &Settings)
    where
        S: Service<Inbound<ClientBody>, Response = Response<B>, Error = Infallible> + Clone,
        B: Body<Data = Bytes>,
    {
        loop {
            let head = match self.next_head().await {
                Ok(Some(head)) => head,
                Ok(None) => return,
                Err(refused) => return self.refuse(refused).await,
            };
            let _serving = Serving::begin(&self.line);
            let Head { method, target, version, fields, framing, keep_alive, addressed, .. } = head;
            let (chunks, head_only) = (version == Version::HTTP_11, method == Method::HEAD);
            let peer = settings.trusted.behind_request(&fields, peer);
            let body = Incoming { wire: Arc::clone(&self.wire), over: framing.is_over() };
            let body = ClientBody(Source::Http1(body));
            let inbound = Inbound { method, target, version, fields, body, peer, addressed };
            let Some(response) = self.unless_left(service.clone().oneshot(inbound)).await else { return };
            let keep_alive = keep_alive && !self.line.is_ending() && !self.wire.owes();
            if !self.answer(response, Manner { chunks, head_only, keep_alive }).await {
                return;
            }
        }
    }

    async fn next_head(&self) -> Result<Option<Head>, Refused> {
        let mut gathering = Gathering::default();
        poll_fn(|cx| {
            let polled = self.wire.poll_head(&mut gathering, cx);
            self.half.store(gathering.has_begun(), Relaxed);
            polled
        })
        .await
    }

    /// What the service answers; `None` if the client leaves before.
    async fn unless_left<B>(
        &self,
        response: impl Future<Output = Result<Response<B>, Infallible>>,
    ) -> Option<Response<B>> {
        let mut response = pin!(response);
        poll_fn(|cx| {
            if let Poll::Ready(Ok(response)) = response.as_mut().poll(cx) {
                return Poll::Ready(Some(response));
            }
            self.wire.poll_left(cx).map(|()| None)
        })
        .await
    }

    /// Writes an answer as it comes. Whether another request may follow.
    async fn answer<B: Body<Data = Bytes>>(&self, response: Response<B>, manner: Manner) -> bool {
        let Response { status, fields, body } = response;
        let mut reply = Reply::begin(status, &fields, body.size_hint().exact(), manner);
        drop(fields);
        let mut sending = pin!(Sending { body: Some(body).filter(|_| !reply.is_bodiless()), cut: false });
        let whole = poll_fn(|cx| {
            let polled = sending.as_mut().poll(&mut reply, &self.wire, cx);
            let stuck = polled.is_pending() && !reply.is_written();
            // With the number of the request, for another answer may have come just as far.
            let taken = self.line.requests() << 44 | (reply.taken() + 1);
            self.stuck.store(if stuck { taken } else { 0 }, Relaxed);
            polled
        })
        .await;
        // One that is cut off must not end like a whole one.
        if !whole {
            return false;
        }
        if reply.keeps_alive() && (self.wire.is_body_over() || self.read_on().await) {
            return true;
        }
        self.linger().await;
        false
    }

    /// Reads on what is left of a request that has been answered already. Whether that was all.
    async fn read_on(&self) -> bool {
        let mut bytes = 0;
        let reading = async {
            while bytes < READ_ON_BYTES {
                match poll_fn(|cx| self.wire.poll_body(cx)).await {
                    Some(Ok(data)) => bytes += data.len(),
                    None => return true,
                    Some(Err(_)) => return false,
                }
            }
            self.wire.is_body_over()
        };
        tokio::time::timeout(READ_ON_TIME, reading).await.unwrap_or(false)
    }

    /// Closes without a reset: says that nothing more comes, and reads until the client has seen it.
    async fn linger(&self) {
        let lingering = async {
            if poll_fn(|cx| self.wire.poll_shutdown(cx)).await.is_err() {
                return;
            }
            let mut bytes = 0;
            while bytes < READ_ON_BYTES {
                match poll_fn(|cx| self.wire.poll_discard(cx)).await {
                    0 => return,
                    more => bytes += more,
                }
            }
        };
        let _ = tokio::time::timeout(READ_ON_TIME, lingering).await;
    }

    /// Answers a head that is none.
    async fn refuse(&self, refused: Refused) {
        let (status, words) = refused.told();
        let mut fields = Fields::default();
        fields.add(CONTENT_TYPE, b"text/plain");
        let body = http_body_util::Full::new(Bytes::from_static(words.as_bytes()));
        let response = Response { status, fields, body };
        let manner = Manner { chunks: true, head_only: false, keep_alive: false };
        // It lingers by itself.
        let _ = tokio::time::timeout(2 * READ_ON_TIME, self.answer(response, manner)).await;
    }
}

pin_project_lite::pin_project! {
    /// The body of an answer on its way to the client.
    struct Sending<B> {
        // Until its end: what it settles when it is dropped is settled before the client sees the end.
        #[pin]
        body: Option<B>,
        // It broke off: what came before still goes out, and then the connection is cut.
        cut: bool,
    }
}

impl<B: Body<Data = Bytes>> Sending<B> {
    /// Ready with whether all of it has been written.
    fn poll(mut self: Pin<&mut Self>, reply: &mut Reply, wire: &Wire, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            let more = self.as_mut().take(reply, cx);
            if !reply.is_written() && ready!(reply.poll_write(wire, cx)).is_err() {
                return Poll::Ready(false);
            }
            match more {
                _ if self.cut => return Poll::Ready(false),
                _ if self.body.is_none() => return Poll::Ready(true),
                Poll::Ready(()) => {}
                Poll::Pending => return wire.poll_left(cx).map(|()| false),
            }
        }
    }

    /// Takes frames into the reply: ready when it is full, or has all.
    fn take(self: Pin<&mut Self>, reply: &mut Reply, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        while reply.has_room()
            && let Some(mut body) = this.body.as_mut().as_pin_mut()
        {
            let frame = ready!(body.as_mut().poll_frame(cx));
            let over = frame.is_none() || body.is_end_stream();
            let taken = match frame {
                // Trailers mean nothing to an agent.
                Some(Ok(frame)) => frame.into_data().map_or(Ok(()), |data| reply.push(data)),
                Some(Err(_)) => Err(WrongLength),
                None => Ok(()),
            };
            let taken = if over { taken.and_then(|()| reply.end()) } else { taken };
            *this.cut = taken.is_err();
            if over || *this.cut {
                this.body.set(None);
            }
        }
        Poll::Ready(())
    }
}

impl Incoming {
    /// The next frame.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let part = ready!(self.wire.poll_body(cx));
        self.over = self.wire.is_body_over();
        Poll::Ready(part.map(|part| part.map(Frame::data)))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.over
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        if self.over {
            return SizeHint::with_exact(0);
        }
        self.wire.body_left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
