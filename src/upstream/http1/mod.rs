//! One HTTP/1.1 connection to a provider, driven by the task of the request that uses it.
//!
//! Our own, because it is most of what a request costs: a client library keeps a task or at least wakers, channels and
//! buffers per connection between the one who waits and the one who reads, and here they are the same (numbers in
//! `ARCHITECTURE.md`). It sends one request at a time, with a length, and never asks for `100-continue`, an upgrade or
//! trailers. Invariant: a connection goes back to the pool only if request and answer are whole and nothing else has come;
//! anything else closes it.

pub mod head;
pub mod request;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;

use super::io::Io;
use crate::http1::framing::{self, Framing, Step};
use crate::http1::gather::Gathering;
use crate::provider::Origin;
use head::Head;
use request::Outgoing;

/// Interim answers (RFC 9110 section 15.2) that are read past.
const INTERIM: u8 = 8;

/// A connection.
pub struct Conn {
    io: Io,
    /// The request that is being sent.
    outgoing: Outgoing,
    /// A head that has come in part.
    gathering: Gathering,
    /// What has been read and belongs to nobody yet.
    unread: Bytes,
    keep_alive: bool,
    /// The others of this core have had their turn before the request is written.
    interim: u8,
    /// Where it leads.
    pub origin: Arc<Origin>,
    /// Answers that it has brought.
    pub served: u32,
    /// When it became idle, to within a second.
    pub idle_since: Instant,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The pooled connection was over before anything was sent on it; here is the request again.
    Stale(Outgoing),
    /// It ended before a head was there.
    HungUp,
    /// What came is not HTTP.
    Garbage,
}

/// What an answer's body brings.
#[derive(Debug)]
pub enum Part {
    /// Bytes of it.
    Data(Bytes),
    /// Its end.
    End,
    /// The connection broke, or its framing did.
    Broken,
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("origin", &self.origin.authority).field("served", &self.served).finish()
    }
}

impl Conn {
    /// On a stream that has just been opened.
    #[must_use]
    pub fn new(io: Io, origin: Arc<Origin>) -> Box<Self> {
        Box::new(Self {
            io,
            outgoing: Outgoing::default(),
            gathering: Gathering::default(),
            unread: Bytes::new(),
            keep_alive: false,
            interim: 0,
            origin,
            served: 0,
            idle_since: Instant::now(),
        })
    }

    /// Begins a request. To be followed by [`poll_head`](Self::poll_head).
    pub fn send(&mut self, request: Outgoing) {
        self.outgoing = request;
        self.interim = 0;
    }

    /// Writes the request and reads until the head of its answer is there. An answer may come before the request is out.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Trouble>> {
        loop {
            // First, for before a request is sent there must be nothing to read; and it leaves the task's waker there.
            match self.io.poll_read(cx) {
                Poll::Ready(read) => {
                    let read = read.unwrap_or_default();
                    if self.outgoing.is_untouched() {
                        return Poll::Ready(Err(self.out_of_turn()));
                    }
                    if read.is_empty() {
                        return Poll::Ready(Err(Trouble::HungUp));
                    }
                    self.unread = read;
                    match self.head() {
                        Ok(None) => {}
                        Ok(Some(head)) => return Poll::Ready(Ok(head)),
                        Err(head::Garbage) => return Poll::Ready(Err(Trouble::Garbage)),
                    }
                }
                Poll::Pending if self.outgoing.is_settled() => return Poll::Pending,
                // A socket that takes no more may still hold an answer that says why; so then it is read once more.
                Poll::Pending => {
                    if ready!(self.outgoing.poll_write(&mut self.io, cx)).is_ok() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Something came, or the end, before anything was sent.
    fn out_of_turn(&mut self) -> Trouble {
        match self.served {
            0 => Trouble::HungUp,
            _ => Trouble::Stale(std::mem::take(&mut self.outgoing).for_another()),
        }
    }

    fn head(&mut self) -> Result<Option<Head>, head::Garbage> {
        loop {
            let Some(head) = head::read(&mut self.gathering, &mut self.unread)? else { return Ok(None) };
            if !head.status.is_informational() {
                self.keep_alive = head.keep_alive;
                self.served = self.served.saturating_add(1);
                return Ok(Some(head));
            }
            self.interim += 1;
            // We ask for no upgrade, so nobody may switch protocols.
            if head.status == http::StatusCode::SWITCHING_PROTOCOLS || self.interim > INTERIM {
                return Err(head::Garbage);
            }
            if self.unread.is_empty() {
                return Ok(None);
            }
        }
    }

    /// The next part of the answer's body; goes on sending where the answer came early.
    pub fn poll_part(&mut self, framing: &mut Framing, cx: &mut Context<'_>) -> Poll<Part> {
        if !self.outgoing.is_settled() {
            // An error stops the sending alone. What the other side says goes on.
            let _ = self.outgoing.poll_write(&mut self.io, cx);
        }
        loop {
            match framing.next(&mut self.unread) {
                Ok(Step::Data(data)) => return Poll::Ready(Part::Data(data)),
                Ok(Step::End) => return Poll::Ready(Part::End),
                Ok(Step::More) => {}
                Err(framing::Malformed) => return Poll::Ready(Part::Broken),
            }
            match ready!(self.io.poll_read(cx)) {
                Ok(read) if !read.is_empty() => self.unread = read,
                Ok(_) if *framing == Framing::Close => {
                    *framing = Framing::Length(0);
                    return Poll::Ready(Part::End);
                }
                Ok(_) | Err(_) => return Poll::Ready(Part::Broken),
            }
        }
    }

    /// After a whole answer: whether another request may be sent.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        self.keep_alive && self.outgoing.is_written() && self.unread.is_empty()
    }

    /// While idle: whether the other side has neither closed nor said anything. Wakes nobody.
    pub fn is_quiet(&mut self) -> bool {
        self.io.is_quiet()
    }
}

#[cfg(test)]
mod tests;
