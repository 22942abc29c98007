//! What keeps a silent stream alive, in the form that each dialect's agents survive.
//!
//! Invariant: sent only between two complete events and never after the terminal one; [`super::tap`] knows both. Measured
//! with the agents of November 2026; whatever else is added to a stream makes one of them fail.

use super::Dialect;

/// A complete event or comment; `None` where every byte would do harm.
///
/// - Anthropic: its own `ping` event, which the API itself sends at any place in a stream
///   (<https://platform.claude.com/docs/en/build-with-claude/streaming>), so no reader can stumble over it.
/// - Chat and Responses: a comment line (WHATWG HTML section 9.2.5), as several providers send it. An event would not do:
///   OpenCode ends a Chat stream on any chunk without `choices`.
/// - Gemini: nothing. Google's SDK keeps everything behind a line that is not `data:` and dies of `Incomplete JSON segment`;
///   Gemini CLI then gives the turn up after three tries.
#[must_use]
pub fn keepalive(dialect: Dialect) -> Option<&'static [u8]> {
    match dialect {
        Dialect::Anthropic => Some(b"event: ping\ndata: {\"type\": \"ping\"}\n\n"),
        Dialect::Chat | Dialect::Responses => Some(b": keep-alive\n\n"),
        Dialect::Gemini => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::sse::Splitter;

    #[test]
    fn is_complete_and_says_nothing() {
        for (dialect, events) in [(Dialect::Anthropic, 1), (Dialect::Chat, 0), (Dialect::Responses, 0)] {
            let mut splitter = Splitter::default();
            let mut seen = Vec::new();
            splitter.feed(keepalive(dialect).unwrap(), |event| seen.push(event.name.to_vec()));
            assert!(splitter.at_boundary(), "{dialect:?}");
            assert_eq!(seen, vec![b"ping".to_vec(); events], "{dialect:?}");
        }
        assert_eq!(keepalive(Dialect::Gemini), None);
    }
}
