//! Anthropic Messages (<https://platform.claude.com/docs/en/build-with-claude/streaming>).

use super::made::Made;
use super::served::Served;
use super::watch::UsageWatch;
use super::{Progress, kind};
use crate::protocol::Dialect;
use crate::protocol::estimate::Heard;
use crate::protocol::sse::Event;
use crate::protocol::usage::Usage;

/// Usage comes in `message_start` (the input side) and again, cumulative, in `message_delta`.
#[derive(Debug)]
pub struct Reader {
    watch: UsageWatch,
    /// The last report of usage has come, so what was reported is all.
    pub reported: bool,
    pub heard: Heard,
    pub made: Made,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            watch: UsageWatch::new(Dialect::Anthropic),
            reported: false,
            heard: Heard::default(),
            made: Made::default(),
        }
    }
}

impl Reader {
    pub fn served(&self) -> Served {
        self.watch.served
    }

    pub fn usage(&self) -> Option<Usage> {
        self.watch.usage()
    }
}

enum Kind {
    Content,
    Start,
    Usage,
    LastUsage,
    Stop,
    Error,
    Nothing,
}

fn classify(name: &[u8]) -> Option<Kind> {
    Some(match name {
        b"content_block_delta" => Kind::Content,
        b"content_block_start" => Kind::Start,
        b"content_block_stop" | b"ping" => Kind::Nothing,
        b"message_start" => Kind::Usage,
        b"message_delta" => Kind::LastUsage,
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
            hear(&mut self.heard, event.data);
            return;
        }
        match kind::of(event, classify) {
            Some(Kind::Content) => {
                progress.content = true;
                hear(&mut self.heard, event.data);
            }
            Some(Kind::Start) => progress.content = true,
            Some(kind @ (Kind::Usage | Kind::LastUsage)) => {
                self.watch.read(event.data);
                self.reported |= matches!(kind, Kind::LastUsage);
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

/// A signature is long, and no token of it is anybody's.
#[inline]
fn hear(heard: &mut Heard, data: &[u8]) {
    const LONG: usize = 256;
    if data.len() < LONG || memchr::memmem::find(&data[..LONG / 2], b"\"signature_delta\"").is_none() {
        heard.hear(data);
    }
}
