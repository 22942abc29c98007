//! One JSON text, read frame by frame without a tree.
//!
//! A [`Scanner`] checks the grammar of RFC 8259 while the bytes come in, at any chunk borders, and tells a [`Watch`] the
//! keys of the object at the top (and of those that the watch enters), and the values it asked for, with their place in the
//! whole text.
//!
//! Invariants: no recursion, no copy of the input; memory is a bit per level up to [`MAX_DEPTH`], and a buffer that is used
//! only where a watched key or value lies on a chunk border, bounded by [`MAX_KEY`] and [`Want::Value`]. The outcome does
//! not depend on the chunk borders.
//!
//! Stricter than nothing, laxer than RFC 8259 in exactly three points, all of them inside strings, which the provider
//! judges anyway: raw control characters pass, bytes that are not UTF-8 pass, and `\u` escapes need four hex digits but no
//! matching surrogate. A byte order mark is refused (RFC 8259 section 8.1 lets a parser do so).
//!
//! Speed: strings are crossed by words, and by SIMD (`memchr`) beyond sixteen bytes; outside strings every step is a few
//! compares, and the usual pairs (`":`, `,"`, `{"`) are taken at once.

mod text;

#[cfg(test)]
mod tests;

use std::ops::Range;

use super::MAX_DEPTH;
use crate::error::BodyError;

/// Longest key that a watch is told, in raw bytes. A key that we act on has at most 21 characters, and no spelling of one
/// takes more than six bytes for each (`\u006d`); so a longer key is none of ours.
pub const MAX_KEY: usize = 128;

/// What a watch wants of the value behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Nothing.
    Pass,
    /// Its keys, if it is an object.
    Enter,
    /// Its bytes, if there are at most `limit` of them.
    Value {
        /// In raw bytes.
        limit: usize,
    },
}

/// A key at a watched level.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// Between the quotes, escapes and all.
    pub raw: &'a [u8],
    /// 0 for the object at the top (or for those in the array at the top), 1 inside an entered value, and so on.
    pub level: usize,
}

/// A value that was asked for.
#[derive(Debug, Clone)]
pub struct Value<'a> {
    /// Its bytes; `None` when there are more than the limit.
    pub raw: Option<&'a [u8]>,
    /// Where it stands in the whole text.
    pub at: Range<usize>,
}

/// Who looks on.
pub trait Watch {
    /// A key has been read; its value comes next.
    ///
    /// # Errors
    /// Whatever ends the scan.
    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError>;

    /// The value that the last [`Watch::key`] wanted.
    ///
    /// # Errors
    /// Whatever ends the scan.
    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError>;
}

/// What the text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// One object.
    Object,
    /// One object, or an array whose objects are each watched as if they stood at the top.
    ObjectOrArray,
}

/// Where in the grammar the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Root,
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    /// Before a value that the watch wants.
    Wanted,
    Next,
    KeyText,
    ValueText,
    Escape,
    Hex(u8),
    Literal(&'static [u8]),
    Number(Number),
    End,
}

/// Inside a number (RFC 8259 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Int,
    Dot,
    Frac,
    Exp,
    ExpSign,
    ExpInt,
}

/// See the module.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    root: Root,
    /// The string that an escape interrupts is a key.
    escape_in_key: bool,
    /// Open brackets.
    depth: usize,
    /// A bit for each, the innermost lowest: set for an object.
    objects: u128,
    /// Keys at this depth are level 0.
    top: usize,
    /// Keys at this depth and above are told.
    watched: usize,
    /// Bytes in earlier frames.
    offset: usize,
    want: Want,
    /// Where the value being captured starts, in the whole text.
    start: Option<usize>,
    spill: Spill,
}

/// The part of a watched key or value that came in earlier frames.
#[derive(Debug, Default)]
struct Spill {
    bytes: Vec<u8>,
    over: bool,
}

impl Spill {
    fn add(&mut self, part: &[u8], limit: usize) {
        if self.over || self.bytes.len() + part.len() > limit {
            self.over = true;
            self.bytes.clear();
        } else {
            self.bytes.extend_from_slice(part);
        }
    }

    /// The whole, `last` included; `None` when it is longer than the limit.
    fn whole<'a>(&'a mut self, last: &'a [u8], limit: usize) -> Option<&'a [u8]> {
        if self.bytes.is_empty() && !self.over {
            return (last.len() <= limit).then_some(last);
        }
        self.add(last, limit);
        (!self.over).then_some(&self.bytes)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.over = false;
    }
}

impl Scanner {
    /// At the start of a text.
    #[must_use]
    pub fn new(root: Root) -> Self {
        Self {
            state: State::Root,
            root,
            escape_in_key: false,
            depth: 0,
            objects: 0,
            top: 1,
            watched: 1,
            offset: 0,
            want: Want::Pass,
            start: None,
            spill: Spill::default(),
        }
    }

    /// Reads the next frame.
    ///
    /// # Errors
    /// [`BodyError::Broken`] and [`BodyError::TooDeep`], and whatever the watch returns. What is fed after an error is read
    /// from an arbitrary state: the caller stops.
    #[inline]
    pub fn feed<W: Watch>(&mut self, frame: &[u8], watch: &mut W) -> Result<(), BodyError> {
        let mut at = 0;
        let state = self.run(frame, &mut at, watch)?;
        // A capture goes on in the next frame.
        if let (Some(start), Want::Value { limit }) = (self.start, self.want) {
            self.spill.add(&frame[start.saturating_sub(self.offset)..], limit);
        }
        self.state = state;
        self.offset += frame.len();
        Ok(())
    }

    /// The text has ended.
    ///
    /// # Errors
    /// [`BodyError::Broken`] when it is not complete.
    pub fn finish(&self) -> Result<(), BodyError> {
        if self.is_complete() {
            return Ok(());
        }
        let what = if self.state == State::Root { "a JSON object" } else { "the rest of the JSON object" };
        Err(BodyError::Broken { what, at: self.offset as u64 })
    }

    /// Whether the object (or array) at the top is closed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// The machine. One arm per state; an arm that can foresee the usual next byte takes it too.
    #[expect(clippy::too_many_lines, reason = "a flat table of states; splitting it would spill its registers")]
    fn run<W: Watch>(&mut self, frame: &[u8], at: &mut usize, watch: &mut W) -> Result<State, BodyError> {
        let mut state = self.state;
        let mut i = *at;
        // Where the current key starts in this frame.
        let mut key = 0;
        while let Some(&byte) = frame.get(i) {
            match state {
                State::ValueText => {
                    i = text::end(frame, i);
                    match frame.get(i) {
                        None => {}
                        Some(b'"') => {
                            i += 1;
                            if self.depth <= self.watched {
                                self.ended(frame, i, watch)?;
                            }
                            state = State::Next;
                        }
                        Some(_) => match text::escape(frame, i) {
                            Some(after) => i = after,
                            None => {
                                i += 1;
                                self.escape_in_key = false;
                                state = State::Escape;
                            }
                        },
                    }
                }
                State::KeyText => {
                    i = text::end(frame, i);
                    match frame.get(i) {
                        None => {}
                        Some(b'"') => {
                            state = State::Colon;
                            if self.depth <= self.watched {
                                self.tell(&frame[key..i], watch)?;
                            } else if frame.get(i + 1) == Some(&b':') {
                                i += 1;
                                state = State::Value;
                            }
                            i += 1;
                        }
                        Some(_) => {
                            i += 1;
                            self.escape_in_key = true;
                            state = State::Escape;
                        }
                    }
                }
                State::Next => match byte {
                    b',' => {
                        i += 1;
                        if self.objects & 1 == 0 {
                            state = State::Value;
                        } else if frame.get(i) == Some(&b'"') {
                            i += 1;
                            key = i;
                            state = State::KeyText;
                        } else {
                            state = State::Key;
                        }
                    }
                    b'}' | b']' => {
                        i += 1;
                        state = self.close(byte, frame, i, watch)?;
                    }
                    _ if is_space(byte) => i += 1,
                    _ => return Err(self.broken("`,` or the end of an object or array", i)),
                },
                State::Value | State::ValueOrEnd => match byte {
                    b'"' => {
                        i += 1;
                        state = State::ValueText;
                    }
                    b'{' => {
                        self.open(1)?;
                        i += 1;
                        state = State::KeyOrEnd;
                        if frame.get(i) == Some(&b'"') {
                            i += 1;
                            key = i;
                            state = State::KeyText;
                        }
                    }
                    b'[' => {
                        self.open(0)?;
                        i += 1;
                        state = State::ValueOrEnd;
                    }
                    b']' if state == State::ValueOrEnd => {
                        i += 1;
                        state = self.close(byte, frame, i, watch)?;
                    }
                    _ if is_space(byte) => i += 1,
                    _ => {
                        state = scalar(byte).ok_or_else(|| self.broken("a value", i))?;
                        i += 1;
                    }
                },
                State::Key | State::KeyOrEnd => match byte {
                    b'"' => {
                        i += 1;
                        key = i;
                        state = State::KeyText;
                    }
                    b'}' if state == State::KeyOrEnd => {
                        i += 1;
                        state = self.close(byte, frame, i, watch)?;
                    }
                    _ if is_space(byte) => i += 1,
                    _ => return Err(self.broken("a key in quotes", i)),
                },
                State::Colon => match byte {
                    b':' => {
                        i += 1;
                        // Inside a captured value its own keys come here too, and must not start it anew.
                        let wanted = self.start.is_none() && matches!(self.want, Want::Value { .. });
                        state = if wanted { State::Wanted } else { State::Value };
                    }
                    _ if is_space(byte) => i += 1,
                    _ => return Err(self.broken("`:`", i)),
                },
                State::Wanted => {
                    if is_space(byte) {
                        i += 1;
                    } else {
                        self.start = Some(self.offset + i);
                        state = State::Value;
                    }
                }
                State::Number(number) => match number.step(byte) {
                    Some(next) => {
                        i += 1;
                        state = State::Number(next);
                    }
                    None if number.may_end() => {
                        if self.depth <= self.watched {
                            self.ended(frame, i, watch)?;
                        }
                        state = State::Next;
                    }
                    None => return Err(self.broken("a digit", i)),
                },
                State::Literal(rest) => {
                    if rest.first() != Some(&byte) {
                        return Err(self.broken("`true`, `false` or `null`", i));
                    }
                    i += 1;
                    state = State::Literal(&rest[1..]);
                    if rest.len() == 1 {
                        if self.depth <= self.watched {
                            self.ended(frame, i, watch)?;
                        }
                        state = State::Next;
                    }
                }
                State::Escape => {
                    if byte == b'u' {
                        state = State::Hex(4);
                    } else if text::is_simple_escape(byte) {
                        state = self.interrupted();
                    } else {
                        return Err(self.broken("an escape sequence", i));
                    }
                    i += 1;
                }
                State::Hex(left) => {
                    if !byte.is_ascii_hexdigit() {
                        return Err(self.broken("four hex digits", i));
                    }
                    i += 1;
                    state = if left > 1 { State::Hex(left - 1) } else { self.interrupted() };
                }
                State::Root => match byte {
                    b'{' => {
                        self.open(1)?;
                        i += 1;
                        state = State::KeyOrEnd;
                    }
                    b'[' if self.root == Root::ObjectOrArray => {
                        self.open(0)?;
                        i += 1;
                        self.top = 2;
                        self.watched = 2;
                        state = State::ValueOrEnd;
                    }
                    _ if is_space(byte) => i += 1,
                    _ => return Err(self.broken("a JSON object", i)),
                },
                State::End => {
                    if !is_space(byte) {
                        return Err(self.broken("nothing more after the JSON object", i));
                    }
                    i += 1;
                }
            }
        }
        *at = i;
        let in_key = match state {
            State::KeyText => true,
            State::Escape | State::Hex(_) => self.escape_in_key,
            _ => false,
        };
        if in_key && self.depth <= self.watched {
            self.spill.add(&frame[key..], MAX_KEY);
        }
        Ok(state)
    }

    /// The string that an escape sequence interrupted goes on.
    fn interrupted(&self) -> State {
        if self.escape_in_key { State::KeyText } else { State::ValueText }
    }

    #[inline]
    fn open(&mut self, object: u128) -> Result<(), BodyError> {
        if self.depth == MAX_DEPTH {
            return Err(BodyError::TooDeep);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | object;
        Ok(())
    }

    /// `end` is the place behind the bracket.
    #[inline]
    fn close<W: Watch>(&mut self, bracket: u8, frame: &[u8], end: usize, watch: &mut W) -> Result<State, BodyError> {
        if (self.objects & 1 == 1) != (bracket == b'}') {
            return Err(self.broken("the bracket that was opened", end - 1));
        }
        self.objects >>= 1;
        self.depth -= 1;
        if self.depth <= self.watched {
            self.ended(frame, end, watch)?;
            if self.depth == 0 {
                return Ok(State::End);
            }
        }
        Ok(State::Next)
    }

    /// A key at a watched depth is complete.
    #[cold]
    #[inline(never)]
    fn tell<W: Watch>(&mut self, last: &[u8], watch: &mut W) -> Result<(), BodyError> {
        let level = self.depth - self.top;
        self.want = match self.spill.whole(last, MAX_KEY) {
            Some(raw) => watch.key(Key { raw, level })?,
            None => Want::Pass,
        };
        self.spill.clear();
        if self.want == Want::Enter {
            self.watched = self.depth + 1;
        }
        Ok(())
    }

    /// A value at a watched depth is complete; `end` is the place behind it.
    #[cold]
    #[inline(never)]
    fn ended<W: Watch>(&mut self, frame: &[u8], end: usize, watch: &mut W) -> Result<(), BodyError> {
        // Keys deeper than the value's own siblings are none of the watch's business any more.
        self.watched = self.depth.max(self.top);
        if let (Some(start), Want::Value { limit }) = (self.start.take(), self.want) {
            let last = &frame[start.saturating_sub(self.offset)..end];
            let at = start..self.offset + end;
            let told = watch.value(Value { raw: self.spill.whole(last, limit), at });
            self.spill.clear();
            told?;
        }
        self.want = Want::Pass;
        Ok(())
    }

    #[cold]
    fn broken(&self, what: &'static str, at: usize) -> BodyError {
        BodyError::Broken { what, at: (self.offset + at) as u64 }
    }
}

impl Number {
    /// The state behind `byte`; `None` when it does not go on with the number.
    #[inline]
    fn step(self, byte: u8) -> Option<Self> {
        let digit = byte.is_ascii_digit();
        match self {
            Self::Minus if byte == b'0' => Some(Self::Zero),
            Self::Minus | Self::Int if digit => Some(Self::Int),
            Self::Zero | Self::Int if byte == b'.' => Some(Self::Dot),
            Self::Zero | Self::Int | Self::Frac if byte | 0x20 == b'e' => Some(Self::Exp),
            Self::Dot | Self::Frac if digit => Some(Self::Frac),
            Self::Exp if byte == b'+' || byte == b'-' => Some(Self::ExpSign),
            Self::Exp | Self::ExpSign | Self::ExpInt if digit => Some(Self::ExpInt),
            _ => None,
        }
    }

    #[inline]
    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Int | Self::Frac | Self::ExpInt)
    }
}

/// The state behind the first byte of a number or literal.
#[inline]
fn scalar(byte: u8) -> Option<State> {
    match byte {
        b'-' => Some(State::Number(Number::Minus)),
        b'0' => Some(State::Number(Number::Zero)),
        b'1'..=b'9' => Some(State::Number(Number::Int)),
        b't' => Some(State::Literal(b"rue")),
        b'f' => Some(State::Literal(b"alse")),
        b'n' => Some(State::Literal(b"ull")),
        _ => None,
    }
}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}
