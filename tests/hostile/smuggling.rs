//! Requests that two servers could read differently (RFC 9112 sections 2.2, 3, 5, 6, 7 and 11.2).
//!
//! Each row is followed, in the same write, by a second request. Either the first is refused, its connection closed, and
//! nothing of it has gone upstream; or exactly one request has gone upstream, framed without any doubt, with the body that
//! RFC 9112 gives to the first. All rows say `connection: close`, so the second may never go anywhere.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{self, Answer};
use crate::gateway::{Gateway, KEY};
use crate::recorder::Recorder;

const BODY: &str = r#"{"model":"m","messages":[]}"#;

/// What must come of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Refused,
    Passed,
    /// RFC 9112 leaves it to the server.
    Either,
}
use Want::{Either, Passed, Refused};

struct Row {
    name: String,
    want: Want,
    bytes: Vec<u8>,
}

fn row(name: &str, want: Want, bytes: impl Into<Vec<u8>>) -> Row {
    Row { name: name.to_owned(), want, bytes: bytes.into() }
}

/// With these header lines and this body.
fn post(lines: &str, body: &str) -> String {
    format!(
        "POST /v1/messages HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\
         content-type: application/json\r\n{lines}\r\n{body}"
    )
}

/// [`BODY`] behind this size line and before this end.
fn chunk(size: &str, end: &str) -> String {
    post("transfer-encoding: chunked\r\n", &format!("{size}{BODY}{end}"))
}

fn lengths() -> Vec<Row> {
    let n = BODY.len();
    let line = |name: &str, want, lines: &str| row(name, want, post(lines, BODY));
    vec![
        line("a length", Passed, &format!("content-length: {n}\r\n")),
        line("blanks around a length", Passed, &format!("content-length: \t {n} \t\r\n")),
        line("two equal lengths", Either, &format!("content-length: {n}\r\ncontent-length: {n}\r\n")),
        line("a list of equal lengths", Either, &format!("content-length: {n}, {n}\r\n")),
        line("two lengths", Refused, &format!("content-length: {n}\r\ncontent-length: 5\r\n")),
        line("two lengths, the other way", Refused, &format!("content-length: 5\r\ncontent-length: {n}\r\n")),
        line("a list of lengths", Refused, &format!("content-length: {n}, 5\r\n")),
        line("a plus", Refused, &format!("content-length: +{n}\r\n")),
        line("a minus", Refused, &format!("content-length: -{n}\r\n")),
        line("a hexadecimal length", Refused, "content-length: 0x1b\r\n"),
        line("a length and more", Refused, &format!("content-length: {n} 5\r\n")),
        line("a decimal point", Refused, &format!("content-length: {n}.0\r\n")),
        line("an empty length", Refused, "content-length: \r\n"),
        line("a length beyond all", Refused, "content-length: 99999999999999999999\r\n"),
        line("an underscore", Refused, &format!("content_length: {n}\r\n")),
        line("a length of fewer bytes", Refused, "content-length: 5\r\n"),
    ]
}

fn encodings() -> Vec<Row> {
    let n = BODY.len();
    let chunked = format!("{n:x}\r\n{BODY}\r\n0\r\n\r\n");
    let line = |name: &str, want, lines: &str| row(name, want, post(lines, &chunked));
    let te = "transfer-encoding: chunked\r\n";
    vec![
        line("chunks", Passed, te),
        line("Chunks", Passed, "Transfer-Encoding: Chunked\r\n"),
        line("a length and chunks", Either, &format!("content-length: 5\r\n{te}")),
        line("chunks and a length", Either, &format!("{te}content-length: 5\r\n")),
        line("chunks and no length", Either, &format!("{te}content-length: 0\r\n")),
        line("blanks around chunked", Either, "transfer-encoding:  \t chunked\t \r\n"),
        line("xchunked", Refused, "transfer-encoding: xchunked\r\n"),
        line("xchunked and a length", Refused, &format!("transfer-encoding: xchunked\r\ncontent-length: {n}\r\n")),
        line("chunked, identity", Refused, "transfer-encoding: chunked, identity\r\n"),
        line("identity and a length", Refused, &format!("transfer-encoding: identity\r\ncontent-length: {n}\r\n")),
        line("chunked and then identity", Refused, &format!("{te}transfer-encoding: identity\r\n")),
        line("identity and then chunked", Either, &format!("transfer-encoding: identity\r\n{te}")),
        line("gzip, chunked", Either, "transfer-encoding: gzip, chunked\r\n"),
        line("chunked twice", Either, &format!("{te}{te}")),
        line("a vertical tab", Refused, "transfer-encoding: \u{b}chunked\r\n"),
        line("a tab inside", Refused, "transfer-encoding: chun\tked\r\n"),
        line("quoted", Refused, "transfer-encoding: \"chunked\"\r\n"),
        line("with a parameter", Refused, "transfer-encoding: chunked;a=b\r\n"),
        line("empty", Refused, "transfer-encoding: \r\n"),
        line("a blank before the colon", Refused, "transfer-encoding : chunked\r\n"),
        line("on the next line", Refused, "transfer-encoding:\r\n chunked\r\n"),
        line("after a bare CR", Refused, "x: y\rtransfer-encoding: chunked\r\n"),
        row("in HTTP/1.0", Refused, post(te, &chunked).replace("HTTP/1.1", "HTTP/1.0")),
    ]
}

fn chunks() -> Vec<Row> {
    let end = "\r\n0\r\n\r\n";
    let long = format!("1b;{}\r\n", "x".repeat(64 * 1024));
    vec![
        row("zeros in front", Passed, chunk("0001B\r\n", end)),
        row("an extension", Passed, chunk("1b;a=\"b;c\"\r\n", end)),
        row("a strange extension", Either, chunk("1b;;=;\t\r\n", end)),
        row("a long extension", Either, chunk(&long, end)),
        row("trailers", Passed, chunk("1b\r\n", "\r\n0\r\ncontent-length: 5\r\nhost: evil\r\n\r\n")),
        row("a blank behind the size", Either, chunk("1b \r\n", end)),
        row("a blank before the size", Refused, chunk(" 1b\r\n", end)),
        row("a plus", Refused, chunk("+1b\r\n", end)),
        row("a minus", Refused, chunk("-1b\r\n", end)),
        row("0x", Refused, chunk("0x1b\r\n", end)),
        row("an underscore", Refused, chunk("1_b\r\n", end)),
        row("a size beyond all", Refused, chunk("1000000000000001b\r\n", end)),
        row("no size", Refused, chunk("\r\n", end)),
        row("a bare LF behind the size", Refused, chunk("1b\n", end)),
        row("a bare LF in the extension", Refused, chunk("1b;a\nb\r\n", end)),
        row("a bare CR behind the size", Refused, chunk("1b\r", end)),
        row("no line's end behind the data", Refused, chunk("1b\r\n", "0\r\n\r\n")),
        row("a bare LF behind the data", Refused, chunk("1b\r\n", "\n0\r\n\r\n")),
        row("another byte behind the data", Refused, chunk("1b\r\n", "x\r\n0\r\n\r\n")),
        row("more data than said", Refused, chunk("1a\r\n", end)),
    ]
}

fn heads() -> Vec<Row> {
    let length = format!("content-length: {}\r\n", BODY.len());
    let line = |name: &str, want, lines: &str| row(name, want, post(&format!("{length}{lines}"), BODY));
    let edit = |name: &str, want, from: &str, to: &str| row(name, want, post(&length, BODY).replacen(from, to, 1));
    let mut rows = vec![
        line("a folded line", Refused, "x: a\r\n b\r\n"),
        line("a bare CR in a value", Refused, "x: a\rb\r\n"),
        line("a NUL in a value", Refused, "x: a\0b\r\n"),
        line("a NUL in a name", Refused, "x\0: a\r\n"),
        line("a blank before a colon", Refused, "x : a\r\n"),
        line("a blank in a name", Refused, "x y: a\r\n"),
        line("no name", Refused, ": a\r\n"),
        line("no colon", Refused, "x\r\n"),
        line("a length that is for the next hop only", Passed, "connection: content-length, host\r\n"),
        line("an upgrade", Either, "upgrade: websocket\r\nconnection: upgrade\r\n"),
        line("asks first", Passed, "expect: 100-continue\r\n"),
        line("bytes beyond ASCII", Either, "x: caf\u{e9}\r\n"),
        row("bare LFs", Either, post(&length, BODY).replace("\r\n", "\n")),
        edit("a folded first line", Refused, "host", " host"),
        edit("no host", Refused, "host: gateway\r\n", ""),
        edit("two hosts", Refused, "host: gateway\r\n", "host: gateway\r\nhost: evil\r\n"),
        edit("a host that is none", Refused, "host: gateway", "host: a b"),
        edit("an empty line first", Either, "POST", "\r\nPOST"),
        edit("a blank first", Refused, "POST", " POST"),
        edit("two blanks", Refused, "POST ", "POST  "),
        edit("a tab", Refused, "POST ", "POST\t"),
        edit("a version of the past", Refused, "HTTP/1.1", "HTTP/0.9"),
        edit("a version to come", Refused, "HTTP/1.1", "HTTP/3.0"),
        edit("no version", Refused, " HTTP/1.1", ""),
        edit("a bare CR in the target", Refused, "/v1/messages", "/v1/messages\rx"),
        edit("a NUL in the target", Refused, "/v1/messages", "/v1/messages\0"),
        edit("a line's end in the query, escaped", Either, "/v1/messages", "/v1/messages?a=%0d%0ahost:%20evil"),
        edit("a line's end in the model", Either, "/v1/messages", "/v1beta/models/m%0d%0aX:%20y:generateContent"),
        edit("absolute-form", Either, "/v1/messages", "http://evil.test/v1/messages"),
        edit("authority-form", Refused, "/v1/messages", "evil.test:80"),
        edit("CONNECT", Refused, "POST /v1/messages", "CONNECT evil.test:443"),
        edit("asterisk-form", Refused, "POST /v1/messages", "OPTIONS *"),
        edit("a path without a slash", Refused, "/v1/messages", "v1/messages"),
    ];
    rows.push(line("ten thousand lines", Refused, &"x: y\r\n".repeat(10_000)));
    rows.push(line("a line of 1 MB", Refused, &format!("x: {}\r\n", "y".repeat(1 << 20))));
    rows.push(edit("a target of 1 MB", Refused, "/v1/messages", &format!("/v1/messages?{}", "y".repeat(1 << 20))));
    rows
}

const SECOND: &str = "GET /v1/models?second HTTP/1.1\r\nhost: second\r\n\r\nPOST /v1/messages?second HTTP/1.1\r\nhost: second\r\n\
                      authorization: Bearer tk-0123456789abcdef\r\ncontent-length: 26\r\n\r\n{\"model\":\"second\",\"a\":[1]}";

/// All that came until the connection ended; whether it ended.
async fn send(gateway: &Gateway, bytes: &[u8]) -> (Answer, Vec<u8>, bool) {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let all = [bytes, SECOND.as_bytes()].concat();
    let writing = tokio::spawn(async move {
        let _ = writing.write_all(&all).await;
        writing
    });
    let mut came = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(8), async {
        while let Ok(1..) = reading.read_buf(&mut came).await {}
    });
    let ended = ended.await.is_ok();
    drop(writing);
    (client::read(&came), came, ended)
}

/// What is wrong about what came of a row.
fn judge(row: &Row, answer: &Answer, came: &[u8], ended: bool, upstream: &Recorder, before: usize) -> Option<String> {
    let (requests, more) = upstream.requests();
    let requests = &requests[before..];
    let told = format!("{}: status {}, {} upstream", row.name, answer.status, requests.len());
    let heads = came.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
    let interim = came.windows(13).filter(|window| window == b"HTTP/1.1 100 ").count();
    if more || requests.len() > 1 {
        return Some(format!("{told}: more than a request went upstream: {requests:?}"));
    }
    if requests.iter().any(|request| request.head.windows(6).any(|w| w == b"second")) || heads - interim > 1 {
        return Some(format!("{told}: the second was served: {}", String::from_utf8_lossy(came)));
    }
    if !ended {
        return Some(format!("{told}: the connection stays open"));
    }
    match (requests, answer.status, row.want) {
        ([one], 200, Passed | Either) if one.body == BODY.as_bytes() => None,
        // A client that is cut off without a word while it still sends has at least not been served.
        ([], 0 | 400..=431 | 500 | 501 | 505, Refused | Either) => None,
        _ => Some(format!("{told}, wanted {:?}: {requests:?}", row.want)),
    }
}

#[tokio::test]
async fn what_two_servers_could_read_differently() {
    let upstream = Recorder::start().await;
    let mut gateway =
        Gateway::start(upstream.address, "header_timeout = \"2s\"\nidle_timeout = \"2s\"", "[timeouts]\nbody = \"2s\"")
            .await;
    let mut wrong = Vec::new();
    for row in [lengths(), encodings(), chunks(), heads()].into_iter().flatten() {
        let before = upstream.requests().0.len();
        let (answer, came, ended) = send(&gateway, &row.bytes).await;
        wrong.extend(judge(&row, &answer, &came, ended, &upstream, before));
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    gateway.is_unharmed();
}
