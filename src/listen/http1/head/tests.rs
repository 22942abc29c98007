//! Heads in one piece and in many, and those that are refused.

use proptest::prelude::*;

use super::*;

/// What came of `wire` in pieces of `piece` bytes: the head and what is left behind it.
fn read(wire: &[u8], piece: usize) -> Result<Option<(Head, Vec<u8>)>, Refused> {
    let mut gathering = Gathering::default();
    let mut pieces = wire.chunks(piece);
    while let Some(piece) = pieces.next() {
        let mut piece = Bytes::copy_from_slice(piece);
        if let Some(head) = super::read(&mut gathering, &mut piece)? {
            assert!(!gathering.has_begun());
            return Ok(Some((head, [&*piece, &pieces.collect::<Vec<_>>().concat()].concat())));
        }
        assert!(piece.is_empty(), "all of it is kept");
    }
    Ok(None)
}

fn with(lines: &str) -> String {
    format!("POST /v1/messages?a=b HTTP/1.1\r\nHost: gateway:8080\r\n{lines}\r\nrest")
}

#[test]
fn a_head_says_what_it_says_whatever_the_pieces() {
    let wire = with("X-One: 1\r\nx-two:\t 2 \t\r\nx-one: caf\u{e9}\r\nx-empty:\r\ncontent-length: 4\r\n");
    for piece in 1..=wire.len() {
        let (head, rest) = read(wire.as_bytes(), piece).unwrap().unwrap();
        assert_eq!(rest, b"rest");
        assert_eq!((head.framing, head.keep_alive, head.asks, head.addressed), (Framing::Length(4), true, false, true));
        assert_eq!((&head.method, head.version), (&Method::POST, Version::HTTP_11));
        assert_eq!(head.target, "/v1/messages?a=b");
        let ones: Vec<_> = head.fields.all(Name::new("x-one")).collect();
        assert_eq!(ones, [&b"1"[..], "caf\u{e9}".as_bytes()]);
        let (two, empty) = (head.fields.get(Name::new("x-two")), head.fields.get(Name::new("x-empty")));
        assert_eq!((two, empty), (Some(&b"2"[..]), Some(&b""[..])));
        assert_eq!(head.fields.get(HOST), Some(&b"gateway:8080"[..]));
    }
}

#[track_caller]
fn says(lines: &str, framing: Framing, keep_alive: bool, asks: bool) {
    let (head, _) = read(with(lines).as_bytes(), 1000).unwrap().unwrap();
    assert_eq!((head.framing, head.keep_alive, head.asks), (framing, keep_alive, asks), "{lines:?}");
}

#[test]
fn how_the_body_ends_and_whether_another_may_follow() {
    says("", Framing::Length(0), true, false);
    says("content-length: 5\r\n", Framing::Length(5), true, false);
    says("content-length: 5\r\ncontent-length: 5\r\n", Framing::Length(5), true, false);
    says("Transfer-Encoding: Chunked\r\n", Framing::chunked(), true, false);
    says("connection: close\r\n", Framing::Length(0), false, false);
    says("connection: x, Close\r\n", Framing::Length(0), false, false);
    says("connection: keep-alive\r\n", Framing::Length(0), true, false);
    says("expect: 100-Continue\r\ncontent-length: 1\r\n", Framing::Length(1), true, true);
    says("expect: 200-maybe\r\n", Framing::Length(0), true, false);
}

#[test]
fn http_1_0_keeps_only_what_asks_for_it() {
    for (lines, keep_alive) in [("", false), ("connection: keep-alive\r\n", true), ("connection: close\r\n", false)] {
        let wire = with(&format!("{lines}expect: 100-continue\r\n")).replace("HTTP/1.1", "HTTP/1.0");
        let (head, _) = read(wire.as_bytes(), 1000).unwrap().unwrap();
        assert_eq!((head.keep_alive, head.asks), (keep_alive, false), "{lines:?}");
    }
}

#[test]
fn whom_it_is_for() {
    for (from, to, addressed) in [
        ("", "", true),
        ("Host: gateway:8080\r\n", "", false),
        ("gateway:8080", "", true),
        ("gateway:8080", "[::1]:80", true),
        ("gateway:8080", "a b", false),
        ("gateway:8080", "user@host", false),
        ("Host: gateway:8080\r\n", "host: a\r\nhost: a\r\n", false),
        ("Host: gateway:8080\r\n", "x: y\r\n", false),
    ] {
        let (head, _) = read(with("").replace(from, to).as_bytes(), 1000).unwrap().unwrap();
        assert_eq!(head.addressed, addressed, "{to:?}");
    }
    let (head, _) = read(b"GET / HTTP/1.0\r\n\r\n", 1000).unwrap().unwrap();
    assert!(head.addressed, "HTTP/1.0 does without");
}

#[test]
fn targets() {
    for (target, path) in [
        ("/", Some("/")),
        ("/a%20b?c", Some("/a%20b")),
        ("*", Some("*")),
        ("http://evil.test/a", Some("/a")),
        ("evil.test:80", None),
        ("a", None),
        ("", None),
        ("/\u{1}", None),
        ("/\u{7f}", None),
        ("/a#b", None),
        ("http://evil.test/#\u{0}", None),
    ] {
        let head = read(format!("OPTIONS {target} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes(), 1000);
        let found = head.ok().flatten().map(|(head, _)| head.target.path().to_owned());
        assert_eq!(found.as_deref(), path, "{target:?}");
    }
    assert_eq!(read(b"CONNECT evil.test:443 HTTP/1.1\r\n\r\n", 1000).unwrap_err(), Refused::Malformed);
    assert_eq!(read(b"CONNECT / HTTP/1.1\r\n\r\n", 1000).unwrap_err(), Refused::Malformed);
}

#[test]
fn what_is_no_head_is_refused() {
    for lines in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length:\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: \u{b}chunked\r\n",
        "x : y\r\n",
        " x: y\r\n",
        "x: y\r\n z\r\n",
        "x: y\r\n\tz\r\n",
        "x: a\rb\r\n",
        "x: a\u{0}b\r\n",
        "x: a\u{7f}b\r\n",
        "x\u{0}: a\r\n",
        ": a\r\n",
        "x\r\n",
        "x y: z\r\n",
        "caf\u{e9}: z\r\n",
    ] {
        let wire = with(lines);
        for piece in [1, 7, 1000] {
            assert_eq!(read(wire.as_bytes(), piece).unwrap_err(), Refused::Malformed, "{lines:?} by {piece}");
        }
    }
    for (first, refused) in [
        ("POST  / HTTP/1.1", Refused::Malformed),
        ("POST /  HTTP/1.1", Refused::Malformed),
        (" POST / HTTP/1.1", Refused::Malformed),
        ("POST\t/ HTTP/1.1", Refused::Malformed),
        ("POST /", Refused::Malformed),
        ("P(ST / HTTP/1.1", Refused::Malformed),
        ("POST / HTTP/0.9", Refused::Version),
        ("POST / HTTP/2.0", Refused::Version),
        ("PRI * HTTP/2.0", Refused::Version),
        ("POST / http/1.1", Refused::Malformed),
    ] {
        let wire = format!("{first}\r\nhost: a\r\n\r\n");
        assert_eq!(read(wire.as_bytes(), 1000).unwrap_err(), refused, "{first:?}");
    }
    let chunks = with("transfer-encoding: chunked\r\n").replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(read(chunks.as_bytes(), 1000).unwrap_err(), Refused::Malformed, "chunks of HTTP/1.0");
}

#[test]
fn what_a_head_may_have_is_bounded() {
    let lines = |n: usize| read(with(&"x: y\r\n".repeat(n)).as_bytes(), 4096);
    assert!(lines(lines::MOST - 1).unwrap().is_some(), "one is the host");
    assert_eq!(lines(lines::MOST).unwrap_err(), Refused::TooLarge);
    for piece in [1000, 1 << 20] {
        let line = |n: usize| read(with(&format!("x: {}\r\n", "y".repeat(n))).as_bytes(), piece);
        assert!(line(LONGEST - 100).unwrap().is_some());
        assert_eq!(line(LONGEST).unwrap_err(), Refused::TooLarge);
        let endless = format!("POST /{}", "y".repeat(2 * LONGEST));
        assert_eq!(read(endless.as_bytes(), piece).unwrap_err(), Refused::TooLarge);
    }
}

#[test]
fn empty_lines_before_the_first_are_skipped_and_cost_nothing() {
    let wire = format!("{}{}", "\r\n\n".repeat(100_000), with(""));
    for piece in [1, 3, 4096] {
        assert!(read(wire.as_bytes(), piece).unwrap().is_some());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_alike_whatever_the_pieces(
        wire in "(GET|P ST) [/a?]{1,3} HTTP/1\\.[01]\r\n([a: \r\n\t]{0,12}(\r\n)?){0,3}(\r\n)?[a\r\n]{0,5}",
        piece in 1_usize..16,
    ) {
        let told = |read: Result<Option<(Head, Vec<u8>)>, Refused>| {
            read.map(|head| head.map(|(head, rest)| (format!("{:?} {:?} {:?}", head.method, head.target, head.fields.to_map(|_| true)), head.framing, rest)))
        };
        match (told(read(wire.as_bytes(), wire.len())), told(read(wire.as_bytes(), piece))) {
            // What is no head can be told before its end, or not.
            (Err(_), Err(_) | Ok(None)) => {}
            (at_once, in_pieces) => prop_assert_eq!(at_once, in_pieces),
        }
    }
}
