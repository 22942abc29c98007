//! Gemini `streamGenerateContent?alt=sse` (<https://ai.google.dev/api/generate-content>).
//!
//! Every chunk carries the usage so far, and only the last one counts. Invariant: no chunk's usage is parsed before it is
//! asked for; what is kept of a chunk is its bytes from the first `"usageMetadata"` on, which is nearly always its short
//! tail. That key may also stand inside a tool's arguments; so the kept bytes, with a `{` before them, must read as one whole
//! object: they do exactly if the key stood at the top. If not, the next occurrence in them is tried, and then the chunk before.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use super::Progress;
use super::recent::Recent;
use super::watch::UsageWatch;
use crate::protocol::Dialect;
use crate::protocol::json::{Root, Scanner};
use crate::protocol::sse::Event;
use crate::protocol::usage::Usage;

const KEY: &[u8] = b"\"usageMetadata\"";
/// Longest tail that is kept, in bytes; in front of a longer one (an image, say) the usage is read at once.
const MAX_TAIL: usize = 4096;

/// A prompt that was blocked has no candidate, hence no reason of one.
static BLOCKED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"blockReason\""));
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(KEY));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"finishReason\""));
static PARTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"parts\""));

/// See the module.
#[derive(Debug, Default)]
pub struct Reader {
    /// `{` and the tail of the last chunk with usage.
    last: Vec<u8>,
    /// The same of the one before.
    prior: Vec<u8>,
    recent: Recent,
    /// Read from a chunk older than both.
    read: Option<Usage>,
}

impl Reader {
    pub fn usage(&self) -> Option<Usage> {
        of_tail(&self.last).or_else(|| of_tail(&self.prior)).or(self.read)
    }
}

impl Reader {
    /// Whether the model has said why it stopped, or the prompt was blocked.
    pub fn finished(&self) -> bool {
        self.recent.any(|event| FINISH.find(event).is_some() || BLOCKED.find(event).is_some())
    }
}

impl super::Reader for Reader {
    #[inline]
    fn event(&mut self, event: Event<'_>, progress: &mut Progress) {
        let data = event.data;
        if !progress.content {
            progress.content = has_parts(data);
        }
        self.recent.push(data);
        let Some(at) = USAGE.find(data) else {
            // A failure reports no usage; so only such chunks need a second look.
            progress.failed |= is_failure(data);
            return;
        };
        let tail = &data[at..];
        if tail.len() > MAX_TAIL {
            self.read_now(data);
            return;
        }
        std::mem::swap(&mut self.last, &mut self.prior);
        self.last.clear();
        self.last.push(b'{');
        self.last.extend_from_slice(tail);
    }
}

impl Reader {
    #[cold]
    fn read_now(&mut self, data: &[u8]) {
        let mut watch = UsageWatch::new(Dialect::Gemini);
        watch.read(data);
        if let Some(usage) = watch.usage() {
            *self = Self { read: Some(usage), ..Self::default() };
        }
    }
}

/// The usage in a tail that starts with `{`.
fn of_tail(tail: &[u8]) -> Option<Usage> {
    memmem::find_iter(tail, KEY).find_map(|at| {
        let mut watch = UsageWatch::new(Dialect::Gemini);
        let mut scanner = Scanner::new(Root::Object);
        scanner.feed(b"{", &mut watch).ok()?;
        scanner.feed(&tail[at..], &mut watch).ok()?;
        scanner.is_complete().then(|| watch.usage())?
    })
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

fn is_failure(data: &[u8]) -> bool {
    let mut watch = UsageWatch::new(Dialect::Gemini);
    watch.read(data);
    watch.failed
}
