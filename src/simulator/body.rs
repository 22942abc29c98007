//! A response body that comes in exactly the chunks it is told to, at exactly the pace, and ends as it is told to.
//!
//! Invariant: after every chunk but the last the body yields once, so that the chunk is flushed on its own. Chunks
//! share one buffer: none is copied, none allocates.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::line::Mood;
use super::tally::Watch;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Complete,
    /// Early, but as if it were complete.
    Clean,
    /// The connection closes, the framing unfinished.
    Close,
    /// The connection is reset.
    Reset,
    /// Not at all, with all of it given.
    Held,
    /// Not at all, in the middle.
    Silent,
}

/// A paced body.
#[derive(Debug)]
pub struct Paced {
    bytes: Bytes,
    cuts: Arc<[usize]>,
    /// Chunks handed over.
    given: usize,
    /// Something has been handed over that has to be flushed (and waited for) before there is more.
    pausing: bool,
    gap: Duration,
    /// Before the last chunk, where that is another.
    last_gap: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
    ending: Ending,
    /// The length that the head announces: that of the whole body, also if it stops before.
    announced: Option<u64>,
    mood: Mood,
    watch: Option<Watch>,
}

impl Paced {
    /// All at once.
    pub fn whole(bytes: Bytes) -> Self {
        let cuts: Arc<[usize]> = if bytes.is_empty() { Arc::new([]) } else { Arc::new([bytes.len()]) };
        Self::new(bytes, cuts, Ending::Complete, Mood::default()).announcing()
    }

    /// Cut at `cuts`, of which the last may lie before the end of `bytes`: what follows is never sent.
    pub fn new(bytes: Bytes, cuts: Arc<[usize]>, ending: Ending, mood: Mood) -> Self {
        // A head that is followed by nothing has to be flushed, too.
        let pausing = cuts.is_empty();
        Self {
            bytes,
            cuts,
            given: 0,
            pausing,
            gap: Duration::ZERO,
            last_gap: None,
            sleep: None,
            ending,
            announced: None,
            mood,
            watch: None,
        }
    }

    /// With its length in the head: that of all bytes, also of those never sent.
    pub const fn announcing(mut self) -> Self {
        self.announced = Some(self.bytes.len() as u64);
        self
    }

    /// With a pause between chunks.
    pub const fn paced(mut self, gap: Duration) -> Self {
        self.gap = gap;
        self
    }

    /// With another pause before the last chunk, also if that is the first.
    pub fn pausing_at_last(mut self, gap: Duration) -> Self {
        if self.cuts.len() == 1 {
            (self.pausing, self.sleep) = (true, Some(Box::pin(tokio::time::sleep(gap))));
        }
        self.last_gap = Some(gap);
        self
    }

    /// With no pause at all.
    pub fn hurried(mut self) -> Self {
        (self.gap, self.last_gap, self.sleep) = (Duration::ZERO, None, None);
        self
    }

    /// Tells who watches when everything has been handed over.
    pub fn watched(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// How it ends.
    pub const fn ending(&self) -> Ending {
        self.ending
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The pause is between chunks: an early end does not wait for a chunk that never comes.
        let more = self.given < self.cuts.len();
        match &mut self.sleep {
            Some(sleep) if more => ready!(sleep.as_mut().poll(cx)),
            _ => {
                self.pausing = false;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        self.pausing = false;
        Poll::Ready(())
    }

    fn next_chunk(&mut self) -> Option<Bytes> {
        let end = *self.cuts.get(self.given)?;
        let start = self.given.checked_sub(1).and_then(|before| self.cuts.get(before)).copied().unwrap_or_default();
        self.given += 1;
        self.pausing = true;
        let is_next_last = self.given + 1 == self.cuts.len();
        let gap = self.last_gap.filter(|_| is_next_last).unwrap_or(self.gap);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(Instant::now() + gap),
            None if gap.is_zero() => {}
            none => *none = Some(Box::pin(tokio::time::sleep(gap))),
        }
        Some(self.bytes.slice(start..end))
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if self.pausing {
            ready!(self.poll_pause(cx));
        }
        if let Some(chunk) = self.next_chunk() {
            // Agents may leave with the last event in hand; that is no early leaving.
            if self.given == self.cuts.len() && self.ending != Ending::Silent {
                Watch::done(self.watch.take());
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if self.ending != Ending::Silent {
            Watch::done(self.watch.take());
        }
        match self.ending {
            Ending::Complete | Ending::Clean => Poll::Ready(None),
            Ending::Close => Poll::Ready(Some(Err(BrokenOff))),
            Ending::Reset => {
                self.mood.reset();
                Poll::Ready(Some(Err(BrokenOff)))
            }
            Ending::Held | Ending::Silent => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ending == Ending::Complete && self.given == self.cuts.len()
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The connection is to end here: the script says so.
#[derive(Debug)]
pub struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken off by the script")
    }
}

impl std::error::Error for BrokenOff {}
