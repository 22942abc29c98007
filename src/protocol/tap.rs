//! Listening to a response while it passes.
//!
//! Invariants: a frame is looked at by reference, never delayed, never altered; JSON is read only where an event carries
//! usage, or where start-up must be told from content; nothing here fails, whatever the bytes are (what cannot be read is
//! not there); memory is bounded by [`super::MAX_EVENT`] for an event that is split over frames, and by a few KiB otherwise;
//! what was told does not depend on the chunk borders. What a provider has told is never mixed with what is only estimated
//! ([`Tap::usage`], [`Tap::used`]).
//!
//! | dialect | content | terminal | failed | usage |
//! |---|---|---|---|---|
//! | Anthropic | `content_block_start`, `content_block_delta` | `message_stop`, `error` | `error` | `message_start`, then `message_delta`, cumulative |
//! | Chat | a delta with text, reasoning, refusal, audio or tool calls; a chunk with the role only is start-up | `[DONE]` | an object with `error` | the chunk with `usage` (Groq: `x_groq.usage`) |
//! | Responses | `response.output_item.added` and `.done`, any `*.delta` | `response.completed`, `.incomplete`, `.failed`, `error` | `response.failed`, `error` | the terminal event |
//! | Gemini | a candidate with parts | none: the stream just ends | an object with `error`, in an event or bare | the last chunk with `usageMetadata` |
//!
//! Event names come from the `event:` line, and from `type` where that line is missing (Chat and Gemini never have it, and
//! some servers leave it out). A JSON answer is content from its first byte, and terminal when its value is closed.

mod anthropic;
mod chat;
mod gemini;
mod hosted;
mod kind;
mod made;
mod recent;
mod responses;
mod served;
mod shape;
mod things;
mod watch;

use super::json::{Root, Scanner};
use super::sse::{Event, Splitter};
use super::unmetered::Operation;
use super::usage::Usage;
use super::{Dialect, Object, estimate};
use made::{Made, WithIds};
pub use served::Served;
use things::Things;
use watch::UsageWatch;

/// What a frame brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Events that were completed in it. None in JSON answers.
    pub events: u32,
    /// Content has passed, in this frame or before: it is not looked for again.
    pub content: bool,
    /// The terminal event has passed, in this frame or before.
    pub terminal: bool,
    /// An error has passed, in this frame or before.
    pub failed: bool,
    /// A Chat chunk that tells usage and nothing else was completed in it.
    pub usage_chunk: bool,
}

/// What an answer used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// What the provider told, and what it did not.
    pub usage: Usage,
    /// Some of it is our estimate.
    pub estimated: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Tap {
    source: Source,
    progress: Progress,
}

#[derive(Debug)]
enum Source {
    Anthropic(Splitter, anthropic::Reader),
    Chat(Splitter, chat::Reader),
    Responses(Splitter, responses::Reader),
    Gemini(Splitter, gemini::Reader),
    Json(Json),
    Things(Things),
    Blind,
}

/// What has passed.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    content: bool,
    terminal: bool,
    failed: bool,
    usage_chunk: bool,
}

/// Reads the events of one dialect.
trait Reader {
    fn event(&mut self, event: Event<'_>, progress: &mut Progress);
}

#[derive(Debug)]
struct Json {
    /// Gone after the first fault: a broken answer is passed on, not judged.
    scanner: Option<Scanner>,
    watch: UsageWatch,
    made: Made,
    bytes: u64,
    /// Of one in several pieces, what the first shows.
    shown: Option<estimate::Shown>,
    /// Of one in one piece that has told none, the tokens of its output.
    guess: Option<u64>,
}

impl Tap {
    /// For `text/event-stream`.
    #[must_use]
    pub fn stream(dialect: Dialect) -> Self {
        let splitter = Splitter::default();
        Self::new(match dialect {
            Dialect::Anthropic => Source::Anthropic(splitter, anthropic::Reader::default()),
            Dialect::Chat => Source::Chat(splitter, chat::Reader::default()),
            Dialect::Responses => Source::Responses(splitter, responses::Reader::default()),
            Dialect::Gemini => Source::Gemini(splitter, gemini::Reader::default()),
        })
    }

    /// For `application/json`; also for the array in which Gemini streams without `alt=sse`.
    #[must_use]
    pub fn json(dialect: Dialect) -> Self {
        let scanner = Some(Scanner::new(Root::ObjectOrArray));
        Self::new(Source::Json(Json {
            scanner,
            watch: UsageWatch::new(dialect),
            made: Made::default(),
            bytes: 0,
            shown: None,
            guess: None,
        }))
    }

    /// For the JSON answer of an unmetered call: nothing but the ids of what it names that is new.
    #[must_use]
    pub fn things(operation: Operation) -> Self {
        Self::new(Source::Things(Things::new(operation)))
    }

    /// For what we cannot read.
    #[must_use]
    pub fn blind() -> Self {
        Self::new(Source::Blind)
    }

    /// Also finds the id of the response that is made, where the dialect is Responses.
    pub fn find_id(&mut self) {
        if let Some(made) = self.seeker() {
            made.want_response();
        }
    }

    /// Also finds the response's items, and the containers that it used (Responses, Anthropic).
    pub fn find_things(&mut self) {
        if let Some(made) = self.seeker() {
            made.want_things();
        }
    }

    fn seeker(&mut self) -> Option<&mut Made> {
        match &mut self.source {
            Source::Anthropic(_, reader) => Some(&mut reader.made),
            Source::Responses(_, reader) => Some(&mut reader.made),
            Source::Json(json) => Some(&mut json.made),
            Source::Chat(..) | Source::Gemini(..) | Source::Things(_) | Source::Blind => None,
        }
    }

    /// What is made, and its id, each once, when it has passed; see [`Tap::find_id`], [`Tap::find_things`] and
    /// [`Tap::things`].
    pub fn made(&mut self) -> Option<(Object, Box<str>)> {
        match &mut self.source {
            Source::Anthropic(_, reader) => reader.made.take(),
            Source::Responses(_, reader) => reader.made.take(),
            Source::Json(json) => json.made.take(),
            Source::Things(things) => things.take(),
            Source::Chat(..) | Source::Gemini(..) | Source::Blind => None,
        }
    }

    fn new(source: Source) -> Self {
        Self { source, progress: Progress::default() }
    }

    /// Looks at the next frame.
    #[inline]
    pub fn feed(&mut self, frame: &[u8]) -> Seen {
        let progress = &mut self.progress;
        progress.usage_chunk = false;
        let events = match &mut self.source {
            Source::Anthropic(splitter, reader) => listen(splitter, reader, progress, frame),
            Source::Chat(splitter, reader) => listen(splitter, reader, progress, frame),
            Source::Responses(splitter, reader) => listen(splitter, reader, progress, frame),
            Source::Gemini(splitter, reader) => {
                let events = listen(splitter, reader, progress, frame);
                progress.failed |= splitter.saw_bare_json();
                events
            }
            Source::Json(json) => {
                json.feed(frame, progress);
                0
            }
            Source::Things(things) => {
                progress.content |= !frame.is_empty();
                things.feed(frame);
                0
            }
            Source::Blind => {
                progress.content |= !frame.is_empty();
                0
            }
        };
        let Progress { content, terminal, failed, usage_chunk } = *progress;
        Seen { events, content, terminal, failed, usage_chunk }
    }

    /// The response has ended: an event without its last blank line is read.
    pub fn finish(&mut self) {
        let progress = &mut self.progress;
        match &mut self.source {
            Source::Anthropic(splitter, reader) => splitter.finish(|event| reader.event(event, progress)),
            Source::Chat(splitter, reader) => splitter.finish(|event| reader.event(event, progress)),
            Source::Responses(splitter, reader) => splitter.finish(|event| reader.event(event, progress)),
            Source::Gemini(splitter, reader) => {
                splitter.finish(|event| reader.event(event, progress));
                progress.failed |= splitter.saw_bare_json();
            }
            Source::Json(_) | Source::Things(_) | Source::Blind => {}
        }
    }

    /// Whether a keep-alive may follow the last frame: between two events. Never in what is no event stream.
    #[inline]
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        match &self.source {
            Source::Anthropic(splitter, _)
            | Source::Chat(splitter, _)
            | Source::Responses(splitter, _)
            | Source::Gemini(splitter, _) => splitter.at_boundary(),
            Source::Json(_) | Source::Things(_) | Source::Blind => false,
        }
    }

    /// The tokens as far as the provider has told them.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        match &self.source {
            Source::Anthropic(_, reader) => reader.usage(),
            Source::Chat(_, reader) => reader.usage(),
            Source::Responses(_, reader) => reader.usage(),
            Source::Gemini(_, reader) => reader.usage(),
            Source::Json(json) => json.watch.usage(),
            Source::Things(_) | Source::Blind => None,
        }
    }

    /// The model that the answer names itself, as far as that was read: it stands beside the usage.
    #[must_use]
    pub fn served(&self) -> Served {
        match &self.source {
            Source::Anthropic(_, reader) => reader.served(),
            Source::Chat(_, reader) => reader.served(),
            Source::Responses(_, reader) => reader.served(),
            Source::Gemini(_, reader) => reader.served(),
            Source::Json(json) => json.watch.served,
            Source::Things(_) | Source::Blind => Served::default(),
        }
    }

    /// The tokens as far as the provider has told them, and an estimate of what it has not: of the output where the last
    /// report has not come, and of everything where there was none. `asked` is the request's length in bytes.
    ///
    /// `None` where nothing was told and nothing passed that anybody pays for, or that we can read.
    #[must_use]
    pub fn used(&self, asked: u64) -> Option<Used> {
        let told = self.usage();
        let output = match &self.source {
            Source::Anthropic(_, reader) => reader.heard.tokens(),
            Source::Chat(_, reader) => reader.heard.tokens(),
            Source::Responses(_, reader) => reader.heard.tokens(),
            Source::Gemini(_, reader) => reader.heard.tokens(),
            Source::Json(json) => json.guess.unwrap_or_else(|| match json.shown {
                Some(shown) => shown.tokens(json.bytes),
                None => estimate::of_answer(json.bytes),
            }),
            Source::Things(_) | Source::Blind => return None,
        };
        if let Some(told) = told {
            let all = match &self.source {
                Source::Anthropic(_, reader) => reader.reported,
                _ => true,
            };
            let usage = if all { told } else { Usage { output: told.output.max(output), ..told } };
            return Some(Used { usage, estimated: !all });
        }
        if !self.progress.content && self.progress.failed {
            return None;
        }
        let mut usage = Usage { input: estimate::of_request(asked), output, ..Usage::default() };
        match &self.source {
            Source::Responses(_, reader) => usage.add_uses(&reader.uses()),
            Source::Json(json) => usage.add_uses(&json.watch.uses()),
            _ => {}
        }
        Some(Used { usage, estimated: true })
    }

    /// Whether the terminal event has passed.
    #[inline]
    #[must_use]
    pub fn terminal(&self) -> bool {
        self.progress.terminal
    }

    /// Whether the response may end here: after its terminal event, after a failure that it reported itself, and where a
    /// dialect has no terminal event (Gemini) or some servers leave it out (Chat), after a reason to stop. What is no event
    /// stream ends by its framing, so it always may.
    #[must_use]
    pub fn ended_well(&self) -> bool {
        let Progress { terminal, failed, .. } = self.progress;
        let finished = match &self.source {
            Source::Chat(_, reader) => reader.finished(),
            Source::Gemini(_, reader) => reader.finished(),
            Source::Json(_) | Source::Things(_) | Source::Blind => true,
            Source::Anthropic(..) | Source::Responses(..) => false,
        };
        terminal || failed || finished
    }
}

/// Returns the number of events.
#[inline]
fn listen(splitter: &mut Splitter, reader: &mut impl Reader, progress: &mut Progress, frame: &[u8]) -> u32 {
    let mut events = 0;
    splitter.feed(frame, |event| {
        events += 1;
        reader.event(event, progress);
    });
    events
}

impl Json {
    fn feed(&mut self, frame: &[u8], progress: &mut Progress) {
        progress.content |= !frame.is_empty();
        self.bytes += frame.len() as u64;
        let Some(scanner) = &mut self.scanner else { return };
        let fault = if self.made.is_wanted() {
            scanner.feed(frame, &mut WithIds { made: &mut self.made, usage: &mut self.watch }).is_err()
        } else {
            scanner.feed(frame, &mut self.watch).is_err()
        };
        progress.failed |= self.watch.failed;
        progress.terminal |= scanner.is_complete();
        if self.bytes == frame.len() as u64 {
            match (progress.terminal, self.watch.usage()) {
                (true, Some(_)) => {}
                (true, None) => self.guess = estimate::of_whole_answer(frame),
                (false, _) if fault => {}
                (false, _) => self.shown = Some(estimate::Shown::by(frame)),
            }
        }
        if fault {
            self.scanner = None;
        }
    }
}

#[cfg(test)]
mod tests;
