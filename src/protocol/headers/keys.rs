//! The gateway key among the places where agents put one.
//!
//! Invariant: a key is never chosen by its place. Two different ones in one request are a conflict; the same one twice is
//! not (Gemini CLI's bearer mechanism sends both). A `Presented` cannot be printed.
//! Deliberately not here: whether a key is known.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::error::KeyError;
use crate::message::{Fields, Name};
use crate::protocol::Dialect;
use crate::protocol::path::query;

/// Names the gateway key even where another credential stands in `authorization`.
pub const X_TOLLGATE_KEY: &str = "x-tollgate-key";

const TOLLGATE: Name = Name::new(X_TOLLGATE_KEY);
const AUTHORIZATION: Name = Name::new("authorization");
const ANTHROPIC: Name = Name::new("x-api-key");
const GOOGLE: Name = Name::new("x-goog-api-key");
const AZURE: Name = Name::new("api-key");

/// What a request shows to be let in.
pub struct Presented<'h> {
    /// The gateway key.
    pub key: Cow<'h, [u8]>,
    /// Other credentials beside an explicit `x-tollgate-key`: the client's own at a provider, unless the keyring knows one
    /// of them, which is a [`KeyError::Conflict`] after all. Empty for every agent as it comes.
    pub beside: SmallVec<[Cow<'h, [u8]>; 1]>,
    /// The gateway key stood in `x-tollgate-key`, so what stands elsewhere may be the client's own at a provider.
    pub named: bool,
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented(…)")
    }
}

/// Finds the gateway key in `authorization: Bearer`, `x-api-key`, `x-goog-api-key`, `api-key`, `x-tollgate-key` and
/// `?key=`. Allocates only for a key that is percent-encoded in the query.
///
/// Empty values count as absent: agents send an empty header for a variable that is set to nothing.
///
/// # Errors
///
/// [`KeyError::Missing`] without any, [`KeyError::Conflict`] with two that differ.
pub fn presented_keys<'h>(fields: &'h Fields, query: Option<&'h str>) -> Result<Presented<'h>, KeyError> {
    let mut named: SmallVec<[Cow<'h, [u8]>; 1]> = SmallVec::new();
    let mut found: SmallVec<[Cow<'h, [u8]>; 1]> = SmallVec::new();
    // One pass: a look-up for each place would cost several times as much.
    for field in fields.iter() {
        let value = field.value;
        if field.is(AUTHORIZATION) {
            add(&mut found, bearer(value).map(Cow::Borrowed));
        } else if field.is(ANTHROPIC) || field.is(GOOGLE) || field.is(AZURE) {
            add(&mut found, Some(Cow::Borrowed(value)));
        } else if field.is(TOLLGATE) {
            add(&mut named, Some(Cow::Borrowed(value)));
        }
    }
    if let Some(query) = query {
        for key in query::keys(query) {
            add(&mut found, Some(key));
        }
    }
    let is_named = !named.is_empty();
    let (mut keys, beside) = if named.is_empty() { (found, SmallVec::new()) } else { (named, found) };
    match (keys.pop(), keys.is_empty()) {
        (None, _) => Err(KeyError::Missing),
        (Some(_), false) => Err(KeyError::Conflict),
        (Some(key), true) => {
            let beside = beside.into_iter().filter(|other| *other != key).collect();
            Ok(Presented { key, beside, named: is_named })
        }
    }
}

/// The client's own credential at a provider: the header that this dialect's vendor reads, or else a bearer token. The value
/// is marked sensitive.
#[must_use]
pub fn own_credential(fields: &Fields, dialect: Dialect) -> Option<(HeaderName, HeaderValue)> {
    let usual = match dialect {
        Dialect::Anthropic => ANTHROPIC,
        Dialect::Chat | Dialect::Responses => AUTHORIZATION,
        Dialect::Gemini => GOOGLE,
    };
    let (name, value) = [usual, AUTHORIZATION]
        .into_iter()
        .find_map(|name| fields.get(name).filter(|value| !value.is_empty()).map(|value| (name, value)))?;
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_static(name.text()), value))
}

fn add<'h>(found: &mut SmallVec<[Cow<'h, [u8]>; 1]>, value: Option<Cow<'h, [u8]>>) {
    if let Some(value) = value
        && !value.is_empty()
        && !found.contains(&value)
    {
        found.push(value);
    }
}

/// The token of `Bearer <token>` (RFC 6750 section 2.1); the scheme in any case (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}
