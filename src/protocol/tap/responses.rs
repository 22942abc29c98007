//! OpenAI Responses (<https://platform.openai.com/docs/api-reference/responses-streaming>).

use super::hosted::Hosted;
use super::made::Made;
use super::served::Served;
use super::watch::UsageWatch;
use super::{Progress, kind};
use crate::protocol::Dialect;
use crate::protocol::estimate::Heard;
use crate::protocol::sse::Event;
use crate::protocol::usage::{Usage, Uses};

/// Usage comes in the terminal event, also in `response.incomplete` and `response.failed`.
#[derive(Debug)]
pub struct Reader {
    watch: UsageWatch,
    /// Of the items that were done; the terminal event lists them again, or nothing.
    hosted: Hosted,
    pub heard: Heard,
    pub made: Made,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            watch: UsageWatch::new(Dialect::Responses),
            hosted: Hosted::default(),
            heard: Heard::default(),
            made: Made::default(),
        }
    }
}

impl Reader {
    /// Uses of tools, as far as they have passed.
    pub fn uses(&self) -> Uses {
        self.hosted.uses()
    }

    pub fn served(&self) -> Served {
        self.watch.served
    }

    pub fn usage(&self) -> Option<Usage> {
        let mut usage = self.watch.usage()?;
        usage.add_uses(&self.hosted.uses());
        Some(usage)
    }
}

enum Kind {
    Created,
    Content,
    Added,
    Item,
    End,
    Failure,
    Nothing,
}

fn classify(name: &[u8]) -> Option<Kind> {
    if name.ends_with(b".delta") {
        return Some(Kind::Content);
    }
    Some(match name {
        b"response.output_item.added" => Kind::Added,
        b"response.output_item.done" => Kind::Item,
        b"response.created" => Kind::Created,
        b"response.completed" | b"response.incomplete" => Kind::End,
        b"response.failed" | b"error" => Kind::Failure,
        _ if name.starts_with(b"response.") => Kind::Nothing,
        _ => return None,
    })
}

impl super::Reader for Reader {
    #[inline]
    fn event(&mut self, event: Event<'_>, progress: &mut Progress) {
        match kind::of(event, classify) {
            Some(Kind::Content) => {
                progress.content = true;
                self.heard.hear(event.data);
            }
            Some(Kind::Added) => progress.content = true,
            Some(Kind::Item) => {
                progress.content = true;
                self.hosted.item_done(event.data);
                self.made.seek_in_item(event.data);
            }
            Some(Kind::Created) => self.made.seek_in_response(event.data),
            Some(Kind::End) => {
                self.made.seek_in_response(event.data);
                self.watch.read(event.data);
                progress.terminal = true;
            }
            Some(Kind::Failure) => {
                self.made.seek_in_response(event.data);
                self.watch.read(event.data);
                progress.failed = true;
                progress.terminal = true;
            }
            Some(Kind::Nothing) | None => {}
        }
    }
}
