//! A file that may become a batch's calls: a JSON object in each line, sent inside a form.
//!
//! What a batch's calls name is looked up by the provider long after the file has passed, so it is read on its way. Invariant:
//! what is called clean can be split into lines in no way that yields a call we have not read: whatever has a brace is one
//! whole JSON object between two line feeds, without control characters in it, and nothing says that it is encoded.
//! Deliberately not here: the form. Its own lines have no braces, or the file counts as unread.

use memchr::memchr;
use memchr::memmem::find as find_bytes;

use super::{Found, Vendor, find};
use crate::protocol::json;

/// Finds what the calls in a file name; `false` if it is no file of calls, or none that can be read with certainty.
pub fn are_clean(vendor: Vendor, body: &[u8], found: &mut Found) -> bool {
    let mut calls = 0_usize;
    for line in body.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if memchr(b'{', line).is_none() {
            if says_encoding(line) {
                return false;
            }
            continue;
        }
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') || json::check(line).is_err() {
            return false;
        }
        find(vendor, line, found);
        calls += 1;
    }
    calls > 0
}

/// Whether a part of the form says that its content is encoded, or in what charset.
fn says_encoding(line: &[u8]) -> bool {
    let lower = line.to_ascii_lowercase();
    find_bytes(&lower, b"encoding").is_some() || find_bytes(&lower, b"charset").is_some()
}
