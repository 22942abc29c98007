//! The head of a request (RFC 9112 sections 2, 3 and 6).
//!
//! Invariant: strict. What another server on the way could read otherwise is refused: two lengths, a length beside chunks, any
//! coding but `chunked`, and what [`lines`] refuses.

use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version};

use crate::http1::framing::Framing;
use crate::http1::gather::{Failed, Gathering};
use crate::http1::lines::{self, Wrong};
use crate::http1::says::Says;
use crate::message::name::HOST;
use crate::message::{self, Fields, Name};

const EXPECT: Name = Name::new("expect");

/// Bytes a head may have: as much as over HTTP/2.
const LONGEST: usize = 64 * 1024;

/// What a head says.
#[derive(Debug)]
pub struct Head {
    /// What to do.
    pub method: Method,
    /// With what.
    pub target: Uri,
    /// Of the client.
    pub version: Version,
    /// The header fields.
    pub fields: Fields,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the client may send another request behind it.
    pub keep_alive: bool,
    /// It waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1).
    pub asks: bool,
    /// It says once, and validly, whom it is for (RFC 9112 section 3.2).
    pub addressed: bool,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
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
    pub const fn told(self) -> (StatusCode, &'static str) {
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

/// Takes a piece; gives the head if that completes it, with what is behind it left in `piece`.
///
/// # Errors
/// [`Refused`].
pub fn read(gathering: &mut Gathering, piece: &mut Bytes) -> Result<Option<Head>, Refused> {
    gathering.add(piece, LONGEST, parse).map_err(|failed| match failed {
        Failed::TooLong => Refused::TooLarge,
        Failed::Wrong(refused) => refused,
    })
}

fn parse(bytes: &[u8]) -> Result<Option<(usize, Head)>, Refused> {
    let Some((first, behind)) = first_line(bytes)? else { return Ok(None) };
    let (method, target, version) = request_line(first)?;
    let read = lines::read(bytes.get(behind..).unwrap_or_default()).map_err(|wrong| match wrong {
        Wrong::Malformed => Refused::Malformed,
        Wrong::TooMany => Refused::TooLarge,
    })?;
    let Some((length, fields, says)) = read else { return Ok(None) };
    let head = Head {
        framing: framing(&says, version)?,
        keep_alive: if version == Version::HTTP_11 { !says.closes } else { says.keeps && !says.closes },
        // Who speaks HTTP/1.0 does not wait.
        asks: version == Version::HTTP_11
            && fields.all(EXPECT).any(|value| value.eq_ignore_ascii_case(b"100-continue")),
        addressed: is_addressed(&fields, version),
        method,
        target,
        version,
        fields,
    };
    Ok(Some((behind + length, head)))
}

/// The first line without its end, and where the next begins.
fn first_line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Refused> {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        // What cannot become a request line is not waited for.
        let method = message::token(bytes).length;
        let hopeless = method == 0 || bytes.get(method).is_some_and(|&byte| byte != b' ');
        return if hopeless { Err(Refused::Malformed) } else { Ok(None) };
    };
    let line = bytes.get(..end).unwrap_or_default();
    Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1)))
}

/// Method, target and version, one blank between each (RFC 9112 section 3).
fn request_line(line: &[u8]) -> Result<(Method, Uri, Version), Refused> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Refused::Malformed);
    };
    let method = Method::from_bytes(method).map_err(|_| Refused::Malformed)?;
    let version = match version {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(Refused::Version),
        _ => return Err(Refused::Malformed),
    };
    let target = target_of(target, &method)?;
    Ok((method, target, version))
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
fn target_of(target: &[u8], method: &Method) -> Result<Uri, Refused> {
    if *method == Method::CONNECT || !(target.starts_with(b"/") || target == b"*" || target.starts_with(b"http")) {
        return Err(Refused::Malformed);
    }
    // A fragment is nobody's to send, and the parser would drop it whatever is in it.
    if target.iter().any(|&byte| matches!(byte, 0..=b' ' | b'#' | 0x7f)) {
        return Err(Refused::Malformed);
    }
    Uri::try_from(target).map_err(|_| Refused::Malformed)
}

/// What may be in an authority without user information (RFC 3986 section 3.2).
const IN_AUTHORITY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'..=b',' | b';' | b'=' | b'%' | b':' | b'[' | b']'
            );
        byte += 1;
    }
    table
};

/// Exactly one `host`, which is an authority or empty; HTTP/1.0 may do without.
fn is_addressed(fields: &Fields, version: Version) -> bool {
    let mut hosts = fields.all(HOST);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.iter().all(|&byte| IN_AUTHORITY[usize::from(byte)]),
        (None, None) => version == Version::HTTP_10,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
