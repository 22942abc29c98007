//! The loop guard: the same session, the same body, answered again and again.

use http::Request;

use super::scripted::{Act, Gateway, RULES, Upload, json, post, read};

const ANSWER: &str = r#"{"usage":{"input_tokens":1,"output_tokens":1}}"#;

fn rules(repeats: u32) -> String {
    RULES.replacen("[[provider]]", &format!("[limits]\nrepeats = {repeats}\n[[provider]]"), 1)
}

fn ask(session: Option<&str>, text: &str) -> Request<Upload> {
    let user = session.map(|session| format!(r#","metadata":{{"user_id":"{{\"session_id\":\"{session}\"}}"}}"#));
    let user = user.unwrap_or_default();
    post(
        "/v1/messages",
        format!(r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":"{text}"}}]{user}}}"#),
    )
}

#[tokio::test]
async fn a_session_that_goes_round_in_circles_is_told_so_once_it_has_been_answered_often() {
    let gateway = Gateway::with(&rules(3), vec![json(200, ANSWER); 40], 1);
    let status = async |session, text| {
        let answer = gateway.ask(ask(session, text)).await;
        let status = answer.status().as_u16();
        (status, String::from_utf8(read(answer.into_body()).await.0).unwrap())
    };
    // The first one is not read, so it does not count.
    for n in 0..4 {
        assert_eq!(status(Some("s"), "again").await.0, 200, "{n}");
    }
    let (code, text) = status(Some("s"), "again").await;
    assert_eq!(code, 400);
    assert!(text.contains("the same request 4 times within a minute"), "{text}");
    assert!(text.contains("dlp_request_denied"), "Claude Code shows it, and does not try again: {text}");
    assert_eq!(gateway.attempts().len(), 4, "nobody upstream has heard of it");
    for (session, text) in [(Some("t"), "again"), (Some("s"), "other"), (Some("s"), "nagai"), (None, "again")] {
        assert_eq!(status(session, text).await.0, 200, "{session:?} {text}");
    }
    for _ in 0..10 {
        assert_eq!(status(None, "again").await.0, 200, "who names no session is not watched");
    }
    assert_eq!(status(Some("s"), "again").await.0, 400);
}

#[tokio::test]
async fn trying_again_is_no_loop_and_the_guard_can_be_switched_off() {
    let busy = Act::Answer { status: 529, kind: "application/json", frames: Vec::new() };
    let gateway = Gateway::with(&rules(3), vec![busy; 20], 1);
    for _ in 0..20 {
        assert_eq!(gateway.ask(ask(Some("s"), "again")).await.status(), 529);
    }
    let gateway = Gateway::with(&rules(0), vec![json(200, ANSWER); 50], 1);
    for _ in 0..50 {
        assert_eq!(gateway.ask(ask(Some("s"), "again")).await.status(), 200);
    }
}
