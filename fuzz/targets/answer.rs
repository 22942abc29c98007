//! A provider's answer is read alike whatever the borders: its head, its body, and where the next answer begins.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate::http1::framing::{Framing, Step};
use tollgate::http1::gather::Gathering;
use tollgate::upstream::http1::head;
use tollgate_fuzz::open;

#[derive(Debug, PartialEq)]
enum Read {
    Garbage,
    Unfinished,
    Head { status: u16, headers: http::HeaderMap, keep_alive: bool, framing: Framing, body: Body },
}

#[derive(Debug, PartialEq)]
struct Body {
    data: Vec<u8>,
    /// What is left behind the end; `None`: it has not come, or the framing broke.
    rest: Option<Vec<u8>>,
    malformed: bool,
}

fn read(pieces: &[&[u8]]) -> Read {
    let mut pieces = pieces.iter();
    let mut gathering = Gathering::default();
    let (head, mut bytes) = loop {
        let Some(piece) = pieces.next() else { return Read::Unfinished };
        let mut bytes = Bytes::copy_from_slice(piece);
        match head::read(&mut gathering, &mut bytes) {
            Err(head::Garbage) => return Read::Garbage,
            Ok(Some(head)) => break (head, bytes),
            Ok(None) => assert!(bytes.is_empty()),
        }
    };
    let mut framing = head.framing;
    let mut body = Body { data: Vec::new(), rest: None, malformed: false };
    loop {
        match framing.next(&mut bytes) {
            Ok(Step::Data(data)) => {
                assert!(!data.is_empty());
                body.data.extend_from_slice(&data);
            }
            Ok(Step::End) => {
                assert!(framing.is_over());
                let more = pieces.flat_map(|piece| piece.iter().copied());
                body.rest = Some(bytes.iter().copied().chain(more).collect());
                break;
            }
            Ok(Step::More) => match pieces.next() {
                Some(piece) => bytes = Bytes::copy_from_slice(piece),
                None => break,
            },
            Err(_) => {
                body.malformed = true;
                break;
            }
        }
    }
    let (status, headers) = (head.status.as_u16(), head.fields.to_map(|_| true));
    Read::Head { status, headers, keep_alive: head.keep_alive, framing: head.framing, body }
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, text, pieces)) = open(input) else { return };
    // Heads are rarely hit upon by chance: some inputs are the body of a chunked answer.
    let front: &[u8] = if choice & 1 == 0 { b"" } else { b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" };
    let whole = [front, text].concat();
    let all: Vec<&[u8]> = std::iter::once(front).chain(pieces).filter(|piece| !piece.is_empty()).collect();
    let at_once = read(&[&whole]);
    match (read(&all), &at_once) {
        // In pieces, what is none is told when it should be whole.
        (Read::Unfinished, Read::Garbage) => {}
        (in_pieces, at_once) => assert_eq!(in_pieces, *at_once, "it depends on the borders"),
    }
    if let Read::Head { keep_alive, framing, .. } = at_once {
        assert!(!keep_alive || framing != Framing::Close);
    }
});
