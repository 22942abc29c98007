//! What the headers of a request or an answer say about its body and its connection (RFC 9112 sections 6.1, 6.3, 9.3).
//!
//! Invariant: a length is digits and nothing else, and one; the only transfer coding is `chunked`, once.

use crate::message::Name;
use crate::message::name::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};

/// Heard line by line.
#[derive(Debug, Default)]
pub struct Says {
    /// `content-length`, in bytes.
    pub length: Option<u64>,
    /// `transfer-encoding` is there, and `chunked` is what it says.
    pub chunked: bool,
    /// `connection` asks for the end of it.
    pub closes: bool,
    /// `connection` asks to keep it, which only HTTP/1.0 has to.
    pub keeps: bool,
}

/// It says two things at once, or none that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclear;

impl Says {
    /// Hears a line: its name, the name's hash, its value.
    ///
    /// # Errors
    /// [`Unclear`].
    pub fn hear(&mut self, name: &[u8], hash: u32, value: &[u8]) -> Result<(), Unclear> {
        let is = |known: Name| known.is(name, hash);
        if is(CONTENT_LENGTH) {
            // Also a list of equal numbers, into which a proxy may have joined two lines (RFC 9112 section 6.3).
            for part in value.split(|&b| b == b',') {
                let length = number(part.trim_ascii()).ok_or(Unclear)?;
                if self.length.replace(length).is_some_and(|before| before != length) {
                    return Err(Unclear);
                }
            }
        } else if is(TRANSFER_ENCODING) {
            // We ask for none (`te` does not go upstream) and offer none, so nothing but chunks can come.
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Unclear);
            }
            self.chunked = true;
        } else if is(CONNECTION) {
            for token in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                self.closes |= token.eq_ignore_ascii_case(b"close");
                self.keeps |= token.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }
}

/// Only digits: no sign, no blank (RFC 9110 section 8.6).
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |n, &digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        n.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}
