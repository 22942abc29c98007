//! Every fault, seen on a raw socket.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate::simulator::{Effect, Fault, Script};

use crate::raw::{ANSWERS, End, Raw, ask, exchange, parse, read, request, script, start};

/// One fault, for one request, on a new connection.
async fn under(fault: &str, path: &str, stream: bool) -> Raw {
    let simulator = start(script("hello there").fault(fault.parse().unwrap())).await;
    exchange(&simulator, &ask(path, stream)).await
}

#[tokio::test]
async fn nothing_comes_before_the_head() {
    for stream in [false, true] {
        for (fault, end) in [("reset", End::Reset), ("close", End::Closed), ("hang", End::Silence)] {
            let raw = under(fault, ANSWERS[0], stream).await;
            assert_eq!((raw.head.as_str(), raw.end), ("", end), "{fault}");
        }
        let raw = under("garbage", ANSWERS[0], stream).await;
        assert!(!raw.head.contains("HTTP/1") && raw.head.contains("not HTTP"), "{raw:?}");
        assert_eq!(raw.end, End::Closed);
    }
}

#[tokio::test]
async fn streams_end_early() {
    for path in ANSWERS {
        let whole = under("reset,count=0", path, true).await;
        for (fault, events, end) in [
            ("headers-then-reset", 0, End::Reset),
            ("cut=3", 3, End::Reset),
            ("cut=3,how=close", 3, End::Closed),
            ("cut=3,how=clean", 3, End::Complete),
            ("cut=0,how=clean", 0, End::Complete),
            ("silence=2", 2, End::Silence),
            ("silence=0", 0, End::Silence),
            ("hold", whole.chunks.len(), End::Silence),
        ] {
            let raw = under(fault, path, true).await;
            assert_eq!((raw.status(), raw.end), (200, end), "{path} {fault}");
            assert_eq!(raw.chunks, whole.chunks[..events], "{path} {fault}");
        }
    }
}

#[tokio::test]
async fn json_answers_end_early() {
    for path in ANSWERS {
        let whole = under("reset,count=0", path, false).await.bytes();
        let half = whole.len() / 2;
        for (fault, length, end) in [
            ("headers-then-reset", 0, End::Reset),
            ("cut=1", half, End::Reset),
            ("cut=1,how=close", half, End::Closed),
            ("cut=1,how=clean", half, End::Complete),
            ("silence=1", half, End::Silence),
            ("hold", whole.len(), End::Silence),
        ] {
            let raw = under(fault, path, false).await;
            assert_eq!((raw.status(), raw.end, raw.bytes()), (200, end, whole[..length].to_vec()), "{path} {fault}");
        }
    }
}

#[tokio::test]
async fn an_error_inside_the_stream() {
    for (path, name, place, want) in [
        (ANSWERS[0], "error", "/error/type", json!("overloaded_error")),
        (ANSWERS[1], "", "/error/message", json!("no")),
        (ANSWERS[2], "response.failed", "/response/error/message", json!("no")),
        (ANSWERS[3], "", "/error/status", json!("UNAVAILABLE")),
    ] {
        let raw = under("error=3,message=no", path, true).await;
        let events = raw.events();
        assert_eq!((raw.end, events.len()), (End::Complete, 4), "{path}");
        assert_eq!((events[3].0.as_str(), events[3].1.pointer(place)), (name, Some(&want)), "{path}");
        assert!(!raw.text().contains("5eed00c0ffee"), "{path}");
    }
    let raw = under("error=1", "/v1beta/models/m:streamGenerateContent", true).await;
    assert_eq!(raw.json()[1]["error"]["code"], 503);
    let raw = under("error=1,code=500", ANSWERS[0], false).await;
    assert_eq!((raw.status(), &raw.json()["error"]["type"]), (500, &json!("api_error")));
}

#[tokio::test]
async fn refusals_have_the_dialects_shape() {
    for (path, status, place, want) in [
        (ANSWERS[0], 529, "/error/type", json!("overloaded_error")),
        (ANSWERS[0], 402, "/error/type", json!("billing_error")),
        (ANSWERS[1], 429, "/error/code", json!("rate_limit_exceeded")),
        (ANSWERS[2], 401, "/error/code", json!("invalid_api_key")),
        (ANSWERS[3], 429, "/error/status", json!("RESOURCE_EXHAUSTED")),
    ] {
        let raw = under(&format!("status={status},retry-after=7,message=no"), path, true).await;
        assert_eq!((raw.status(), raw.header("retry-after"), raw.end), (status, "7", End::Complete), "{path}");
        assert_eq!(raw.json().pointer(place), Some(&want), "{path}");
        assert_eq!(raw.json()["error"]["message"], "no", "{path}");
    }
    let table = r#"{"effect":{"status":{"code":502,"headers":{"content-type":"text/html"},"body":"<html>"}}}"#;
    let simulator = start(script("hi").fault(serde_json::from_str(table).unwrap())).await;
    let raw = exchange(&simulator, &ask(ANSWERS[0], true)).await;
    assert_eq!((raw.status(), raw.header("content-type"), raw.text().as_str()), (502, "text/html", "<html>"));
    assert_eq!(raw.head.to_ascii_lowercase().matches("content-type").count(), 1);
}

#[tokio::test]
async fn a_connection_survives_a_refusal_and_carries_on() {
    let simulator = start(script("hello").fault(Fault::first(1, Effect::status(503)))).await;
    let mut stream = TcpStream::connect(simulator.address()).await.unwrap();
    for status in [503, 200, 200] {
        stream.write_all(ask(ANSWERS[1], true).as_bytes()).await.unwrap();
        let raw = read(&mut stream).await;
        assert_eq!((raw.status(), raw.end), (status, End::Complete));
    }
    let counts = simulator.counts();
    assert_eq!((counts.requests, counts.faults, counts.connections, counts.connections_open), (3, 1, 1, 1));
}

/// The pause is longer than `read` waits, so that the silence is seen.
#[tokio::test]
async fn a_stream_pauses_if_its_request_says_so_and_then_gives_the_rest() {
    let still = request(
        "POST",
        ANSWERS[1],
        "",
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"be still"}]}"#,
    );
    for skim in [false, true] {
        for events in [2, 0] {
            let fault = format!("pause={events},ms=450,says=be still").parse().unwrap();
            let simulator = start(Script { skim, ..script("hello there") }.fault(fault)).await;
            let whole = exchange(&simulator, &ask(ANSWERS[1], true)).await;
            assert_eq!((whole.status(), whole.end), (200, End::Complete), "nobody told it to be still");
            let mut stream = TcpStream::connect(simulator.address()).await.unwrap();
            stream.write_all(still.as_bytes()).await.unwrap();
            let raw = read(&mut stream).await;
            assert_eq!((raw.status(), raw.end), (200, End::Silence), "{events}, skim {skim}");
            assert_eq!(raw.chunks, whole.chunks[..events], "{events}, skim {skim}");
            let rest =
                parse(&[raw.head.as_bytes(), b"\r\n\r\n", &rest(&mut stream).await].concat(), End::Closed).unwrap();
            assert_eq!((rest.bytes(), rest.end), (whole.chunks[events..].concat(), End::Complete), "{events}");
            assert_eq!(rest.chunks.len(), 1, "in one piece");
        }
    }
}

/// What comes until the end of the framing.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n0\r\n\r\n") {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
    bytes
}
