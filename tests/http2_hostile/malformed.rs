//! Requests and frames that are not as they must be. Each ends as RFC 9113 says, nothing of it goes upstream, and where only
//! its stream is at fault, the connection serves the next request.

use crate::edge::Edge;
use crate::frames::*;
use crate::peer::{Peer, Verdict};
use crate::recorder::Recorder;

/// What must come of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    /// It is served.
    Served,
    /// Malformed (section 8.1.1): a reset stream or a refusal, and the connection lives.
    Stream,
    /// Malformed as well; whether the connection lives is the server's choice (section 5.4.1).
    Malformed,
    /// A connection error with this code, or with the general one (section 7).
    Connection(u32),
    /// Anything but served: the RFC lets an endpoint choose how far a fault reaches.
    Fault,
}
use Want::{Connection, Fault, Malformed, Served, Stream};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;

struct Row {
    name: &'static str,
    want: Want,
    bytes: Vec<u8>,
}

fn row(name: &'static str, want: Want, bytes: Vec<u8>) -> Row {
    Row { name, want, bytes }
}

fn body() -> Vec<u8> {
    frame(DATA, END_STREAM, 1, BODY.as_bytes())
}

/// [`GOOD`] and these, with a body.
fn with(name: &'static str, want: Want, fields: &[(&str, &str)]) -> Row {
    row(name, want, [headers(1, 0, &block(&[&GOOD[..], fields].concat())), body()].concat())
}

/// [`GOOD`] with another value for one of its fields, or without it.
fn instead(name: &'static str, want: Want, which: &str, value: Option<&str>) -> Row {
    let fields: Vec<_> = GOOD
        .into_iter()
        .filter_map(|(name, good)| if name == which { value.map(|value| (name, value)) } else { Some((name, good)) })
        .collect();
    row(name, want, [headers(1, 0, &block(&fields)), body()].concat())
}

/// [`GOOD`] and raw bytes of a block, with a body.
fn raw(name: &'static str, want: Want, more: &[u8]) -> Row {
    row(name, want, [headers(1, 0, &[&good(), more].concat()), body()].concat())
}

fn pseudo_fields() -> Vec<Row> {
    vec![
        with("as it must be", Served, &[]),
        with("two paths", Stream, &[(":path", "/v1/other")]),
        with("two authorities", Stream, &[(":authority", "other.test")]),
        with("two methods", Stream, &[(":method", "GET")]),
        with("two schemes", Stream, &[(":scheme", "http")]),
        with("a status", Stream, &[(":status", "200")]),
        with("a field of its own making", Malformed, &[(":model", "m")]),
        with("a protocol, which we have not offered", Stream, &[(":protocol", "websocket")]),
        with("a pseudo-field behind others", Stream, &[("a", "b"), (":path", "/")]),
        instead("no method", Stream, ":method", None),
        instead("no scheme", Stream, ":scheme", None),
        instead("no path", Stream, ":path", None),
        instead("an empty path", Stream, ":path", Some("")),
        instead("an empty method", Malformed, ":method", Some("")),
        instead("a blank in the path", Stream, ":path", Some("/v1/messages HTTP/1.1")),
        instead("a line's end in the path", Stream, ":path", Some("/v1/messages\r\nx: y")),
        instead("a NUL in the path", Stream, ":path", Some("/v1/messages\0")),
        instead("a path in absolute form", Stream, ":path", Some("https://other.test/v1/messages")),
        instead("an asterisk", Stream, ":path", Some("*")),
        instead("a path without a slash", Stream, ":path", Some("v1/messages")),
        instead("a blank in the method", Malformed, ":method", Some("POST /v1/messages HTTP/1.1")),
        instead("CONNECT", Stream, ":method", Some("CONNECT")),
        instead("a blank in the authority", Stream, ":authority", Some("gateway.test x")),
        instead("a user in the authority", Stream, ":authority", Some("user@gateway.test")),
        with("a host like the authority", Served, &[("host", "gateway.test")]),
        with("a host unlike the authority", Stream, &[("host", "other.test")]),
        with("two hosts", Stream, &[("host", "gateway.test"), ("host", "other.test")]),
    ]
}

fn fields() -> Vec<Row> {
    let cut = |name, want, length: &str, body: &str| {
        let block = block(&[&GOOD[..], &[("content-length", length)]].concat());
        row(name, want, [headers(1, 0, &block), frame(DATA, END_STREAM, 1, body.as_bytes())].concat())
    };
    let n = BODY.len().to_string();
    vec![
        with("a name in upper case", Malformed, &[("X-Upper", "a")]),
        with("a transfer-encoding", Stream, &[("transfer-encoding", "chunked")]),
        with("a connection", Stream, &[("connection", "close")]),
        with("a connection that names a field", Stream, &[("connection", "authorization")]),
        with("a keep-alive", Stream, &[("keep-alive", "timeout=5")]),
        with("a proxy-connection", Stream, &[("proxy-connection", "keep-alive")]),
        with("an upgrade", Stream, &[("upgrade", "websocket")]),
        with("te of trailers", Served, &[("te", "trailers")]),
        with("te of more", Stream, &[("te", "gzip")]),
        raw("a line's end in a value", Malformed, &field(b"x", b"a\r\ntransfer-encoding: chunked")),
        raw("a line feed in a value", Malformed, &field(b"x", b"a\nb")),
        raw("a CR in a value", Malformed, &field(b"x", b"a\rb")),
        raw("a NUL in a value", Malformed, &field(b"x", b"a\0b")),
        raw("a line's end in a name", Malformed, &field(b"x: y\r\nz", b"a")),
        raw("a colon in a name", Malformed, &field(b"x:y", b"a")),
        raw("a blank in a name", Malformed, &field(b"x y", b"a")),
        raw("no name", Malformed, &field(b"", b"a")),
        raw("a name that is not ASCII", Malformed, &field(b"x\xff", b"a")),
        cut("a right length", Served, &n, BODY),
        cut("a length that is too small", Stream, "5", BODY),
        cut("a length that is too large", Stream, "99", BODY),
        cut("a length that is none", Stream, "0x1b", BODY),
        cut("a length with a sign", Stream, "+27", BODY),
        with("two lengths", Stream, &[("content-length", &n), ("content-length", "5")]),
    ]
}

fn streams() -> Vec<Row> {
    let open = headers(1, 0, &good());
    let good = good();
    vec![
        row("data of no stream", Connection(PROTOCOL_ERROR), frame(DATA, 0, 0, b"x")),
        row("data of a stream that is not there", Connection(PROTOCOL_ERROR), frame(DATA, 0, 1, b"x")),
        row("a reset of a stream that is not there", Connection(PROTOCOL_ERROR), reset(1)),
        row("a window of a stream that is not there", Connection(PROTOCOL_ERROR), window_update(1, 5)),
        row("headers of no stream", Connection(PROTOCOL_ERROR), headers(0, END_STREAM, &good)),
        row("an even stream", Connection(PROTOCOL_ERROR), headers(2, END_STREAM, &good)),
        row("a stream before the last", Fault, [&request(7, BODY)[..], &headers(5, END_STREAM, &good)].concat()),
        row("a pushed stream", Connection(PROTOCOL_ERROR), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
        row("data behind the end", Fault, [&request(1, BODY)[..], &frame(DATA, 0, 1, b"x")].concat()),
        row("headers behind the end", Fault, [&request(1, BODY)[..], &headers(1, END_STREAM, &good)].concat()),
        row("trailers", Served, trailers(&field(b"x", b"y"), END_STREAM)),
        row("trailers that are not the end", Stream, trailers(&field(b"x", b"y"), 0)),
        // Trailers are read and thrown away, whatever is in them.
        row("pseudo-fields in trailers", Served, trailers(&field(b":path", b"/v1/other"), END_STREAM)),
        row("a length in trailers", Served, trailers(&field(b"content-length", b"5"), END_STREAM)),
        row("no window's worth", Malformed, [&open[..], &window_update(1, 0)].concat()),
        row("no window's worth for all", Connection(PROTOCOL_ERROR), window_update(0, 0)),
        row("too large a window", Stream, [&open[..], &window_update(1, 0x7fff_ffff)].concat()),
        row("too large a window for all", Connection(FLOW_CONTROL_ERROR), window_update(0, 0x7fff_ffff)),
        row("too large a first window", Connection(FLOW_CONTROL_ERROR), settings(&[(4, 0x8000_0000)])),
        // Or refused before all of it is there.
        row("more than the window holds", Fault, beyond_the_window()),
    ]
}

fn trailers(block: &[u8], flags: u8) -> Vec<u8> {
    [headers(1, 0, &good()), frame(DATA, 0, 1, BODY.as_bytes()), headers(1, flags, block)].concat()
}

/// Twice what a connection's window holds, and none of it a body that could be read away.
fn beyond_the_window() -> Vec<u8> {
    let open = headers(1, 0, &block(&[&GOOD[..], &[("authorization", "Bearer nobody")]].concat()));
    [open, frame(DATA, 0, 1, &[b' '; 16_384]).repeat(128)].concat()
}

fn shapes() -> Vec<Row> {
    let good = good();
    let (front, rest) = good.split_at(20);
    let split = |between: &[u8]| {
        [&frame(HEADERS, 0, 1, front)[..], between, &frame(CONTINUATION, END_HEADERS, 1, rest), &body()].concat()
    };
    let padded = |pad: u8| {
        let payload = [&[pad][..], &good, &[0; 10]].concat();
        [frame(HEADERS, END_HEADERS | PADDED, 1, &payload), body()].concat()
    };
    vec![
        row("headers in two frames", Served, split(&[])),
        row("a ping between them", Connection(PROTOCOL_ERROR), split(&frame(PING, 0, 0, &[0; 8]))),
        row("another stream between them", Connection(PROTOCOL_ERROR), split(&headers(3, END_STREAM, &good))),
        row("a continuation of nothing", Connection(PROTOCOL_ERROR), frame(CONTINUATION, END_HEADERS, 1, &good)),
        row("padding", Served, padded(10)),
        row("more padding than frame", Connection(PROTOCOL_ERROR), padded(255)),
        row("a frame of a kind to come", Served, [&frame(0xbb, 0xff, 0, b"grease")[..], &request(1, BODY)].concat()),
        row("flags to come", Served, [&frame(PING, 0xfe, 0, &[1; 8])[..], &request(1, BODY)].concat()),
        row("too long a frame", Connection(FRAME_SIZE_ERROR), frame(DATA, 0, 1, &[0; 16_385])),
        row("a short ping", Connection(FRAME_SIZE_ERROR), frame(PING, 0, 0, &[0; 7])),
        row("a ping of a stream", Connection(PROTOCOL_ERROR), frame(PING, 0, 1, &[0; 8])),
        row("half a setting", Connection(FRAME_SIZE_ERROR), frame(SETTINGS, 0, 0, &[0; 7])),
        row("an acknowledgement that says something", Connection(FRAME_SIZE_ERROR), frame(SETTINGS, ACK, 0, &[0; 6])),
        row("settings of a stream", Connection(PROTOCOL_ERROR), frame(SETTINGS, 0, 1, &[])),
        row("a push setting of 2", Connection(PROTOCOL_ERROR), settings(&[(2, 2)])),
        row("frames of no length", Connection(PROTOCOL_ERROR), settings(&[(5, 100)])),
        row("frames of any length", Connection(PROTOCOL_ERROR), settings(&[(5, 1 << 24)])),
        row("a setting to come", Served, [&settings(&[(0xbb, 7)])[..], &request(1, BODY)].concat()),
        row("a short window update", Connection(FRAME_SIZE_ERROR), frame(WINDOW_UPDATE, 0, 0, &[0; 3])),
        row("a short reset", Connection(FRAME_SIZE_ERROR), frame(RST_STREAM, 0, 1, &[0; 3])),
        row("a priority of itself", Fault, [headers(1, 0, &good), frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 9])].concat()),
        row("a short priority", Fault, [headers(1, 0, &good), frame(PRIORITY, 0, 1, &[0; 4])].concat()),
        raw("the field of index 0", Connection(COMPRESSION_ERROR), &[0x80]),
        raw("an index beyond the table", Connection(COMPRESSION_ERROR), &[0xff, 0x80, 0x01]),
        raw("an endless integer", Connection(COMPRESSION_ERROR), &[0xff; 20]),
        raw("a string without its end", Connection(COMPRESSION_ERROR), &[0, 1, b'x', 100]),
        raw("a table as large as memory", Connection(COMPRESSION_ERROR), &[0x3f, 0xe1, 0xff, 0xff, 0x7f]),
        raw("Huffman's end inside", Connection(COMPRESSION_ERROR), &[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]),
    ]
}

/// What is wrong about what came of a row.
async fn judge(row: &Row, edge: &Edge, upstream: &Recorder) -> Option<String> {
    let before = upstream.requests().0.len();
    let mut peer = Peer::begin(edge, &[]).await;
    peer.send(&row.bytes).await;
    let verdict = peer.verdict(1).await;
    let served = upstream.requests().0.len() - before;
    let told = format!("{}: {verdict:?} and {served} upstream, wanted {:?}", row.name, row.want);
    match (row.want, verdict) {
        (Served, Verdict::Served) => None,
        (Connection(code), Verdict::GoneAway(told)) if [code, PROTOCOL_ERROR].contains(&told) => {
            (!peer.ends().await).then(|| format!("{}: it stays open", row.name))
        }
        (Malformed, Verdict::GoneAway(PROTOCOL_ERROR)) if served == 0 => None,
        (Fault, Verdict::GoneAway(_) | Verdict::Cut | Verdict::Reset(_) | Verdict::Refused) => None,
        (Stream | Malformed, Verdict::Reset(_) | Verdict::Refused) if served == 0 => {
            peer.send(&request(9, BODY)).await;
            let next = peer.verdict(9).await;
            (next != Verdict::Served).then(|| format!("{}: and the next request: {next:?}", row.name))
        }
        _ => Some(told),
    }
}

#[tokio::test]
async fn what_is_malformed_ends_as_it_must() {
    let upstream = Recorder::start().await;
    let mut edge = Edge::start(upstream.address, "").await;
    let mut wrong = Vec::new();
    for row in [pseudo_fields(), fields(), streams(), shapes()].into_iter().flatten() {
        let before = upstream.requests().0.len();
        wrong.extend(judge(&row, &edge, &upstream).await);
        let (requests, more) = upstream.requests();
        let mut sent = requests[before..].iter();
        // A fault of the connection may come too late for the request before it; what went upstream is then whole.
        if more || sent.any(|request| request.body != BODY.as_bytes()) {
            wrong.push(format!("{}: went upstream: {:?}", row.name, &requests[before..]));
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    edge.serves_others().await;
    edge.gateway.is_unharmed();
}

#[tokio::test]
async fn who_does_not_begin_with_the_preface_is_cut_off() {
    let upstream = Recorder::start().await;
    let mut edge = Edge::start(upstream.address, "").await;
    for begin in [&b"GET / HTTP/1.1\r\nhost: gateway.test\r\n\r\n"[..], &[0; 64], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\x0b"]
    {
        let mut peer = Peer::silent(&edge).await;
        peer.send(begin).await;
        assert!(peer.ends().await, "{begin:?}");
    }
    assert_eq!(upstream.requests().0.len(), 0);
    edge.gateway.is_unharmed();
}
