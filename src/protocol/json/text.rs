//! Crossing the inside of a JSON string.
//!
//! Invariant: [`end`] never passes over a quote or a backslash; it looks at nothing else.

use memchr::memchr2;

/// The place of the first quote or backslash at or after `from`, or the end of the frame.
///
/// Two words inline before `memchr` is called: most keys and short values end within them, and the call costs as much as
/// reading them.
#[inline]
pub fn end(frame: &[u8], from: usize) -> usize {
    let mut at = from;
    for _ in 0..2 {
        let Some(word) = frame.get(at..).and_then(<[u8]>::first_chunk) else {
            let inside = frame[at..].iter().position(|&byte| byte == b'"' || byte == b'\\');
            return inside.map_or(frame.len(), |n| at + n);
        };
        let mask = hits(u64::from_le_bytes(*word));
        if mask != 0 {
            return at + mask.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    memchr2(b'"', b'\\', &frame[at..]).map_or(frame.len(), |n| at + n)
}

/// The place behind the escape sequence that starts at `at`, when it is whole and valid; `None` leaves the judgement to the
/// slow path.
#[inline]
pub fn escape(frame: &[u8], at: usize) -> Option<usize> {
    let &byte = frame.get(at + 1)?;
    if is_simple_escape(byte) {
        return Some(at + 2);
    }
    let digits = frame.get(at + 2..at + 6)?;
    (byte == b'u' && digits.iter().all(u8::is_ascii_hexdigit)).then_some(at + 6)
}

/// Whether `\` and this byte are an escape sequence by themselves (RFC 8259 section 7).
#[inline]
pub fn is_simple_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')
}

/// The high bit of each byte that is a quote or backslash. Bits above the lowest may be wrong (a borrow runs upwards), the
/// lowest is right.
#[inline]
fn hits(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let borrows = |byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
    // Both are ASCII, so `!word` may take out every byte above 127, as the plain form does with each difference.
    (borrows(b'"') | borrows(b'\\')) & !word & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(frame: &[u8], from: usize) -> usize {
        (from..frame.len()).find(|&i| matches!(frame[i], b'"' | b'\\')).unwrap_or(frame.len())
    }

    proptest! {
        #[test]
        fn end_is_the_first_quote_or_backslash(
            frame in proptest::collection::vec(prop_oneof![9 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\')], 0..200),
            from in 0usize..200,
        ) {
            let from = from.min(frame.len());
            prop_assert_eq!(end(&frame, from), plain(&frame, from));
        }

        #[test]
        fn words_find_the_lowest(bytes in proptest::array::uniform8(prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), Just(b'#'), Just(b']')])) {
            let mask = hits(u64::from_le_bytes(bytes));
            let lowest = (mask != 0).then(|| mask.trailing_zeros() as usize / 8);
            prop_assert_eq!(lowest, bytes.iter().position(|&b| b == b'"' || b == b'\\'));
        }
    }
}
