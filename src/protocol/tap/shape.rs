//! Chat chunks that differ only inside their delta.
//!
//! All chunks of an answer are alike but for their delta's content. Invariant: a chunk fits if it has, around its delta, the
//! very bytes of one that was looked through and found to have neither usage, nor an error, nor a reason to stop. A server
//! whose chunks are never alike (a time or padding in each) is soon no longer compared. Bounded: [`MAX`] bytes.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Largest chunk that is learned, in bytes.
const MAX: usize = 2048;
/// Chunks learned in one stream.
const TRIES: u8 = 16;

static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\":{"));
static GOES_ON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"finish_reason\":null"));

/// See the module.
#[derive(Debug, Default)]
pub struct Shape {
    /// What comes before the delta's first key. Empty: nothing is learned.
    head: Vec<u8>,
    /// What comes from the absent reason to stop on.
    tail: Vec<u8>,
    tries: u8,
}

impl Shape {
    /// Whether there is nothing to look for in this chunk.
    #[inline]
    pub fn fits(&self, chunk: &[u8]) -> bool {
        !self.head.is_empty() && chunk.strip_prefix(&*self.head).is_some_and(|behind| behind.ends_with(&self.tail))
    }

    /// Takes a chunk in which there was nothing, for the next ones to be compared with.
    pub fn learn(&mut self, chunk: &[u8]) {
        if self.tries == TRIES || chunk.len() > MAX {
            return;
        }
        self.tries += 1;
        self.head.clear();
        self.tail.clear();
        let Some(delta) = DELTA.find(chunk) else { return };
        let (head, behind) = chunk.split_at(delta + DELTA.needle().len());
        let Some(goes_on) = GOES_ON.find(behind) else { return };
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(&behind[goes_on..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: &str, delta: &str, behind: &str) -> String {
        format!(r#"{{"id":"{id}","choices":[{{"index":0,"delta":{{{delta}}},"finish_reason":{behind}"#)
    }

    #[test]
    fn only_the_delta_may_differ() {
        let mut shape = Shape::default();
        let first = chunk("a", r#""content":"x""#, "null}]}");
        assert!(!shape.fits(first.as_bytes()), "nothing is learned yet");
        shape.learn(first.as_bytes());
        assert!(shape.fits(first.as_bytes()));
        assert!(shape.fits(chunk("a", r#""tool_calls":[{"index":0}]"#, "null}]}").as_bytes()));
        assert!(!shape.fits(chunk("b", r#""content":"x""#, "null}]}").as_bytes()), "another head");
        assert!(!shape.fits(chunk("a", r#""content":"x""#, r#"null}],"usage":{}}"#).as_bytes()), "another tail");
        assert!(!shape.fits(chunk("a", r#""content":"x""#, r#""stop"}]}"#).as_bytes()), "a reason to stop");
    }

    #[test]
    fn head_and_tail_do_not_share_bytes() {
        let mut shape = Shape::default();
        shape.learn(br#""delta":{"finish_reason":null"#);
        assert!(shape.fits(br#""delta":{"finish_reason":null"#));
        assert!(!shape.fits(br#""delta":{"finish_reason":nul"#));
    }

    #[test]
    fn a_server_whose_chunks_always_differ_is_left_alone() {
        let mut shape = Shape::default();
        for n in 0..100 {
            shape.learn(chunk(&n.to_string(), "", "null}]}").as_bytes());
        }
        assert!(shape.fits(chunk("15", "", "null}]}").as_bytes()), "the last one learned");
        assert!(!shape.fits(chunk("99", "", "null}]}").as_bytes()));
    }
}
