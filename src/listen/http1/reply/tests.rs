//! What goes out, byte for byte.

use super::*;

const MODERN: Manner = Manner { chunks: true, head_only: false, keep_alive: true };

fn head(status: u16, lines: &[(&str, &str)]) -> (StatusCode, Fields) {
    let mut fields = Fields::default();
    for (name, value) in [("date", "then")].iter().chain(lines) {
        fields.push(name, value.as_bytes());
    }
    (StatusCode::from_u16(status).unwrap(), fields)
}

fn begin(head: &(StatusCode, Fields), length: Option<u64>, manner: Manner) -> Reply {
    Reply::begin(head.0, &head.1, length, manner)
}

/// Everything that is still to be written.
fn text(reply: &Reply) -> String {
    let small = &reply.small[reply.written..];
    String::from_utf8([small, &reply.large, reply.close].concat()).unwrap()
}

#[track_caller]
fn begins(status: u16, length: Option<u64>, manner: Manner, want: &str, keeps: bool) {
    let reply =
        begin(&head(status, &[("x-a", "b"), ("content-length", "99"), ("transfer-encoding", "x")]), length, manner);
    assert_eq!(text(&reply), format!("HTTP/1.1 {want}\r\n\r\n"));
    assert_eq!(reply.keeps_alive(), keeps);
}

#[test]
fn the_framing_is_ours() {
    let old = Manner { chunks: false, ..MODERN };
    let head_only = Manner { head_only: true, ..MODERN };
    let last = Manner { keep_alive: false, ..MODERN };
    begins(200, Some(5), MODERN, "200 OK\r\ndate: then\r\nx-a: b\r\ncontent-length: 5", true);
    begins(200, Some(0), MODERN, "200 OK\r\ndate: then\r\nx-a: b\r\ncontent-length: 0", true);
    begins(200, None, MODERN, "200 OK\r\ndate: then\r\nx-a: b\r\ntransfer-encoding: chunked", true);
    begins(
        404,
        Some(5),
        last,
        "404 Not Found\r\ndate: then\r\nx-a: b\r\ncontent-length: 5\r\nconnection: close",
        false,
    );
    begins(200, Some(5), old, "200 OK\r\ndate: then\r\nx-a: b\r\ncontent-length: 5\r\nconnection: keep-alive", true);
    begins(200, None, old, "200 OK\r\ndate: then\r\nx-a: b\r\nconnection: close", false);
    begins(200, Some(5), head_only, "200 OK\r\ndate: then\r\nx-a: b\r\ncontent-length: 5", true);
    begins(204, Some(0), MODERN, "204 No Content\r\ndate: then\r\nx-a: b", true);
    begins(299, Some(0), MODERN, "299 \r\ndate: then\r\nx-a: b\r\ncontent-length: 0", true);
    let asked = begin(&head(413, &[("connection", "close")]), Some(0), MODERN);
    assert!(!asked.keeps_alive() && text(&asked).matches("connection").count() == 1);
}

#[test]
fn a_date_is_given_where_there_is_none() {
    let text = text(&Reply::begin(StatusCode::OK, &Fields::default(), Some(0), MODERN));
    let date = text.split("date: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    let age = SystemTime::UNIX_EPOCH + clock::since_epoch();
    assert!(age.duration_since(httpdate::parse_http_date(date).unwrap()).unwrap() < Duration::from_secs(5));
}

/// After the head, what a body of these frames looks like; `None` if it is cut.
fn body(length: Option<u64>, frames: &[&str]) -> Option<String> {
    let mut reply = begin(&head(200, &[]), length, MODERN);
    let before = text(&reply).len();
    for frame in frames {
        reply.push(Bytes::copy_from_slice(frame.as_bytes())).ok()?;
    }
    reply.end().ok()?;
    Some(text(&reply)[before..].to_owned())
}

#[test]
fn bodies() {
    assert_eq!(body(Some(5), &["he", "", "llo"]).as_deref(), Some("hello"));
    assert_eq!(body(Some(5), &["hell"]), None, "too short");
    assert_eq!(body(Some(5), &["hello", "o"]), None, "too long");
    assert_eq!(body(None, &[]).as_deref(), Some("0\r\n\r\n"));
    assert_eq!(
        body(None, &["hello", "", &"x".repeat(17)]).unwrap(),
        format!("5\r\nhello\r\n11\r\n{}\r\n0\r\n\r\n", "x".repeat(17))
    );
    let large = "y".repeat(TOGETHER + 1);
    assert_eq!(body(None, &["a", &large]).unwrap(), format!("1\r\na\r\n2001\r\n{large}\r\n0\r\n\r\n"));
    assert_eq!(body(Some(large.len() as u64), &[&large]).unwrap(), large);
}

#[test]
fn what_is_written_in_steps_is_written_whole() {
    let large = Bytes::from("y".repeat(TOGETHER + 10));
    for step in [1, 7, 5000, 100_000] {
        let mut reply = begin(&head(200, &[]), None, MODERN);
        reply.push(large.clone()).unwrap();
        reply.end().unwrap();
        let all = text(&reply);
        let mut seen = String::new();
        while seen.len() < all.len() {
            let left = text(&reply);
            let taken = left.len().min(step);
            seen.push_str(&left[..taken]);
            reply.advance(taken);
        }
        assert_eq!(seen, all, "{step}");
        assert!(text(&reply).is_empty());
    }
}

#[test]
fn sizes_are_as_short_as_they_can_be() {
    for size in [1, 9, 10, 15, 16, 255, 256, 0xabcdef, usize::MAX] {
        let mut out = Vec::new();
        chunk_size(size, &mut out);
        assert_eq!(out, format!("{size:x}\r\n").into_bytes());
    }
}
