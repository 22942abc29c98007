//! Where a JSON string ends.
//!
//! Sixty-four bytes at a time become a bit mask of their quotes; the end of a short string is then found by a shift and a
//! count, and several strings share a block. What is longer goes to `memchr`.
//!
//! Invariant: the end is the first quote that stands behind an even number of backslashes. That is the whole of what a
//! backslash means here: it takes the next byte with it. Which byte that is, is not judged.

use memchr::memchr;
use wide::u8x16;

const LEN: usize = 64;

/// The quotes of one block of a frame.
#[derive(Debug)]
pub struct Block {
    /// Its place in the frame.
    start: usize,
    /// A bit for each quote.
    quotes: u64,
    /// Bytes in front of this place are not backslashes of the current string, whatever they are.
    floor: usize,
}

impl Block {
    /// Before the first string of a frame. `floor` is 1 where a backslash at the end of the frame before takes the first
    /// byte with it.
    #[inline]
    pub fn before(floor: usize) -> Self {
        // So far in front of every place that no place is inside.
        Self { start: 0usize.wrapping_sub(LEN), quotes: 0, floor }
    }

    /// The place of the quote that ends the string whose next byte is at `from`; `None` when it is not in this frame.
    #[inline]
    pub fn end(&mut self, frame: &[u8], from: usize) -> Option<usize> {
        let shift = from.wrapping_sub(self.start);
        if shift < LEN {
            let quotes = self.quotes >> shift;
            if quotes != 0 {
                let at = from + quotes.trailing_zeros() as usize;
                // A backslash there may itself be taken; the far road finds out.
                if frame.get(at.wrapping_sub(1)) != Some(&b'\\') {
                    return Some(at);
                }
            }
        }
        self.far_end(frame, from)
    }

    /// Whether a backslash takes the byte at `at` with it; `at` may be the frame's end.
    #[inline]
    pub fn is_escaped(&self, frame: &[u8], at: usize) -> bool {
        frame.get(at.wrapping_sub(1)) == Some(&b'\\') && self.is_behind_odd_run(frame, at)
    }

    #[cold]
    fn is_behind_odd_run(&self, frame: &[u8], at: usize) -> bool {
        let before = frame.get(self.floor..at).unwrap_or_default();
        before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
    }

    #[inline(never)]
    fn far_end(&mut self, frame: &[u8], mut from: usize) -> Option<usize> {
        loop {
            let mut shift = from.wrapping_sub(self.start);
            if shift < LEN && self.quotes >> shift == 0 {
                from = self.start + LEN;
                shift = LEN;
            }
            if shift >= LEN {
                if from >= frame.len() {
                    return None;
                }
                self.load(frame, from);
                shift = 0;
            }
            let quotes = self.quotes >> shift;
            let at = if quotes == 0 {
                // A whole block without a quote: a long text.
                let beyond = self.start + LEN;
                beyond + memchr(b'"', frame.get(beyond..)?)?
            } else {
                from + quotes.trailing_zeros() as usize
            };
            if !self.is_escaped(frame, at) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    #[inline]
    fn load(&mut self, frame: &[u8], start: usize) {
        let rest = frame.get(start..).unwrap_or_default();
        self.start = start;
        self.quotes = match rest.first_chunk() {
            Some(bytes) => quotes(bytes),
            None => {
                let mut padded = [0; LEN];
                padded[..rest.len()].copy_from_slice(rest);
                quotes(&padded)
            }
        };
    }
}

/// A bit for each quote.
#[inline]
fn quotes(bytes: &[u8; LEN]) -> u64 {
    let lanes = bytes.as_chunks::<16>().0.iter().enumerate();
    lanes.fold(0, |mask, (n, lane)| {
        let hits = u8x16::new(*lane).simd_eq(u8x16::splat(b'"')).to_bitmask();
        mask | u64::from(hits) << (n * 16)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Byte by byte.
    fn plain(frame: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            match frame.get(at)? {
                b'"' => return Some(at),
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
    }

    fn frame() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            8 => Just("x"),
            4 => Just("\""),
            4 => Just("\\\\"),
            2 => Just("\\n"),
            2 => Just("\\\""),
            1 => Just("\\"),
            2 => Just("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// Strings with nothing but their quotes between them.
        #[test]
        fn ends_are_those_found_byte_by_byte(frame in frame(), floor in 0..2usize) {
            let mut block = Block::before(floor);
            let mut from = floor;
            loop {
                let want = plain(&frame, from);
                prop_assert_eq!(block.end(&frame, from), want);
                let Some(end) = want else { break };
                from = end + 1;
            }
        }
    }

    #[test]
    fn runs_of_backslashes() {
        for run in 0..140 {
            for before in 0..70 {
                let frame = [vec![b'x'; before], vec![b'\\'; run], b"\"\"".to_vec()].concat();
                let end = before + run + run % 2;
                assert_eq!(Block::before(0).end(&frame, 0), Some(end), "{before} and {run}");
                assert_eq!(Block::before(0).is_escaped(&frame, before + run), run % 2 == 1);
            }
        }
    }
}
