//! The head of a request (RFC 9112 sections 2, 3 and 6).
//!
//! Invariant: strict. What another server on the way could read otherwise is refused: two lengths, a length beside chunks, any
//! coding but `chunked`, folded lines, bare control characters.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{EXPECT, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};

use crate::http1::framing::Framing;
use crate::http1::says::Says;

/// Lines a head may have.
const LINES: usize = 128;
/// Bytes a head may have: as much as over HTTP/2.
const LONGEST: usize = 64 * 1024;

/// What a head says.
#[derive(Debug)]
pub(super) struct Head {
    /// Without its body.
    pub(super) request: Request<()>,
    /// How the body ends.
    pub(super) framing: Framing,
    /// Whether the client may send another request behind it.
    pub(super) keep_alive: bool,
    /// It waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1).
    pub(super) asks: bool,
    /// It says once, and validly, whom it is for (RFC 9112 section 3.2).
    pub(super) addressed: bool,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not HTTP/1, or says two things at once.
    Malformed,
    /// It has too many lines, or too many bytes.
    TooLarge,
    /// Another version of HTTP.
    Version,
    /// It did not come in time.
    Late,
}

impl Refused {
    /// The status, and words for whoever reads it.
    pub(super) const fn told(self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "the head of the request is not valid HTTP/1.1\n"),
            Self::TooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the head of the request has more than 64 KiB or 128 header lines\n",
            ),
            Self::Version => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "this connection speaks HTTP/1.1\n"),
            Self::Late => (StatusCode::REQUEST_TIMEOUT, "the head of the request did not come in time\n"),
        }
    }
}

/// The bytes of a head, until all of them are there.
///
/// A head that comes in one piece, as nearly all do, is not copied. One that drips is looked at once per byte, not once per
/// piece.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    bytes: BytesMut,
}

impl Gathering {
    /// Whether something of a head is there.
    pub(super) fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Takes a piece; gives the head if that completes it, with what is behind it left in `piece`.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) fn add(&mut self, piece: &mut Bytes) -> Result<Option<Head>, Refused> {
        if !self.has_begun() {
            // Lines that are empty before the first are skipped (RFC 9112 section 2.2).
            let blank = piece.iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count();
            piece.advance(blank);
            if let Some(head) = parse(piece)? {
                return Ok(Some(head));
            }
            self.bytes.extend_from_slice(piece);
            *piece = Bytes::new();
            return Ok(None);
        }
        let before = self.bytes.len();
        self.bytes.extend_from_slice(piece);
        *piece = Bytes::new();
        if !has_empty_line(&self.bytes, before.saturating_sub(3)) {
            return if before > LONGEST { Err(Refused::TooLarge) } else { Ok(None) };
        }
        let mut whole = std::mem::take(&mut self.bytes).freeze();
        let head = parse(&mut whole)?;
        *piece = whole;
        // With an empty line in it, it is either whole or nonsense.
        head.map(Some).ok_or(Refused::Malformed)
    }
}

fn has_empty_line(bytes: &[u8], from: usize) -> bool {
    memchr::memchr_iter(b'\n', &bytes[from..])
        .any(|at| matches!(&bytes[from + at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

/// Takes a head off the front of `bytes`; `None` if it is not all there.
fn parse(bytes: &mut Bytes) -> Result<Option<Head>, Refused> {
    let mut lines = [const { std::mem::MaybeUninit::uninit() }; LINES];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(bytes, &mut lines) {
        Ok(httparse::Status::Complete(len)) if len <= LONGEST => len,
        Ok(httparse::Status::Partial) if bytes.len() <= LONGEST => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refused::TooLarge),
        Err(httparse::Error::Version) => return Err(Refused::Version),
        Err(_) => return Err(Refused::Malformed),
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Refused::Malformed);
    };
    let mut says = Says::default();
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    let (mut hosts, mut asks) = (Hosts::default(), false);
    for line in &*parsed.headers {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Refused::Malformed)?;
        says.hear(&name, line.value).map_err(|_| Refused::Malformed)?;
        match name {
            HOST => hosts.hear(line.value),
            EXPECT => asks |= line.value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).map_err(|_| Refused::Malformed)?;
        headers.append(name, value);
    }
    let version = if version == 1 { Version::HTTP_11 } else { Version::HTTP_10 };
    let framing = framing(&says, version)?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| Refused::Malformed)?;
    *request.uri_mut() = target_of(bytes.slice_ref(target.as_bytes()), request.method())?;
    *request.version_mut() = version;
    *request.headers_mut() = headers;
    let head = Head {
        framing,
        keep_alive: if version == Version::HTTP_11 { !says.closes } else { says.keeps && !says.closes },
        // Who speaks HTTP/1.0 does not wait.
        asks: asks && version == Version::HTTP_11,
        addressed: hosts.are_one(version),
        request,
    };
    bytes.advance(len);
    if bytes.is_empty() {
        // Even an empty slice would keep the room that it was read into.
        *bytes = Bytes::new();
    }
    Ok(Some(head))
}

/// A request has a body only if it says so (RFC 9112 section 6.3).
fn framing(says: &Says, version: Version) -> Result<Framing, Refused> {
    match (says.chunked, says.length) {
        (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        // Chunks were not thought of in HTTP/1.0 (RFC 9112 section 6.1).
        (true, None) if version == Version::HTTP_11 => Ok(Framing::chunked()),
        (true, _) => Err(Refused::Malformed),
    }
}

/// The target in any form but the authority's, which only CONNECT may use and no gateway serves.
fn target_of(target: Bytes, method: &Method) -> Result<Uri, Refused> {
    if *method == Method::CONNECT || !(target.starts_with(b"/") || &*target == b"*" || target.starts_with(b"http")) {
        return Err(Refused::Malformed);
    }
    Uri::from_maybe_shared(target).map_err(|_| Refused::Malformed)
}

/// The `host` lines.
#[derive(Debug, Default)]
struct Hosts {
    lines: u8,
    /// One is no authority.
    broken: bool,
}

impl Hosts {
    fn hear(&mut self, value: &[u8]) {
        self.lines = self.lines.saturating_add(1);
        self.broken |= !value.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(b));
    }

    /// Exactly one, which is an authority or empty; HTTP/1.0 may do without.
    fn are_one(&self, version: Version) -> bool {
        !self.broken && (self.lines == 1 || (self.lines == 0 && version == Version::HTTP_10))
    }
}

#[cfg(test)]
mod tests;
