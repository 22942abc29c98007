//! The header lines of a request or an answer (RFC 9112 section 5).
//!
//! Invariant: strict where servers differ: a name is a token right before its colon, no line is folded, no control character
//! stands anywhere, and a carriage return only before a line feed. A line feed alone ends a line too (section 2.2): nothing is
//! passed on as it came, so nobody behind us can read it otherwise.

use super::says::Says;
use crate::message::{self, Fields, Line};

/// Lines that a head may have.
pub const MOST: usize = 128;

/// As many as the usual agent sends.
const USUAL: usize = 24;

/// The lines are not in form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// A line is none.
    Malformed,
    /// There are more than [`MOST`].
    TooMany,
}

/// Reads lines from the beginning of `bytes` to the empty one: how many bytes that were, what they are, and what they say
/// about body and connection. `None` if they are not all there.
///
/// # Errors
/// [`Wrong`].
pub fn read(bytes: &[u8]) -> Result<Option<(usize, Fields, Says)>, Wrong> {
    // A head beyond four gigabytes is none, so no place in one is beyond it either.
    if u32::try_from(bytes.len()).is_err() {
        return Err(Wrong::Malformed);
    }
    let mut lines = Vec::with_capacity(USUAL);
    let mut says = Says::default();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some(length) = end_of_line(rest)? {
            return Ok(Some((at + length, Fields::copied(bytes.get(..at).unwrap_or_default(), lines), says)));
        }
        if matches!(rest, [] | [b'\r']) {
            return Ok(None);
        }
        let token = message::token(rest);
        let Some((name, behind)) = rest.split_at_checked(token.length) else { return Err(Wrong::Malformed) };
        match behind.first() {
            Some(b':') if !name.is_empty() => {}
            None if !name.is_empty() => return Ok(None),
            _ => return Err(Wrong::Malformed),
        }
        let blanks = match behind {
            [_, b' ', next, ..] if !is_blank(*next) => 1,
            _ => behind.iter().skip(1).take_while(|&&byte| is_blank(byte)).count(),
        };
        let behind = behind.get(1 + blanks..).unwrap_or_default();
        let (raw, end) = behind.split_at(message::value_len(behind));
        let Some(end) = end_of_line(end)? else {
            // Behind a value there is nothing yet, or what may not be there.
            return if matches!(end, [] | [b'\r']) { Ok(None) } else { Err(Wrong::Malformed) };
        };
        if lines.len() == MOST {
            return Err(Wrong::TooMany);
        }
        let value = trim_end(raw);
        says.hear(name, token.hash, value).map_err(|_| Wrong::Malformed)?;
        let value_at = at + name.len() + 1 + blanks;
        lines.push(Line {
            hash: token.hash,
            at: place(at),
            name: place(name.len()),
            value_at: place(value_at),
            value: place(value.len()),
            plain: blanks == 1 && rest.get(name.len() + 1) == Some(&b' ') && value.len() == raw.len() && end == 2,
            capitals: token.capitals,
        });
        at = value_at + raw.len() + end;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "no head is that long")]
const fn place(at: usize) -> u32 {
    at as u32
}

/// The length of a line's end that begins here; `None` if something else does, or only half of one.
fn end_of_line(bytes: &[u8]) -> Result<Option<usize>, Wrong> {
    match bytes {
        [b'\n', ..] => Ok(Some(1)),
        [b'\r', b'\n', ..] => Ok(Some(2)),
        [b'\r', _, ..] => Err(Wrong::Malformed),
        _ => Ok(None),
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_end(mut value: &[u8]) -> &[u8] {
    while let [front @ .., b' ' | b'\t'] = value {
        value = front;
    }
    value
}

#[cfg(test)]
mod tests;
