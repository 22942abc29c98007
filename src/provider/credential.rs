//! Upstream secrets.
//!
//! Invariant: a credential cannot be printed; its header values are marked sensitive and its `Debug` shows nothing of it.

use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

use crate::protocol::Dialect;

/// The header that authenticates us, ready to be sent, for each dialect.
#[derive(Clone, Default)]
pub struct Credential {
    headers: [Option<(HeaderName, HeaderValue)>; 4],
}

impl Credential {
    /// The header for a dialect; `None` where the upstream wants none.
    #[must_use]
    pub fn header(&self, dialect: Dialect) -> Option<&(HeaderName, HeaderValue)> {
        self.headers[dialect.index()].as_ref()
    }

    /// Sets the header for a dialect and marks its value sensitive.
    pub fn set(&mut self, dialect: Dialect, name: HeaderName, mut value: HeaderValue) {
        value.set_sensitive(true);
        self.headers[dialect.index()] = Some((name, value));
    }
}

/// Which header carries a provider's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `authorization: Bearer KEY` (RFC 6750 section 2.1)
    Bearer,
    /// `x-api-key: KEY`
    XApiKey,
    /// `x-goog-api-key: KEY`
    XGoogApiKey,
    /// `api-key: KEY`
    ApiKey,
}

impl Scheme {
    /// What the API's own vendor asks for (docs.anthropic.com/en/api/overview, platform.openai.com/docs/api-reference,
    /// ai.google.dev/gemini-api/docs/api-key).
    #[must_use]
    pub const fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Anthropic => Self::XApiKey,
            Dialect::Chat | Dialect::Responses => Self::Bearer,
            Dialect::Gemini => Self::XGoogApiKey,
        }
    }

    /// The header for a key. `None` if the key has bytes that a header may not have.
    #[must_use]
    pub fn header(self, key: &str) -> Option<(HeaderName, HeaderValue)> {
        let name = match self {
            Self::Bearer => header::AUTHORIZATION,
            Self::XApiKey => HeaderName::from_static("x-api-key"),
            Self::XGoogApiKey => HeaderName::from_static("x-goog-api-key"),
            Self::ApiKey => HeaderName::from_static("api-key"),
        };
        let parts = if self == Self::Bearer { ["Bearer ", key] } else { ["", key] };
        Some((name, sensitive(parts)?))
    }
}

/// A header value that does not show in `Debug` and whose bytes are wiped when the last clone is dropped.
///
/// `None` if the parts have bytes that a header may not have.
#[must_use]
pub fn sensitive(parts: [&str; 2]) -> Option<HeaderValue> {
    let bytes = Zeroizing::new(parts.concat().into_bytes());
    // Not `from_bytes`: it would copy them into memory that nobody wipes.
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_has_its_header() {
        for (scheme, name, value) in [
            (Scheme::Bearer, "authorization", "Bearer k-1"),
            (Scheme::XApiKey, "x-api-key", "k-1"),
            (Scheme::XGoogApiKey, "x-goog-api-key", "k-1"),
            (Scheme::ApiKey, "api-key", "k-1"),
        ] {
            let (n, v) = scheme.header("k-1").unwrap();
            assert_eq!((n.as_str(), v.to_str().unwrap()), (name, value));
        }
        assert!(Scheme::Bearer.header("a\nb").is_none());
    }

    #[test]
    fn debug_shows_no_credential() {
        let mut credential = Credential::default();
        for dialect in Dialect::ALL {
            let (name, value) = Scheme::of(dialect).header("hunter2").unwrap();
            assert!(!format!("{value:?}").contains("hunter2"));
            credential.set(dialect, name, value);
        }
        assert!(!format!("{credential:?}").contains("hunter2"));
    }
}
