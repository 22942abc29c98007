//! Upstream secrets.
//!
//! Invariant: a credential cannot be printed; its header values are marked sensitive and its `Debug` shows nothing of it.

use std::fmt;

use http::{HeaderName, HeaderValue};

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

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}
