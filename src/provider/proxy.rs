//! A proxy between us and a provider (RFC 9110 section 9.3.6, CONNECT).
//!
//! Invariant: its credential cannot be printed: it exists only as a header value that is marked sensitive and wiped when it
//! is dropped. Deliberately plain HTTP towards the proxy: what goes through the tunnel has TLS of its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::credential::sensitive;

/// Where CONNECT goes, and what the proxy must be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Name or address, without brackets.
    pub host: Box<str>,
    /// TCP port.
    pub port: u16,
    /// `proxy-authorization`, where the proxy wants one.
    pub authorization: Option<HeaderValue>,
}

/// `Basic` with a user and a password (RFC 7617 section 2).
///
/// `None` if the user has a colon, or either of them a control character.
#[must_use]
pub fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    if user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
        return None;
    }
    let pair = Zeroizing::new([user, ":", password].concat());
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    sensitive(["Basic ", &encoded])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credential_is_the_rfcs_example_and_does_not_show() {
        let value = basic("Aladdin", "open sesame").unwrap();
        assert_eq!(value.as_bytes(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let proxy = Proxy { host: "p".into(), port: 1, authorization: Some(value) };
        assert!(!format!("{proxy:?}").contains("QWxh"), "{proxy:?}");
        assert_eq!(basic("a:b", "c"), None);
        assert_eq!(basic("a", "b\r\nx: y"), None);
    }
}
