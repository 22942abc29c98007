//! Anthropic Messages (<https://platform.claude.com/docs/en/build-with-claude/streaming>).

use super::made::Made;
use super::watch::UsageWatch;
use super::{Progress, kind};
use crate::protocol::Dialect;
use crate::protocol::sse::Event;
use crate::protocol::usage::Usage;

/// Usage comes in `message_start` (the input side) and again, cumulative, in `message_delta`.
#[derive(Debug)]
pub struct Reader {
    watch: UsageWatch,
    pub made: Made,
}

impl Default for Reader {
    fn default() -> Self {
        Self { watch: UsageWatch::new(Dialect::Anthropic), made: Made::default() }
    }
}

impl Reader {
    pub fn usage(&self) -> Option<Usage> {
        self.watch.usage()
    }
}

enum Kind {
    Content,
    Usage,
    Stop,
    Error,
    Nothing,
}

fn classify(name: &[u8]) -> Option<Kind> {
    Some(match name {
        b"content_block_delta" | b"content_block_start" => Kind::Content,
        b"content_block_stop" | b"ping" => Kind::Nothing,
        b"message_start" | b"message_delta" => Kind::Usage,
        b"message_stop" => Kind::Stop,
        b"error" => Kind::Error,
        _ => return None,
    })
}

impl super::Reader for Reader {
    #[inline]
    fn event(&mut self, event: Event<'_>, progress: &mut Progress) {
        // Nearly every event of a stream.
        if event.name == b"content_block_delta" {
            progress.content = true;
            return;
        }
        match kind::of(event, classify) {
            Some(Kind::Content) => progress.content = true,
            Some(Kind::Usage) => {
                self.watch.read(event.data);
                self.made.seek_container(event.data);
            }
            Some(Kind::Stop) => progress.terminal = true,
            Some(Kind::Error) => {
                progress.failed = true;
                progress.terminal = true;
            }
            Some(Kind::Nothing) | None => {}
        }
    }
}
