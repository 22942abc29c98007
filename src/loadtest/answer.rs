//! An answer as it comes off a connection: head, framing, events, and whether it is the one that was expected.
//!
//! Invariant: only an answer whose framing was whole counts as read, and only one with the expected content as good. It keeps
//! nothing of a body but a checksum and its last bytes.

use std::io;

use super::tally::Fault;

/// Most bytes of a response's head.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;
/// More than any dialect's terminal event has, from its beginning to the marks below.
const TAIL: usize = 1024;

/// What an answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// These very bytes, told by their number and their CRC-32.
    Bytes {
        /// How many.
        length: u64,
        /// Their checksum.
        crc: u32,
    },
    /// Whatever it is, 200 and with an end: one of these stands in its last kilobyte. For subjects that word answers anew.
    EndsWith(&'static [&'static str]),
}

/// How the end of a body is told (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunked {
    Size {
        so_far: u64,
        digits: u8,
        extension: bool,
    },
    Data(u64),
    /// The line end after a chunk: that many bytes of it are still to come.
    After(u8),
    /// Trailers, and the empty line that ends them: how long the current line is.
    Trailers {
        line: u32,
    },
    Done,
}

/// An answer being read.
#[derive(Debug)]
pub struct Answer {
    head: Vec<u8>,
    status: u16,
    framing: Option<Framing>,
    closes: bool,
    content: Content,
}

/// What can be told of a body without keeping it.
#[derive(Debug, Default)]
pub struct Content {
    /// Bytes, without their framing.
    pub length: u64,
    /// Of server-sent events: empty lines seen.
    pub events: u64,
    crc: crc32fast::Hasher,
    tail: Vec<u8>,
    newline: bool,
    /// All of it, where it is wanted.
    kept: Option<Vec<u8>>,
}

impl Answer {
    /// Nothing read yet.
    #[must_use]
    pub fn new(keep: bool) -> Self {
        let content = Content { kept: keep.then(Vec::new), ..Content::default() };
        Self { head: Vec::new(), status: 0, framing: None, closes: false, content }
    }

    /// What came in one read. Says whether the answer is complete.
    ///
    /// # Errors
    /// What came is no HTTP/1.1, or more than the answer.
    pub fn read(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        let body = match self.framing {
            Some(_) => return self.body(bytes),
            // The usual case: the head comes in one read, and nothing is copied.
            None if self.head.is_empty() => bytes,
            None => {
                self.head.extend_from_slice(bytes);
                &std::mem::take(&mut self.head)
            }
        };
        let Some(length) = self.parse(body)? else {
            if body.len() > MAX_HEAD {
                return Err(Fault::NotHttp);
            }
            self.head = body.to_vec();
            return Ok(false);
        };
        self.body(&body[length..])
    }

    /// The other side has closed. Says whether the answer is complete with that.
    #[must_use]
    pub const fn closed(&self) -> bool {
        matches!(self.framing, Some(Framing::UntilClose))
    }

    /// Whether the head has come.
    #[must_use]
    pub const fn has_head(&self) -> bool {
        self.framing.is_some()
    }

    /// Whether the connection is of no further use.
    #[must_use]
    pub const fn closes(&self) -> bool {
        self.closes
    }

    /// What has come of the body.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// Whether it is what was expected.
    ///
    /// # Errors
    /// It is not, and why.
    pub fn check(&self, expected: &Expected) -> Result<(), Fault> {
        if self.status != 200 {
            return Err(Fault::Status(self.status));
        }
        let good = match expected {
            Expected::Bytes { length, crc } => {
                self.content.length == *length && self.content.crc.clone().finalize() == *crc
            }
            Expected::EndsWith(marks) => {
                marks.iter().any(|mark| memchr::memmem::find(&self.content.tail, mark.as_bytes()).is_some())
            }
        };
        if good { Ok(()) } else { Err(Fault::WrongContent) }
    }

    /// Status and whole body.
    #[must_use]
    pub fn into_parts(self) -> (u16, Vec<u8>) {
        (self.status, self.content.kept.unwrap_or_default())
    }

    /// The length of the head, if it is complete.
    fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = response.parse(bytes).map_err(|_| Fault::NotHttp)? else {
            return Ok(None);
        };
        self.status = response.code.unwrap_or_default();
        let mut framing = Framing::UntilClose;
        for header in response.headers.iter() {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") && framing == Framing::UntilClose {
                let number = std::str::from_utf8(header.value).ok().and_then(|text| text.trim().parse().ok());
                framing = Framing::Length(number.ok_or(Fault::NotHttp)?);
            } else if is("transfer-encoding") && header.value.eq_ignore_ascii_case(b"chunked") {
                framing = Framing::Chunked(Chunked::START);
            } else if is("connection") && header.value.eq_ignore_ascii_case(b"close") {
                self.closes = true;
            }
        }
        self.closes = self.closes || framing == Framing::UntilClose;
        self.framing = Some(framing);
        Ok(Some(length))
    }

    fn body(&mut self, mut bytes: &[u8]) -> Result<bool, Fault> {
        match &mut self.framing {
            Some(Framing::Length(left)) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                self.content.see(&bytes[..here]);
                *left -= here as u64;
                if bytes.len() > here { Err(Fault::TooMuch) } else { Ok(*left == 0) }
            }
            Some(Framing::Chunked(state)) => {
                while !bytes.is_empty() {
                    bytes = state.step(bytes, &mut self.content)?;
                }
                Ok(*state == Chunked::Done)
            }
            Some(Framing::UntilClose) => {
                self.content.see(bytes);
                Ok(false)
            }
            None => Ok(false),
        }
    }
}

impl Chunked {
    const START: Self = Self::Size { so_far: 0, digits: 0, extension: false };

    /// Takes some of `bytes`; what is left comes back.
    fn step<'b>(&mut self, bytes: &'b [u8], content: &mut Content) -> Result<&'b [u8], Fault> {
        if let Self::Data(left) = self {
            let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            content.see(&bytes[..here]);
            *left -= here as u64;
            if *left == 0 {
                *self = Self::After(2);
            }
            return Ok(&bytes[here..]);
        }
        let Some((&byte, rest)) = bytes.split_first() else { return Ok(bytes) };
        *self = match *self {
            Self::Size { so_far, digits, extension } => match (byte, char::from(byte).to_digit(16)) {
                (b'\n', _) if digits == 0 => return Err(Fault::NotHttp),
                (b'\n', _) if so_far == 0 => Self::Trailers { line: 0 },
                (b'\n', _) => Self::Data(so_far),
                (b'\r', _) => *self,
                (_, Some(digit)) if !extension && digits < 15 => {
                    Self::Size { so_far: so_far * 16 + u64::from(digit), digits: digits + 1, extension }
                }
                (b';' | b' ', _) if digits > 0 => Self::Size { so_far, digits, extension: true },
                _ if extension => *self,
                _ => return Err(Fault::NotHttp),
            },
            Self::After(2) if byte == b'\r' => Self::After(1),
            Self::After(1) if byte == b'\n' => Self::START,
            Self::Trailers { line: 0 } if byte == b'\n' => Self::Done,
            Self::Trailers { line } => match byte {
                b'\r' => *self,
                b'\n' => Self::Trailers { line: 0 },
                _ => Self::Trailers { line: line.saturating_add(1) },
            },
            Self::After(_) => return Err(Fault::NotHttp),
            Self::Done => return Err(Fault::TooMuch),
            Self::Data(_) => *self,
        };
        Ok(rest)
    }
}

impl Content {
    fn see(&mut self, bytes: &[u8]) {
        let Some(&last) = bytes.last() else { return };
        self.length += bytes.len() as u64;
        self.crc.update(bytes);
        for at in memchr::memchr_iter(b'\n', bytes) {
            let before = if at == 0 { self.newline } else { bytes[at - 1] == b'\n' };
            self.events += u64::from(before);
        }
        self.newline = last == b'\n';
        if bytes.len() >= TAIL {
            self.tail.clear();
        } else if self.tail.len() + bytes.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
    }
}

/// An error of a socket as a fault of the answer.
pub fn fault_of(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => Fault::Reset,
        io::ErrorKind::ConnectionRefused => Fault::Refused,
        _ => Fault::Socket,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(body: &[u8]) -> Expected {
        Expected::Bytes { length: body.len() as u64, crc: crc32fast::hash(body) }
    }

    /// However it is cut, the answer is read the same.
    #[track_caller]
    fn reads(name: &str, wire: &str, want: Result<(u64, &[u8]), Fault>) {
        for size in 1..=wire.len() {
            let mut answer = Answer::new(false);
            let mut end = Ok(false);
            for piece in wire.as_bytes().chunks(size) {
                if !matches!(end, Ok(false)) {
                    end = Err(Fault::TooMuch);
                    break;
                }
                end = answer.read(piece);
                if end.is_err() {
                    break;
                }
            }
            match (&want, end) {
                (Ok((events, body)), Ok(done)) => {
                    assert!(done || answer.closed(), "{name}: not complete, cut by {size}");
                    assert_eq!(answer.check(&expected(body)), Ok(()), "{name}, cut by {size}");
                    assert_eq!(answer.content().events, *events, "{name}, cut by {size}");
                }
                (Err(fault), Err(got)) => assert_eq!(*fault, got, "{name}, cut by {size}"),
                (_, end) => panic!("{name}, cut by {size}: {end:?}"),
            }
        }
    }

    #[test]
    fn framings_on_any_borders() {
        let head = "HTTP/1.1 200 OK\r\n";
        reads("a length", &format!("{head}content-length: 5\r\n\r\nhello"), Ok((0, b"hello")));
        reads("no body", &format!("{head}content-length: 0\r\n\r\n"), Ok((0, b"")));
        let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
        reads("chunks", &format!("{chunked}3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"), Ok((0, b"abcd")));
        reads("trailers", &format!("{chunked}1\r\na\r\n0\r\nx: y\r\n\r\n"), Ok((0, b"a")));
        reads("events", &format!("{chunked}8\r\na: b\n\nc:\r\n4\r\n d\n\n\r\n0\r\n\r\n"), Ok((2, b"a: b\n\nc: d\n\n")));
        reads("until it closes", &format!("{head}\r\nhello"), Ok((0, b"hello")));
        reads("too much", &format!("{head}content-length: 5\r\n\r\nhello!"), Err(Fault::TooMuch));
        reads("more after the end", &format!("{chunked}0\r\n\r\nx"), Err(Fault::TooMuch));
        reads("a chunk too long", &format!("{chunked}1\r\nab"), Err(Fault::NotHttp));
        reads("no size", &format!("{chunked}\r\n"), Err(Fault::NotHttp));
        reads("no HTTP", "hello there, this is no HTTP", Err(Fault::NotHttp));
    }

    #[track_caller]
    fn checks(name: &str, status: u16, body: &str, expected: &Expected, want: Result<(), Fault>) {
        let mut answer = Answer::new(false);
        let wire = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        assert_eq!(answer.read(wire.as_bytes()), Ok(true), "{name}");
        assert_eq!(answer.check(expected), want, "{name}");
    }

    #[test]
    fn only_the_expected_is_good() {
        let hello = expected(b"hello");
        checks("the same", 200, "hello", &hello, Ok(()));
        checks("another", 200, "hallo", &hello, Err(Fault::WrongContent));
        checks("half", 200, "hel", &hello, Err(Fault::WrongContent));
        checks("a refusal", 529, "hello", &hello, Err(Fault::Status(529)));
        let done = Expected::EndsWith(&["[DONE]"]);
        checks("an end", 200, "data: x\n\ndata: [DONE]\n\n", &done, Ok(()));
        checks("no end", 200, "data: x\n\n", &done, Err(Fault::WrongContent));
        checks(
            "an end far before the end",
            200,
            &format!("[DONE]{}", "x".repeat(5000)),
            &done,
            Err(Fault::WrongContent),
        );
        checks("a long one", 200, &format!("{}[DONE]", "x".repeat(5000)), &done, Ok(()));
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let mut answer = Answer::new(false);
        assert_eq!(answer.read(b"HTTP/1.1 200 OK\r\nx: "), Ok(false));
        let endless = std::iter::repeat_with(|| answer.read(&[b'y'; 4096])).take(32).find(Result::is_err);
        assert_eq!(endless, Some(Err(Fault::NotHttp)));
    }
}
