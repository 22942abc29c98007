//! Server-sent events, split out of frames by reference.
//!
//! The grammar is WHATWG HTML section 9.2.5 and 9.2.6: lines end with `\n`, `\r\n` or `\r`; one byte order mark may lead;
//! several `data:` lines join with `\n`; one space after the colon is not part of the value; lines that start with a colon
//! are comments. One deviation: an event that the stream's end cuts off before its blank line is told by
//! [`Splitter::finish`] (the standard drops it), because a provider that forgets the last blank line has still been billed.
//!
//! Invariants: an event that lies within one frame is told without copying a byte; only one that is split over frames, or
//! has several data lines, is gathered, in buffers of at most [`MAX_EVENT`] bytes; a larger event passes untold. What is
//! told does not depend on the chunk borders. It does not know dialects, and keeps neither ids nor retry times.

#[cfg(test)]
mod tests;

use std::ops::Range;

use memchr::memchr2;

use super::MAX_EVENT;

/// A gathering buffer that has grown beyond this is given back after its event.
const KEPT: usize = 16 * 1024;

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// One event with data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event:` field; empty when there was none.
    pub name: &'a [u8],
    /// The `data:` lines.
    pub data: &'a [u8],
}

/// See the module.
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    /// The lines so far of an event that is split over frames, without their ends.
    carry: Vec<u8>,
    /// Where the unfinished line starts in `carry`.
    line: usize,
    /// Bytes of the unfinished line; not all of them are in `carry` when the event is too large.
    line_len: usize,
    /// The first byte of the unfinished line.
    line_first: u8,
    /// What the finished lines said; ranges in `carry`.
    fields: Fields,
    /// Several data lines of one event, joined.
    joined: Vec<u8>,
    /// The last byte was `\r`: a `\n` belongs to it.
    after_cr: bool,
    /// Bytes of the byte order mark that have come; 3 when the question is settled.
    bom: u8,
    bare_json: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::with_limit(MAX_EVENT)
    }
}

/// What an event's lines have said.
#[derive(Debug, Clone, Default)]
struct Fields {
    name: Range<usize>,
    /// The only data line; further ones are in `Splitter::joined` with it.
    data: Range<usize>,
    data_lines: u32,
    /// Some line that is no comment was there.
    pending: bool,
    /// Bytes of all lines, each with one for its end.
    size: usize,
}

impl Splitter {
    fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            carry: Vec::new(),
            line: 0,
            line_len: 0,
            line_first: 0,
            fields: Fields::default(),
            joined: Vec::new(),
            after_cr: false,
            bom: 0,
            bare_json: false,
        }
    }

    /// Reads the next frame and tells the events that it completes.
    #[inline]
    pub fn feed(&mut self, frame: &[u8], mut on: impl FnMut(Event<'_>)) {
        let mut at = 0;
        if self.bom < 3 {
            at = self.skip_bom(frame);
        }
        if self.after_cr && at < frame.len() {
            self.after_cr = false;
            at += usize::from(frame[at] == b'\n');
        }
        if self.fields.pending || self.line_len > 0 {
            at = self.resume(frame, at, &mut on);
        }
        self.whole(frame, at, &mut on);
    }

    /// The stream has ended: tells an event that lacks its blank line.
    pub fn finish(&mut self, mut on: impl FnMut(Event<'_>)) {
        if self.line_len > 0 {
            self.end_line();
        }
        self.tell_carried(&mut on);
    }

    /// Whether something may be put into the stream here: after whole events and comments only.
    ///
    /// Between the two bytes of a `\r\n` it may not; so a stream of bare `\r` has no such place.
    #[inline]
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        !self.fields.pending && self.line_len == 0 && !self.after_cr
    }

    /// Whether a line started with `{`: no field of the standard does, but Google's servers break a stream off with a bare
    /// error object.
    #[inline]
    #[must_use]
    pub fn saw_bare_json(&self) -> bool {
        self.bare_json
    }

    /// Tells the events from `at`, where an event starts, and keeps what is left of the frame.
    #[inline]
    fn whole(&mut self, frame: &[u8], mut at: usize, on: &mut impl FnMut(Event<'_>)) {
        // A small event is within the limit however its size is counted.
        while at < frame.len() {
            match usual(frame, at) {
                Some((event, next)) if next - at <= self.limit => {
                    on(event);
                    at = next;
                }
                _ => return self.any(frame, at, on),
            }
        }
    }

    /// The same, line by line.
    #[inline(never)]
    fn any(&mut self, frame: &[u8], mut at: usize, on: &mut impl FnMut(Event<'_>)) {
        let mut fields = Fields::default();
        let mut start = at;
        while at < frame.len() {
            let end = if frame[at] == b'\n' {
                at
            } else {
                match memchr2(b'\n', b'\r', &frame[at..]) {
                    Some(n) => at + n,
                    None => break,
                }
            };
            let next = self.after_end(frame, end);
            if end == at {
                if fields.data_lines > 0 && fields.size <= self.limit {
                    on(fields.event(frame, &self.joined));
                }
                fields = Fields::default();
            } else {
                fields.line(frame, at..end, &mut self.joined, &mut self.bare_json);
            }
            at = next;
            if !fields.pending {
                start = at;
                fields.size = 0;
            }
        }
        if start < frame.len() {
            self.keep(frame, start, at, fields);
        }
    }

    /// The rest of the frame is the start of an event (`start`), with an unfinished line (`line`).
    #[cold]
    fn keep(&mut self, frame: &[u8], start: usize, line: usize, fields: Fields) {
        self.fields = fields;
        self.fields.name.start -= start.min(self.fields.name.start);
        self.fields.name.end -= start.min(self.fields.name.end);
        self.fields.data.start -= start.min(self.fields.data.start);
        self.fields.data.end -= start.min(self.fields.data.end);
        self.carry.extend_from_slice(&frame[start..line]);
        self.line = self.carry.len();
        self.more_of_line(&frame[line..]);
    }

    /// Goes on with a split event; returns the place behind it.
    #[cold]
    fn resume(&mut self, frame: &[u8], mut at: usize, on: &mut impl FnMut(Event<'_>)) -> usize {
        while at < frame.len() {
            let Some(n) = memchr2(b'\n', b'\r', &frame[at..]) else {
                self.more_of_line(&frame[at..]);
                return frame.len();
            };
            self.more_of_line(&frame[at..at + n]);
            at = self.after_end(frame, at + n);
            if self.line_len == 0 {
                self.tell_carried(on);
                return at;
            }
            self.end_line();
            if !self.fields.pending {
                // It was a comment in front of an event.
                self.reset();
                return at;
            }
        }
        at
    }

    /// Once the event is too large its bytes are only counted.
    fn more_of_line(&mut self, part: &[u8]) {
        if self.line_len == 0
            && let Some(&first) = part.first()
        {
            self.line_first = first;
        }
        self.line_len += part.len();
        if self.fields.size + self.line_len > self.limit {
            self.carry = Vec::new();
            self.line = 0;
        } else {
            self.carry.extend_from_slice(part);
        }
    }

    fn end_line(&mut self) {
        let gone = self.fields.size + self.line_len > self.limit;
        let len = std::mem::take(&mut self.line_len);
        if gone {
            self.fields.size += len + 1;
            self.fields.pending |= self.line_first != b':';
            self.bare_json |= self.line_first == b'{';
        } else {
            self.fields.line(&self.carry, self.line..self.carry.len(), &mut self.joined, &mut self.bare_json);
            self.line = self.carry.len();
        }
    }

    fn tell_carried(&mut self, on: &mut impl FnMut(Event<'_>)) {
        if self.fields.data_lines > 0 && self.fields.size <= self.limit {
            on(self.fields.event(&self.carry, &self.joined));
        }
        self.reset();
    }

    fn reset(&mut self) {
        for buffer in [&mut self.carry, &mut self.joined] {
            buffer.clear();
            buffer.shrink_to(KEPT);
        }
        self.line = 0;
        self.line_len = 0;
        self.fields = Fields::default();
    }

    /// The place behind the line end at `end`.
    #[inline]
    fn after_end(&mut self, frame: &[u8], end: usize) -> usize {
        if frame[end] == b'\n' {
            return end + 1;
        }
        match frame.get(end + 1) {
            Some(b'\n') => end + 2,
            Some(_) => end + 1,
            None => {
                self.after_cr = true;
                end + 1
            }
        }
    }

    /// Bytes of a byte order mark at the start of the frame. What looked like one and is none goes into the first line.
    #[cold]
    fn skip_bom(&mut self, frame: &[u8]) -> usize {
        for (at, &byte) in frame.iter().enumerate() {
            if self.bom < 3 && byte == BOM[usize::from(self.bom)] {
                self.bom += 1;
                continue;
            }
            let come = usize::from(self.bom);
            self.bom = 3;
            if come < 3 {
                self.more_of_line(&BOM[..come]);
            }
            return at;
        }
        frame.len()
    }
}

impl Fields {
    /// Takes a line that is not empty.
    #[inline]
    fn line(&mut self, buffer: &[u8], at: Range<usize>, joined: &mut Vec<u8>, bare_json: &mut bool) {
        let Some(line) = buffer.get(at.clone()) else { return };
        self.size += line.len() + 1;
        if line.starts_with(b":") {
            return;
        }
        self.pending = true;
        if let Some(value) = value(line, b"data") {
            let at = at.start + value..at.end;
            self.data_lines += 1;
            if self.data_lines == 1 {
                self.data = at;
            } else {
                self.join(buffer, at, joined);
            }
        } else if let Some(value) = value(line, b"event") {
            self.name = at.start + value..at.end;
        } else {
            *bare_json |= line.starts_with(b"{");
        }
    }

    #[cold]
    fn join(&self, buffer: &[u8], at: Range<usize>, joined: &mut Vec<u8>) {
        if self.data_lines == 2 {
            joined.clear();
            joined.extend_from_slice(&buffer[self.data.clone()]);
        }
        joined.push(b'\n');
        joined.extend_from_slice(&buffer[at]);
    }

    #[inline]
    fn event<'a>(&self, buffer: &'a [u8], joined: &'a [u8]) -> Event<'a> {
        let within = |at: &Range<usize>| buffer.get(at.clone()).unwrap_or_default();
        Event { name: within(&self.name), data: if self.data_lines == 1 { within(&self.data) } else { joined } }
    }
}

/// The event at `at`, if it has the shape of nearly all: perhaps an `event:` line, one `data:` line, a blank line, each with
/// the one space; and the place behind it.
#[inline(always)]
fn usual(frame: &[u8], at: usize) -> Option<(Event<'_>, usize)> {
    let mut rest = frame.get(at..)?;
    let mut name: &[u8] = b"";
    if let Some(line) = rest.strip_prefix(b"event: ") {
        (name, rest) = split_line(line)?;
    }
    let (data, rest) = split_line(rest.strip_prefix(b"data: ")?)?;
    let rest = rest.strip_prefix(b"\n").or_else(|| rest.strip_prefix(b"\r\n"))?;
    Some((Event { name, data }, frame.len() - rest.len()))
}

/// A line, and what is behind its end; `None` when the end is a bare `\r`, or not there.
#[inline]
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = text.split_at_checked(memchr2(b'\n', b'\r', text)?)?;
    let rest = rest.strip_prefix(b"\n").or_else(|| rest.strip_prefix(b"\r\n"))?;
    Some((line, rest))
}

/// Where in the line the value of this field starts.
#[inline]
fn value(line: &[u8], field: &[u8]) -> Option<usize> {
    match line.strip_prefix(field)? {
        [b':', b' ', ..] => Some(field.len() + 2),
        [b':', ..] => Some(field.len() + 1),
        [] => Some(field.len()),
        _ => None,
    }
}
