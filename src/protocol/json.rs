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
//! Laxer than RFC 8259 inside strings only, whose text the provider judges anyway: a backslash takes the next byte with
//! it, but which escape sequence that makes is not judged, nor are raw control characters and bytes that are not UTF-8.
//! So every parser that reads a text at all finds its strings, and hence its keys and values, in the same places. A byte
//! order mark is refused (RFC 8259 section 8.1 lets a parser do so).
//!
//! Speed: strings are crossed with SIMD (see `text`); outside strings every step is a few compares, and the usual pairs
//! (`":`, `,"`, `{"`) are taken at once.

mod grammar;
mod text;

#[cfg(test)]
mod tests;

use std::ops::Range;

use grammar::State;
use text::Block;

use super::MAX_DEPTH;
use crate::error::BodyError;

/// Longest key that a watch is told, in raw bytes. A key that we act on has at most 23 characters, and no spelling of one
/// takes more than six bytes for each (`\u006d`); so a longer key is none of ours.
pub const MAX_KEY: usize = 144;

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

/// A key below the watched levels.
#[derive(Debug, Clone, Copy)]
pub struct DeepKey<'a> {
    /// Between the quotes, escapes and all.
    pub raw: &'a [u8],
    /// What comes behind the key's closing quote, as far as it is in the same frame.
    pub rest: &'a [u8],
    /// How many objects and arrays are open; 1 at the top.
    pub depth: usize,
    /// Counts the objects that were opened at [`ITEM_DEPTH`].
    pub item: u32,
}

/// Where the objects stand in an array that is a member of the object at the top.
pub const ITEM_DEPTH: usize = 3;

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
    /// Whether [`key`](Self::key) could want a key that begins with `first` and has `len` raw bytes. Only a short cut: where
    /// it is not asked, `key` says the same.
    #[inline]
    fn may_want(&self, first: u8, len: usize) -> bool {
        let _ = (first, len);
        true
    }

    /// A key has been read; its value comes next.
    ///
    /// # Errors
    /// Whatever ends the scan.
    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError>;

    /// Whether [`Watch::deep`] hears of anything.
    const DEEP: bool = false;

    /// Whether [`Watch::deep`] could want a key below the watched levels that begins with `first` (a backslash, where the first
    /// character is spelled as an escape) and stands at `depth`. It rules most keys out.
    #[inline]
    fn may_begin(&self, first: u8, depth: usize) -> bool {
        let _ = (first, depth);
        false
    }

    /// Whether it could want this one, by its length, if it has no backslash.
    #[inline]
    fn may_have(&self, key: &[u8], depth: usize) -> bool {
        let _ = (key, depth);
        false
    }

    /// A key below the watched levels; not inside a value that was asked for. Where its value is wanted, the object's other
    /// keys are told as those of a watched one, from here on.
    fn deep(&mut self, key: DeepKey<'_>) -> Want {
        let _ = key;
        Want::Pass
    }

    /// The value that the last [`Watch::key`] wanted.
    ///
    /// # Errors
    /// Whatever ends the scan.
    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError>;
}

/// Wants nothing.
struct Unwatched;

impl Watch for Unwatched {
    fn may_want(&self, _: u8, _: usize) -> bool {
        false
    }

    fn key(&mut self, _: Key<'_>) -> Result<Want, BodyError> {
        Ok(Want::Pass)
    }

    fn value(&mut self, _: Value<'_>) -> Result<(), BodyError> {
        Ok(())
    }
}

/// Checks that a text is one JSON object.
///
/// # Errors
/// [`BodyError::Broken`] and [`BodyError::TooDeep`].
pub fn check(text: &[u8]) -> Result<(), BodyError> {
    let mut scanner = Scanner::new(Root::Object);
    scanner.feed(text, &mut Unwatched)?;
    scanner.finish()
}

/// What the text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// One object.
    Object,
    /// One object, or an array whose objects are each watched as if they stood at the top.
    ObjectOrArray,
}

/// See the module.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    root: Root,
    /// The last frame ended inside a string, with a backslash that takes the next byte with it.
    escape: bool,
    /// Open brackets.
    depth: usize,
    /// The innermost open bracket is an object's.
    in_object: bool,
    /// The same for the bracket at each depth, from 1.
    objects: [bool; MAX_DEPTH + 1],
    /// What must still come of `true`, `false` or `null`.
    literal: &'static [u8],
    /// Objects opened at [`ITEM_DEPTH`].
    items: u32,
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
        if self.is_empty() {
            return (last.len() <= limit).then_some(last);
        }
        self.add(last, limit);
        (!self.over).then_some(&self.bytes)
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.over
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
            escape: false,
            depth: 0,
            in_object: false,
            objects: [false; MAX_DEPTH + 1],
            literal: b"",
            items: 0,
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
        let state = self.run(frame, watch)?;
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

    /// The road that nearly all bytes take: strings, and the bytes between them in JSON without layout. Each step hands over
    /// to the next without a jump table; whatever is not the usual next byte goes to [`Scanner::detour`].
    fn run<W: Watch>(&mut self, frame: &[u8], watch: &mut W) -> Result<State, BodyError> {
        // The first byte may belong to a backslash that ended the frame before.
        let mut i = usize::from(self.escape);
        let mut block = Block::before(i);
        let mut state = self.state;
        // Where the current key starts in this frame.
        let mut key = 0;
        while i < frame.len() {
            if state == State::KeyText {
                let Some(end) = block.end(frame, i) else { break };
                i = end + 1;
                state = State::Colon;
                if self.depth <= self.watched {
                    let raw = &frame[key..end];
                    let whole = self.spill.is_empty();
                    if whole && raw.first().is_none_or(|first| !watch.may_want(*first, raw.len())) {
                        self.want = Want::Pass;
                    } else {
                        self.tell(raw, watch)?;
                    }
                } else if W::DEEP && (key == 0 || watch.may_begin(frame[key], self.depth)) {
                    self.consider(frame, key..end, watch);
                }
                // A value that is wanted begins on the other road, which notes its place.
                if frame.get(i) == Some(&b':') && (self.want == Want::Pass || self.depth > self.watched) {
                    i += 1;
                    state = State::Value;
                }
            }
            if state == State::Value {
                match frame.get(i) {
                    Some(b'"') => {
                        i += 1;
                        state = State::ValueText;
                    }
                    Some(b'{') => {
                        self.open(true)?;
                        i += 1;
                        state = State::KeyOrEnd;
                    }
                    Some(b'[') => {
                        self.open(false)?;
                        i += 1;
                        // No value ends an array, so one that starts here may as well come behind a comma.
                        if matches!(frame.get(i), Some(b'"' | b'{')) {
                            continue;
                        }
                        state = State::ValueOrEnd;
                    }
                    Some(first) => {
                        if let Some(end) = scalar(*first, frame, i) {
                            i = end;
                            state = State::Next;
                            if self.is_noted() {
                                self.ended(frame, i, watch)?;
                            }
                        }
                    }
                    None => {}
                }
            }
            if state == State::ValueText {
                let Some(end) = block.end(frame, i) else { break };
                i = end + 1;
                state = State::Next;
                if self.is_noted() {
                    self.ended(frame, i, watch)?;
                }
            }
            if state == State::Next {
                match frame.get(i) {
                    Some(b',') => {
                        i += 1;
                        state = if self.in_object { State::Key } else { State::Value };
                    }
                    Some(bracket @ (b'}' | b']')) => {
                        i += 1;
                        state = self.close(*bracket, frame, i, watch)?;
                        continue;
                    }
                    _ => {}
                }
            }
            if matches!(state, State::Key | State::KeyOrEnd) && frame.get(i) == Some(&b'"') {
                i += 1;
                key = i;
                state = State::KeyText;
                continue;
            }
            (state, i) = self.detour(state, frame, i, watch)?;
            key = i;
        }
        self.suspend(state, &block, frame, key, W::DEEP);
        Ok(state)
    }

    /// The frame ends inside a string, perhaps.
    fn suspend(&mut self, state: State, block: &Block, frame: &[u8], key: usize, deep: bool) {
        let in_key = state == State::KeyText;
        if in_key && (self.depth <= self.watched || (deep && self.start.is_none())) {
            self.spill.add(frame.get(key..).unwrap_or_default(), MAX_KEY);
        }
        let in_text = in_key || state == State::ValueText;
        if !frame.is_empty() {
            self.escape = in_text && block.is_escaped(frame, frame.len());
        }
    }

    #[inline]
    fn open(&mut self, object: bool) -> Result<(), BodyError> {
        self.depth += 1;
        *self.objects.get_mut(self.depth).ok_or(BodyError::TooDeep)? = object;
        self.in_object = object;
        self.items += u32::from(self.depth == ITEM_DEPTH);
        Ok(())
    }

    /// `end` is the place behind the bracket.
    #[inline]
    fn close<W: Watch>(&mut self, bracket: u8, frame: &[u8], end: usize, watch: &mut W) -> Result<State, BodyError> {
        if self.in_object != (bracket == b'}') {
            return Err(self.broken("the bracket that was opened", end - 1));
        }
        self.depth -= 1;
        self.in_object = self.objects[self.depth];
        if self.depth <= self.watched {
            if self.is_noted() {
                self.ended(frame, end, watch)?;
            }
            if self.depth == 0 {
                // At once, so that it is known even if the frame goes on with a fault.
                self.state = State::End;
                return Ok(State::End);
            }
        }
        Ok(State::Next)
    }

    /// Whether the end of a value at this depth changes anything: a value that was wanted, or one that was entered.
    #[inline]
    fn is_noted(&self) -> bool {
        self.depth <= self.watched && (self.want != Want::Pass || self.watched != self.depth.max(self.top))
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

    /// A key below the watched levels is complete, and may be one to tell. One that began in an earlier frame is told as it is.
    #[cold]
    #[inline(never)]
    fn consider<W: Watch>(&mut self, frame: &[u8], key: Range<usize>, watch: &mut W) {
        // The spill is the captured value's own.
        if self.start.is_some() {
            return;
        }
        let (start, raw, rest) = (key.start, &frame[key.clone()], &frame[key.end + 1..]);
        if start > 0 && !watch.may_have(raw, self.depth) && memchr::memchr(b'\\', raw).is_none() {
            return;
        }
        if let Some(raw) = self.spill.whole(raw, MAX_KEY) {
            let want = watch.deep(DeepKey { raw, rest, depth: self.depth, item: self.items });
            if matches!(want, Want::Value { .. }) {
                (self.want, self.watched) = (want, self.depth);
            }
        }
        self.spill.clear();
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

/// The place behind a number without fraction and exponent, or behind a literal, if that is what begins at `i` and something
/// that ends it is in the frame too. All others are read step by step.
#[inline]
fn scalar(first: u8, frame: &[u8], i: usize) -> Option<usize> {
    let rest = frame.get(i..)?;
    let end = match first {
        b'1'..=b'9' => i + rest.iter().position(|byte| !byte.is_ascii_digit())?,
        b'0' => i + 1,
        b'n' if rest.starts_with(b"null") => i + 4,
        b't' if rest.starts_with(b"true") => i + 4,
        b'f' if rest.starts_with(b"false") => i + 5,
        _ => return None,
    };
    matches!(frame.get(end), Some(b',' | b'}' | b']')).then_some(end)
}
