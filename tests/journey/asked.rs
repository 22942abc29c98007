//! Chat streams that do not ask for their usage: the provider is asked, and the client sees nothing of it.

use bytes::Bytes;

use super::scripted::{Act, Gateway, RULES, Step, post, read};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\"},\"finish_reason\":null}],\"usage\":null}\n\n";
const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":71,\"completion_tokens\":5}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn stream(frames: &[&[u8]]) -> Act {
    let frames = frames.iter().map(|frame| Step::Data(Bytes::copy_from_slice(frame))).collect();
    Act::Answer { status: 200, kind: "text/event-stream", frames }
}

/// What the provider was sent, and what the client saw.
async fn asked(rules: &str, body: &str, frames: &[&[u8]]) -> (String, String) {
    let gateway = Gateway::with(rules, vec![stream(frames)], 1);
    let (seen, whole) = read(gateway.ask(post(CHAT, body.to_owned())).await.into_body()).await;
    assert!(whole);
    let page = gateway.core.metrics.render();
    assert!(page.lines().any(|line| line.contains("kind=\"input\"") && line.ends_with(" 71")), "counted\n{page}");
    let sent = gateway.stage.seen.lock().unwrap().remove(0).body;
    (String::from_utf8(sent).unwrap(), String::from_utf8(seen).unwrap())
}

#[tokio::test]
async fn the_provider_is_asked_and_the_client_sees_no_answer() {
    let all = [TEXT, END, USAGE, DONE].concat();
    let without = [TEXT, END, DONE].concat();
    for (body, want) in [
        (
            r#"{"model":"m","stream":true,"messages":[]}"#,
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#,
        ),
        (
            r#"{ "stream" : true , "model" : "alias" }"#,
            r#"{ "stream" : true,"stream_options":{"include_usage":true} , "model" : "real-name" }"#,
        ),
        (
            r#"{"model":"alias","stream_options": null,"stream":true}"#,
            r#"{"model":"real-name","stream_options": {"include_usage":true},"stream":true}"#,
        ),
        (
            r#"{"model":"m","stream_options":{ },"stream":true}"#,
            r#"{"model":"m","stream_options":{"include_usage":true },"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"include_obfuscation":false},"model":"alias","stream":true}"#,
            r#"{"stream_options":{"include_usage":true,"include_obfuscation":false},"model":"real-name","stream":true}"#,
        ),
        (
            r#"{"model":"m","stream_options":{"a":[{}], "include_usage" : false},"stream":true}"#,
            r#"{"model":"m","stream_options":{"a":[{}], "include_usage" : true},"stream":true}"#,
        ),
    ] {
        let (sent, seen) = asked(RULES, body, &[all.as_bytes()]).await;
        assert_eq!((&*sent, &*seen), (want, &*without), "{body}");
    }
}

#[tokio::test]
async fn whoever_asks_himself_sees_all_and_a_provider_may_be_spared() {
    let all = [TEXT, END, USAGE, DONE].concat();
    let own = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(asked(RULES, own, &[all.as_bytes()]).await, (own.to_owned(), all.clone()));
    let spared = RULES.replacen("[[provider]]", "[[provider]]\nusage_request = false", 1);
    let plain = r#"{"model":"m","stream":true}"#;
    assert_eq!(asked(&spared, plain, &[all.as_bytes()]).await, (plain.to_owned(), all));
}

#[tokio::test]
async fn only_that_chunk_is_missing_wherever_the_frames_end() {
    let body = r#"{"model":"m","stream":true}"#;
    for events in [vec![TEXT, TEXT, END, USAGE, DONE], vec![TEXT, END, USAGE], vec![TEXT, USAGE, END, DONE]] {
        let all = events.concat();
        let want: String = events.iter().filter(|event| **event != USAGE).copied().collect();
        for at in 1..all.len() {
            let (before, after) = all.as_bytes().split_at(at);
            assert_eq!(asked(RULES, body, &[before, after]).await.1, want, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = all.as_bytes().chunks(1).collect();
        assert_eq!(asked(RULES, body, &bytes).await.1, want, "byte by byte");
        let bare = all.trim_end().as_bytes();
        let want = if events.last() == Some(&USAGE) { &want } else { want.trim_end() };
        assert_eq!(asked(RULES, body, &[bare]).await.1, want, "without the last empty line");
    }
}

#[tokio::test]
async fn what_is_no_stream_is_not_touched() {
    let gateway = Gateway::new(vec![super::scripted::json(200, r#"{"choices":[],"usage":{"prompt_tokens":3}}"#)]);
    let body = r#"{"model":"m","stream":false}"#;
    let (seen, _) = read(gateway.ask(post(CHAT, body)).await.into_body()).await;
    assert_eq!(seen, br#"{"choices":[],"usage":{"prompt_tokens":3}}"#);
    assert_eq!(gateway.stage.seen.lock().unwrap()[0].body, body.as_bytes());
}

#[tokio::test]
async fn what_passed_of_a_cut_stream_is_paid_for() {
    use tollgate::call::Outcome;
    let long = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}},\"finish_reason\":null}}]}}\n\n",
        "ten ".repeat(50)
    );
    let cut = Act::Answer {
        status: 200,
        kind: "text/event-stream",
        frames: vec![Step::Data(Bytes::from(long.clone())), Step::Data(Bytes::from(long)), Step::Break],
    };
    let gateway = Gateway::with(RULES, vec![cut], 1);
    let body =
        format!(r#"{{"model":"m","stream":true,"messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(931));
    let (_, whole) = read(gateway.ask(post(CHAT, body)).await.into_body()).await;
    assert!(!whole);
    let page = gateway.core.metrics.render();
    let tokens = |kind: &str| -> u64 {
        let line = page.lines().find(|line| line.starts_with("tollgate_tokens_total") && line.contains(kind)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!((95..=105).contains(&tokens("kind=\"output\"")), "{page}");
    assert_eq!(tokens("kind=\"input\""), 250);
    assert!(page.contains(&format!("outcome=\"{}\"}} 1", Outcome::UpstreamCut.label())), "{page}");
}
