//! `base_url` -> where connections go, and the path in front of every API path.
//!
//! Invariant: no userinfo, query or fragment gets through, and the prefix never ends with an API version: the version is
//! part of each API's own path (`/v1/messages`, `/v1beta/models/…`) and would stand there twice.

use crate::protocol::Dialect;
use crate::provider::DialectSet;

/// A base URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// `https`.
    pub tls: bool,
    /// Lower case, without brackets.
    pub host: String,
    /// As written, or the scheme's own.
    pub port: u16,
    /// Empty, or begins with `/`; does not end with one.
    pub prefix: String,
}

/// What is wrong, and what to do.
pub type Wrong = (String, &'static str);

/// Reads a base URL (RFC 3986) of a provider that speaks these dialects.
pub fn parse(text: &str, speaks: DialectSet) -> Result<BaseUrl, Wrong> {
    let (place, path) = split(text)?;
    if path.contains(['?', '#']) {
        return Err((
            "it has a query or a fragment".to_owned(),
            "keep scheme, host and path; a key goes into credential",
        ));
    }
    let prefix = prefix(path, speaks)?;
    Ok(BaseUrl { prefix, ..place })
}

/// Reads the front of a URL, without a prefix, and what is behind it: path, query, fragment.
pub fn split(text: &str) -> Result<(BaseUrl, &str), Wrong> {
    let wrong = |what: &str, hint| Err((what.to_owned(), hint));
    let lower = text.to_ascii_lowercase();
    let (tls, rest) = if lower.starts_with("https://") {
        (true, &text[8..])
    } else if lower.starts_with("http://") {
        (false, &text[7..])
    } else {
        return wrong("it does not begin with https:// or http://", "as in \"https://api.openai.com\"");
    };
    // Not repeated in the message: it is where a password would stand.
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    if authority.contains('@') {
        return wrong("it holds a user name or password", "a secret goes into credential = { env = \"NAME\" }");
    }
    let parsed: http::uri::Authority = match authority.parse() {
        Ok(parsed) if authority.is_ascii() => parsed,
        _ => return wrong("its host is not one", "as in \"https://api.openai.com\"; non-ASCII names in xn-- form"),
    };
    let port_text = authority.rsplit_once(']').map_or(authority, |(_, after)| after).split_once(':').map(|(_, p)| p);
    let port = match port_text {
        None => {
            if tls {
                443
            } else {
                80
            }
        }
        Some(text) => match text.parse() {
            Ok(port) if port > 0 => port,
            _ => return wrong("its port is not one", "1 to 65535, as in \"http://127.0.0.1:11434\""),
        },
    };
    let host = parsed.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if host.is_empty() {
        return wrong("it has no host", "as in \"https://api.openai.com\"");
    }
    if parsed.host().starts_with('[') && host.parse::<std::net::Ipv6Addr>().is_err() {
        return wrong("its host is not an IPv6 address", "as in \"http://[::1]:11434\"");
    }
    Ok((BaseUrl { tls, host, port, prefix: String::new() }, path))
}

/// A path without the API version at its end.
fn prefix(path: &str, speaks: DialectSet) -> Result<String, Wrong> {
    let path = path.trim_end_matches('/');
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&b);
    if !path.bytes().all(legal)
        || path.contains("//")
        || path.split('/').any(|segment| segment == "." || segment == "..")
    {
        let hint = "segments of ASCII letters and digits, one slash between two, no dots alone";
        return Err(("its path is not one".to_owned(), hint));
    }
    let (front, last) = path.rsplit_once('/').unwrap_or((path, ""));
    let gemini = speaks.contains(Dialect::Gemini);
    let others = Dialect::ALL.iter().any(|d| *d != Dialect::Gemini && speaks.contains(*d));
    match last {
        "v1" if others => Ok(front.to_owned()),
        "v1beta" if gemini => Ok(front.to_owned()),
        "models" | "messages" | "completions" | "responses" => {
            let hint = "leave out what each API adds, as in \"https://api.groq.com/openai/v1\"";
            Err((format!("it ends in /{last}, which belongs to one API"), hint))
        }
        _ if is_version(last) => {
            let hint = "Tollgate calls anthropic, chat and responses below /v1, and gemini below /v1beta";
            Err((format!("its API version {last} is not the one that is called"), hint))
        }
        _ => Ok(path.to_owned()),
    }
}

/// `v` and a number, perhaps with a stage behind it: v4, v1alpha, v1beta1.
fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix('v') else { return false };
    let stage = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() > stage.len() && (stage.is_empty() || stage.starts_with("alpha") || stage.starts_with("beta"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn accepts(text: &str, speaks: DialectSet, want: (bool, &str, u16, &str)) {
        let (tls, host, port, prefix) = want;
        let want = BaseUrl { tls, host: host.into(), port, prefix: prefix.into() };
        assert_eq!(parse(text, speaks), Ok(want), "{text}");
    }

    #[track_caller]
    fn refuses(text: &str, speaks: DialectSet, want: &str) {
        let (what, _) = parse(text, speaks).expect_err(text);
        assert!(what.contains(want), "{text}: {what}");
        assert!(!what.contains("hunter2"), "{text}: {what}");
    }

    #[test]
    fn base_urls() {
        let chat = DialectSet::default().with(Dialect::Chat);
        let gemini = DialectSet::default().with(Dialect::Gemini);
        let both = gemini.with(Dialect::Chat);
        accepts("https://api.openai.com", chat, (true, "api.openai.com", 443, ""));
        accepts("https://API.OpenAI.com/v1/", chat, (true, "api.openai.com", 443, ""));
        accepts("HTTPS://api.groq.com/openai/v1", chat, (true, "api.groq.com", 443, "/openai"));
        accepts("https://openrouter.ai/api/v1", chat, (true, "openrouter.ai", 443, "/api"));
        accepts("http://127.0.0.1:11434/v1", chat, (false, "127.0.0.1", 11434, ""));
        accepts("http://[::1]:8000", chat, (false, "::1", 8000, ""));
        accepts("http://[::1]", chat, (false, "::1", 80, ""));
        accepts(
            "https://api.cloudflare.com/client/v4/accounts/a/ai/v1",
            chat,
            (true, "api.cloudflare.com", 443, "/client/v4/accounts/a/ai"),
        );
        accepts(
            "https://generativelanguage.googleapis.com/v1beta",
            gemini,
            (true, "generativelanguage.googleapis.com", 443, ""),
        );
        accepts("http://localhost:1/v1beta", both, (false, "localhost", 1, ""));
        accepts("http://localhost:1/v1", both, (false, "localhost", 1, ""));
        accepts("http://localhost:1/vault", chat, (false, "localhost", 1, "/vault"));
        refuses("https://generativelanguage.googleapis.com/v1", gemini, "API version v1");
        refuses("https://api.z.ai/api/paas/v4", chat, "API version v4");
        refuses("https://a.example/v1beta1", both, "API version v1beta1");
        refuses("https://api.openai.com/v1/chat/completions", chat, "/completions");
        refuses("ftp://a.example", chat, "https://");
        refuses("api.openai.com", chat, "https://");
        refuses("https://me:hunter2@a.example", chat, "user name");
        refuses("https://a.example/?key=hunter2", chat, "query");
        refuses("https://a.example#hunter2", chat, "fragment");
        refuses("https://", chat, "host");
        refuses("https://:443", chat, "host");
        refuses("https://a b", chat, "host");
        refuses("https://bücher.example", chat, "host");
        refuses("https://[::g]", chat, "host");
        refuses("https://a.example:0", chat, "port");
        refuses("https://a.example:99999", chat, "port");
        refuses("https://a.example:", chat, "port");
        refuses("https://a.example/x/../y", chat, "path");
        refuses("https://a.example//x", chat, "path");
        refuses("https://a.example/ä", chat, "path");
    }
}
