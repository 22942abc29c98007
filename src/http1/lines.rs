//! The header lines of a request or an answer (RFC 9112 section 5).
//!
//! Invariant: strict where servers differ: a name is a token right before its colon, no line is folded, no control character
//! stands anywhere, and a carriage return only before a line feed. A line feed alone ends a line too (section 2.2): nothing is
//! passed on as it came, so nobody behind us can read it otherwise.

use super::says::Says;
use crate::message::{self, Fields};

/// Lines that a head may have.
pub const MOST: usize = 128;

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
    // The usual agent sends some 20; what comes behind an answer's head or a request's is mostly a body.
    let mut fields = Fields::with_capacity(24, bytes.len().min(2 * 1024));
    let mut says = Says::default();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some(length) = end_of_line(rest)? {
            return Ok(Some((at + length, fields, says)));
        }
        if matches!(rest, [] | [b'\r']) {
            return Ok(None);
        }
        let (name_len, hash) = message::token(rest);
        let Some((name, behind)) = rest.split_at_checked(name_len) else { return Err(Wrong::Malformed) };
        match behind.first() {
            Some(b':') if name_len > 0 => {}
            None if name_len > 0 => return Ok(None),
            _ => return Err(Wrong::Malformed),
        }
        let blanks = behind.iter().skip(1).take_while(|&&byte| is_blank(byte)).count();
        let behind = behind.get(1 + blanks..).unwrap_or_default();
        let (value, rest) = behind.split_at(message::value_len(behind));
        let Some(end) = end_of_line(rest)? else {
            // Behind a value there is nothing yet, or what may not be there.
            return if matches!(rest, [] | [b'\r']) { Ok(None) } else { Err(Wrong::Malformed) };
        };
        if fields.len() == MOST {
            return Err(Wrong::TooMany);
        }
        let value = trim_end(value);
        says.hear(name, hash, value).map_err(|_| Wrong::Malformed)?;
        fields.push_read(name, hash, value);
        at = bytes.len() - rest.len() + end;
    }
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
