//! The body of a request, of either version of HTTP.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::http1;

/// See the module. What is left of one that is dropped before its end: over HTTP/1.1 the connection reads it on for a
/// moment; over HTTP/2 its stream is reset.
#[derive(Debug)]
pub struct ClientBody(pub(super) Source);

#[derive(Debug)]
pub(super) enum Source {
    Http1(http1::Incoming),
    Http2(hyper::body::Incoming),
}

/// Why a body ends before its end.
#[derive(Debug)]
pub enum BodyError {
    /// The client has left.
    Left,
    /// It is not framed as RFC 9112 section 7 wants it.
    Malformed,
    /// Its stream was reset, or its connection broke.
    Http2(hyper::Error),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("the client has left"),
            Self::Malformed => f.write_str("the chunks are not in form"),
            Self::Http2(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BodyError {}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Source::Http1(incoming) => incoming.poll_frame(cx),
            Source::Http2(incoming) => Pin::new(incoming).poll_frame(cx).map_err(BodyError::Http2),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Http1(incoming) => incoming.is_end_stream(),
            Source::Http2(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Http1(incoming) => incoming.size_hint(),
            Source::Http2(incoming) => incoming.size_hint(),
        }
    }
}
