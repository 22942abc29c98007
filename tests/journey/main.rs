//! The journey without sockets: what is tried, what is settled, what is given up when.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod asked;
mod attempts;
mod book;
mod coded;
mod cut;
mod held;
mod keys;
mod loops;
mod named;
mod overhead;
mod priced;
mod record;
mod scripted;
mod spending;
mod standing;
mod stored;
mod surface;
mod unmetered;
mod warned;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use scripted::{Act, Gateway, KEY, Step, Then, Upload, json, post, read, sse};

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n";
const BLOCK: &str = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const TEXT: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const DELTA: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const STREAM: [&str; 5] = [START, BLOCK, TEXT, DELTA, STOP];
const ASK: &str = r#"{"model":"m","max_tokens":9,"stream":true,"messages":[]}"#;

fn messages() -> Request<Upload> {
    post("/v1/messages", ASK)
}

#[tokio::test]
async fn first_target_dies_second_dies_third_wins() {
    let acts = vec![Act::Refuse, Act::HangUp { reused: false }, sse(&STREAM)];
    let gateway = Gateway::with(scripted::RULES, acts, 3);
    let answer = gateway.ask(messages()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(gateway.receipts(), (1, 0, 0), "one receipt, open until the answer has ended");
    let (body, whole) = read(answer.into_body()).await;
    assert_eq!((body, whole), (STREAM.concat().into_bytes(), true));
    assert_eq!(gateway.attempts(), ["one", "two", "three"]);
    assert_eq!(gateway.receipts(), (0, 1, 0), "settled once");
}

#[tokio::test]
async fn an_overloaded_target_is_left_for_the_next_but_the_last_word_is_the_providers() {
    let busy = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    let gateway = Gateway::with(scripted::RULES, vec![json(529, busy), json(503, busy)], 2);
    let answer = gateway.ask(messages()).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(read(answer.into_body()).await, (busy.as_bytes().to_vec(), true));
    assert_eq!(gateway.attempts(), ["one", "two"]);
}

#[tokio::test]
async fn a_stream_that_begins_with_an_error_is_left_for_the_next() {
    const ERROR: &str =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    let gateway = Gateway::with(scripted::RULES, vec![sse(&[START, ERROR]), sse(&STREAM)], 2);
    let (body, whole) = read(gateway.ask(messages()).await.into_body()).await;
    assert_eq!((body, whole), (STREAM.concat().into_bytes(), true), "nothing of the first start-up leaks");
    assert_eq!(gateway.attempts(), ["one", "two"]);
}

#[tokio::test]
async fn after_content_no_other_target_is_tried() {
    let broken = Act::Answer {
        status: 200,
        kind: "text/event-stream",
        frames: [START, BLOCK, TEXT]
            .iter()
            .map(|e| Step::Data(Bytes::from_static(e.as_bytes())))
            .chain([Step::Break])
            .collect(),
    };
    let gateway = Gateway::with(scripted::RULES, vec![broken], 2);
    let (body, whole) = read(gateway.ask(messages()).await.into_body()).await;
    assert_eq!((body, whole), ([START, BLOCK, TEXT].concat().into_bytes(), false), "an abort, not a clean end");
    assert_eq!(gateway.attempts(), ["one"]);
    assert_eq!(gateway.receipts(), (0, 1, 0));
}

#[tokio::test]
async fn a_short_answer_that_breaks_before_its_first_byte_is_nobodys_answer() {
    let answer = |frames: &[Step]| Act::Answer { status: 200, kind: "application/json", frames: frames.to_vec() };
    let (piece, length) = (Step::Data(Bytes::from_static(b"{\"a\"")), Step::Length(7));
    let broken = || answer(&[length.clone(), Step::Break]);
    let gateway = Gateway::with(scripted::RULES, vec![broken(), json(200, r#"{"usage":{}}"#)], 2);
    let (body, whole) = read(gateway.ask(messages()).await.into_body()).await;
    assert_eq!((&*body, whole), (&br#"{"usage":{}}"#[..], true));
    assert_eq!(gateway.attempts(), ["one", "two"]);

    let gateway = Gateway::new(vec![broken()]);
    assert_eq!(gateway.ask(messages()).await.status(), 503, "and not an end without a word");

    // What has begun, or has no known end, passes as it is.
    for frames in [vec![length.clone(), piece.clone(), Step::Break], vec![Step::Break]] {
        let gateway = Gateway::with(scripted::RULES, vec![answer(&frames)], 2);
        let passed = gateway.ask(messages()).await;
        assert_eq!(passed.status(), 200);
        assert!(!read(passed.into_body()).await.1);
        assert_eq!(gateway.attempts(), ["one"]);
    }
}

/// A body that is late does not keep its head back for long.
#[tokio::test(start_paused = true)]
async fn a_first_piece_is_not_waited_for_for_ever() {
    let late = Step::Wait(Duration::from_secs(20));
    let frames = vec![Step::Length(2), late, Step::Data(Bytes::from_static(b"{}"))];
    let gateway = Gateway::new(vec![Act::Answer { status: 200, kind: "application/json", frames }]);
    let began = tokio::time::Instant::now();
    let answer = gateway.ask(messages()).await;
    assert_eq!(answer.status(), 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(&*read(answer.into_body()).await.0, b"{}");
}

#[tokio::test]
async fn a_stale_pooled_connection_costs_one_more_attempt_at_the_same_target() {
    let gateway = Gateway::new(vec![Act::HangUp { reused: true }, json(200, r#"{"usage":{}}"#)]);
    assert_eq!(gateway.ask(messages()).await.status(), 200);
    assert_eq!(gateway.attempts(), ["one", "one"]);
    let gateway = Gateway::new(vec![Act::HangUp { reused: true }, Act::HangUp { reused: true }]);
    assert_eq!(gateway.ask(messages()).await.status(), 503);
    assert_eq!(gateway.attempts(), ["one", "one"], "once, not for ever");
}

/// Polls a call so many times, then drops it; then so many frames of its answer.
async fn leave_after(polls: usize, frames: usize) -> (Gateway, bool) {
    let gateway = Gateway::new(vec![sse(&STREAM)]);
    let mut call = Box::pin(gateway.call(messages()));
    let mut cx = Context::from_waker(Waker::noop());
    let mut answer = None;
    for _ in 0..polls {
        if let Poll::Ready(Ok(ready)) = call.as_mut().poll(&mut cx) {
            answer = Some(ready);
            break;
        }
    }
    drop(call);
    let Some(answer) = answer else { return (gateway, false) };
    let mut body = answer.into_body();
    for _ in 0..frames {
        body.frame().await;
    }
    (gateway, true)
}

#[tokio::test]
async fn client_leaves_at_every_stage() {
    let mut stages = 0;
    for polls in 0..6 {
        for frames in 0..=6 {
            let (gateway, answered) = leave_after(polls, frames).await;
            let (open, settled, interrupted) = gateway.receipts();
            let what = format!("{polls} polls, {frames} frames");
            assert_eq!(open, 0, "{what}: nothing stays reserved");
            // One that was polled once stands back for the others, and nobody upstream has heard of it.
            let (funded, attempted) = (u64::from(polls > 0), usize::from(polls > 1));
            assert_eq!(gateway.attempts().len(), attempted, "{what}");
            assert_eq!(settled + interrupted, funded, "{what}: every receipt ends once");
            assert_eq!(settled, u64::from(answered), "{what}");
            assert_eq!(gateway.core.held_bodies.load(Relaxed), 0, "{what}: no body stays held");
            let page = gateway.core.metrics.render();
            assert!(page.contains("\ntollgate_requests_in_flight 0\n"), "{what}");
            let cancelled = gateway.stage.cancelled.load(Relaxed);
            let salvaged = gateway.stage.salvaged.load(Relaxed);
            if answered {
                let want = match frames {
                    0..=4 => (1, 0),
                    // The terminal event has passed: the connection is worth saving.
                    5 => (0, 1),
                    _ => (0, 0),
                };
                assert_eq!((cancelled, salvaged), want, "{what}");
                let outcome = if frames < 5 { "client_left" } else { "complete" };
                assert!(page.contains(&format!("outcome=\"{outcome}\"}} 1")), "{what}\n{page}");
            }
            stages += 1;
        }
    }
    assert_eq!(stages, 42);
}

/// Bytes that tell when the last reference to them is gone.
struct Flagged(Vec<u8>, Arc<AtomicBool>);

impl AsRef<[u8]> for Flagged {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Flagged {
    fn drop(&mut self) {
        self.1.store(true, Relaxed);
    }
}

#[tokio::test]
async fn body_freed_at_first_content() {
    let gateway = Gateway::new(vec![sse(&STREAM)]);
    let freed = Arc::new(AtomicBool::new(false));
    let body = Bytes::from_owner(Flagged(ASK.as_bytes().to_vec(), Arc::clone(&freed)));
    let mut answer = gateway.ask(post("/v1/messages", body)).await.into_body();
    answer.frame().await.unwrap().unwrap();
    assert!(!freed.load(Relaxed), "message_start is start-up: the body may still be needed");
    assert_eq!(gateway.core.held_bodies.load(Relaxed), ASK.len() as u64);
    answer.frame().await.unwrap().unwrap();
    assert!(freed.load(Relaxed), "the first content block frees it");
    assert_eq!(gateway.core.held_bodies.load(Relaxed), 0);
}

#[tokio::test]
async fn only_the_models_bytes_change_for_an_alias() {
    let body = "{ \"a\\u0062\": 1e3, \"x\":1,\"x\":2 ,\"model\" : \"al\\u0069as\", \"messages\":[ ] }\n";
    let gateway = Gateway::new(vec![json(200, "{}")]);
    gateway.ask(post("/v1/messages?beta=true", body)).await;
    {
        let seen = gateway.stage.seen.lock().unwrap();
        assert_eq!(String::from_utf8_lossy(&seen[0].body), body.replace("\"al\\u0069as\"", "\"real-name\""));
        assert_eq!(seen[0].path, "/base/v1/messages?beta=true");
    }
    for (path, body, want_path, want_body) in [
        ("/v1/chat/completions", r#"{"model":"via/q"}"#, "/base/v1/chat/completions", r#"{"model":"x-q-y"}"#),
        (
            "/v1beta/models/alias:generateContent?key=tk-0123456789abcdef&a=b",
            "{}",
            "/base/v1beta/models/real-name:generateContent?a=b",
            "{}",
        ),
    ] {
        let gateway = Gateway::new(vec![json(200, "{}")]);
        assert_eq!(gateway.ask(post(path, body)).await.status(), 200, "{path}");
        let seen = gateway.stage.seen.lock().unwrap();
        assert_eq!((&*seen[0].path, &*String::from_utf8_lossy(&seen[0].body)), (want_path, want_body));
    }
}

#[tokio::test]
async fn upstream_sees_our_credential_and_never_the_clients() {
    let gateway = Gateway::new(vec![json(200, "{}")]);
    *gateway.stage.printed.lock().unwrap() = Some(String::new());
    let mut request = messages();
    for (name, value) in
        [("cookie", "c=1"), ("accept-encoding", "gzip"), ("openai-organization", "org"), ("anthropic-beta", "b")]
    {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    gateway.ask(request).await;
    let seen = gateway.stage.seen.lock().unwrap();
    let headers = &seen[0].headers();
    assert_eq!(headers["x-api-key"], "provider-secret");
    assert_eq!(headers["host"], "one.test");
    assert_eq!(headers["anthropic-beta"], "b");
    for gone in ["authorization", "cookie", "accept-encoding", "openai-organization", "content-length"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    let printed = gateway.stage.printed.lock().unwrap().take().unwrap();
    assert!(printed.contains("anthropic-beta") && printed.contains("one.test"), "{printed}");
    assert!(!printed.contains("provider-secret") && !printed.contains(KEY) && !printed.contains("c=1"), "{printed}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive_between_events_only() {
    let wait = Step::Wait(Duration::from_secs(40));
    let half = TEXT.len() / 2;
    let data = |s: &'static str| Step::Data(Bytes::from_static(s.as_bytes()));
    let frames =
        vec![data(START), wait.clone(), data(&TEXT[..half]), wait.clone(), data(&TEXT[half..]), data(STOP), wait];
    let gateway = Gateway::new(vec![Act::Answer { status: 200, kind: "text/event-stream; charset=utf-8", frames }]);
    let begun = tokio::time::Instant::now();
    let (body, whole) = read(gateway.ask(messages()).await.into_body()).await;
    let ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
    let want = [START, ping, ping, TEXT, STOP].concat();
    assert_eq!((String::from_utf8(body).unwrap(), whole), (want, true));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(81), "ends soon after its terminal event, not with the connection: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stays_silent_is_ended_in_the_way_of_its_dialect() {
    const GEMINI: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"h\"}]}}]}\n\n";
    for (path, body, first, ends_well) in [
        ("/v1/messages", ASK, START, false),
        (
            "/v1/chat/completions",
            r#"{"model":"m","stream":true}"#,
            "data: {\"choices\":[{\"delta\":{\"content\":\"h\"}}]}\n\n",
            false,
        ),
        (
            "/v1/responses",
            r#"{"model":"m","stream":true}"#,
            "data: {\"type\":\"response.output_text.delta\"}\n\n",
            false,
        ),
        ("/v1beta/models/m:streamGenerateContent?alt=sse", "{}", GEMINI, true),
    ] {
        let frames = vec![Step::Data(Bytes::from_static(first.as_bytes())), Step::Hang];
        let gateway = Gateway::new(vec![Act::Answer { status: 200, kind: "text/event-stream", frames }]);
        let begun = tokio::time::Instant::now();
        let (body, whole) = read(gateway.ask(post(path, body)).await.into_body()).await;
        assert_eq!(whole, ends_well, "{path}");
        assert!((299..302).contains(&begun.elapsed().as_secs()), "{path}: {:?}", begun.elapsed());
        let text = String::from_utf8(body).unwrap();
        if ends_well {
            let bare = text.strip_prefix(first).unwrap();
            let value: serde_json::Value = serde_json::from_str(bare).unwrap();
            assert_eq!(value["error"]["status"], "UNAVAILABLE", "bare, without data:");
        }
        assert_eq!(gateway.stage.cancelled.load(Relaxed), 1, "{path}: the upstream call is given up");
    }
}

#[tokio::test]
async fn an_early_clean_end_is_never_passed_on_as_an_end() {
    for (path, body, events, whole) in [
        ("/v1/messages", ASK, vec![START, BLOCK, TEXT], false),
        (
            "/v1/chat/completions",
            r#"{"model":"m","stream":true}"#,
            vec!["data: {\"choices\":[{\"delta\":{\"content\":\"h\"},\"finish_reason\":null}]}\n\n"],
            false,
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"m","stream":true}"#,
            vec!["data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"],
            true,
        ),
    ] {
        let gateway = Gateway::new(vec![sse(&events)]);
        let (got, ended) = read(gateway.ask(post(path, body)).await.into_body()).await;
        assert_eq!((got, ended), (events.concat().into_bytes(), whole), "{path} {events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_or_breaks_reaches_no_provider() {
    for (then, status) in [(Then::Silence, 408), (Then::Break, 400)] {
        let gateway = Gateway::new(vec![]);
        let mut request = messages();
        request.body_mut().then = then;
        let got = gateway.ask(request).await.status().as_u16();
        assert!(got == status || (400..500).contains(&got), "{got}");
        assert!(gateway.attempts().is_empty());
        assert_eq!(gateway.core.held_bodies.load(Relaxed), 0);
    }
}

#[tokio::test]
async fn refused_before_any_attempt() {
    let limited = format!("{}\n[limits]\nrequest_body = 100\ninflight_bodies = 1000\n", scripted::RULES);
    for (what, request, status, reason) in [
        (
            "no key",
            Request::post("/v1/messages").body(Upload { frames: [].into(), then: Then::End }).unwrap(),
            401,
            "key_missing",
        ),
        ("unknown key", keyed("x-api-key", "tk-unknown-unknown"), 401, "key_unknown"),
        ("two keys", two_keys(), 400, "key_conflict"),
        ("too large", post("/v1/messages", vec![b' '; 101]), 413, "body_too_large"),
        ("broken", post("/v1/messages", "{"), 400, "body_broken"),
        ("no model", post("/v1/messages", "{}"), 400, "field_missing"),
        ("model twice", post("/v1/messages", r#"{"model":"m","model":"m"}"#), 400, "field_ambiguous"),
        ("escaped", post("/v1/messages", r#"{"mod\u0065l":"m"}"#), 400, "field_ambiguous"),
        ("unknown model", post("/v1/messages", r#"{"model":"nope"}"#), 404, "model_unknown"),
        ("other dialect", post("/v1/chat/completions", r#"{"model":"second"}"#), 404, "dialect_unserved"),
        ("path", post("/v2/nothing", "{}"), 404, "path_unknown"),
    ] {
        let gateway = Gateway::with(&limited, vec![], 1);
        let answer = gateway.ask(request).await;
        assert_eq!(answer.status(), status, "{what}");
        let id = answer.headers()["x-tollgate-request-id"].to_str().unwrap().to_owned();
        assert!(id.starts_with("tgr_") && id.len() == 20, "{what}: {id}");
        let (body, _) = read(answer.into_body()).await;
        serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_else(|e| panic!("{what}: {e}"));
        let page = gateway.core.metrics.render();
        assert!(page.contains(&format!("reason=\"{reason}\"")), "{what}: {page}");
        assert!(gateway.attempts().is_empty(), "{what}");
        assert_eq!(gateway.receipts().0, 0, "{what}");
    }
}

fn keyed(place: &str, key: &str) -> Request<Upload> {
    let mut request = messages();
    request.headers_mut().remove("authorization");
    request.headers_mut().insert(http::HeaderName::try_from(place).unwrap(), key.parse().unwrap());
    request
}

fn two_keys() -> Request<Upload> {
    let mut request = keyed("x-api-key", "tk-another-key-0000");
    request.headers_mut().insert("authorization", format!("Bearer {KEY}").parse().unwrap());
    request
}

#[tokio::test]
async fn a_refused_credential_is_our_business() {
    for status in [401, 403] {
        let gateway = Gateway::new(vec![json(status, r#"{"error":{"message":"account acc-77 says no"}}"#)]);
        let answer = gateway.ask(messages()).await;
        assert_eq!(answer.status(), 424, "never the provider's 401: it would log the user out");
        let (body, _) = read(answer.into_body()).await;
        assert!(!String::from_utf8(body).unwrap().contains("acc-77"));
    }
    let bad = r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#;
    let gateway = Gateway::new(vec![json(400, bad)]);
    let answer = gateway.ask(post("/v1beta/models/m:generateContent", "{}")).await;
    assert_eq!(answer.status(), 424);
    // The reason across two frames was once missed.
    let (one, two) = bad.split_at(bad.find("KEY_INVALID").unwrap());
    let frames = [one, two].map(|part| Step::Data(Bytes::from_static(part.as_bytes()))).to_vec();
    let gateway = Gateway::new(vec![Act::Answer { status: 400, kind: "application/json", frames }]);
    assert_eq!(gateway.ask(post("/v1beta/models/m:generateContent", "{}")).await.status(), 424);
    let other = r#"{"error":{"code":400,"status":"INVALID_ARGUMENT"}}"#;
    let gateway = Gateway::new(vec![json(400, other)]);
    let answer = gateway.ask(post("/v1beta/models/m:generateContent", "{}")).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(read(answer.into_body()).await, (other.as_bytes().to_vec(), true));
}

#[tokio::test]
async fn draining_refuses_and_says_when_to_come_back() {
    let gateway = Gateway::new(vec![]);
    gateway.core.draining.store(true, Relaxed);
    let answer = gateway.ask(messages()).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["connection"], "close");
    assert!(answer.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn the_probe_needs_no_key_and_leaves_no_trace() {
    let gateway = Gateway::new(vec![]);
    let request = Request::head("/api/hello").body(Upload { frames: [].into(), then: Then::End }).unwrap();
    assert_eq!(gateway.ask(request).await.status(), 200);
    assert!(!gateway.core.metrics.render().contains("reason="));
}

#[tokio::test]
async fn models_are_those_that_the_key_may_use() {
    let rules = format!("{}\nmodels = [\"m\", \"via/*\"]\n", scripted::RULES);
    let list = |path: &str, version: bool| {
        let mut request = Request::get(path).header("x-api-key", KEY);
        if version {
            request = request.header("anthropic-version", "2023-06-01");
        }
        request.body(Upload { frames: [].into(), then: Then::End }).unwrap()
    };
    let gateway = Gateway::with(&rules, vec![], 1);
    for (path, version, pointer) in [
        ("/v1/models", false, "/data/0/id"),
        ("/v1/models?limit=1000", true, "/data/0/id"),
        ("/v1beta/models", false, "/models/0/name"),
    ] {
        let answer = gateway.ask(list(path, version)).await;
        assert_eq!(answer.status(), 200, "{path}");
        let (body, _) = read(answer.into_body()).await;
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value.pointer(pointer).unwrap().as_str().unwrap().trim_start_matches("models/"), "m", "{path}");
        assert!(!String::from_utf8(body).unwrap().contains("alias"), "{path}: another key's model");
    }
    assert_eq!(gateway.ask(list("/v1/models/m", false)).await.status(), 200);
    assert_eq!(gateway.ask(list("/v1/models/alias", false)).await.status(), 404);
    assert_eq!(gateway.ask(post("/v1/messages", r#"{"model":"alias"}"#)).await.status(), 403);
}

#[track_caller]
fn is_refused(answer: &http::Response<impl http_body::Body>, status: u16, retry_after: &str) {
    assert_eq!(answer.status(), status);
    assert_eq!(answer.headers()["retry-after"], retry_after);
}

#[tokio::test]
async fn a_full_provider_is_passed_over_and_has_room_when_an_answer_ends() {
    let rules = scripted::RULES.replacen("[[provider]]", "[[provider]]\nmax_inflight = 1", 1);
    let acts = vec![sse(&STREAM), sse(&STREAM), json(200, "{}"), Act::Refuse, json(200, "{}")];
    let gateway = Gateway::with(&rules, acts, 2);
    let first = gateway.ask(messages()).await;
    assert_eq!(first.status(), 200);
    // The second target has room.
    let second = gateway.ask(messages()).await;
    assert_eq!(second.status(), 200);
    assert_eq!(gateway.attempts(), ["one", "two"]);
    read(second.into_body()).await;
    // A route without another target has none.
    is_refused(&gateway.ask(post("/v1/chat/completions", r#"{"model":"alias"}"#)).await, 503, "2");
    let page = gateway.core.metrics.render();
    assert!(page.contains("tollgate_provider_calls{provider=\"one\"} 1\n"), "{page}");
    assert!(page.contains("reason=\"upstream_saturated\""), "{page}");
    // It ends: read to the end, though its body is still there.
    let (_, whole) = read(first.into_body()).await;
    assert!(whole);
    assert_eq!(gateway.ask(post("/v1/chat/completions", r#"{"model":"alias"}"#)).await.status(), 200);
    // A failed attempt keeps no room, nor does a client that leaves.
    assert_eq!(gateway.ask(post("/v1/chat/completions", r#"{"model":"alias"}"#)).await.status(), 503);
    drop(gateway.ask(post("/v1/chat/completions", r#"{"model":"alias"}"#)).await);
    assert!(gateway.core.metrics.render().contains("tollgate_provider_calls{provider=\"one\"} 0\n"));
}

#[tokio::test]
async fn more_requests_than_allowed_come_back_and_the_next_ones_are_served() {
    let rules = scripted::RULES.replacen("[[provider]]", "[limits]\ninflight_requests = 2\n[[provider]]", 1);
    let gateway = Gateway::with(&rules, vec![sse(&STREAM), sse(&STREAM), json(200, "{}")], 1);
    let (first, second) = (gateway.ask(messages()).await, gateway.ask(messages()).await);
    let third = gateway.ask(messages()).await;
    is_refused(&third, 503, "1");
    assert_eq!(third.headers()["connection"], "close");
    // Not even a key is looked up.
    is_refused(&gateway.ask(keyed("x-api-key", "tk-unknown-unknown")).await, 503, "1");
    drop((first, second, third));
    assert_eq!(gateway.ask(messages()).await.status(), 200);
}

#[tokio::test]
async fn an_address_that_shows_too_many_unknown_keys_waits_but_a_good_key_passes() {
    let rules = scripted::RULES.replacen("[[provider]]", "[limits]\nfailed_keys = 3\n[[provider]]", 1);
    let gateway = Gateway::with(&rules, vec![json(200, "{}")], 1);
    for _ in 0..3 {
        assert_eq!(gateway.ask(keyed("x-api-key", "tk-unknown-unknown")).await.status(), 401);
    }
    let fourth = gateway.ask(keyed("x-api-key", "tk-unknown-unknown")).await;
    assert_eq!(fourth.status(), 429);
    assert!((59..=60).contains(&fourth.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap()));
    // No key at all is no guess.
    let mut none = messages();
    none.headers_mut().remove("authorization");
    assert_eq!(gateway.ask(none).await.status(), 401);
    assert_eq!(gateway.ask(messages()).await.status(), 200);
}

#[tokio::test]
async fn a_clients_own_credential_goes_only_where_it_is_taken() {
    let takes = scripted::RULES.replacen("[[provider]]", "[[provider]]\nclient_credential = true", 1);
    let named = |place: &str, value: &str| {
        let mut request = keyed("x-tollgate-key", KEY);
        request.headers_mut().insert(http::HeaderName::try_from(place).unwrap(), value.parse().unwrap());
        request
    };
    for (what, rules, request, shown) in [
        ("taken", &*takes, named("x-api-key", "sk-own"), ("x-api-key", "sk-own")),
        ("a subscription's token", &takes, named("authorization", "Bearer own"), ("authorization", "Bearer own")),
        ("none of its own", &takes, keyed("x-tollgate-key", KEY), ("x-api-key", "provider-secret")),
        ("not named", &takes, messages(), ("x-api-key", "provider-secret")),
        ("not taken", scripted::RULES, named("x-api-key", "sk-own"), ("x-api-key", "provider-secret")),
    ] {
        let gateway = Gateway::with(rules, vec![json(200, "{}")], 1);
        assert_eq!(gateway.ask(request).await.status(), 200, "{what}");
        let seen = gateway.stage.seen.lock().unwrap();
        let places = ["authorization", "x-api-key", "x-goog-api-key", "api-key", "x-tollgate-key"];
        let headers = seen[0].headers();
        let credentials: Vec<_> =
            places.iter().filter_map(|place| Some((*place, headers.get(*place)?.to_str().unwrap()))).collect();
        assert_eq!(credentials, [shown], "{what}");
    }
    // What the provider says of it is said to its owner.
    let gateway = Gateway::with(&takes, vec![json(401, r#"{"error":"expired"}"#)], 1);
    let answer = gateway.ask(named("x-api-key", "sk-own")).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(read(answer.into_body()).await.0, br#"{"error":"expired"}"#);
    // A gateway key beside a gateway key is still two callers.
    let gateway = Gateway::with(&takes, vec![], 1);
    let mut two = keyed("x-tollgate-key", "tk-unknown-unknown");
    two.headers_mut().insert("x-api-key", KEY.parse().unwrap());
    assert_eq!(gateway.ask(two).await.status(), 400);
}
