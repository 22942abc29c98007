//! Tests of the tap: whole streams of each dialect, and that chunk borders do not matter.

mod told;

use proptest::prelude::*;

use super::*;

fn usage(input: u64, cache_read: u64, output: u64, reasoning: u64) -> Option<Usage> {
    Some(Usage { input, cache_read, output, reasoning, ..Usage::default() })
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Total {
    events: u32,
    content: bool,
    terminal: bool,
    failed: bool,
    usage: Option<Usage>,
}

fn run(mut tap: Tap, frames: &[&[u8]]) -> Total {
    let mut events = 0;
    for frame in frames {
        events += tap.feed(frame).events;
    }
    tap.finish();
    let Progress { content, terminal, failed, .. } = tap.progress;
    assert_eq!(terminal, tap.terminal());
    Total { events, content, terminal, failed, usage: tap.usage() }
}

/// The first event (from 1) after which the tap says content, and the one after which it says terminal; 0 for never.
#[track_caller]
fn stream(dialect: Dialect, events: &[&str]) -> (usize, usize, Total) {
    let mut tap = Tap::stream(dialect);
    let (mut content, mut terminal) = (0, 0);
    for (n, event) in events.iter().enumerate() {
        let seen = tap.feed(event.as_bytes());
        content = if seen.content && content == 0 { n + 1 } else { content };
        terminal = if seen.terminal && terminal == 0 { n + 1 } else { terminal };
    }
    let whole = events.concat();
    let total = run(Tap::stream(dialect), &[whole.as_bytes()]);
    for step in 1..40 {
        let frames: Vec<&[u8]> = whole.as_bytes().chunks(step).collect();
        let split = run(Tap::stream(dialect), &frames);
        assert_eq!(split, Total { events: split.events, ..total.clone() }, "in steps of {step}");
    }
    // The same without `event:` lines.
    if !matches!(dialect, Dialect::Chat | Dialect::Gemini) {
        let bare: String =
            whole.lines().filter(|line| !line.starts_with("event:")).map(|line| format!("{line}\n")).collect();
        assert_eq!(run(Tap::stream(dialect), &[bare.as_bytes()]), total, "without event lines");
    }
    (content, terminal, total)
}

const ANTHROPIC: [&str; 8] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[],\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":300,\"output_tokens\":1}}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"event: error\\n\\n\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n",
    "event: message_delta\ndata: {\"type\": \"message_delta\", \"usage\": {\"output_tokens\": 9}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

#[test]
fn anthropic_stream() {
    let (content, terminal, total) = stream(Dialect::Anthropic, &ANTHROPIC);
    assert_eq!((content, terminal), (3, 8));
    assert_eq!(total, Total { events: 8, content: true, terminal: true, failed: false, usage: usage(10, 300, 9, 0) });
}

#[test]
fn anthropic_cut_and_failed() {
    let (content, terminal, total) = stream(Dialect::Anthropic, &ANTHROPIC[..2]);
    assert_eq!((content, terminal, total.usage), (0, 0, usage(10, 300, 1, 0)), "the provider has begun to bill");
    let error =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    let (content, terminal, total) = stream(Dialect::Anthropic, &[ANTHROPIC[0], error]);
    assert_eq!((content, terminal, total.failed), (0, 2, true));
    let last = "data: {\"index\":0,\"delta\":{\"type\":\"text_delta\"},\"type\":\"content_block_delta\"}\n\n";
    assert_eq!(stream(Dialect::Anthropic, &[last]).0, 1, "type comes last, and no event line");
    let strange = "event: message\ndata: {\"type\":\"message_stop\"}\n\n";
    assert_eq!(stream(Dialect::Anthropic, &[strange]).1, 1, "an event line that says nothing");
}

const ROLE: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null,\"tool_calls\":[]},\"finish_reason\":null}],\"usage\":null}\n\n";

#[test]
fn chat_stream() {
    let events = [
        ": OPENROUTER PROCESSING\n\n",
        ROLE,
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Say \\\"usage\\\":{\\\"prompt_tokens\\\":9}\"},\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\": null}\n\n",
        "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":64}}}\n\n",
        "data: [DONE]\n\n",
    ];
    let (content, terminal, total) = stream(Dialect::Chat, &events);
    assert_eq!((content, terminal), (3, 6));
    assert_eq!(total, Total { events: 5, content: true, terminal: true, failed: false, usage: usage(36, 64, 5, 0) });
    let (_, terminal, total) = stream(Dialect::Chat, &events[..4]);
    assert_eq!((terminal, total.usage), (0, None), "a cut stream told no usage");
}

#[test]
fn chat_chunks_that_are_alike() {
    let chunk = |delta: &str, behind: &str| {
        format!(
            "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]{behind}}}\n\n"
        )
    };
    let text = chunk("{\"content\":\"a\"}", "");
    let told = chunk("{\"content\":\"a\"}", ",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}");
    let failed = chunk("{\"content\":\"a\"}", ",\"error\":{\"code\":502}");
    let call = chunk("{\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]}", "");
    let (content, _, total) = stream(Dialect::Chat, &[ROLE, &text, &text, &call, &told, &text, &call]);
    assert_eq!((content, total.events, total.usage), (2, 7, usage(3, 0, 1, 0)));
    assert!(!total.failed);
    assert!(stream(Dialect::Chat, &[&text, &text, &text, &failed, &text]).2.failed);
}

#[test]
fn chat_content() {
    let delta =
        |delta: &str| stream(Dialect::Chat, &[ROLE, &format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n")]).0;
    for filled in [
        r#"{"content":"a"}"#,
        r#"{"content":[{"type":"thinking"}]}"#,
        r#"{"reasoning":"a"}"#,
        r#"{"reasoning_content":"a"}"#,
        r#"{"reasoning_details":[{}]}"#,
        r#"{"refusal":"a"}"#,
        r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}"#,
        r#"{"function_call":{"name":"f"}}"#,
        r#"{"audio":{"id":"a"}}"#,
    ] {
        assert_eq!(delta(filled), 2, "{filled}");
    }
    for empty in
        [r#"{"role":"assistant"}"#, r#"{"content":null}"#, r#"{"content":""}"#, r#"{"tool_calls":[]}"#, "{}", "null"]
    {
        assert_eq!(delta(empty), 0, "{empty}");
    }
    let second = "data: {\"choices\":[{\"delta\":{}},{\"delta\":{\"content\":\"a\"}}]}\n\n";
    assert_eq!(stream(Dialect::Chat, &[second]).0, 1, "any choice");
    assert_eq!(stream(Dialect::Chat, &["data: {\"choices\":[]}\n\n", "data: {\"prompt_filter_results\":[]}\n\n"]).0, 0);
}

#[test]
fn chat_failures_and_extensions() {
    let failed = |event: &str| stream(Dialect::Chat, &[ROLE, event]).2.failed;
    assert!(failed("data: {\"error\":{\"message\":\"x\"}}\n\n"));
    assert!(failed(
        "data: {\"id\":\"c\",\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}],\"error\":{\"code\":502}}\n\n"
    ));
    assert!(failed("event: error\ndata: x\n\n"));
    assert!(!failed("data: {\"error\":null,\"choices\":[]}\n\n"));
    assert!(!failed("data: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\":{}\"}}]}\n\n"));
    assert!(!failed("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"error\":{}}]}}]}\n\n"));

    let groq =
        "data: {\"x_groq\":{\"id\":\"r\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}},\"choices\":[]}\n\n";
    assert_eq!(stream(Dialect::Chat, &[groq]).2.usage, usage(3, 0, 4, 0));
    let both = "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2},\"x_groq\":{\"usage\":{\"prompt_tokens\":3}}}\n\n";
    assert_eq!(stream(Dialect::Chat, &[both]).2.usage, usage(1, 0, 2, 0));
    let deep = "data: {\"choices\":[{\"delta\":{\"usage\":{\"prompt_tokens\":3}}}],\"usage\":null}\n\n";
    assert_eq!(stream(Dialect::Chat, &[deep]).2.usage, None);
}

#[test]
fn responses_stream() {
    let events = [
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"usage\":null}}\n\n",
        "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"response\":{}}\n\n",
        "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"item\":{\"type\":\"message\"}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n",
        "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"item\":{}}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"error\":null,\"output\":[{\"usage\":{\"input_tokens\":1}}],\"usage\":{\"input_tokens\":1000,\"input_tokens_details\":{\"cached_tokens\":300},\"output_tokens\":40,\"output_tokens_details\":{\"reasoning_tokens\":30}}}}\n\n",
    ];
    let (content, terminal, total) = stream(Dialect::Responses, &events);
    assert_eq!((content, terminal), (3, 6));
    assert_eq!(
        total,
        Total { events: 6, content: true, terminal: true, failed: false, usage: usage(700, 300, 40, 30) }
    );
    for (end, failed) in [("response.incomplete", false), ("response.failed", true)] {
        let last = events[5].replace("response.completed", end);
        let (_, terminal, total) = stream(Dialect::Responses, &[events[0], &last]);
        assert_eq!((terminal, total.failed, total.usage), (2, failed, usage(700, 300, 40, 30)), "{end}");
    }
    let error = "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"x\"}\n\n";
    let (content, terminal, total) = stream(Dialect::Responses, &[events[0], error]);
    assert_eq!((content, terminal, total.failed, total.usage), (0, 2, true, None));
    for delta in
        ["response.reasoning_summary_text.delta", "response.function_call_arguments.delta", "response.refusal.delta"]
    {
        assert_eq!(stream(Dialect::Responses, &[&format!("event: {delta}\ndata: {{\"type\":\"{delta}\"}}\n\n")]).0, 1);
    }
}

fn gemini_chunk(parts: &str, prompt: u64, candidates: u64) -> String {
    format!(
        "data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":{parts}}}}}],\"usageMetadata\":{{\"promptTokenCount\":{prompt},\"candidatesTokenCount\":{candidates},\"totalTokenCount\":9}},\"modelVersion\":\"g\"}}\n\n"
    )
}

#[test]
fn gemini_stream() {
    let first = "data: {\"candidates\":[{\"content\":{\"parts\":[]}}],\"usageMetadata\":{\"promptTokenCount\":5}}\n\n";
    let text = gemini_chunk("[{\"text\":\"say \\\"usageMetadata\\\":{}\"}]", 5, 6);
    let (content, terminal, total) = stream(Dialect::Gemini, &[first, &text, &gemini_chunk("[{\"text\":\"\"}]", 5, 8)]);
    assert_eq!((content, terminal), (2, 0));
    assert_eq!(total, Total { events: 3, content: true, terminal: false, failed: false, usage: usage(5, 0, 8, 0) });
    let late = "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n";
    assert_eq!(stream(Dialect::Gemini, &[&text, late]).2.usage, usage(5, 0, 6, 0), "the last chunk that has it");
    let spaced = "data: {\"candidates\": [{\"content\": {\"parts\": [ {\"text\": \"a\"}]}}], \"usageMetadata\" : {\"promptTokenCount\": 1}}\n\n";
    let (content, _, total) = stream(Dialect::Gemini, &[spaced]);
    assert_eq!((content, total.usage), (1, usage(1, 0, 0, 0)));
}

#[test]
fn how_streams_end() {
    let ended = |dialect, events: &[&str]| {
        let mut tap = Tap::stream(dialect);
        for event in events {
            tap.feed(event.as_bytes());
        }
        tap.finish();
        tap.ended_well()
    };
    let text = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
    let stop = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let told = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
    assert!(!ended(Dialect::Chat, &[]), "nothing came");
    assert!(!ended(Dialect::Chat, &[text, text, text, text]), "cut");
    assert!(ended(Dialect::Chat, &[text, text, text, stop]));
    assert!(ended(Dialect::Chat, &[text, text, text, stop, told]));
    assert!(ended(Dialect::Chat, &[text, "data: [DONE]\n\n"]));
    assert!(ended(Dialect::Chat, &[text, text, "data: {\"error\":{}}\n\n"]));

    let chunk = gemini_chunk("[{\"text\":\"a\"}]", 5, 1);
    let stop = chunk.replace("\"}]}}]", "\"}]},\"finishReason\":\"STOP\"}]");
    let large = stop.replace("\"a\"", &format!("\"{}\"", "a".repeat(10_000)));
    let blocked =
        "data: {\"promptFeedback\":{\"blockReason\":\"OTHER\"},\"usageMetadata\":{\"promptTokenCount\":1}}\n\n";
    assert!(!ended(Dialect::Gemini, &[]));
    assert!(!ended(Dialect::Gemini, &[&chunk, &chunk, &chunk, &chunk]));
    assert!(ended(Dialect::Gemini, &[&chunk, &chunk, &chunk, &stop]));
    assert!(ended(Dialect::Gemini, &[&chunk, &stop, &chunk]), "usage behind the reason");
    assert!(ended(Dialect::Gemini, &[&chunk, &large]), "a chunk too large to keep");
    assert!(ended(Dialect::Gemini, &[&chunk, &large, &chunk]));
    let image = "A".repeat(10_000);
    let first = format!(
        "data: {{\"usageMetadata\":{{\"promptTokenCount\":5}},\"candidates\":[{{\"finishReason\":\"STOP\",\"content\":{{\"parts\":[{{\"inlineData\":{{\"data\":\"{image}\"}}}}]}}}}]}}\n\n"
    );
    assert!(ended(Dialect::Gemini, &[&chunk, &first]), "the same, with its usage in front");
    assert!(ended(Dialect::Gemini, &[&chunk, "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n"]), "no usage");
    assert!(ended(Dialect::Gemini, &[blocked]));

    assert!(!ended(Dialect::Anthropic, &ANTHROPIC[..7]));
    assert!(ended(Dialect::Anthropic, &ANTHROPIC));
}

#[test]
fn gemini_usage_in_arguments_is_none() {
    let call = "[{\"functionCall\":{\"name\":\"f\",\"args\":{\"usageMetadata\":{\"promptTokenCount\":77},\"x\":\"usageMetadata\"}}}]";
    assert_eq!(stream(Dialect::Gemini, &[&gemini_chunk(call, 5, 6)]).2.usage, usage(5, 0, 6, 0));
    let alone = format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":{call}}}}}],\"modelVersion\":\"g\"}}\n\n");
    let text = gemini_chunk("[{\"text\":\"a\"}]", 5, 4);
    assert_eq!(stream(Dialect::Gemini, &[&text, &alone]).2.usage, usage(5, 0, 4, 0), "the chunk before counts");
    assert_eq!(
        stream(Dialect::Gemini, &[&text, &alone, &alone, &alone]).2.usage,
        usage(5, 0, 4, 0),
        "however many come"
    );
    assert_eq!(stream(Dialect::Gemini, &[&alone]).2.usage, None);
}

#[test]
fn gemini_large_chunk() {
    let image = "A".repeat(10_000);
    let event = format!(
        "data: {{\"usageMetadata\":{{\"promptTokenCount\":5,\"candidatesTokenCount\":2}},\"candidates\":[{{\"content\":{{\"parts\":[{{\"inlineData\":{{\"data\":\"{image}\"}}}}]}}}}]}}\n\n"
    );
    let text = gemini_chunk("[{\"text\":\"a\"}]", 5, 1);
    assert_eq!(stream(Dialect::Gemini, &[&text, &event]).2.usage, usage(5, 0, 2, 0));
    assert_eq!(stream(Dialect::Gemini, &[&event, &gemini_chunk("[]", 5, 3)]).2.usage, usage(5, 0, 3, 0));
}

#[test]
fn gemini_failures() {
    let text = gemini_chunk("[{\"text\":\"a\"}]", 5, 1);
    for error in [
        "data: {\"error\":{\"code\":503}}\n\n",
        "{\n  \"error\": {\n    \"code\": 503\n  }\n}\n",
        "{\"error\":{\"code\":503}}",
    ] {
        let (_, _, total) = stream(Dialect::Gemini, &[&text, error]);
        assert!(total.failed, "{error}");
        assert_eq!(total.usage, usage(5, 0, 1, 0));
    }
    assert!(!stream(Dialect::Gemini, &[&text, "data: {\"candidates\":[]}\n\n"]).2.failed);
}

#[track_caller]
fn json(dialect: Dialect, body: &str) -> Total {
    let total = run(Tap::json(dialect), &[body.as_bytes()]);
    for step in [1, 2, 3, 7, 64] {
        assert_eq!(
            run(Tap::json(dialect), &body.as_bytes().chunks(step).collect::<Vec<_>>()),
            total,
            "in steps of {step}"
        );
    }
    assert_eq!((total.events, total.content), (0, !body.is_empty()));
    total
}

#[test]
fn json_answers() {
    let whole = |usage| Total { events: 0, content: true, terminal: true, failed: false, usage };
    let body = r#"{"id":"m","content":[{"type":"tool_use","input":{"usage":{"input_tokens":9}}}],"usage":{"input_tokens":1,"cache_read_input_tokens":2,"output_tokens":3}}"#;
    assert_eq!(json(Dialect::Anthropic, body), whole(usage(1, 2, 3, 0)));
    let body =
        r#"{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":2},"error":null}"#;
    assert_eq!(json(Dialect::Chat, body), whole(usage(1, 0, 2, 0)));
    let body = r#"{"id":"r","error":null,"output":[{"usage":1}],"usage":{"input_tokens":1,"output_tokens":2}}"#;
    assert_eq!(json(Dialect::Responses, body), whole(usage(1, 0, 2, 0)));
    let body = r#"{"candidates":[],"usageMetadata":{"promptTokenCount":4}}"#;
    assert_eq!(json(Dialect::Gemini, body), whole(usage(4, 0, 0, 0)));
    let body = r#"[{"candidates":[],"usageMetadata":{"promptTokenCount":4}}
,{"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":5}},{"candidates":[{"usageMetadata":{"promptTokenCount":1}}]}]"#;
    assert_eq!(json(Dialect::Gemini, body), whole(usage(4, 0, 5, 0)));
    assert_eq!(json(Dialect::Anthropic, r#"{"input_tokens":14}"#), whole(None));
    assert_eq!(json(Dialect::Gemini, r#"{"totalTokens":31}"#), whole(None));
}

#[test]
fn json_failures() {
    let failed = |dialect, body| (json(dialect, body).failed, json(dialect, body).terminal);
    assert_eq!(
        failed(Dialect::Anthropic, r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#),
        (true, true)
    );
    assert_eq!(failed(Dialect::Gemini, r#"[{"error":{"code":429}}]"#), (true, true));
    assert_eq!(failed(Dialect::Chat, r#"{"error":"text"}"#), (true, true));
    assert_eq!(failed(Dialect::Chat, "<html>bad gateway</html>"), (false, false));
    assert_eq!(failed(Dialect::Chat, ""), (false, false));
    let cut = json(Dialect::Chat, r#"{"usage":{"prompt_tokens":1,"completion_tokens":2},"choices":[{"#);
    assert_eq!((cut.terminal, cut.usage), (false, usage(1, 0, 2, 0)));
    let large = format!(r#"{{"usage":{{"prompt_tokens":1,"x":"{}"}}}}"#, "x".repeat(70_000));
    assert_eq!(run(Tap::json(Dialect::Chat), &[large.as_bytes()]).usage, None);
}

#[test]
fn blind() {
    let mut tap = Tap::blind();
    assert_eq!(tap.feed(b""), Seen::default());
    assert_eq!(tap.feed(b"\x1f\x8b"), Seen { content: true, ..Seen::default() });
    tap.finish();
    assert_eq!((tap.usage(), tap.at_boundary(), tap.terminal()), (None, false, false));
}

#[test]
fn boundaries() {
    let mut tap = Tap::stream(Dialect::Anthropic);
    assert!(tap.at_boundary());
    tap.feed(b"event: ping\n");
    assert!(!tap.at_boundary());
    tap.feed(b"data: {}\n\n");
    assert!(tap.at_boundary());
    assert!(!Tap::json(Dialect::Gemini).at_boundary());
}

fn garbled() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(ANTHROPIC.to_vec()).prop_map(str::to_owned),
        1 => Just(ROLE.to_owned()),
        1 => Just(gemini_chunk("[{\"text\":\"a\"}]", 1, 2)),
        1 => Just("event: response.completed\ndata: {\"response\":{\"usage\":{\"input_tokens\":3}}}\r\n\r\n".to_owned()),
        1 => Just("data: [DONE]\n\n".to_owned()),
        1 => Just("data: {\"usage\":{\"prompt_tokens\":3}}\n\n".to_owned()),
        1 => Just("{\"usage\":{},\"usageMetadata\":{".to_owned()),
        1 => "[a-z{}\":,\r\n]{0,12}",
    ];
    let fault = (any::<prop::sample::Index>(), any::<u8>());
    (proptest::collection::vec(piece, 0..8), proptest::collection::vec(fault, 0..3)).prop_map(|(pieces, faults)| {
        let mut bytes = pieces.concat().into_bytes();
        for (at, byte) in faults {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn chunk_borders_do_not_matter(bytes in garbled(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let frames: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        for dialect in Dialect::ALL {
            for tap in [Tap::stream, Tap::json] {
                let whole = run(tap(dialect), &[&bytes]);
                prop_assert_eq!(&run(tap(dialect), &frames), &whole, "{:?}", dialect);
                prop_assert_eq!(&run(tap(dialect), &bytes.chunks(1).collect::<Vec<_>>()), &whole, "{:?}", dialect);
            }
        }
    }
}

fn finding_id(mut tap: Tap) -> Tap {
    tap.find_id();
    tap
}

#[test]
fn the_id_of_a_response_is_found_once_and_only_where_it_is_wanted() {
    const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"metadata\":{\"id\":\"no\"},\"id\":\"resp_1\",\"object\":\"response\",\"tools\":[{\"id\":\"no\"}]}}\n\n";
    const UNNAMED: &str = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n";
    const ITEM: &str = "event: response.output_item.added\ndata: {\"item\":{\"id\":\"msg_1\"},\"id\":\"no\"}\n\n";
    const DONE: &str = "event: response.completed\ndata: {\"response\":{\"id\":\"resp_1\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}\n\n";
    for (name, events, after) in [
        ("as it begins", vec![CREATED, ITEM, DONE], 0),
        ("without an event line", vec![UNNAMED, ITEM, DONE], 0),
        ("only at the end", vec![ITEM, DONE], 1),
        ("a failure", vec!["data: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\"}}\n\n"], 0),
    ] {
        let mut tap = finding_id(Tap::stream(Dialect::Responses));
        let mut deaf = Tap::stream(Dialect::Responses);
        for (n, event) in events.iter().enumerate() {
            assert_eq!(tap.feed(event.as_bytes()), deaf.feed(event.as_bytes()), "{name}");
            assert_eq!(tap.made(), (n == after).then(|| (Object::Response, "resp_1".into())), "{name} {n}");
            assert_eq!(deaf.made(), None, "{name}");
        }
        assert_eq!(tap.usage(), deaf.usage(), "{name}");
    }
}

#[test]
fn the_id_of_a_json_answer_is_found_at_any_chunk_border() {
    let body = br#"{"output":[{"id":"msg_1"}],"metadata":{"id":"no"},"id" : "resp_1","usage":{"input_tokens":3,"output_tokens":4},"id":"no"}"#;
    for cut in 0..body.len() {
        let mut tap = finding_id(Tap::json(Dialect::Responses));
        let mut found = Vec::new();
        for part in [&body[..cut], &body[cut..]] {
            tap.feed(part);
            found.extend(tap.made());
        }
        let ids: Vec<&str> = found.iter().map(|(_, id)| &**id).collect();
        assert_eq!(ids, ["resp_1"], "{cut}");
        assert_eq!(tap.usage().map(|usage| (usage.input, usage.output)), Some((3, 4)), "{cut}");
    }
    for body in [&br#"{"id":7}"#[..], br#"{"id":null}"#, b"{}", b"nonsense", br#"{"id":{"id":"no"}}"#] {
        let mut tap = finding_id(Tap::json(Dialect::Responses));
        tap.feed(body);
        assert_eq!(tap.made(), None);
    }
}

/// Everything that is made, at any chunk border.
#[track_caller]
fn makes(tap: impl Fn() -> Tap, answer: &str, want: &[(Object, &str)]) {
    for at in 0..=answer.len() {
        let mut tap = tap();
        tap.find_things();
        let mut found = Vec::new();
        for part in [&answer[..at], &answer[at..]] {
            tap.feed(part.as_bytes());
            found.extend(std::iter::from_fn(|| tap.made()));
        }
        let found: Vec<_> = found.iter().map(|(object, id)| (*object, &**id)).collect();
        assert_eq!(found, want, "{answer} cut at {at}");
    }
}

#[test]
fn items_and_containers_are_found_where_the_provider_puts_them_and_nowhere_else() {
    use Object::{Container, Item, Response};
    let json = |dialect| move || Tap::json(dialect);
    let stored = || finding_id(Tap::json(Dialect::Responses));
    makes(
        stored,
        r#"{"id":"resp_1","tools":[{"id":"no","container_id":"no"}],"output":[{"type":"message","id":"msg_1","content":[{"id":"no"}]},{"id" : "ci_1","container_id":"cntr_1","outputs":[{"container_id":"no"}]},[{"id":"no"}]],"metadata":{"id":"no"},"x":[{"id":"no"}]}"#,
        &[(Response, "resp_1"), (Item, "msg_1"), (Item, "ci_1"), (Container, "cntr_1")],
    );
    makes(json(Dialect::Responses), r#"{"id":"resp_1","output":[{"id":"msg_1"}]}"#, &[(Item, "msg_1")]);
    makes(json(Dialect::Responses), r#"{"output":"id","a":[{"id":"no"}]}"#, &[]);
    makes(json(Dialect::Chat), r#"{"id":"c","output":[{"id":"x"}]}"#, &[(Item, "x")]);
    makes(
        json(Dialect::Anthropic),
        r#"{"id":"msg_1","content":[{"container":{"id":"no"}}],"container":{"expires_at":"x","id":"container_1"}}"#,
        &[(Container, "container_1")],
    );
    makes(json(Dialect::Anthropic), r#"{"id":"msg_1","container":null}"#, &[]);
    let stream = |dialect| move || Tap::stream(dialect);
    makes(
        stream(Dialect::Responses),
        "event: response.output_item.added\ndata: {\"item\":{\"id\":\"msg_1\"}}\n\nevent: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"item\":{\"type\":\"x\",\"id\":\"msg_1\",\"content\":[{\"id\":\"no\"}],\"container_id\":\"c\"},\"id\":\"no\"}\n\n",
        &[(Item, "msg_1"), (Container, "c")],
    );
    makes(
        stream(Dialect::Anthropic),
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1}}}\n\nevent: content_block_delta\ndata: {\"delta\":{\"container\":{\"id\":\"no\"}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"container\":{\"id\":\"c\"}}}\n\n",
        &[(Container, "c")],
    );
}
