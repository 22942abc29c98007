//! Tokens of what a provider did not count for us: streams that were cut, clients that left, servers that say nothing.
//!
//! Invariants: nothing that is known is replaced by an estimate (the callers' part); bounded work and no memory per event:
//! the [`FIRST`] events that carry content are looked into, then [`RUN`] of each [`PERIOD`], and all others are only measured.
//! What those few show (how much of an event is content, how many tokens its text has) is taken for the others' too.
//!
//! Tokens are counted by what tokenizers have in common: a word is one, a long or foreign one is more, blanks belong to what
//! follows, marks come in groups. The weights were fitted to OpenAI's `o200k_base`; on prose, code and tool arguments in ten
//! languages it is within 10 % (see the tests). What is hidden (reasoning that is not shown) cannot be estimated.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2};

/// So many of the first events are all looked into: many streams are short.
const FIRST: u64 = 40;
/// Later ones, of which some are.
const PERIOD: u64 = 32;
/// So many, in a row: a word may lie in two.
const RUN: u64 = 6;
/// Where among them the row begins, from one period to the next: never in step with what a text repeats.
const STRIDE: u64 = 11;
/// Bytes of one event's content whose tokens are counted.
const COUNTED: usize = 1024;
/// The same once there were [`ENOUGH`].
const COUNTED_LATER: usize = 96;
/// Bytes whose tokens were counted, after which a little of each event is enough.
const ENOUGH: u64 = 4096;
/// Bytes of a piece of a JSON answer that are looked at.
const SHOWN: usize = 512;
/// Bytes of a request for one token of input: JSON around prose, code and schemas.
const REQUEST_BYTES: u64 = 4;
/// The same of a JSON answer.
const ANSWER_BYTES: u64 = 4;

/// What has passed of a stream, as far as an estimate needs it. All sums saturate in practice long after any stream ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heard {
    events: u64,
    bytes: u64,
    /// Where the next row begins in its period.
    begin: u64,
    seen: Seen,
    counter: Counter,
}

/// Of the events that were looked into.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    events: u64,
    bytes: u64,
    /// Bytes of content, as spelled in JSON.
    content: u64,
    /// Those whose tokens were counted.
    counted: u64,
}

impl Heard {
    /// An event that may carry content.
    #[inline]
    pub fn hear(&mut self, data: &[u8]) {
        let (place, run) = match self.events.checked_sub(FIRST + 1) {
            None => (self.events, FIRST),
            Some(later) => (later % PERIOD, RUN),
        };
        let begin = if run == RUN { self.begin } else { 0 };
        self.events += 1;
        self.bytes += data.len() as u64;
        if (begin..=begin + run).contains(&place) {
            self.look(data, place == begin + run);
        } else if place == PERIOD - 1 {
            self.begin = (begin + STRIDE) % (PERIOD - RUN - 1);
        }
    }

    #[cold]
    #[inline(never)]
    fn look(&mut self, data: &[u8], behind: bool) {
        // The one behind a run only says whether its last word went on.
        if behind {
            let mut first = None;
            contents(data, |raw| first = first.or_else(|| raw.first().copied()));
            self.counter.pause(first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte >= 0x80));
            return;
        }
        self.seen.events += 1;
        self.seen.bytes += data.len() as u64;
        let (seen, counter) = (&mut self.seen, &mut self.counter);
        contents(data, |raw| {
            let most = if seen.counted < ENOUGH { COUNTED } else { COUNTED_LATER };
            let part = &raw[..raw.len().min(most)];
            seen.content += raw.len() as u64;
            seen.counted += part.len() as u64;
            counter.add(&unescaped(part));
            if let Some(next) = raw.get(part.len()) {
                counter.pause(next.is_ascii_alphabetic() || *next >= 0x80);
            }
        });
    }

    /// Tokens of all content that has passed.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let Seen { events, bytes, content, counted } = self.seen;
        if events == 0 || counted == 0 {
            return 0;
        }
        let mut counter = self.counter;
        counter.pause(false);
        let around = u128::from(self.events) * u128::from(bytes - content) / u128::from(events);
        let all = u128::from(self.bytes).saturating_sub(around);
        let tokens = all * u128::from(counter.hundredths) / (100 * u128::from(counted));
        u64::try_from(tokens).unwrap_or(u64::MAX).max(u64::from(content > 0))
    }
}

/// Tokens of a request of so many bytes, whose answer does not say. Never zero for one that has a body.
///
/// Text only: an image or a file in base64 has far fewer tokens than this. No text has more tokens than bytes, which bounds
/// what it can be from above.
#[must_use]
pub fn of_request(bytes: u64) -> u64 {
    bytes.div_ceil(REQUEST_BYTES)
}

/// Tokens of a JSON answer of which nothing else is known.
#[must_use]
pub fn of_answer(bytes: u64) -> u64 {
    bytes.div_ceil(ANSWER_BYTES)
}

/// Tokens of a JSON answer that told none and came in one piece; none where most of it is no text, but arguments, say.
#[must_use]
pub fn of_whole_answer(answer: &[u8]) -> Option<u64> {
    let mut heard = Heard::default();
    heard.hear(answer);
    (heard.seen.content * 2 >= answer.len() as u64).then(|| heard.tokens())
}

/// What a piece of a JSON answer shows of all of it.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    hundredths: u64,
    bytes: u64,
}

impl Shown {
    /// Of the middle of a piece.
    #[must_use]
    pub fn by(piece: &[u8]) -> Self {
        let begin = piece.len().saturating_sub(SHOWN) / 2;
        let part = &piece[begin..piece.len().min(begin + SHOWN)];
        let mut counter = Counter::default();
        counter.add(&unescaped(part));
        counter.pause(false);
        Self { hundredths: counter.hundredths, bytes: part.len() as u64 }
    }

    /// Tokens of an answer of so many bytes.
    #[must_use]
    pub fn tokens(self, bytes: u64) -> u64 {
        let tokens = u128::from(bytes) * u128::from(self.hundredths) / (100 * u128::from(self.bytes.max(1)));
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }
}

/// Tokens of a text.
#[must_use]
pub fn of_text(text: &str) -> u64 {
    let mut counter = Counter::default();
    counter.add(text);
    counter.pause(false);
    counter.hundredths.div_ceil(100)
}

/// Tells the texts of an event that a model has written, as they are spelled, without quotes. Where the event breaks off, the
/// last one does.
fn contents(event: &[u8], mut tell: impl FnMut(&[u8])) {
    let mut over = 0;
    for colon in memchr_iter(b':', event) {
        // Inside of a text every quote has a backslash before it, so what looks like a key with a text behind it is one.
        let Some(value) = text_at(event, colon + 1).filter(|_| colon >= over) else { continue };
        if ends_with_key(&event[..colon]) {
            let (text, behind) = string(&event[value..]);
            tell(text);
            over = event.len() - behind.len();
        }
    }
}

/// Where the text begins that is the value here, if it is a text.
fn text_at(event: &[u8], mut at: usize) -> Option<usize> {
    while event.get(at)?.is_ascii_whitespace() {
        at += 1;
    }
    (event[at] == b'"').then_some(at + 1)
}

/// Whether one of the keys stands here, in quotes, whose texts a model has written, in all four dialects.
fn ends_with_key(event: &[u8]) -> bool {
    let mut end = event;
    while let [before @ .., b' ' | b'\t' | b'\n' | b'\r'] = end {
        end = before;
    }
    let [key @ .., last, b'"'] = end else { return false };
    let is = |rest: &[u8]| key.strip_suffix(rest).is_some_and(|before| before.last() == Some(&b'"'));
    match last {
        b't' => is(b"conten") || is(b"tex") || is(b"reasoning_conten") || is(b"inpu"),
        b'a' => is(b"delt"),
        b'n' => is(b"partial_jso"),
        b'g' => is(b"thinkin") || is(b"reasonin"),
        b's' => is(b"argument"),
        b'l' => is(b"refusa"),
        _ => false,
    }
}

/// A text up to its closing quote, and what is behind it.
fn string(text: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(n) = memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += n;
        if text[at] == b'"' {
            return (&text[..at], &text[at + 1..]);
        }
        at += 2;
    }
    (text, &[])
}

/// What a JSON string stands for; of one that is cut in a sequence, what stands before.
fn unescaped(raw: &[u8]) -> Cow<'_, str> {
    let whole = if memchr(b'\\', raw).is_some() {
        // A sequence has at most twelve bytes.
        (0..raw.len().min(12)).find_map(|cut| {
            let quoted = [b"\"", &raw[..raw.len() - cut], b"\""].concat();
            serde_json::from_slice::<String>(&quoted).ok().map(Cow::Owned)
        })
    } else {
        None
    };
    // Nearly always whole; asking first is faster than asking for what to replace.
    whole.unwrap_or_else(|| std::str::from_utf8(raw).map_or_else(|_| String::from_utf8_lossy(raw), Cow::Borrowed))
}

/// Counts tokens of a text that comes in pieces.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    /// Tokens of what is over, in hundredths.
    hundredths: u64,
    /// What the text so far ends with.
    open: Option<Open>,
}

/// A group that may go on.
#[derive(Debug, Clone, Copy)]
struct Open {
    kind: Kind,
    chars: u64,
    accents: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A word in Latin letters; the last was small, or not.
    Lower,
    Upper,
    /// A word in Greek or Cyrillic letters.
    Cyrillic,
    Digits,
    Marks,
    Blank,
    Han,
    Kana,
    Hangul,
    Other,
}

/// The kinds of ASCII.
static ASCII: [Option<Kind>; 256] = {
    let mut kinds = [None; 256];
    let mut byte = 0;
    while byte < 128 {
        kinds[byte] = Some(Kind::of(byte as u8 as char));
        byte += 1;
    }
    kinds
};

impl Kind {
    const fn of(char: char) -> Self {
        match char {
            'A'..='Z' => Self::Upper,
            'a'..='z' | '\u{c0}'..='\u{24f}' => Self::Lower,
            '0'..='9' => Self::Digits,
            ' ' | '\n' | '\t' | '\r' => Self::Blank,
            '\0'..='\x7f' => Self::Marks,
            '\u{370}'..='\u{52f}' => Self::Cyrillic,
            '\u{3040}'..='\u{30ff}' => Self::Kana,
            '\u{2e80}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}' => Self::Han,
            '\u{ac00}'..='\u{d7af}' => Self::Hangul,
            _ => Self::Other,
        }
    }

    /// Whether a group goes on: `aB` begins another word, `Ab` and `AB` do not.
    fn goes_on(self, next: Self) -> bool {
        match (self, next) {
            (Self::Upper, Self::Lower) => true,
            (Self::Han | Self::Kana | Self::Hangul | Self::Other, _) => false,
            _ => self == next,
        }
    }
}

impl Open {
    /// What the group costs, in hundredths.
    fn hundredths(self) -> u64 {
        match self.kind {
            Kind::Lower | Kind::Upper => 97 + self.chars.saturating_sub(8) * 51 + self.accents * 27,
            Kind::Cyrillic => 102 + self.chars.saturating_sub(5) * 22,
            Kind::Digits => self.chars.div_ceil(3) * 100,
            Kind::Marks => 101 + self.chars,
            Kind::Blank => 0,
            Kind::Han => 65,
            Kind::Kana => 72,
            Kind::Hangul => 67,
            Kind::Other => 60,
        }
    }
}

impl Counter {
    fn add(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(first) = bytes.get(at) {
            let begin = at;
            // Most of a text is ASCII, and most of that words.
            if let Some(kind) = ASCII[usize::from(*first)] {
                at += 1;
                while bytes.get(at).is_some_and(|byte| ASCII[usize::from(*byte)] == Some(kind)) {
                    at += 1;
                }
                self.group(kind, (at - begin) as u64, 0);
            } else {
                let char = text[begin..].chars().next().unwrap_or_default();
                let kind = Kind::of(char);
                self.group(kind, 1, u64::from(kind == Kind::Lower));
                at += char.len_utf8();
            }
        }
    }

    /// So many characters of one kind, of which so many are accented.
    fn group(&mut self, kind: Kind, chars: u64, accents: u64) {
        match &mut self.open {
            Some(open) if open.kind.goes_on(kind) => {
                *open = Open { kind, chars: open.chars + chars, accents: open.accents + accents };
            }
            _ => {
                self.pause(false);
                self.open = Some(Open { kind, chars, accents });
            }
        }
    }

    /// Nothing more comes of the open group that would be seen. One that `goes_on` elsewhere is not counted, since one that
    /// began elsewhere was: so every group counts once on the average.
    fn pause(&mut self, goes_on: bool) {
        if let Some(open) = self.open.take()
            && !(goes_on && matches!(open.kind, Kind::Lower | Kind::Upper | Kind::Cyrillic))
        {
            self.hundredths += open.hundredths();
        }
    }
}
