//! A request on its way out (RFC 9112 sections 3 and 6).
//!
//! Invariant: what is written is exactly one request: its target and headers cannot hold a line's end, and its length is the
//! body's. Frames are given up as they are written.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use crate::call::Attempt;
use crate::upstream::io::Io;

/// A body up to this size is written together with the head: a copy of so little costs less than a vectored write.
const TOGETHER: usize = 4 * 1024;
/// Parts that are handed to the system at once.
const PARTS: usize = 16;

/// Bytes that are still to be written.
#[derive(Debug, Default)]
pub struct Outgoing {
    head: Vec<u8>,
    /// Bytes of the head that are written.
    head_done: usize,
    frames: smallvec::SmallVec<[Bytes; 2]>,
    /// Frames that are written.
    done: usize,
    /// A byte has been handed to the system.
    begun: bool,
    /// The socket takes no more.
    failed: bool,
    flushed: bool,
}

/// The path cannot be a request's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATarget;

impl Outgoing {
    /// Renders an attempt.
    ///
    /// # Errors
    /// Its path cannot be a request's target.
    pub fn render(attempt: &Attempt) -> Result<Self, NotATarget> {
        if !attempt.path.starts_with(b"/") || attempt.path.iter().any(|&b| b <= b' ' || b == 0x7f) {
            return Err(NotATarget);
        }
        let body = attempt.body.len();
        let together = body <= TOGETHER;
        let lines: usize = attempt.ours().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let lines = lines + attempt.forwarded.written_len();
        let mut head = Vec::with_capacity(attempt.path.len() + lines + 64 + if together { body } else { 0 });
        let method = attempt.call.endpoint.method();
        head.extend_from_slice(method.as_bytes());
        head.push(b' ');
        head.extend_from_slice(&attempt.path);
        head.extend_from_slice(b" HTTP/1.1\r\n");
        for (name, value) in attempt.ours() {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        attempt.forwarded.write(&mut head, |field| attempt.passes(field));
        // Without a body, only a method that wants one says so (RFC 9110 section 8.6).
        if body > 0 || method == "POST" {
            head.extend_from_slice(b"content-length: ");
            head.extend_from_slice(itoa::Buffer::new().format(body).as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let mut frames = attempt.body.clone().into_frames();
        if together {
            frames.iter().for_each(|frame| head.extend_from_slice(frame));
            frames.clear();
        }
        Ok(Self { head, frames, ..Self::default() })
    }

    /// Whether nothing of it can have reached the other side.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        !self.begun
    }

    /// Whether all of it has been handed to the system.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.head_done == self.head.len() && self.done == self.frames.len() && self.flushed
    }

    /// Whether there is anything left to do.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.failed || self.is_written()
    }

    /// Whole again, for another connection, where nothing of it has been handed to the system of this one.
    #[must_use]
    pub fn for_another(self) -> Self {
        Self { failed: false, ..self }
    }

    /// Writes what can be written. After an error the rest is not tried any more.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_write(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = ready!(self.write(io, cx));
        self.failed |= written.is_err();
        // Where the first byte could not be written, another connection may take it.
        if self.is_settled() && self.begun {
            // Not needed any more, and the answer may take long.
            self.head = Vec::new();
            self.head_done = 0;
            self.frames.clear();
            self.done = 0;
        }
        Poll::Ready(written)
    }

    fn write(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut slices = [IoSlice::new(&[]); PARTS];
            let frames = self.frames[self.done..].iter().map(|frame| &**frame);
            let parts = std::iter::once(&self.head[self.head_done..]).chain(frames).filter(|part| !part.is_empty());
            let mut count = 0;
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
                count += 1;
            }
            if count == 0 {
                break;
            }
            let written = ready!(io.poll_write(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.begun = true;
            self.advance(written);
        }
        ready!(io.poll_flush(cx))?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        let of_head = written.min(self.head.len() - self.head_done);
        self.head_done += of_head;
        written -= of_head;
        while written > 0
            && let Some(frame) = self.frames.get_mut(self.done)
        {
            let of_frame = written.min(frame.len());
            frame.advance(of_frame);
            written -= of_frame;
            if frame.is_empty() {
                // Its memory is not needed any more.
                *frame = Bytes::new();
                self.done += 1;
            }
        }
    }
}

#[cfg(test)]
impl Outgoing {
    /// With these bytes.
    pub fn of(head: &[u8]) -> Self {
        Self { head: head.to_vec(), ..Self::default() }
    }
}
