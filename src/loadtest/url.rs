//! Who is named by a URL.
//!
//! Invariant: nobody outside this machine is asked unless that was said, and nobody who leads elsewhere than to the simulated
//! provider: real calls cost real money.

use std::net::{IpAddr, ToSocketAddrs};

use super::subject::Url;

/// A base URL such as `http://127.0.0.1:8080/openai`.
///
/// # Errors
/// It is none, or not on this machine and `remote` was not said.
pub fn parse(text: &str, key: Option<String>, headers: Vec<String>, remote: bool) -> Result<Url, String> {
    let rest = text.strip_prefix("http://").ok_or_else(|| {
        let why = if text.starts_with("https://") { "TLS would be measured with it" } else { "that is no URL" };
        format!("{text}: {why}; it takes http://HOST:PORT")
    })?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.is_empty() || authority.contains(['@', ' ', '?', '#']) || path.contains(['?', '#', ' ']) {
        return Err(format!("{text}: it takes http://HOST:PORT, and perhaps a path"));
    }
    let authority = if has_port(authority) { authority.to_owned() } else { format!("{authority}:80") };
    let addresses = authority.to_socket_addrs().map_err(|error| format!("{text}: {error}"))?;
    let away = addresses.map(|address| address.ip()).find(|ip| !IpAddr::is_loopback(ip));
    if let Some(ip) = away.filter(|_| !remote) {
        return Err(format!("{text}: {ip} is not this machine; --remote says that load may go there"));
    }
    let prefix = path.trim_end_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
    Ok(Url { authority, prefix, key, headers })
}

fn has_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, authority: &str, prefix: &str) {
        let url = parse(text, None, Vec::new(), false).unwrap();
        assert_eq!((url.authority.as_str(), url.prefix.as_str()), (authority, prefix), "{text}");
    }

    #[track_caller]
    fn refuses(text: &str, why: &str) {
        let error = parse(text, None, Vec::new(), false).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }

    #[test]
    fn urls() {
        reads("http://127.0.0.1:8080", "127.0.0.1:8080", "");
        reads("http://127.0.0.1:8080/", "127.0.0.1:8080", "");
        reads("http://127.0.0.1/openai/", "127.0.0.1:80", "/openai");
        reads("http://[::1]:9/a/b", "[::1]:9", "/a/b");
        refuses("https://127.0.0.1:1", "TLS");
        refuses("127.0.0.1:1", "no URL");
        refuses("http://", "HOST:PORT");
        refuses("http://user@127.0.0.1:1", "HOST:PORT");
        refuses("http://127.0.0.1:1/?a", "HOST:PORT");
        refuses("http://192.0.2.1:80", "--remote");
        assert!(parse("http://192.0.2.1:80", None, Vec::new(), true).is_ok());
    }
}
