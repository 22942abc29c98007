//! A splice is what cutting and joining the whole body would give; another model's name changes nothing but the model.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tollgate::protocol::Endpoint;
use tollgate::protocol::body::Frames;
use tollgate::protocol::peek::Peek;
use tollgate::protocol::splice::{json_string, splice};
use tollgate_fuzz::open;

fn joined(body: &Frames) -> Vec<u8> {
    body.iter().flat_map(|frame| frame.iter().copied()).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, text, pieces)) = open(input) else { return };
    let body: Frames = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    assert_eq!(joined(&body), text);

    let start = usize::from(choice >> 4) * text.len() / 15;
    let end = (start + usize::from(choice & 15)).min(text.len());
    let mut naive = text.to_vec();
    naive.splice(start..end, *b"\"other\"");
    assert_eq!(joined(&splice(&body, start..end, json_string("other"))), naive);

    let mut peek = Peek::new(Endpoint::ChatCompletions);
    if pieces.iter().any(|piece| peek.feed(piece).is_err()) {
        return;
    }
    let Ok(peeked) = peek.finish() else { return };
    let Some(model) = peeked.model else { return };
    // A name that needs escapes, made of the input.
    let other = format!("{}\"\\\u{7}\u{e9}{choice}", model.name);
    let spliced = joined(&splice(&body, model.value, json_string(&other)));
    let Ok(mut tree) = serde_json::from_slice::<Value>(text) else { return };
    tree["model"] = Value::from(other);
    assert_eq!(serde_json::from_slice::<Value>(&spliced).unwrap(), tree);
});
