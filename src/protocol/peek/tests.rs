//! Tests of the peek: what is read and refused, endpoint by endpoint.

use proptest::prelude::*;

use super::*;
use crate::protocol::splice::{json_string, splice};

fn peek(endpoint: Endpoint, frames: &[&[u8]]) -> Result<Peeked, BodyError> {
    let mut peek = Peek::new(endpoint);
    for frame in frames {
        peek.feed(frame)?;
    }
    peek.finish()
}

#[track_caller]
fn reads(endpoint: Endpoint, body: &str) -> Peeked {
    let whole = peek(endpoint, &[body.as_bytes()]);
    for at in 0..body.len() {
        let (head, tail) = body.as_bytes().split_at(at);
        assert_eq!(peek(endpoint, &[head, tail]), whole, "{body} cut at {at}");
    }
    whole.unwrap_or_else(|error| panic!("{body}: {error:?}"))
}

#[track_caller]
fn refuses(endpoint: Endpoint, body: &str, want: &BodyError) {
    assert_eq!(peek(endpoint, &[body.as_bytes()]).as_ref(), Err(want), "{body}");
    for at in 0..body.len() {
        let (head, tail) = body.as_bytes().split_at(at);
        assert_eq!(peek(endpoint, &[head, tail]).as_ref(), Err(want), "{body} cut at {at}");
    }
}

#[test]
fn messages() {
    let body = r#"{"model":"claude-x","messages":[{"role":"user","content":[{"model":1,"model":2}]}],"max_tokens":32000,
        "metadata":{"user_id":"{\"device_id\":\"d\",\"account_uuid\":\"\",\"session_id\":\"5b-7\"}"},"stream":true}"#;
    let peeked = reads(Endpoint::Messages, body);
    assert_eq!(
        peeked,
        Peeked {
            model: Some(ModelField { name: "claude-x".into(), value: 9..19 }),
            stream: true,
            max_output: Some(32000),
            session: Some("5b-7".into()),
            ..Peeked::default()
        }
    );
    let counted = reads(Endpoint::CountTokens, r#"{"messages":[],"model":"m"}"#);
    assert_eq!(counted.model.unwrap().value, 23..26);
}

#[test]
fn chat() {
    let body = r#"{"model":"m","max_tokens":10,"max_completion_tokens":1e3,"n":2,"stream":false,"prompt_cache_key":"k",
        "stream_options":{"include_obfuscation":false,"include_usage":true},"metadata":{"user_id":"not this"}}"#;
    let peeked = reads(Endpoint::ChatCompletions, body);
    assert_eq!(peeked.max_output, Some(1000), "the dearest of two caps");
    assert_eq!((peeked.n, peeked.include_usage, peeked.stream), (Some(2), Some(true), false));
    assert_eq!(peeked.session.as_deref(), Some("k"));
}

/// A body, and what it is when it asks for its usage.
#[track_caller]
fn asks(body: &str, want: Option<&str>) {
    let asking = reads(Endpoint::ChatCompletions, body).asking;
    let frames = [bytes::Bytes::copy_from_slice(body.as_bytes())].into_iter().collect();
    let asked = asking.map(|Asking { at, text }| -> Vec<u8> {
        splice(&frames, at, bytes::Bytes::from_static(text.as_bytes())).into_iter().flatten().collect()
    });
    assert_eq!(asked.as_deref().map(String::from_utf8_lossy).as_deref(), want, "{body}");
}

#[test]
fn a_chat_stream_can_be_made_to_ask_for_its_usage() {
    let asked = r#""stream_options":{"include_usage":true}"#;
    asks(r#"{"model":"m","stream":true}"#, Some(&format!(r#"{{"model":"m","stream":true,{asked}}}"#)));
    asks(r#"{"stream":true ,"model":"m"}"#, Some(&format!(r#"{{"stream":true,{asked} ,"model":"m"}}"#)));
    asks(
        r#"{"stream_options":null,"stream":true,"model":"m"}"#,
        Some(&format!(r#"{{{asked},"stream":true,"model":"m"}}"#)),
    );
    asks(
        r#"{"stream_options":{"a":{"include_usage":true}},"stream":true,"model":"m"}"#,
        Some(r#"{"stream_options":{"include_usage":true,"a":{"include_usage":true}},"stream":true,"model":"m"}"#),
    );
    for silent in ["false", "null"] {
        asks(
            &format!(r#"{{"stream":true,"stream_options":{{"a":1, "include_usage": {silent} }},"model":"m"}}"#),
            Some(r#"{"stream":true,"stream_options":{"a":1, "include_usage": true },"model":"m"}"#),
        );
    }
    asks(r#"{"stream":true,"stream_options":{"include_usage":true},"model":"m"}"#, None);
    asks(r#"{"stream":false,"stream_options":{},"model":"m"}"#, None);
    asks(r#"{"stream":null,"model":"m"}"#, None);
    asks(r#"{"stream":true,"stream_options":[],"model":"m"}"#, None);
    let long = format!(r#"{{"stream":true,"stream_options":{{"a":"{}"}},"model":"m"}}"#, "a".repeat(5000));
    let want = BodyError::FieldInvalid { field: "stream_options", want: "a short object" };
    assert_eq!(peek(Endpoint::ChatCompletions, &[long.as_bytes()]), Err(want));
}

#[test]
fn responses() {
    let body = r#"{"model":"m","input":"hi","max_output_tokens":64.0,"n":"x","max_tokens":"x","stream":null,"prompt_cache_key":"s"}"#;
    let peeked = reads(Endpoint::Responses, body);
    assert_eq!((peeked.max_output, peeked.n, peeked.stream), (Some(64), None, false));
    assert_eq!(peeked.session.as_deref(), Some("s"));
}

#[test]
fn gemini() {
    for config in [
        r#"{"model":7,"stream":"x","generationConfig":{"maxOutputTokens":100,"candidateCount":3,"max_tokens":"x"}}"#,
        r#"{"generation_config":{"max_output_tokens":100,"candidate_count":3},"model":"a","model":"b"}"#,
    ] {
        let peeked = reads(Endpoint::StreamGenerate, config);
        assert_eq!(peeked, Peeked { max_output: Some(100), n: Some(3), ..Peeked::default() }, "{config}");
    }
}

#[test]
fn an_embedding_says_its_model_and_nothing_else() {
    let body = r#"{"input":["a","b"],"model":"text-embedding-3-small","stream":7,"n":"x","max_tokens":-1,"user":"u"}"#;
    let peeked = reads(Endpoint::Embeddings, body);
    assert_eq!(peeked.model.as_ref().map(|model| &*model.name), Some("text-embedding-3-small"));
    assert_eq!(peeked, Peeked { model: peeked.model.clone(), ..Peeked::default() });
    let twice = r#"{"model":"a","model":"b"}"#;
    refuses(Endpoint::Embeddings, twice, &BodyError::FieldDuplicated { field: "model" });
    for endpoint in [Endpoint::EmbedContent, Endpoint::BatchEmbedContents] {
        assert_eq!(reads(endpoint, r#"{"model":"models/m","content":{"parts":[{"text":"a"}]}}"#), Peeked::default());
    }
}

/// Whether a body may name something, whole and cut anywhere: at a border it may be suspected for nothing, but never let pass.
#[track_caller]
fn suspects(endpoint: Endpoint, body: &str, want: bool) {
    assert_eq!(peek(endpoint, &[body.as_bytes()]).unwrap().names, want, "{body}");
    for at in (0..body.len()).filter(|_| want) {
        let (head, tail) = body.as_bytes().split_at(at);
        assert!(peek(endpoint, &[head, tail]).unwrap().names, "{body} cut at {at}");
        let cut: Vec<&[u8]> = head.chunks(3).chain([tail]).collect();
        assert!(peek(endpoint, &cut).unwrap().names, "{body} cut often up to {at}");
    }
}

#[test]
fn a_body_that_may_name_something_is_suspected() {
    use Endpoint::{ChatCompletions, EmbedContent, Generate, Messages, Responses};
    let item =
        |item: &str| format!(r#"{{"model":"m","input":[{{"role":"user"}},{item},{{"type":"message","id":"a"}}]}}"#);
    for (endpoint, body) in [
        (Messages, r#"{"model":"m","messages":[{"content":[{"source":{"type":"file","file_id":"f"}}]}]}"#.to_owned()),
        (Messages, r#"{"model":"m","a":[[[[{ "file\u005fid" : "f"}]]]]}"#.to_owned()),
        (Messages, r#"{"model":"m","a":{"file\_id":"f"}}"#.to_owned()),
        (Messages, r#"{"model":"m","container":"c"}"#.to_owned()),
        (Messages, r#"{"model":"m","cont\u0061iner":{"id":"c"}}"#.to_owned()),
        (Messages, r#"{"model":"m","metadata":{"a":{"file_id":"f"}}}"#.to_owned()),
        (ChatCompletions, r#"{"model":"m","messages":[{"content":[{"file":{"file_id":"f"}}]}]}"#.to_owned()),
        (ChatCompletions, r#"{"model":"m","messages":[{"audio":{"id":"f"}}]}"#.to_owned()),
        (Responses, r#"{"model":"m","input":[{"content":[{"type":"input_file","file_id":"f"}]}]}"#.to_owned()),
        (Responses, r#"{"model":"m","tools":[{"container":"c"}]}"#.to_owned()),
        (Responses, r#"{"model":"m","tools":[{"container":{"file_ids":["c"]}}]}"#.to_owned()),
        (Responses, r#"{"model":"m","tools":[{"vector_store_ids":["c"]}]}"#.to_owned()),
        (Responses, r#"{"model":"m","tools":[{"environment":{"container_id":"c"}}]}"#.to_owned()),
        (Responses, r#"{"model":"m","prompt":{"id":"p"}}"#.to_owned()),
        (Responses, item(r#"{"type":"item_reference","id":"m"}"#)),
        (Responses, item(r#"{"id":"m"}"#)),
        (Responses, item(r#"{"id":"m"},{"type":"message"}"#)),
        (Responses, item(r#"{"type":"message"},{"id":"m"}"#)),
        (Responses, item(r#"{"type":"message","type":"item_reference","id":"m"}"#)),
        (Responses, item(r#"{"typ\u0065":"message","id":"m"}"#)),
        (Responses, item(r#"{"type":"mess\u0061ge","id":"m"}"#)),
        (Responses, item(r#"{ "type" : "item_reference" , "id" : "m" }"#)),
        (Responses, item(r#"{"type":"reasoning","id":"m","summary":[]}"#)),
        (Responses, item(r#"{"type":"reasoning","id":"m","encrypted_content":null}"#)),
        (Responses, item(r#"{"type":"reasoning","id":"m","encrypted_content":"a","encrypted_content":""}"#)),
        (Responses, item(r#"{"type":"image_generation_call","id":"m"}"#)),
        (Responses, item(r#"{"type":"what_comes_tomorrow","id":"m"}"#)),
        (Generate, r#"{"contents":[{"parts":[{"fileData":{"fileUri":"f"}}]}]}"#.to_owned()),
        (Generate, r#"{"contents":[{"parts":[{"file_data":{"file_uri":"f"}}]}]}"#.to_owned()),
        (Generate, r#"{"cachedContent":"c"}"#.to_owned()),
        (Generate, r#"{"cached_content":"c"}"#.to_owned()),
        (Endpoint::GeminiCountTokens, r#"{"generateContentRequest":{"cachedContent":"c"}}"#.to_owned()),
        (Generate, r#"{"tools":[{"fileSearch":{"fileSearchStoreNames":["c"]}}]}"#.to_owned()),
        (EmbedContent, r#"{"content":{"parts":[{"fileData":{"fileUri":"f"}}]}}"#.to_owned()),
    ] {
        suspects(endpoint, &body, true);
    }
    for (endpoint, body) in [
        (Messages, r#"{"model":"m","system":[{"text":"file_id"}],"tools":[{"name":"container","id":1}]}"#.to_owned()),
        (
            Messages,
            r#"{"model":"m","messages":[{"content":[{"type":"tool_use","id":"t","input":{"path":"a\\b"}}]}]}"#
                .to_owned(),
        ),
        (ChatCompletions, r#"{"model":"m","messages":[{"role":"tool","tool_call_id":"c","content":"x"}]}"#.to_owned()),
        (Responses, item(r#"{"type":"function_call","id":"fc","call_id":"c","name":"n","arguments":"{}"}"#)),
        (Responses, item(r#"{"id":"rs","type":"reasoning","summary":[],"encrypted_content":"gAAA"}"#)),
        (Responses, item(r#"{ "type" : "message" , "id" : "m" }"#)),
        (Responses, r#"{"model":"m","input":"hi","tools":[{"type":"function","id":"x","name":"n"}]}"#.to_owned()),
        (Generate, r#"{"contents":[{"parts":[{"functionCall":{"id":"x","args":{"path":"a"}}}]}]}"#.to_owned()),
    ] {
        suspects(endpoint, &body, false);
    }
}

#[test]
fn stored_things_that_a_body_names() {
    let named = |body: &str| {
        let peeked = reads(Endpoint::Responses, body);
        (peeked.previous.map(String::from), peeked.conversation.map(String::from), peeked.unstored)
    };
    let some = |id: &str| Some(id.to_owned());
    assert_eq!(named(r#"{"model":"m","previous_response_id":"resp_1"}"#), (some("resp_1"), None, false));
    let escaped = r#"{"model":"m","previous_response_id":"r\u0065sp_1","store":false}"#;
    assert_eq!(named(escaped), (some("resp_1"), None, true), "a value may be spelled as it likes");
    assert_eq!(named(r#"{"model":"m","conversation":"conv_1","store":true}"#), (None, some("conv_1"), false));
    assert_eq!(named(r#"{"model":"m","conversation":{"id":"conv_1"}}"#), (None, some("conv_1"), false));
    assert_eq!(named(r#"{"model":"m","conversation":null,"previous_response_id":null}"#), (None, None, false));
    let inner = r#"{"model":"m","input":[{"previous_response_id":"resp_1"}],"metadata":{"conversation":"c"}}"#;
    assert_eq!(named(inner), (None, None, false), "elsewhere they mean nothing");
    let chat = reads(Endpoint::ChatCompletions, r#"{"model":"m","previous_response_id":7,"conversation":[]}"#);
    assert_eq!((chat.previous, chat.conversation), (None, None), "Chat has no such fields");
    for (field, value) in [
        ("previous_response_id", "7"),
        ("previous_response_id", r#"{"id":"resp_1"}"#),
        ("conversation", "{}"),
        ("conversation", r#"{"id":"a","id":"b"}"#),
        ("conversation", r#"["a"]"#),
    ] {
        let body = format!(r#"{{"{field}":{value}}}"#);
        refuses(Endpoint::Responses, &body, &BodyError::FieldInvalid { field, want: "an id" });
    }
    for (field, spelled) in
        [("previous_response_id", r"previous_respons\u0065_id"), ("conversation", r"\u0063onversation")]
    {
        for endpoint in [Endpoint::Responses, Endpoint::Compact, Endpoint::InputTokens] {
            let twice = format!(r#"{{"{field}":"a","{field}":"b"}}"#);
            refuses(endpoint, &twice, &BodyError::FieldDuplicated { field });
            let escaped = format!(r#"{{"{spelled}":"a"}}"#);
            refuses(endpoint, &escaped, &BodyError::FieldEscaped { field });
        }
    }
}

#[test]
fn what_needs_no_body_reads_none() {
    for body in ["", "{", "nonsense"] {
        assert_eq!(reads(Endpoint::CancelResponse, body), Peeked::default());
    }
}

#[test]
fn absent_is_absent() {
    let peeked = reads(Endpoint::ChatCompletions, r#"{"model":"m","max_tokens":null,"n":null,"stream_options":null}"#);
    assert_eq!((peeked.max_output, peeked.n, peeked.include_usage), (None, None, None));
    assert_eq!(reads(Endpoint::Generate, "{}"), Peeked::default());
}

#[test]
fn the_model_may_be_spelled_with_escapes() {
    let body = r#"{"a":1,"model":"g\u0070t-\"5\ud83d\ude00","b":2}"#;
    let model = reads(Endpoint::Responses, body).model.unwrap();
    assert_eq!(&*model.name, "gpt-\"5\u{1f600}");
    let frames = [bytes::Bytes::copy_from_slice(body.as_bytes())].into_iter().collect();
    let spliced: Vec<u8> = splice(&frames, model.value, json_string("x")).into_iter().flatten().collect();
    assert_eq!(spliced, br#"{"a":1,"model":"x","b":2}"#);
}

#[test]
fn other_duplicates_pass() {
    reads(Endpoint::Messages, r#"{"model":"m","system":"a","system":"b","n":1,"n":2,"metadata":{},"metadata":{}}"#);
    reads(Endpoint::Messages, r#"{"model":"m","Model":"n","MODEL":"o","models":"p","mode":"q"}"#);
    reads(Endpoint::Messages, r#"{"model":"m","metadata":{"model":"n"},"tools":[{"model":"o"}]}"#);
}

#[test]
fn ambiguous() {
    use Endpoint::{ChatCompletions, Generate, Messages, Responses};
    let twice = |endpoint, body: &str, field| refuses(endpoint, body, &BodyError::FieldDuplicated { field });
    twice(Messages, r#"{"model":"a","model":"a"}"#, "model");
    twice(Messages, r#"{"max_tokens":1,"max_tokens":1,"model":"a"}"#, "max_tokens");
    twice(ChatCompletions, r#"{"stream":true,"model":"a","stream":true}"#, "stream");
    twice(ChatCompletions, r#"{"n":1,"n":1}"#, "n");
    twice(ChatCompletions, r#"{"stream_options":{},"stream_options":{}}"#, "stream_options");
    let inside = r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#;
    twice(ChatCompletions, inside, "stream_options.include_usage");
    twice(Generate, r#"{"generationConfig":{},"generation_config":{}}"#, "generationConfig");
    let inside = r#"{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":2}}"#;
    twice(Generate, inside, "generationConfig.maxOutputTokens");

    let escaped = |endpoint, body: &str, field| refuses(endpoint, body, &BodyError::FieldEscaped { field });
    escaped(Messages, r#"{"mod\u0065l":"a"}"#, "model");
    escaped(Messages, r#"{"model":"a","\u006Dodel":"b"}"#, "model");
    escaped(Messages, r#"{"m\odel":"a"}"#, "model");
    escaped(
        Responses,
        r#"{"\u006d\u0061\u0078\u005f\u006f\u0075\u0074\u0070\u0075\u0074\u005f\u0074\u006f\u006b\u0065\u006e\u0073":1}"#,
        "max_output_tokens",
    );
    let longest: String = "max_completion_tokens".bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    escaped(ChatCompletions, &format!("{{\"{longest}\":1}}"), "max_completion_tokens");
    escaped(ChatCompletions, r#"{"stream_options":{"include\u005fusage":true}}"#, "stream_options.include_usage");
    reads(Messages, r#"{"model":"m","mod\u0065ls":1,"mod\ne\/l":2,"\u00e9model":3,"\u006d":4}"#);
}

#[test]
fn types() {
    use Endpoint::{ChatCompletions, Generate, Messages};
    let invalid = |endpoint, body: &str, field, want| refuses(endpoint, body, &BodyError::FieldInvalid { field, want });
    let model = "a string of 1 to 256 bytes without control characters";
    for value in ["7", "null", "\"\"", "[]", "{}", "true", r#""a\nb""#, "\"a\u{1}b\"", r#""\ud800""#] {
        invalid(Messages, &format!("{{\"model\":{value}}}"), "model", model);
    }
    invalid(Messages, &format!("{{\"model\":\"{}\"}}", "m".repeat(257)), "model", model);
    reads(Messages, &format!("{{\"model\":\"{}\"}}", "m".repeat(256)));
    reads(Messages, &format!("{{\"model\":\"{}\"}}", "\\u006d".repeat(256)));
    for value in ["1", "\"true\"", "[]", "{}"] {
        invalid(ChatCompletions, &format!("{{\"stream\":{value}}}"), "stream", "true or false");
    }
    for value in ["-1", "1.5", "\"5\"", "true", "[]", "{}", "18446744073709551616", "1e300"] {
        let cap = "a non-negative integer";
        invalid(ChatCompletions, &format!("{{\"max_tokens\":{value}}}"), "max_tokens", cap);
        let body = format!("{{\"generationConfig\":{{\"maxOutputTokens\":{value}}}}}");
        invalid(Generate, &body, "generationConfig.maxOutputTokens", cap);
    }
    let body = r#"{"stream_options":{"include_usage":1}}"#;
    invalid(ChatCompletions, body, "stream_options.include_usage", "true or false");
}

#[test]
fn missing_and_broken() {
    use Endpoint::{ChatCompletions, Compact, CountTokens, Embeddings, InputTokens, Messages, Responses};
    for endpoint in [Messages, CountTokens, ChatCompletions, Embeddings, Responses, Compact, InputTokens] {
        refuses(endpoint, "{}", &BodyError::FieldMissing { field: "model" });
    }
    refuses(Messages, "", &BodyError::Broken { what: "a JSON object", at: 0 });
    refuses(Messages, r#"{"model":"m"#, &BodyError::Broken { what: "the rest of the JSON object", at: 11 });
    let deep = format!("{{\"model\":{}", "[".repeat(200));
    refuses(Messages, &deep, &BodyError::TooDeep);
}

#[test]
fn allocates_for_the_model_and_session_only() {
    let body = br#"{"model":"gpt-5.5","stream":true,"input":[{"role":"user","content":"a\nb\u00e9"}],"tools":[{"type":"function",
        "name":"exec_command","parameters":{"type":"object","properties":{"cmd":{"type":"string"}}}}],"prompt_cache_key":"s"}"#;
    let info = allocation_counter::measure(|| {
        let peeked = peek(Endpoint::Responses, &[body]).unwrap();
        assert!(peeked.model.is_some() && peeked.session.is_some());
    });
    assert_eq!(info.count_total, 2);
}

proptest! {
    #[test]
    fn chunk_borders_do_not_matter(
        model in prop_oneof![Just("\"m\""), Just("\"\\u006d\\n\""), Just("7"), Just("\"\u{e9}\"")],
        key in prop_oneof![Just("model"), Just("mod\\u0065l"), Just("modal")],
        rest in prop_oneof![Just("\"n\":1,"), Just("\"stream_options\":{\"include_usage\":true},"), Just("\"n\":1,\"n\":1,"), Just("")],
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let body = format!("{{{rest}\"{key}\":{model},\"stream\" : true, \"prompt_cache_key\":\"\\\"k\"}}").into_bytes();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        places.extend([0, body.len()]);
        places.sort_unstable();
        let frames: Vec<&[u8]> = places.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
        let whole = peek(Endpoint::ChatCompletions, &[&body]);
        prop_assert_eq!(peek(Endpoint::ChatCompletions, &frames), whole.clone());
        prop_assert_eq!(peek(Endpoint::ChatCompletions, &body.chunks(1).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(peek(Endpoint::Messages, &[&body]).is_err());
        let mut behind = br#"{"model":"m","stream":"#.to_vec();
        behind.extend_from_slice(&body);
        let _ = peek(Endpoint::Messages, &[&behind]);
    }
}

/// A value of keys that may mean something, in any depth, plainly spelled or not.
fn value() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("file_id"),
        Just("file\\u005fid"),
        Just("file_ids"),
        Just("fileUri"),
        Just("f\\u0069leUri"),
        Just("cachedContent"),
        Just("container"),
        Just("audio"),
        Just("vector_store_ids"),
        Just("type"),
        Just("typ\\u0065"),
        Just("id"),
        Just("encrypted_content"),
        Just("content"),
    ];
    let leaf = prop_oneof![
        4 => Just(r#""x""#.to_owned()),
        2 => Just(r#""message""#.to_owned()),
        2 => Just(r#""reasoning""#.to_owned()),
        1 => Just(r#""item_reference""#.to_owned()),
        1 => Just("null".to_owned()),
        1 => Just(r#""""#.to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let pair = (key.clone(), inner.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop_oneof![
            1 => proptest::collection::vec(inner, 0..4).prop_map(|list| format!("[{}]", list.join(","))),
            2 => proptest::collection::vec(pair, 0..5).prop_map(|list| format!("{{{}}}", list.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What is only suspected here is known there: nothing that is known there may go unsuspected.
    #[test]
    fn whatever_is_named_is_suspected(items in proptest::collection::vec(value(), 0..4), more in value(), cut in 1..40usize) {
        use crate::protocol::named::{Found, Vendor, find};
        // An item is an object, in an array, or it is none.
        let items: Vec<String> = items.into_iter().filter(|item| item.starts_with('{')).collect();
        let body = format!(r#"{{"model":"m","input":[{}],"more":{more}}}"#, items.join(","));
        for (endpoint, vendor) in [
            (Endpoint::Messages, Vendor::Anthropic),
            (Endpoint::Responses, Vendor::OpenAi),
            (Endpoint::Generate, Vendor::Gemini),
        ] {
            let mut found = Found::default();
            find(vendor, body.as_bytes(), &mut found);
            let named = found.finish().unwrap();
            let frames: Vec<&[u8]> = body.as_bytes().chunks(cut).collect();
            for frames in [&[body.as_bytes()][..], &frames] {
                prop_assert!(named.is_empty() || peek(endpoint, frames).unwrap().names, "{body}: {named:?}");
            }
        }
    }
}
