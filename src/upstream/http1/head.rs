//! The head of an answer (RFC 9112 sections 4 to 6).
//!
//! Invariant: an answer whose length could be read in two ways is refused, for a connection that is used again must not take
//! the end of one answer for the beginning of the next.

use bytes::Bytes;
use http::StatusCode;

use crate::http1::framing::Framing;
use crate::http1::gather::Gathering;
use crate::http1::lines;
use crate::http1::says::Says;
use crate::message::Fields;

/// Bytes a head may have. Beyond any provider's.
const LONGEST: usize = 64 * 1024;

/// What a head says.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub fields: Fields,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection may be used again after the body.
    pub keep_alive: bool,
}

/// This is no HTTP/1, or says two things at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage;

/// Takes a piece; gives the head if that completes it, with what is behind it left in `piece`.
///
/// # Errors
/// It is not one, or too long.
pub fn read(gathering: &mut Gathering, piece: &mut Bytes) -> Result<Option<Head>, Garbage> {
    gathering.add(piece, LONGEST, parse).map_err(|_| Garbage)
}

fn parse(bytes: &[u8]) -> Result<Option<(usize, Head)>, Garbage> {
    let Some((status, version, behind)) = status_line(bytes)? else { return Ok(None) };
    let Some((length, fields, mut says)) = lines::read(bytes.get(behind..).unwrap_or_default()).map_err(|_| Garbage)?
    else {
        return Ok(None);
    };
    says.closes |= version != 1;
    // Chunks were not thought of in HTTP/1.0: who sends them there has no idea what the next hop reads (RFC 9112 section 6.1).
    if says.chunked && version != 1 {
        return Err(Garbage);
    }
    let framing = framing(&mut says, status);
    let keep_alive = !says.closes && framing != Framing::Close;
    Ok(Some((behind + length, Head { status, fields, framing, keep_alive })))
}

/// The status, the minor version, and where the next line begins (RFC 9112 section 4). The reason says nothing.
fn status_line(bytes: &[u8]) -> Result<Option<(StatusCode, u8, usize)>, Garbage> {
    let begun = bytes.iter().zip(b"HTTP/1.").all(|(ours, theirs)| ours == theirs);
    let Some(end) = memchr::memchr(b'\n', bytes) else { return if begun { Ok(None) } else { Err(Garbage) } };
    let line = bytes.get(..end).unwrap_or_default();
    match line.strip_suffix(b"\r").unwrap_or(line) {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b' ', a, b, c, reason @ ..]
            if matches!(reason, [] | [b' ', ..]) && !reason.contains(&b'\r') =>
        {
            let status = StatusCode::from_bytes(&[*a, *b, *c]).map_err(|_| Garbage)?;
            Ok(Some((status, minor - b'0', end + 1)))
        }
        _ => Err(Garbage),
    }
}

/// How an answer's body ends. One that says both a length and chunks may be read in another way by the next hop
/// (RFC 9112 section 6.3): the chunks count, and the connection is not used again.
fn framing(says: &mut Says, status: StatusCode) -> Framing {
    if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Framing::Length(0);
    }
    if says.chunked {
        says.closes |= says.length.is_some();
        return Framing::chunked();
    }
    says.length.map_or(Framing::Close, Framing::Length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Name;

    fn read(text: &str) -> Result<Option<Head>, Garbage> {
        read_with_rest(text.as_bytes()).map(|found| found.map(|(head, _)| head))
    }

    fn read_with_rest(bytes: &[u8]) -> Result<Option<(Head, Bytes)>, Garbage> {
        let mut piece = Bytes::copy_from_slice(bytes);
        let head = super::read(&mut Gathering::default(), &mut piece)?;
        Ok(head.map(|head| (head, piece)))
    }

    #[track_caller]
    fn says(lines: &str, framing: Framing, keep_alive: bool) {
        let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\nrest");
        let (head, rest) = read_with_rest(text.as_bytes()).unwrap().unwrap();
        assert_eq!((head.framing, head.keep_alive), (framing, keep_alive), "{lines:?}");
        assert_eq!(rest, "rest");
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
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 200 O\rK\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
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
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(lines::MOST + 1));
        assert_eq!(read(&many).map(|head| head.is_some()), Err(Garbage));
    }

    #[test]
    fn headers_are_kept_in_order_with_their_bytes() {
        let mut bytes = b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\nx-\xe9: no\r\n\r\n".to_vec();
        assert!(read_with_rest(&bytes).is_err());
        bytes.truncate(bytes.len() - "x-e: no\r\n\r\n".len());
        bytes.extend_from_slice(b"x-v: caf\xe9\r\n\r\n");
        let (head, _) = read_with_rest(&bytes).unwrap().unwrap();
        assert_eq!(head.fields.all(Name::new("set-cookie")).collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(head.fields.get(Name::new("x-v")), Some(&b"caf\xe9"[..]));
    }
}
