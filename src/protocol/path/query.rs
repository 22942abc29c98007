//! A query string, byte for byte, but for what is a credential in it.
//!
//! Google's APIs take system parameters in the query: a key, an OAuth token, whom to bill, even headers
//! (<https://cloud.google.com/apis/docs/system-parameters>). The client's would override or contradict ours.
//!
//! Invariant: what is not a credential is forwarded exactly as it came, order and escapes included.

use std::borrow::Cow;

/// Names (lower case, without Google's optional `$`) that never go upstream.
const CREDENTIALS: &[(&[u8], &str)] = &[
    (b"key", "the gateway key of Gemini clients"),
    (b"access_token", "an OAuth token: it would outrank our credential"),
    (b"oauth_token", "the older name of access_token"),
    (b"userproject", "chooses who is billed"),
    (b"httpheaders", "carries headers past the header table"),
    (b"httpmethod", "makes the provider serve another method than the one that was checked"),
];

/// Longest name in [`CREDENTIALS`], and one byte for the `$`.
const MAX_CREDENTIAL: usize = 13;

/// Parameters whose values say nothing about anybody: what the four dialects' clients do send.
const HARMLESS: &[&str] = &[
    "after",
    "after_id",
    "alt",
    "api-version",
    "before",
    "before_id",
    "beta",
    "include",
    "limit",
    "order",
    "pageSize",
    "prettyPrint",
    "stream",
];

/// The query to send upstream; `None` where nothing is left.
#[must_use]
pub fn forward_query(query: &str) -> Option<Cow<'_, str>> {
    if query.is_empty() {
        return None;
    }
    if !query.split('&').any(is_credential) {
        return Some(Cow::Borrowed(query));
    }
    let mut kept = String::with_capacity(query.len());
    for (n, pair) in query.split('&').filter(|pair| !is_credential(pair)).enumerate() {
        if n > 0 {
            kept.push('&');
        }
        kept.push_str(pair);
    }
    (!kept.is_empty()).then_some(Cow::Owned(kept))
}

/// The query as it may stand in a log: values only of parameters that are known to hold no secret, since a key that was put
/// under the wrong name is still a key.
#[must_use]
pub fn redact_query(query: &str) -> Cow<'_, str> {
    if query.split('&').all(is_harmless) {
        return Cow::Borrowed(query);
    }
    let mut shown = String::with_capacity(query.len());
    for (n, pair) in query.split('&').enumerate() {
        if n > 0 {
            shown.push('&');
        }
        match pair.split_once('=') {
            _ if is_harmless(pair) => shown.push_str(pair),
            Some((name, _)) if is_name(name) => {
                shown.push_str(name);
                shown.push_str("=…");
            }
            _ => shown.push('…'),
        }
    }
    Cow::Owned(shown)
}

/// The values of every `key` parameter, percent-decoded; not the empty ones.
///
/// A `+` stays a `+`: keys hold no spaces, and some clients do not escape.
pub fn keys(query: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let named = name == "key" || (name.contains('%') && decode(name.as_bytes()).is_some_and(|n| &*n == b"key"));
        if !named || value.is_empty() {
            return None;
        }
        Some(decode(value.as_bytes()).unwrap_or(Cow::Borrowed(value.as_bytes())))
    })
}

/// The percent-decoded value of the first parameter with this name; `None` where there is none, or it is not text.
#[must_use]
pub fn value<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let (_, raw) = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(n, _)| *n == name)?;
    match decode(raw.as_bytes())? {
        Cow::Borrowed(_) => Some(Cow::Borrowed(raw)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// Percent-decoding (RFC 3986 section 2.1); `None` for an escape that is none.
#[must_use]
pub fn decode(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(first) = memchr::memchr(b'%', raw) else { return Some(Cow::Borrowed(raw)) };
    let mut out = Vec::with_capacity(raw.len());
    out.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return None };
        out.push(hex(*high)? << 4 | hex(*low)?);
        rest = tail;
    }
    Some(Cow::Owned(out))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Compares the decoded name without allocating, in any case: which spellings a provider accepts is its own business.
fn is_credential(pair: &str) -> bool {
    let name = pair.as_bytes().split(|&byte| byte == b'=').next().unwrap_or_default();
    let mut plain = [0; MAX_CREDENTIAL];
    let mut len = 0;
    let mut rest = name;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let mut byte = *byte;
        if let (b'%', [high, low, tail @ ..]) = (byte, rest)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            byte = high << 4 | low;
            rest = tail;
        }
        let Some(slot) = plain.get_mut(len) else { return false };
        *slot = byte.to_ascii_lowercase();
        len += 1;
    }
    let plain = &plain[..len];
    let plain = plain.strip_prefix(b"$").unwrap_or(plain);
    CREDENTIALS.iter().any(|(credential, _)| *credential == plain)
}

fn is_harmless(pair: &str) -> bool {
    pair.is_empty() || pair.split_once('=').is_some_and(|(name, _)| HARMLESS.contains(&name))
}

/// Short and plain enough not to be a key itself.
fn is_name(name: &str) -> bool {
    name.len() <= 24 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'$'))
}

#[cfg(test)]
mod tests;
