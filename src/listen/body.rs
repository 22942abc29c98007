//! Bodies between a client's connection and the service.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::conn::Line;
use super::wake;

/// A request is under way until its answer's body is dropped (also by a client that leaves).
pub(super) struct Serving(Arc<Line>);

impl Serving {
    pub(super) fn begin(line: &Arc<Line>) -> Self {
        line.requests.fetch_add(1, Relaxed);
        line.serving.fetch_add(1, Relaxed);
        Self(Arc::clone(line))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.serving.fetch_sub(1, Relaxed);
    }
}

pin_project! {
    /// An answer's body, which keeps its connection busy.
    pub(super) struct Served<B> {
        #[pin]
        pub(super) body: B,
        pub(super) serving: Serving,
    }
}

impl<B: Body> Body for Served<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        wake::with_task(cx, |cx| self.project().body.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request's body. Over HTTP/1.1, what is left of it when it is dropped is read on by the connection; over HTTP/2 only its
/// stream is reset.
#[derive(Debug)]
pub struct ClientBody {
    /// `None` only while it is dropped.
    incoming: Option<Incoming>,
    /// Of HTTP/1.1.
    line: Option<Arc<Line>>,
}

impl ClientBody {
    pub(super) fn of_http1(incoming: Incoming, line: Arc<Line>) -> Self {
        Self { incoming: Some(incoming), line: Some(line) }
    }

    pub(super) fn of_http2(incoming: Incoming) -> Self {
        Self { incoming: Some(incoming), line: None }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        match (&mut this.incoming, &this.line) {
            (Some(incoming), Some(_)) => take(incoming),
            (Some(incoming), None) => Pin::new(incoming).poll_frame(cx),
            (None, _) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// Takes a frame where one is there.
pub(super) fn take(incoming: &mut Incoming) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    let (polled, _) = wake::taking(
        |cx| {
            let polled = Pin::new(&mut *incoming).poll_frame(cx);
            let last = incoming.is_end_stream();
            (polled, last)
        },
        |(_, last)| *last,
    );
    polled
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take().filter(|body| !body.is_end_stream())
            && let Some(line) = &self.line
        {
            *line.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(incoming);
        }
    }
}
