//! The socket of a connection, between the connection and the body of its request.
//!
//! Both are polled by the same task, one at a time, so the lock is never waited for. Invariant: bytes are taken in order and
//! each once: by the head, by its body as far as its framing reaches, by the next head.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use super::head::{self, Head, Refused};
use crate::http1::framing::{Framing, Malformed, Step};
use crate::http1::gather::Gathering;
use crate::http1::room;
use crate::listen::body::BodyError;
use crate::listen::stream::Stream;

/// A body that has at least so much to come is read into memory of its own.
const LARGE: u64 = 16 * 1024;
/// As much of it at a time.
const PIECE: usize = 128 * 1024;
/// What allows a client to send its body (RFC 9110 section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// See the module.
#[derive(Debug)]
pub(super) struct Wire(Mutex<Ends>);

#[derive(Debug)]
struct Ends {
    stream: Stream,
    /// What has been read and belongs to nobody yet.
    unread: Bytes,
    /// Of the request's body.
    framing: Framing,
    /// What the client must be told before it sends its body.
    owed: &'static [u8],
    /// Where a large body is read into.
    own: BytesMut,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        let (unread, framing, own) = (Bytes::new(), Framing::Length(0), BytesMut::new());
        Self(Mutex::new(Ends { stream, unread, framing, owed: &[], own }))
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request's head; `None` if the client has left. To be polled when the body before it is over.
    pub(super) fn poll_head(
        &self,
        gathering: &mut Gathering,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Head>, Refused>> {
        let mut ends = self.ends();
        loop {
            if ends.unread.is_empty() {
                match ready!(room::poll_read(&mut ends.stream, cx)) {
                    Ok(read) if !read.is_empty() => ends.unread = read,
                    Ok(_) | Err(_) => return Poll::Ready(Ok(None)),
                }
            }
            if let Some(head) = head::read(gathering, &mut ends.unread)? {
                ends.framing = head.framing;
                ends.owed = if head.asks && !head.framing.is_over() { CONTINUE } else { &[] };
                return Poll::Ready(Ok(Some(head)));
            }
        }
    }

    /// The next part of the request's body; `None` at its end.
    pub(super) fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut ends = self.ends();
        let ends = &mut *ends;
        loop {
            match ends.framing.next(&mut ends.unread) {
                Ok(Step::Data(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(Step::End) => return Poll::Ready(None),
                Ok(Step::More) => {}
                Err(Malformed) => return Poll::Ready(Some(Err(BodyError::Malformed))),
            }
            match ready!(ends.poll_more(cx)) {
                Ok(read) if !read.is_empty() => ends.unread = read,
                Ok(_) | Err(_) => return Poll::Ready(Some(Err(BodyError::Left))),
            }
        }
    }

    /// Whether the body's end has been read.
    pub(super) fn is_body_over(&self) -> bool {
        self.ends().framing.is_over()
    }

    /// How much of the body is still to come, where that is known.
    pub(super) fn body_left(&self) -> Option<u64> {
        self.ends().framing.left()
    }

    /// Whether the client still waits to be told to send its body.
    pub(super) fn owes(&self) -> bool {
        !self.ends().owed.is_empty()
    }

    /// Ready when the client has left. What it sends meanwhile is kept for later, one read of it.
    pub(super) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ends = self.ends();
        if !ends.unread.is_empty() || !ends.framing.is_over() {
            return Poll::Pending;
        }
        match ready!(room::poll_read(&mut ends.stream, cx)) {
            Ok(read) if !read.is_empty() => {
                ends.unread = read;
                Poll::Pending
            }
            Ok(_) | Err(_) => Poll::Ready(()),
        }
    }

    /// Hands bytes to the system; how many it took.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, first: &[u8], second: &[u8]) -> Poll<io::Result<usize>> {
        let mut ends = self.ends();
        let stream = Pin::new(&mut ends.stream);
        let written = match (first, second) {
            // A plain write costs the system less than a vectored one.
            (only, []) | ([], only) => stream.poll_write(cx, only),
            _ => stream.poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(second)]),
        };
        match ready!(written) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => Poll::Ready(written),
        }
    }

    /// Until all bytes are with the system (TLS keeps some back).
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.ends().stream).poll_flush(cx)
    }

    /// Says that nothing more will be written.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.ends().stream).poll_shutdown(cx)
    }

    /// Reads what comes and gives it up; ready at the end with 0.
    pub(super) fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut ends = self.ends();
        let kept = std::mem::take(&mut ends.unread).len();
        if kept > 0 {
            return Poll::Ready(kept);
        }
        room::poll_read(&mut ends.stream, cx).map(|read| read.map_or(0, |bytes| bytes.len()))
    }
}

impl Ends {
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        while !self.owed.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, self.owed))?;
            self.owed = self.owed.get(written.max(1)..).unwrap_or_default();
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let Framing::Length(left @ LARGE..) = self.framing else { return room::poll_read(&mut self.stream, cx) };
        if self.own.capacity() == 0 {
            self.own.reserve(usize::try_from(left).map_or(PIECE, |left| left.min(PIECE)));
        }
        ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.own))?;
        let read = self.own.split().freeze();
        if self.own.capacity() == 0 {
            // Used up, and still it would keep the memory.
            self.own = BytesMut::new();
        }
        Poll::Ready(Ok(read))
    }
}
