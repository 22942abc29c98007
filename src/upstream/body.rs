//! The body of a provider's answer, of either version of HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::http1::{Conn, Part};
use super::http2::Place;
use super::pool::Pool;
use crate::error::{Error, UpstreamError};
use crate::http1::framing::Framing;

/// How much is read after the end of an answer's meaning, to save its connection.
const SALVAGE_BYTES: u64 = 64 * 1024;
/// How long that may take.
const SALVAGE_TIME: Duration = Duration::from_millis(250);

/// A provider's answer.
#[derive(Debug)]
pub struct Body {
    source: Source,
    provider: Arc<str>,
}

#[derive(Debug)]
enum Source {
    Http1(OnConnection),
    /// Its connection has a task of its own; dropped before its end, the stream is reset.
    Http2 {
        incoming: Incoming,
        // Given up with the body.
        _place: Place,
    },
}

/// An answer of HTTP/1.1. Drives its own connection; gives it back to the pool at the end; closes it when dropped before.
#[derive(Debug)]
struct OnConnection {
    framing: Framing,
    /// `None` once the connection has gone back or is known to be over.
    conn: Option<Box<Conn>>,
    pool: Arc<Pool>,
    salvage: bool,
}

impl Body {
    pub(super) fn of_http1(framing: Framing, conn: Box<Conn>, pool: Arc<Pool>, provider: Arc<str>) -> Self {
        let mut body = OnConnection { framing, conn: Some(conn), pool, salvage: false };
        if framing.is_over() {
            body.release();
        }
        Self { source: Source::Http1(body), provider }
    }

    pub(super) fn of_http2(incoming: Incoming, place: Place, provider: Arc<str>) -> Self {
        Self { source: Source::Http2 { incoming, _place: place }, provider }
    }

    fn broken_off(&self) -> Error {
        UpstreamError::BrokenOff { provider: self.provider.as_ref().into() }.into()
    }
}

impl OnConnection {
    /// Gives the connection back, if another request may be sent on it.
    fn release(&mut self) {
        if let Some(conn) = self.conn.take().filter(|conn| conn.is_reusable()) {
            self.pool.checkin(conn);
        }
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Part> {
        let Some(conn) = &mut self.conn else { return Poll::Ready(Part::End) };
        let part = ready!(conn.poll_part(&mut self.framing, cx));
        match &part {
            Part::Data(_) if !self.framing.is_over() => {}
            Part::Data(_) | Part::End => self.release(),
            Part::Broken => self.conn = None,
        }
        Poll::Ready(part)
    }
}

/// What the layers above need of an answer's body beside its frames.
pub trait Answer: http_body::Body<Data = Bytes, Error = Error> + Unpin {
    /// What still comes means nothing to the client (the terminal event has passed): should the body be dropped now, its
    /// connection is worth saving.
    fn nothing_more_matters(&mut self);
}

impl Answer for Body {
    fn nothing_more_matters(&mut self) {
        // A stream of HTTP/2 takes no other request's place: nothing to save.
        if let Source::Http1(body) = &mut self.source {
            body.salvage = true;
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let part = match &mut self.source {
            Source::Http1(body) => ready!(body.poll_part(cx)),
            Source::Http2 { incoming, .. } => loop {
                match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                    // Trailers mean nothing to an agent.
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            break Part::Data(data);
                        }
                    }
                    Some(Err(_)) => break Part::Broken,
                    None => break Part::End,
                }
            },
        };
        Poll::Ready(match part {
            Part::Data(data) => Some(Ok(Frame::data(data))),
            Part::End => None,
            Part::Broken => Some(Err(self.broken_off())),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Http1(body) => body.framing.is_over(),
            Source::Http2 { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Http1(body) => body.framing.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Source::Http2 { incoming, .. } => incoming.size_hint(),
        }
    }
}

impl Drop for OnConnection {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        // Outside a runtime (it is going down) there is nobody to read on.
        if !self.salvage || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let rest = Self { framing: self.framing, conn: Some(conn), pool: Arc::clone(&self.pool), salvage: false };
        #[expect(
            clippy::let_underscore_future,
            reason = "bounded by SALVAGE_TIME and SALVAGE_BYTES; nobody waits for it"
        )]
        let _ = tokio::spawn(async move {
            let _ = tokio::time::timeout(SALVAGE_TIME, read_on(rest)).await;
        });
    }
}

/// Reads to the end, within bounds; the body gives its connection back by itself.
async fn read_on(mut rest: OnConnection) {
    let mut bytes = 0;
    while let Part::Data(data) = std::future::poll_fn(|cx| rest.poll_part(cx)).await {
        bytes += data.len() as u64;
        if bytes > SALVAGE_BYTES {
            return;
        }
    }
}
