//! The peek reads what serde_json reads, wherever the borders of the frames are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tollgate::error::BodyError;
use tollgate::protocol::Endpoint;
use tollgate::protocol::peek::{Peek, Peeked};
use tollgate_fuzz::{is_json, is_plain, open};

const ENDPOINTS: [Endpoint; 9] = [
    Endpoint::Messages,
    Endpoint::CountTokens,
    Endpoint::ChatCompletions,
    Endpoint::Embeddings,
    Endpoint::Responses,
    Endpoint::Compact,
    Endpoint::InputTokens,
    Endpoint::Generate,
    Endpoint::EmbedContent,
];

fn peek(endpoint: Endpoint, frames: &[&[u8]]) -> Result<Peeked, BodyError> {
    let mut peek = Peek::new(endpoint);
    for frame in frames {
        peek.feed(frame)?;
    }
    peek.finish()
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, text, pieces)) = open(input) else { return };
    let endpoint = ENDPOINTS[usize::from(choice) % ENDPOINTS.len()];
    let whole = peek(endpoint, &[text]);
    assert_eq!(peek(endpoint, &pieces), whole, "it depends on the borders");

    let trimmed = text.trim_ascii_start();
    match &whole {
        Ok(_) => assert!(!is_plain(text) || is_json(text), "taken, but no JSON"),
        Err(BodyError::Broken { .. }) => {
            assert!(!(is_json(text) && trimmed.starts_with(b"{")), "broken, but JSON: {whole:?}");
        }
        Err(_) => {}
    }
    let (Ok(peeked), Ok(tree)) = (whole, serde_json::from_slice::<Value>(text)) else { return };
    if let Some(model) = peeked.model {
        assert_eq!(tree["model"].as_str(), Some(&*model.name));
        let value: String = serde_json::from_slice(&text[model.value]).unwrap();
        assert_eq!(*value, *model.name);
    }
    let streams = matches!(
        endpoint,
        Endpoint::Messages
            | Endpoint::CountTokens
            | Endpoint::ChatCompletions
            | Endpoint::Responses
            | Endpoint::Compact
            | Endpoint::InputTokens
    );
    if streams {
        assert_eq!(tree["stream"].as_bool().unwrap_or(false), peeked.stream);
    }
    if endpoint == Endpoint::ChatCompletions {
        assert_eq!(tree["stream_options"]["include_usage"].as_bool(), peeked.include_usage);
    }
    if matches!(endpoint, Endpoint::Responses | Endpoint::Compact | Endpoint::InputTokens) {
        // Whose these are decides who may have them.
        let conversation = &tree["conversation"];
        assert_eq!(peeked.previous.as_deref(), tree["previous_response_id"].as_str());
        assert_eq!(peeked.conversation.as_deref(), conversation.as_str().or(conversation["id"].as_str()));
        assert_eq!(peeked.unstored, tree["store"] == false);
    }
});
