//! What the requests of a connection tell its timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// What a connection's timer and its requests share.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Requests under way: on HTTP/1.1 one at most.
    serving: AtomicU32,
    requests: AtomicU64,
    /// The next answer is this connection's last.
    last: AtomicBool,
}

impl Line {
    /// Requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// No request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.serving.load(Relaxed) == 0
    }

    /// No request is under way, and none has begun since there were `seen`.
    pub(super) fn is_idle_since(&self, seen: u64) -> bool {
        self.is_idle() && self.requests() == seen
    }

    /// The next answer is the last.
    pub(super) fn end(&self) {
        self.last.store(true, Relaxed);
    }

    /// Whether the next answer is the last.
    pub(super) fn is_ending(&self) -> bool {
        self.last.load(Relaxed)
    }
}

/// A request under way, until it is dropped.
#[derive(Debug)]
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
