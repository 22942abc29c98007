//! What goes back to the client: a body of ours, or a provider's passing through.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::message::Response;

/// An answer.
pub type Reply<P> = Response<ReplyBody<P>>;

/// Its body.
#[derive(Debug)]
pub enum ReplyBody<P> {
    /// Ours; `None` once it has been taken or if it is empty.
    Whole(Option<Bytes>),
    /// A provider's.
    Passing(P),
}

impl<P> ReplyBody<P> {
    /// A body of ours.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|b| !b.is_empty()))
    }
}

impl<P> Body for ReplyBody<P>
where
    P: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = P::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, P::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Passing(passing) => Pin::new(passing).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Passing(passing) => passing.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Passing(passing) => passing.size_hint(),
        }
    }
}
