//! A client's request is read alike whatever the borders, and as the usual parser reads it: its head, its body, and where the
//! next request begins.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tollgate::http1::framing::{Framing, Step};
use tollgate::http1::gather::Gathering;
use tollgate::listen::http1::head::{self, Refused};
use tollgate_fuzz::open;

#[derive(Debug, PartialEq)]
enum Read {
    Refused(Refused),
    Unfinished,
    Request(Request),
}

#[derive(Debug, PartialEq)]
struct Request {
    line: String,
    fields: Vec<(String, Vec<u8>)>,
    framing: Framing,
    /// Keep-alive, asks for an interim answer, says for whom.
    says: [bool; 3],
    /// `None`: it has not all come, or its framing broke.
    body: Option<Vec<u8>>,
    /// What stands behind the body.
    rest: Vec<u8>,
}

fn read(pieces: &[&[u8]]) -> Read {
    let mut pieces = pieces.iter();
    let mut gathering = Gathering::default();
    let (head, mut bytes) = loop {
        let Some(piece) = pieces.next() else { return Read::Unfinished };
        let mut bytes = Bytes::copy_from_slice(piece);
        match head::read(&mut gathering, &mut bytes) {
            Err(refused) => return Read::Refused(refused),
            Ok(Some(head)) => break (head, bytes),
            Ok(None) => assert!(bytes.is_empty()),
        }
    };
    let (mut framing, mut data) = (head.framing, Vec::new());
    let whole = loop {
        match framing.next(&mut bytes) {
            Ok(Step::Data(more)) => data.extend_from_slice(&more),
            Ok(Step::End) => break true,
            Ok(Step::More) => match pieces.next() {
                Some(piece) => bytes = Bytes::copy_from_slice(piece),
                None => break false,
            },
            Err(_) => break false,
        }
    };
    let rest = bytes.iter().copied().chain(pieces.flat_map(|piece| piece.iter().copied()));
    Read::Request(Request {
        line: format!("{} {} {:?}", head.method, head.target, head.version),
        fields: head
            .fields
            .iter()
            .map(|field| (String::from_utf8_lossy(field.name).to_ascii_lowercase(), field.value.to_vec()))
            .collect(),
        framing: head.framing,
        says: [head.keep_alive, head.asks, head.addressed],
        rest: if whole { rest.collect() } else { Vec::new() },
        body: whole.then_some(data),
    })
}

/// What httparse makes of it, where it makes anything of it: the fields and the length of the head.
fn usual(text: &[u8]) -> Option<(Vec<(String, Vec<u8>)>, usize)> {
    let mut lines = [httparse::EMPTY_HEADER; 200];
    let mut request = httparse::Request::new(&mut lines);
    let Ok(httparse::Status::Complete(length)) = request.parse(text) else { return None };
    let line = |line: &httparse::Header<'_>| (line.name.to_ascii_lowercase(), line.value.trim_ascii().to_vec());
    Some((request.headers.iter().map(line).collect(), length))
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, text, pieces)) = open(input) else { return };
    // Heads are rarely hit upon by chance: some inputs are what stands behind the beginning of one.
    let front: &[u8] = match choice & 3 {
        0 => b"",
        1 => b"POST /v1/messages HTTP/1.1\r\nhost: gateway\r\n",
        2 => b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        _ => b"GET /v1/models HTTP/1.0\r\n",
    };
    let whole = [front, text].concat();
    let all: Vec<&[u8]> = std::iter::once(front).chain(pieces).filter(|piece| !piece.is_empty()).collect();
    let at_once = read(&[&whole]);
    match (read(&all), &at_once) {
        // In pieces, what is none is told when it should be whole.
        (Read::Unfinished, Read::Refused(_)) => {}
        (in_pieces, at_once) => assert_eq!(in_pieces, *at_once, "it depends on the borders"),
    }
    let Read::Request(request) = at_once else { return };
    // Of a line's end in front of everything we do not ask how it is made.
    let begin = whole.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let whole = &whole[begin..];
    let (fields, length) = usual(whole).expect("we are stricter than httparse");
    assert_eq!(request.fields, fields);
    let lengths = || request.fields.iter().filter(|(name, _)| name == "content-length");
    let chunked = request.fields.iter().any(|(name, _)| name == "transfer-encoding");
    match request.framing {
        Framing::Length(announced) => {
            assert!(!chunked && (announced == 0 || lengths().count() > 0));
            let there = u64::try_from(whole.len() - length).unwrap();
            assert_eq!(request.body.map(|body| body.len() as u64), (there >= announced).then_some(announced));
        }
        Framing::Chunked(_) => assert!(chunked && lengths().count() == 0),
        Framing::Close => panic!("a request has an end"),
    }
});
