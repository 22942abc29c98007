//! The body of a provider's answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::http1::framing::Framing;
use super::http1::{Conn, Part};
use super::pool::Pool;
use crate::error::{Error, UpstreamError};

/// How much is read after the end of an answer's meaning, to save its connection.
const SALVAGE_BYTES: u64 = 64 * 1024;
/// How long that may take.
const SALVAGE_TIME: Duration = Duration::from_millis(250);

/// A provider's answer. Drives its own connection; gives it back to the pool at the end; closes it when dropped before.
#[derive(Debug)]
pub struct Body {
    framing: Framing,
    /// `None` once the connection has gone back or is known to be over.
    conn: Option<Box<Conn>>,
    pool: Arc<Pool>,
    provider: Arc<str>,
    salvage: bool,
}

impl Body {
    pub(super) fn new(framing: Framing, conn: Box<Conn>, pool: Arc<Pool>, provider: Arc<str>) -> Self {
        let mut body = Self { framing, conn: Some(conn), pool, provider, salvage: false };
        if framing.is_over() {
            body.release();
        }
        body
    }

    /// Gives the connection back, if another request may be sent on it.
    fn release(&mut self) {
        if let Some(conn) = self.conn.take().filter(|conn| conn.is_reusable()) {
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
        let Some(conn) = &mut this.conn else { return Poll::Ready(None) };
        match conn.poll_part(&mut this.framing, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Part::Data(data)) => {
                if this.framing.is_over() {
                    this.release();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Part::End) => {
                this.release();
                Poll::Ready(None)
            }
            Poll::Ready(Part::Broken) => {
                this.conn = None;
                Poll::Ready(Some(Err(this.broken_off())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.framing.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.framing.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        // Outside a runtime (it is going down) there is nobody to read on.
        if !self.salvage || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let rest = Self {
            framing: self.framing,
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
