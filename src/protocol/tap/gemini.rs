//! Gemini `streamGenerateContent?alt=sse` (<https://ai.google.dev/api/generate-content>).
//!
//! Every chunk carries the usage so far, and only the last one counts. Invariant: a chunk that has its usage at the same
//! place from its end as the one before is not parsed before it is asked for, only kept; any other is parsed at once, since
//! the key may also stand inside a tool's arguments. Two chunks are kept, because the reason to stop may come in the last
//! but one.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::Progress;
use super::served::Served;
use super::watch::UsageWatch;
use crate::protocol::Dialect;
use crate::protocol::estimate::Heard;
use crate::protocol::sse::Event;
use crate::protocol::usage::Usage;

/// Largest chunk that is kept, in bytes.
const MAX: usize = 4096;

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usageMetadata\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"finishReason\""));
/// A prompt that was blocked has no candidate, hence no reason of one.
static BLOCKED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"blockReason\""));
static PARTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"parts\""));

/// See the module.
#[derive(Debug, Default)]
pub struct Reader {
    last: Vec<u8>,
    prior: Vec<u8>,
    /// How far from a chunk's end its usage was last found: it is nearly always there again.
    from_end: usize,
    /// Read from a chunk older than both.
    read: Option<Usage>,
    /// A chunk that was not kept had a reason to stop.
    finished: bool,
    pub heard: Heard,
}

impl Reader {
    pub fn served(&self) -> Served {
        let mut watch = UsageWatch::new(Dialect::Gemini);
        watch.read(&self.last);
        watch.served
    }

    pub fn usage(&self) -> Option<Usage> {
        usage(&self.last).or_else(|| usage(&self.prior)).or(self.read)
    }

    /// Whether the model has said why it stopped, or the prompt was blocked.
    pub fn finished(&self) -> bool {
        self.finished || has_reason(&self.last) || has_reason(&self.prior)
    }

    #[inline]
    fn has_usage(&mut self, data: &[u8]) -> bool {
        let guess = data.len().saturating_sub(self.from_end);
        if data[guess..].starts_with(USAGE.needle()) {
            return true;
        }
        let found = USAGE.find(data).filter(|_| usage(data).is_some());
        self.from_end = found.map_or(0, |at| data.len() - at);
        found.is_some()
    }

    #[cold]
    fn read_now(&mut self, data: &[u8], progress: &mut Progress) {
        let mut watch = UsageWatch::new(Dialect::Gemini);
        watch.read(data);
        progress.failed |= watch.failed;
        self.finished |= has_reason(data);
        if let Some(usage) = watch.usage() {
            // What was kept is older, and its usage counts no more; its reason to stop does.
            self.finished |= has_reason(&self.last) || has_reason(&self.prior);
            self.read = Some(usage);
            self.last.clear();
            self.prior.clear();
        }
    }
}

impl super::Reader for Reader {
    #[inline]
    fn event(&mut self, event: Event<'_>, progress: &mut Progress) {
        let data = event.data;
        self.heard.hear(data);
        if !progress.content {
            progress.content = has_parts(data);
        }
        if data.len() > MAX || !self.has_usage(data) {
            self.read_now(data, progress);
            return;
        }
        std::mem::swap(&mut self.last, &mut self.prior);
        self.last.clear();
        self.last.extend_from_slice(data);
    }
}

fn usage(chunk: &[u8]) -> Option<Usage> {
    let mut watch = UsageWatch::new(Dialect::Gemini);
    watch.read(chunk);
    watch.usage()
}

fn has_reason(chunk: &[u8]) -> bool {
    FINISH.find(chunk).is_some() || BLOCKED.find(chunk).is_some()
}

/// A `parts` array that is not empty.
fn has_parts(data: &[u8]) -> bool {
    PARTS.find_iter(data).any(|at| {
        let after = data[at + PARTS.needle().len()..].trim_ascii_start();
        after
            .strip_prefix(b":")
            .and_then(|value| value.trim_ascii_start().strip_prefix(b"["))
            .and_then(|elements| elements.trim_ascii_start().first())
            .is_some_and(|&first| first != b']')
    })
}
