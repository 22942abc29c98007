//! Who answers: facts about each upstream.
//!
//! A provider is facts (where it is, which dialects it speaks, how it wants to be authenticated), not code per vendor.

pub mod credential;
pub mod proxy;
pub mod tls;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::protocol::Dialect;
use credential::Credential;
use proxy::Proxy;

/// Idle connections per provider and core that stay for long.
pub const KEPT_WARM: usize = 4;

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
    /// A client's own credential goes there in place of ours.
    pub client_credential: bool,
    /// A Chat stream is asked for its usage there (`stream_options.include_usage`) where the client does not ask.
    pub usage_request: bool,
    /// Calls under way at one time, over all cores.
    pub max_inflight: Option<u64>,
    /// How it is known to be itself; `None` for clear text.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// How long an answer of the resolver is as good as new.
    pub dns_ttl: Duration,
    /// Connections that each core opens before anybody asks, at most [`KEPT_WARM`].
    pub prewarm: usize,
}

/// Where connections go. Connections to origins of one id share a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Hash of the fields below and of whom to trust there: the pool's key, equal across reloads.
    pub id: u64,
    /// `https`.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: Box<str>,
    /// TCP port.
    pub port: u16,
    /// The `host` header (RFC 9110 section 7.2): the port only where it is not the scheme's own.
    pub authority: HeaderValue,
    /// The proxy that leads there.
    pub proxy: Option<Arc<Proxy>>,
}

impl Origin {
    /// An origin, trusting the authorities `extra_ca` (PEM) besides the public ones. `host` is a name or an address without
    /// brackets.
    ///
    /// `None` if the host cannot be a `host` header.
    #[must_use]
    pub fn new(tls: bool, host: &str, port: u16, extra_ca: Option<&[u8]>) -> Option<Self> {
        let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let own = if tls { 443 } else { 80 };
        let authority = if port == own { shown } else { format!("{shown}:{port}") };
        let scheme = if tls { "https" } else { "http" };
        // A connection that was trusted because of these authorities must not serve a provider that does not name them.
        let facts = [scheme.as_bytes(), host.as_bytes(), &port.to_be_bytes(), extra_ca.unwrap_or_default()].join(&0);
        let hash = ring::digest::digest(&ring::digest::SHA256, &facts);
        let id = u64::from_be_bytes(*hash.as_ref().first_chunk()?);
        let authority = HeaderValue::from_str(&authority).ok()?;
        Some(Self { id, tls, host: host.into(), port, authority, proxy: None })
    }

    /// The same through a proxy. It has an id of its own: after a reload that changes the proxy (or its credential) no
    /// connection of before is used again.
    #[must_use]
    pub fn through(self, proxy: Proxy) -> Self {
        let shown = proxy.authorization.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        let facts = zeroize::Zeroizing::new(
            [&self.id.to_be_bytes(), proxy.host.as_bytes(), &proxy.port.to_be_bytes(), shown].join(&0),
        );
        let hash = ring::digest::digest(&ring::digest::SHA256, &facts);
        let id = hash.as_ref().first_chunk().map_or(self.id, |first| u64::from_be_bytes(*first));
        Self { id, proxy: Some(Arc::new(proxy)), ..self }
    }
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

    /// Whether it has no members.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its members, in the order of [`Dialect::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Dialect> {
        Dialect::ALL.into_iter().filter(move |dialect| self.contains(*dialect))
    }

    /// Whether it is a member.
    #[must_use]
    pub const fn contains(self, dialect: Dialect) -> bool {
        self.0 & (1 << dialect.index()) != 0
    }
}

impl FromIterator<Dialect> for DialectSet {
    fn from_iter<I: IntoIterator<Item = Dialect>>(dialects: I) -> Self {
        dialects.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_header_has_a_port_only_where_it_is_not_the_schemes_own() {
        for (tls, host, port, want) in [
            (true, "api.example", 443, "api.example"),
            (true, "api.example", 8443, "api.example:8443"),
            (false, "api.example", 80, "api.example"),
            (false, "api.example", 443, "api.example:443"),
            (false, "::1", 9000, "[::1]:9000"),
        ] {
            let origin = Origin::new(tls, host, port, None).unwrap();
            assert_eq!(origin.authority, want);
        }
        assert_eq!(Origin::new(true, "a\nb", 443, None), None);
    }

    #[test]
    fn only_equal_origins_with_equal_trust_share_a_pool() {
        let id = |tls, host, port, ca: Option<&[u8]>| Origin::new(tls, host, port, ca).unwrap().id;
        let base = id(true, "a.example", 443, None);
        assert_eq!(base, id(true, "a.example", 443, None));
        for other in [
            id(false, "a.example", 443, None),
            id(true, "b.example", 443, None),
            id(true, "a.example", 444, None),
            id(true, "a.example", 443, Some(b"PEM")),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_proxy_and_its_credential_are_part_of_where_connections_go() {
        let origin = || Origin::new(true, "a.example", 443, None).unwrap();
        let through = |host: &str, port, password: Option<&str>| {
            let authorization = password.and_then(|p| proxy::basic("me", p));
            origin().through(Proxy { host: host.into(), port, authorization }).id
        };
        let base = through("p.example", 3128, Some("a"));
        assert_eq!(base, through("p.example", 3128, Some("a")));
        for other in [
            origin().id,
            through("q.example", 3128, Some("a")),
            through("p.example", 3129, Some("a")),
            through("p.example", 3128, Some("b")),
            through("p.example", 3128, None),
        ] {
            assert_ne!(base, other);
        }
    }
}
