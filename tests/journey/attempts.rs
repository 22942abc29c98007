//! What is written down of a call that several targets were asked for, and by whose credential.

use tollgate::ledger::record::{End, Flags};
use tollgate::money::Pico;
use tollgate::protocol::usage::Usage;

use super::book::{Book, Journaled};
use bytes::Bytes;

use super::scripted::{Act, KEY, RULES, Step, json, post, read, sse};
use super::{DELTA, START, STOP, STREAM, messages};

const PRICE: &str = "[[price]]\ninput = 1\noutput = 10\n[[price]]\nprovider = \"two\"\ninput = 2\noutput = 20\n";

async fn written(acts: Vec<Act>, targets: usize) -> Book {
    let journaled = Journaled::with(&format!("{RULES}{PRICE}"), acts, targets);
    let answer = journaled.gateway.ask(messages()).await;
    read(answer.into_body()).await;
    journaled.read()
}

#[tokio::test]
async fn an_attempt_that_may_be_billed_is_written_down_and_charged_to_nobody() {
    const STARTED: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1000,\"output_tokens\":1}}}\n\n";
    const ERROR: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
    let billed = |cost| Some(Pico::new(cost));
    for (name, act, want) in [
        // The request has 56 bytes.
        ("hung up", Act::HangUp { reused: false }, billed(14_000_000)),
        ("told its prompt, then failed", sse(&[STARTED, ERROR]), billed(1_010_000_000)),
        ("failed at once", sse(&[ERROR]), None),
        ("nothing listens", Act::Refuse, None),
        ("refused", json(429, "{}"), None),
        ("busy", json(529, "{}"), None),
        ("our credential", json(401, "{}"), None),
    ] {
        let Book { attempts, finals, .. } = written(vec![act, sse(&STREAM)], 2).await;
        assert_eq!(attempts.first().map(|attempt| attempt.cost), want, "{name}");
        for attempt in &attempts {
            assert_eq!((&*attempt.provider, &*attempt.credential), ("one", "one"), "{name}");
            assert_eq!((attempt.end, attempt.attempts, attempt.status), (End::Failed, 1, 0), "{name}");
            assert!(attempt.flags.has(Flags::FAILED_ATTEMPT.and(Flags::ESTIMATED)), "{name}");
        }
        assert_eq!(attempts.len(), usize::from(want.is_some()), "{name}");
        let [last] = &*finals else { panic!("{name}: {finals:?}") };
        assert_eq!((&*last.provider, last.attempts, last.end), ("two", 2, End::Complete), "{name}");
        assert_eq!(last.flags, Flags::default(), "{name}");
        assert_eq!(last.cost, Pico::new(5 * 2_000_000 + 7 * 20_000_000), "{name}: at the prices of who answered");
    }
}

#[tokio::test]
async fn a_call_that_nobody_answers_costs_nothing_but_its_attempts_are_known() {
    let acts = vec![Act::HangUp { reused: true }, Act::HangUp { reused: false }, Act::HangUp { reused: false }];
    let Book { attempts, finals, .. } = written(acts, 2).await;
    let who: Vec<_> = attempts.iter().map(|attempt| (&*attempt.provider, attempt.attempts)).collect();
    assert_eq!(who, [("one", 2), ("two", 3)], "a stale connection is no attempt of its own");
    let [last] = &*finals else { panic!("{finals:?}") };
    assert_eq!((last.end, last.cost, last.usage), (End::Failed, Pico::ZERO, Usage::default()));
}

#[tokio::test]
async fn the_model_served_is_the_one_that_the_answer_names() {
    const MESSAGES: &str = r#"{"model":"alias","max_tokens":1,"messages":[]}"#;
    let chat = r#"{"model":"alias","stream":true,"stream_options":{"include_usage":true}}"#;
    let dated = "real-name-2027-01-01";
    let start = START.replacen(r#""usage""#, &format!(r#""model":"{dated}","usage""#), 1);
    let events = |events: &[&str]| {
        let frames = events.iter().map(|event| Step::Data(Bytes::from((*event).to_owned()))).collect();
        Act::Answer { status: 200, kind: "text/event-stream", frames }
    };
    let usage = r#""usage":{"prompt_tokens":1,"completion_tokens":1,"input_tokens":1}"#;
    let whole = |model: &str| {
        let frames = vec![Step::Data(Bytes::from(format!(r#"{{"model":{model},{usage}}}"#)))];
        Act::Answer { status: 200, kind: "application/json", frames }
    };
    let chunk = format!("data: {{\"model\":\"{dated}\",\"choices\":[],{usage}}}\n\n");
    let done = format!(
        "data: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"r\",\"model\":\"{dated}\",{usage}}}}}\n\n"
    );
    let gemini = format!(
        "data: {{\"candidates\":[{{\"finishReason\":\"STOP\"}}],\"usageMetadata\":{{\"promptTokenCount\":1}},\"modelVersion\":\"models/{dated}\"}}\n\n"
    );
    for (path, body, act, want) in [
        ("/v1/messages", MESSAGES, whole(&format!("\"{dated}\"")), dated),
        ("/v1/messages", MESSAGES, events(&[&start, DELTA, STOP]), dated),
        ("/v1/chat/completions", chat, events(&[&chunk, "data: [DONE]\n\n"]), dated),
        ("/v1/responses", r#"{"model":"alias","stream":true}"#, events(&[&done]), dated),
        ("/v1beta/models/alias:streamGenerateContent?alt=sse", "{}", events(&[&gemini]), dated),
        ("/v1/messages", MESSAGES, whole("7"), "real-name"),
        ("/v1/messages", MESSAGES, whole(r#""a\nb""#), "real-name"),
        ("/v1/messages", MESSAGES, whole(&format!("\"{}\"", "x".repeat(65))), "real-name"),
        ("/v1/messages", MESSAGES, whole(r#""""#), "real-name"),
    ] {
        let journaled = Journaled::with(RULES, vec![act], 1);
        read(journaled.gateway.ask(post(path, body)).await.into_body()).await;
        let Book { finals, .. } = journaled.read();
        assert_eq!(finals.first().map(|last| &*last.served), Some(want), "{path}");
    }
}

#[tokio::test]
async fn an_entry_says_what_was_asked_for_and_of_whom() {
    let rules = RULES.replacen("[[provider]]", "[[provider]]\nclient_credential = true", 1);
    for (asked, served) in [("m", "m"), ("alias", "real-name"), ("via/deep", "x-deep-y")] {
        for own in [false, true] {
            let journaled = Journaled::with(&rules, vec![json(200, r#"{"usage":{"input_tokens":1}}"#)], 1);
            let mut request = post("/v1/messages", format!(r#"{{"model":"{asked}","max_tokens":1,"messages":[]}}"#));
            let headers = request.headers_mut();
            headers.insert("x-tollgate-user", "alice".parse().unwrap());
            headers.insert("user-agent", "claude-cli/2.1.330 (external, cli)".parse().unwrap());
            headers.insert("x-claude-code-session-id", "5b-7".parse().unwrap());
            if own {
                headers.insert("x-tollgate-key", KEY.parse().unwrap());
                headers.insert("authorization", "Bearer sk-mine".parse().unwrap());
            }
            assert_eq!(journaled.gateway.ask(request).await.status(), 200);
            let Book { finals, .. } = journaled.read();
            let [entry] = &*finals else { panic!("{finals:?}") };
            assert_eq!((&*entry.asked, &*entry.served), (asked, served));
            assert_eq!((&*entry.session, &*entry.user, &*entry.team), ("5b-7", "alice", "core"));
            let credential = if own { "(client)" } else { "one" };
            assert_eq!((&*entry.provider, &*entry.credential), ("one", credential));
        }
    }
}
