//! A Chat stream without the usage chunk that we asked for and the client did not.
//!
//! Invariants: what is withheld is a whole event, and only one that has usage and no choices; every other byte passes, in its
//! order, at once, but for the beginning of an event whose end has not come: it waits for it, up to [`MAX_HELD`]. Nothing is
//! copied but the data of an event that lies in several frames. A frame that ends where an event ends and has none to be
//! withheld passes as it is, unlooked at: [`super::tap::Seen`] says so.
//!
//! It does not ask (`super::peek` says how), and leaves `"usage":null`, which some providers add to every chunk of a stream
//! that was asked, where it is.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use memchr::memchr2;
use smallvec::SmallVec;

/// Bytes of an event that wait for its end; a usage chunk has some hundred.
pub const MAX_HELD: usize = 16 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Withhold {
    /// The beginning of an event.
    held: SmallVec<[Bytes; 2]>,
    held_len: usize,
    line: Line,
    /// The event was too long to wait for: the rest of it passes.
    passing: bool,
}

/// Where in a line a stream is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Line {
    /// At the start of one.
    #[default]
    Start,
    Inside,
    /// Behind the `\r` that ended one; a `\n` belongs to it.
    AfterCr,
    /// Behind the `\r` of an empty one: the event has ended, but for a `\n`.
    AfterEmptyCr,
}

/// What goes to the client of a frame.
pub type Passed = SmallVec<[Bytes; 2]>;

impl Withhold {
    /// Whether a frame with nothing to withhold that ends between two events may pass as it is.
    #[inline]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.held.is_empty() && !self.passing && self.line == Line::Start
    }

    /// What of the next frame passes. `boundary`: it ends where an event may begin.
    pub fn pass(&mut self, frame: &Bytes, boundary: bool) -> Passed {
        let mut passed = Passed::new();
        let (mut start, mut at) = (0, 0);
        while let Some(end) = self.event_end(frame, &mut at) {
            self.hold(frame.slice(start..end));
            start = end;
            if std::mem::take(&mut self.passing) || !self.is_usage() {
                passed.append(&mut self.held);
            }
            self.held.clear();
            self.held_len = 0;
        }
        self.hold(frame.slice(start..));
        // At a boundary there are at most comments, which say nothing of what follows.
        if boundary || self.passing || self.held_len > MAX_HELD {
            self.passing = !boundary && (self.held_len > 0 || self.passing);
            passed.append(&mut self.held);
            self.held_len = 0;
            if boundary {
                self.line = Line::Start;
            }
        }
        passed
    }

    /// The stream has ended: what waited for more.
    pub fn finish(&mut self) -> Passed {
        if self.is_usage() {
            self.held.clear();
        }
        std::mem::take(&mut self.held)
    }

    fn hold(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.held_len += part.len();
            self.held.push(part);
        }
    }

    /// The place behind the next empty line, from `at`.
    fn event_end(&mut self, frame: &[u8], at: &mut usize) -> Option<usize> {
        while let Some(&byte) = frame.get(*at) {
            let before = std::mem::replace(&mut self.line, Line::Start);
            match (before, byte) {
                (Line::AfterEmptyCr, b'\n') => {
                    *at += 1;
                    return Some(*at);
                }
                (Line::AfterEmptyCr, _) => return Some(*at),
                (Line::AfterCr, b'\n') => *at += 1,
                (Line::Start, b'\n') => {
                    *at += 1;
                    return Some(*at);
                }
                (Line::Start | Line::AfterCr, b'\r') => {
                    *at += 1;
                    self.line = Line::AfterEmptyCr;
                }
                _ => match memchr2(b'\n', b'\r', &frame[*at..]) {
                    None => {
                        *at = frame.len();
                        self.line = Line::Inside;
                    }
                    Some(n) => {
                        *at += n + 1;
                        self.line = if frame[*at - 1] == b'\r' { Line::AfterCr } else { Line::Start };
                    }
                },
            }
        }
        None
    }

    /// Whether the event that is held is the one.
    fn is_usage(&self) -> bool {
        match &*self.held {
            [] => false,
            [one] => is_usage_event(one),
            many => self.held_len <= MAX_HELD && is_usage_event(&many.concat()),
        }
    }
}

fn is_usage_event(event: &[u8]) -> bool {
    let mut chunk = None;
    for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
        match line {
            [] | [b':', ..] => {}
            // Of several data lines it is no chunk of any provider.
            [b'd', b'a', b't', b'a', b':', data @ ..] if chunk.is_none() => chunk = Some(data),
            _ => return false,
        }
    }
    chunk.is_some_and(is_usage_chunk)
}

/// Whether a chunk has usage and no choices, and tells no error.
#[must_use]
pub fn is_usage_chunk(data: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Chunk {
        #[serde(default)]
        choices: Option<Vec<serde::de::IgnoredAny>>,
        usage: Option<serde::de::IgnoredAny>,
        error: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Chunk>(data).is_ok_and(|chunk| {
        chunk.usage.is_some() && chunk.error.is_none() && chunk.choices.is_none_or(|all| all.is_empty())
    })
}
