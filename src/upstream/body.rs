//! Bodies on the upstream side: what is sent, and what comes back.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::conn::Conn;
use super::pool::Pool;
use crate::error::{Error, UpstreamError};
use crate::protocol::body::Frames;

/// How much is read after the end of an answer's meaning, to save its connection.
const SALVAGE_BYTES: u64 = 64 * 1024;
/// How long that may take.
const SALVAGE_TIME: Duration = Duration::from_millis(250);

/// A request body: held frames, each given up as it is written.
#[derive(Debug)]
pub struct Sending {
    frames: smallvec::IntoIter<[Bytes; 2]>,
    left: u64,
}

impl Sending {
    /// Sends these frames.
    #[must_use]
    pub fn new(body: Frames) -> Self {
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

/// A provider's answer. Drives its own connection; gives it back to the pool at the end; closes it when dropped before.
#[derive(Debug)]
pub struct Body {
    /// `None` only while it is dropped.
    incoming: Option<Incoming>,
    /// `None` once the connection has gone back or is known to be over.
    conn: Option<Box<Conn>>,
    pool: Arc<Pool>,
    provider: Arc<str>,
    salvage: bool,
}

impl Body {
    pub(super) fn new(incoming: Incoming, conn: Box<Conn>, pool: Arc<Pool>, provider: Arc<str>) -> Self {
        let empty = http_body::Body::is_end_stream(&incoming);
        let mut body = Self { incoming: Some(incoming), conn: Some(conn), pool, provider, salvage: false };
        if empty {
            body.release();
        }
        body
    }

    /// Gives the connection back, if another request may be sent on it.
    fn release(&mut self) {
        if let Some(mut conn) = self.conn.take()
            && conn.is_idle()
        {
            self.pool.checkin(conn);
        }
    }

    fn broken_off(&self) -> Error {
        UpstreamError::BrokenOff { provider: self.provider.as_ref().into() }.into()
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
        self.salvage = true;
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        // Asking first tells the connection that a frame is wanted; then it reads one; then it is there.
        // Both times with a waker that wakes nobody: only the connection brings frames, and it is driven here.
        let quiet = &mut Context::from_waker(Waker::noop());
        let mut polled = Pin::new(&mut *incoming).poll_frame(quiet);
        if polled.is_pending()
            && let Some(conn) = &mut this.conn
        {
            let _ = conn.drive(cx);
            polled = Pin::new(&mut *incoming).poll_frame(quiet);
        }
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                if incoming.is_end_stream() {
                    this.release();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => {
                this.conn = None;
                Poll::Ready(Some(Err(this.broken_off())))
            }
            Poll::Ready(None) => {
                this.release();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        // Outside a runtime (it is going down) there is nobody to read on.
        if !self.salvage || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let incoming = self.incoming.take();
        let rest = Self {
            incoming,
            conn: Some(conn),
            pool: Arc::clone(&self.pool),
            provider: Arc::clone(&self.provider),
            salvage: false,
        };
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
async fn read_on(mut rest: Body) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut rest), cx)).await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > SALVAGE_BYTES {
            return;
        }
    }
}
