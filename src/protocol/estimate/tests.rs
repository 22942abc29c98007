//! Tests of the estimate: texts whose tokens `o200k_base` was asked for, whole and as streams in every dialect's pieces.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What it is, the text, its tokens.
const SAMPLES: &[(&str, &str, u64)] = &[
    ("tool arguments", include_str!("samples/arguments.txt"), 178),
    ("chinese", include_str!("samples/chinese.txt"), 87),
    ("english", include_str!("samples/english.txt"), 132),
    ("french", include_str!("samples/french.txt"), 100),
    ("german", include_str!("samples/german.txt"), 108),
    ("japanese", include_str!("samples/japanese.txt"), 103),
    ("korean", include_str!("samples/korean.txt"), 81),
    ("markdown", include_str!("samples/markdown.txt"), 151),
    ("python", include_str!("samples/python.txt"), 200),
    ("russian", include_str!("samples/russian.txt"), 90),
    ("rust", include_str!("samples/rust.txt"), 187),
    ("a shell's output", include_str!("samples/shell.txt"), 174),
    ("spanish", include_str!("samples/spanish.txt"), 73),
    ("tables and logs", include_str!("samples/table.txt"), 175),
    ("typescript", include_str!("samples/typescript.txt"), 142),
];

#[track_caller]
fn near(what: &str, got: u64, want: u64, percent: u64) {
    assert!(got.abs_diff(want) * 100 <= want * percent, "{what}: {got} for {want}");
}

#[test]
fn texts() {
    for (what, text, tokens) in SAMPLES {
        near(what, of_text(text.trim_end()), *tokens, 10);
    }
}

/// A text in pieces of so many characters.
fn pieces(text: &str, chars: usize) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    all.chunks(chars).map(|piece| piece.iter().collect()).collect()
}

type Event = fn(usize, &str) -> Value;

const DIALECTS: &[(&str, Event)] = &[
    ("anthropic", |_, text| json!({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":text}})),
    (
        "anthropic, arguments",
        |_, text| json!({"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":text}}),
    ),
    ("chat", |_, text| {
        json!({"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"m","choices":[
            {"index":0,"delta":{"content":text},"logprobs":null,"finish_reason":null}],"usage":null})
    }),
    ("chat, arguments", |_, text| {
        json!({"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[
            {"index":0,"function":{"arguments":text}}]},"finish_reason":null}]})
    }),
    ("responses", |n, text| {
        json!({"type":"response.output_text.delta","sequence_number":n,"item_id":"msg_1","output_index":0,
            "content_index":0,"delta":text,"logprobs":[],"obfuscation":"k3JfXwQ0aQ".get(..n % 10)})
    }),
    ("gemini", |n, text| {
        json!({"candidates":[{"content":{"role":"model","parts":[{"text":text}]},"index":0}],"modelVersion":"m",
            "usageMetadata":{"promptTokenCount":1200,"candidatesTokenCount":n}})
    }),
];

/// A text, many times over, as a stream.
fn streamed(event: Event, text: &str, chars: usize) -> u64 {
    let mut heard = Heard::default();
    for (n, piece) in pieces(&text.repeat(6), chars).iter().enumerate() {
        heard.hear(event(n, piece).to_string().as_bytes());
    }
    heard.tokens()
}

#[test]
fn streams_of_every_dialect_and_chunking() {
    for (dialect, event) in DIALECTS {
        for (what, text, tokens) in SAMPLES {
            for chars in [4, 7, 12, 30, 90, 1000] {
                let got = streamed(*event, text, chars);
                near(&format!("{what} as {dialect}, {chars} characters a piece"), got, tokens * 6, 15);
            }
        }
    }
}

/// As models let go of a text: whole words with the blanks before them, one to three at a time.
fn words(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut left = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        match pieces.last_mut() {
            Some(piece) if left > 0 => piece.push_str(word),
            _ => {
                left = 1 + pieces.len() % 3;
                pieces.push(word.to_owned());
            }
        }
        left -= 1;
    }
    pieces
}

#[test]
fn streams_of_words_however_long() {
    for (dialect, event) in DIALECTS {
        for (what, text, tokens) in SAMPLES {
            for times in [1, 2, 3, 5, 8, 20] {
                let mut heard = Heard::default();
                for (n, piece) in words(&text.repeat(times as usize)).iter().enumerate() {
                    heard.hear(event(n, piece).to_string().as_bytes());
                }
                near(&format!("{what} as {dialect}, {times} times"), heard.tokens(), tokens * times, 15);
            }
        }
    }
}

#[test]
fn whole_answers_that_tell_nothing() {
    for (what, text, tokens) in SAMPLES {
        for times in [4, 40] {
            let text = text.repeat(times as usize);
            let answer = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "choices":
                [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]});
            let bytes = answer.to_string().into_bytes();
            near(what, of_whole_answer(&bytes).unwrap(), tokens * times, 15);
            let shown = Shown::by(&bytes[..bytes.len() / 2]);
            near(&format!("{what}, in pieces"), shown.tokens(bytes.len() as u64), tokens * times, 30);
        }
    }
    assert_eq!(Shown::by(b"").tokens(5), 0);
    assert_eq!(of_whole_answer(br#"{"content":[{"input":{"path":"src/main.rs"},"id":"toolu_1"}]}"#), None);
}

#[test]
fn what_is_not_content_is_not_counted() {
    let mut heard = Heard::default();
    heard.hear(br#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#);
    assert_eq!(heard.tokens(), 0);
    heard.hear(br#"{"type":"text","index":"content"}"#);
    heard.hear(br#"{"choices":[{"delta":{"content":null},"text":5}]}"#);
    heard.hear(b"not json \" at all");
    assert_eq!(heard.tokens(), 0);
    assert_eq!(Heard::default().tokens(), 0, "nothing has come");
    let mut heard = Heard::default();
    heard.hear(br#"{"delta":{"text":"a"}}"#);
    assert_eq!(heard.tokens(), 1, "what has begun is never nothing");
}

proptest! {
    #[test]
    fn arbitrary_events_do_no_harm(events in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..80)) {
        let mut heard = Heard::default();
        events.iter().for_each(|event| heard.hear(event));
        let bytes: usize = events.iter().map(Vec::len).sum();
        prop_assert!(heard.tokens() <= bytes as u64 + 1);
    }

    #[test]
    fn no_text_has_more_tokens_than_bytes(text in any::<String>()) {
        prop_assert!(of_text(&text) <= text.len() as u64 + 1);
    }

    #[test]
    fn contents_are_found_as_a_parser_finds_them(text in any::<String>(), cut in 0usize..12) {
        let event = json!({"type":"x","delta":{"a":["\"text\":\"no\""],"text":text}}).to_string();
        let mut found = Vec::new();
        contents(event.as_bytes(), |raw| found.push(unescaped(raw).into_owned()));
        prop_assert_eq!(found, [text.clone()]);
        let end = event.len().saturating_sub(3 + cut).max(10);
        contents(&event.as_bytes()[..end], |raw| assert!(unescaped(raw).chars().count() <= text.chars().count() + 12));
    }
}
