//! Who answers: facts about each upstream.
//!
//! A provider is facts (where it is, which dialects it speaks, how it wants to be authenticated), not code per vendor.

pub mod credential;
pub mod tls;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::protocol::Dialect;
use credential::Credential;

/// An upstream.
#[derive(Debug)]
pub struct Provider {
    /// As configured; a label.
    pub name: Arc<str>,
    /// Where its connections go.
    pub origin: Arc<Origin>,
    /// Path in front of every API path, without a trailing slash; never holds the API version (`/v1`, `/v1beta`).
    pub prefix: Box<str>,
    /// The dialects it speaks.
    pub dialects: DialectSet,
    /// What it must be shown, by dialect.
    pub credential: Credential,
    /// Headers that the operator adds to every request.
    pub headers: Vec<(http::HeaderName, HeaderValue)>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// How it is known to be itself; `None` for clear text.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// Where connections go. Connections to equal origins share a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Hash of the fields below: the pool's key, equal across reloads.
    pub id: u64,
    /// `https`.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: Box<str>,
    /// TCP port.
    pub port: u16,
    /// The `host` header (RFC 9110 section 7.2): the port only where it is not the scheme's own.
    pub authority: HeaderValue,
}

/// How long an upstream may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS together.
    pub connect: Duration,
    /// From the request's last byte to the response head.
    pub first_byte: Duration,
    /// Between two frames of a response.
    pub idle: Duration,
}

/// A set of dialects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DialectSet(u8);

impl DialectSet {
    /// With one more member.
    #[must_use]
    pub const fn with(self, dialect: Dialect) -> Self {
        Self(self.0 | 1 << dialect.index())
    }

    /// Whether it is a member.
    #[must_use]
    pub const fn contains(self, dialect: Dialect) -> bool {
        self.0 & (1 << dialect.index()) != 0
    }
}
