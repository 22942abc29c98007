//! The head of an answer (RFC 9112 sections 4 to 6).
//!
//! Invariant: an answer whose length could be read in two ways is refused, for a connection that is used again must not take
//! the end of one answer for the beginning of the next.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::http1::framing::Framing;
use crate::http1::says::Says;

/// Lines a head may have.
const LINES: usize = 128;
/// Bytes a head may have. Beyond any provider's.
pub const LONGEST: usize = 64 * 1024;

/// What a head says.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// As they came, in lower case.
    pub headers: HeaderMap,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection may be used again after the body.
    pub keep_alive: bool,
    /// Bytes of the head.
    pub len: usize,
}

/// This is no HTTP/1, or says two things at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage;

/// Reads a head; `None` if it is not all there.
///
/// # Errors
/// It is not one, or too long.
pub fn parse(bytes: &Bytes) -> Result<Option<Head>, Garbage> {
    let mut lines = [const { std::mem::MaybeUninit::uninit() }; LINES];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut response, bytes, &mut lines);
    let len = match parsed.map_err(|_| Garbage)? {
        httparse::Status::Partial if bytes.len() >= LONGEST => return Err(Garbage),
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(len) => len,
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Garbage)?;
    // Two more, for what is added on the way to the client: to grow would cost more than all the rest.
    let mut headers = HeaderMap::with_capacity(response.headers.len() + 2);
    let mut says = Says { closes: response.version != Some(1), ..Says::default() };
    for line in &*response.headers {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Garbage)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).map_err(|_| Garbage)?;
        says.hear(&name, line.value).map_err(|_| Garbage)?;
        headers.append(name, value);
    }
    // Chunks were not thought of in HTTP/1.0: who sends them there has no idea what the next hop reads (RFC 9112 section 6.1).
    if says.chunked && response.version != Some(1) {
        return Err(Garbage);
    }
    let framing = framing(&mut says, status, &mut headers);
    let keep_alive = !says.closes && framing != Framing::Close;
    Ok(Some(Head { status, headers, framing, keep_alive, len }))
}

/// How an answer's body ends. One that says both a length and chunks may be read in another way by the next hop
/// (RFC 9112 section 6.3): the length goes, and the connection is not used again.
fn framing(says: &mut Says, status: StatusCode, headers: &mut HeaderMap) -> Framing {
    if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Framing::Length(0);
    }
    if says.chunked {
        if says.length.is_some() {
            headers.remove(header::CONTENT_LENGTH);
            says.closes = true;
        }
        return Framing::chunked();
    }
    says.length.map_or(Framing::Close, Framing::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Head>, Garbage> {
        parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[track_caller]
    fn says(lines: &str, framing: Framing, keep_alive: bool) {
        let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\nrest");
        let head = read(&text).unwrap().unwrap();
        assert_eq!((head.framing, head.keep_alive), (framing, keep_alive), "{lines:?}");
        assert_eq!(head.len, text.len() - 4);
    }

    #[test]
    fn how_a_body_ends() {
        says("content-length: 5\r\n", Framing::Length(5), true);
        says("Content-Length: 05\r\n", Framing::Length(5), true);
        says("content-length: 5\r\ncontent-length: 5\r\n", Framing::Length(5), true);
        says("content-length: 5, 5\r\n", Framing::Length(5), true);
        says("content-length: 18446744073709551615\r\n", Framing::Length(u64::MAX), true);
        says("transfer-encoding: chunked\r\n", Framing::chunked(), true);
        says("Transfer-Encoding:  Chunked \r\n", Framing::chunked(), true);
        says("transfer-encoding: chunked\r\ncontent-length: 5\r\n", Framing::chunked(), false);
        says("", Framing::Close, false);
        says("content-length: 5\r\nconnection: close\r\n", Framing::Length(5), false);
        says("content-length: 5\r\nconnection: x, Close\r\n", Framing::Length(5), false);
        says("content-length: 5\r\nconnection: keep-alive\r\n", Framing::Length(5), true);
    }

    #[test]
    fn answers_without_a_body_and_of_older_servers() {
        for (text, framing, keep_alive) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Framing::Length(0), true),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", Framing::Length(0), true),
            ("HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n", Framing::Length(0), true),
            ("HTTP/1.1 100 Continue\r\n\r\n", Framing::Length(0), true),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", Framing::Length(5), false),
            ("HTTP/1.1 200\r\ncontent-length: 5\r\n\r\n", Framing::Length(5), true),
        ] {
            let head = read(text).unwrap().unwrap();
            assert_eq!((head.framing, head.keep_alive), (framing, keep_alive), "{text:?}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for lines in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5, 6\r\n",
            "content-length: +5\r\n",
            "content-length: -1\r\n",
            "content-length: 5 5\r\n",
            "content-length: \r\n",
            "content-length: 5,\r\n",
            "content-length: 0x5\r\n",
            "content-length: 18446744073709551616\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: identity\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked, chunked\r\n",
            "content-length : 5\r\n",
            " folded: 5\r\n",
            "a: b\r\n c\r\n",
            "a\r\n",
            "a: \u{0}\r\n",
            "a: b\rc: d\r\n",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
            assert_eq!(read(&text).map(|head| head.is_some()), Err(Garbage), "{lines:?}");
        }
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for text in [
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "\u{15}\u{3}",
            "SSH-2.0-x\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
        ] {
            assert_eq!(read(text).map(|head| head.is_some()), Err(Garbage), "{text:?}");
        }
    }

    #[test]
    fn a_head_that_is_not_all_there_is_waited_for_but_not_for_ever() {
        let text = "HTTP/1.1 200 OK\r\na: b\r\n\r\n";
        for end in 0..text.len() {
            assert!(read(&text[..end]).unwrap().is_none(), "{end}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(LONGEST));
        assert_eq!(read(&endless).map(|head| head.is_some()), Err(Garbage));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(LINES + 1));
        assert_eq!(read(&many).map(|head| head.is_some()), Err(Garbage));
    }

    #[test]
    fn headers_are_kept_in_order_with_their_bytes() {
        let mut bytes = b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\nx-\xe9: no\r\n\r\n".to_vec();
        assert!(parse(&Bytes::from(bytes.clone())).is_err());
        bytes.truncate(bytes.len() - "x-e: no\r\n\r\n".len());
        bytes.extend_from_slice(b"x-v: caf\xe9\r\n\r\n");
        let head = parse(&Bytes::from(bytes)).unwrap().unwrap();
        let cookies: Vec<_> = head.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a", "b"]);
        assert_eq!(head.headers["x-v"].as_bytes(), b"caf\xe9");
    }
}
