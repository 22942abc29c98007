//! An answer on its way out (RFC 9112 sections 4, 6 and 7).
//!
//! Invariant: the framing is ours. An answer whose body does not end as its head said is cut off, never rounded off.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use http::StatusCode;

use super::wire::Wire;
use crate::message::name::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use crate::message::{Field, Fields, Name};
use crate::telemetry::clock;

const DATE: Name = Name::new("date");

/// A frame up to this size is copied behind what is to be written anyway: that costs less than a vectored write.
const TOGETHER: usize = 8 * 1024;
/// Beyond this, what is rendered is written before more is taken.
const BATCH: usize = 16 * 1024;
/// What a core keeps of the room that it renders into.
const KEPT: usize = 64 * 1024;

thread_local! {
    /// The room that this core renders into, while no answer waits for its client.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// The second that `date` was rendered in, and how it reads.
    static DATE_NOW: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// How the client is told where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// After so many more bytes.
    Length(u64),
    /// By a last chunk.
    Chunked,
    /// By the end of the connection, which is all that HTTP/1.0 knows.
    Close,
    /// There is no body, whatever the headers say.
    Bodiless,
}

/// What the answer has to know of its request and its connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// The client speaks HTTP/1.1.
    pub(super) chunks: bool,
    /// It asked with HEAD.
    pub(super) head_only: bool,
    /// The connection goes on behind it.
    pub(super) keep_alive: bool,
}

/// The body is not as long as its head said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongLength;

/// Bytes that are still to be written, and what will follow them.
#[derive(Debug)]
pub(super) struct Reply {
    /// Rendered, of which the first `written` bytes are with the system.
    small: Vec<u8>,
    written: usize,
    /// A large frame behind them, as it came, and what closes it.
    large: Bytes,
    close: &'static [u8],
    ending: Ending,
    keep_alive: bool,
    unflushed: bool,
    /// Bytes that are with the system, in all.
    taken: u64,
}

impl Reply {
    /// With its head rendered. `length`: the body's, where it is known.
    pub(super) fn begin(status: StatusCode, fields: &Fields, length: Option<u64>, manner: Manner) -> Self {
        let bodiless = manner.head_only
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let ending = match length {
            _ if bodiless => Ending::Bodiless,
            Some(length) => Ending::Length(length),
            None if manner.chunks => Ending::Chunked,
            None => Ending::Close,
        };
        let asked_to_close = fields.get(CONNECTION) == Some(b"close");
        let keep_alive = manner.keep_alive && !asked_to_close && ending != Ending::Close;
        let mut small = ROOM.take();
        small.clear();
        status_line(status, &mut small);
        fields.write(&mut small, is_not_ours);
        match (ending, length) {
            (Ending::Length(length), _) => content_length(length, &mut small),
            (Ending::Bodiless, Some(length)) if manner.head_only => content_length(length, &mut small),
            (Ending::Chunked, _) => small.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            _ => {}
        }
        if !keep_alive {
            small.extend_from_slice(b"connection: close\r\n");
        } else if !manner.chunks {
            small.extend_from_slice(b"connection: keep-alive\r\n");
        }
        if !fields.contains(DATE) {
            date(&mut small);
        }
        small.extend_from_slice(b"\r\n");
        Self { small, written: 0, large: Bytes::new(), close: &[], ending, keep_alive, unflushed: true, taken: 0 }
    }

    /// Whether the connection goes on behind it.
    pub(super) fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether no body may follow.
    pub(super) fn is_bodiless(&self) -> bool {
        self.ending == Ending::Bodiless
    }

    /// Takes a frame of the body.
    ///
    /// # Errors
    /// It is longer than was said.
    pub(super) fn push(&mut self, frame: Bytes) -> Result<(), WrongLength> {
        if frame.is_empty() {
            return Ok(());
        }
        self.take_room();
        match &mut self.ending {
            Ending::Length(left) => *left = left.checked_sub(frame.len() as u64).ok_or(WrongLength)?,
            Ending::Chunked => chunk_size(frame.len(), &mut self.small),
            Ending::Close => {}
            Ending::Bodiless => return Err(WrongLength),
        }
        let close: &[u8] = if self.ending == Ending::Chunked { b"\r\n" } else { b"" };
        if frame.len() <= TOGETHER {
            self.small.extend_from_slice(&frame);
            self.small.extend_from_slice(close);
        } else {
            self.large = frame;
            self.close = close;
        }
        self.unflushed = true;
        Ok(())
    }

    /// The body is over.
    ///
    /// # Errors
    /// It is shorter than was said.
    pub(super) fn end(&mut self) -> Result<(), WrongLength> {
        self.take_room();
        match self.ending {
            Ending::Length(1..) => return Err(WrongLength),
            Ending::Chunked if self.large.is_empty() => self.small.extend_from_slice(b"0\r\n\r\n"),
            Ending::Chunked => self.close = b"\r\n0\r\n\r\n",
            Ending::Length(0) | Ending::Close | Ending::Bodiless => {}
        }
        self.unflushed = true;
        Ok(())
    }

    fn take_room(&mut self) {
        if self.small.capacity() == 0 {
            self.small = ROOM.take();
        }
    }

    /// Whether more may be taken before this is written.
    pub(super) fn has_room(&self) -> bool {
        self.large.is_empty() && self.small.len() < BATCH
    }

    /// Bytes that the system has taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether everything so far is with the system.
    pub(super) fn is_written(&self) -> bool {
        !self.unflushed
    }

    /// Writes what there is.
    ///
    /// # Errors
    /// The client has left.
    pub(super) fn poll_write(&mut self, wire: &Wire, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        loop {
            let small = self.small.get(self.written..).unwrap_or_default();
            let (first, second): (&[u8], &[u8]) = match (small, &*self.large) {
                ([], []) => (self.close, &[]),
                ([], large) => (large, self.close),
                (small, large) => (small, large),
            };
            if first.is_empty() {
                break;
            }
            let written = ready!(wire.poll_write(cx, first, second))?;
            self.advance(written);
        }
        ready!(wire.poll_flush(cx))?;
        self.unflushed = false;
        self.written = 0;
        self.small.clear();
        if self.small.capacity() <= KEPT {
            ROOM.set(std::mem::take(&mut self.small));
        } else {
            self.small = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut bytes: usize) {
        self.taken += bytes as u64;
        let of_small = bytes.min(self.small.len() - self.written);
        self.written += of_small;
        bytes -= of_small;
        let of_large = bytes.min(self.large.len());
        self.large.advance(of_large);
        if self.large.is_empty() {
            // Even an empty slice would keep its memory.
            self.large = Bytes::new();
        }
        self.close = self.close.get(bytes - of_large..).unwrap_or_default();
    }
}

fn status_line(status: StatusCode, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The framing and the connection are ours.
fn is_not_ours(field: Field<'_>) -> bool {
    !(field.is(CONTENT_LENGTH) || field.is(TRANSFER_ENCODING) || field.is(CONNECTION))
}

fn content_length(length: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// When the answer was made (RFC 9110 section 6.6.1), rendered once a second.
fn date(out: &mut Vec<u8>) {
    let now = clock::since_epoch().as_secs();
    out.extend_from_slice(b"date: ");
    DATE_NOW.with_borrow_mut(|(second, text)| {
        if *second != now {
            *second = now;
            *text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(now));
        }
        out.extend_from_slice(text.as_bytes());
    });
    out.extend_from_slice(b"\r\n");
}

/// A chunk's size line.
fn chunk_size(size: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let significant = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..significant).rev().map(|digit| DIGITS[size >> (4 * digit) & 15]));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
