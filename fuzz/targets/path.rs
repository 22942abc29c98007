//! What a request line is taken for is what the provider is then asked for, and no credential is left in its query.

#![no_main]

use std::borrow::Cow;

use http::Method;
use libfuzzer_sys::fuzz_target;
use tollgate::error::RequestError;
use tollgate::message::Fields;
use tollgate::protocol::Dialect;
use tollgate::protocol::path::query::{decode, keys};
use tollgate::protocol::path::{
    ANTHROPIC_VERSION, Located, dialect_guess, forward_query, locate, redact_query, upstream_path,
};

const METHODS: [Method; 6] = [Method::GET, Method::POST, Method::DELETE, Method::HEAD, Method::PUT, Method::OPTIONS];

/// In lower case, without Google's `$`.
const CREDENTIALS: [&str; 6] = ["key", "access_token", "oauth_token", "userproject", "httpheaders", "httpmethod"];

fn check(method: &Method, path: &str, fields: &Fields, located: &Located<'_>) {
    let asked = if method == Method::HEAD { "GET" } else { method.as_str() };
    assert_eq!(located.endpoint.method(), asked);
    let name = located.model.as_deref().or(located.object).unwrap_or_default();
    assert!(!name.chars().any(char::is_control) && name.len() <= 256);
    let name = located.rest.as_deref().unwrap_or(name);
    assert!(!name.split('/').any(|segment| matches!(segment, "." | "..")));
    assert!(located.team_claim.is_none_or(|team| !team.contains('/') && path.contains(team)));

    let upstream = upstream_path(located.endpoint, located.version, name);
    assert!(upstream.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:@/%".contains(&b)), "{upstream}");
    assert!(
        !upstream.contains("//") && !upstream.split('/').any(|segment| matches!(segment, "." | "..")),
        "{upstream}"
    );
    // Asked by that path, we would understand the same; but escapes make a name longer, and names have a longest.
    if upstream.len() > 256 {
        return;
    }
    let vendor = match located.dialect {
        _ if located.rest.is_none() => "",
        Dialect::Anthropic => "/anthropic",
        Dialect::Gemini => "/genai",
        Dialect::Chat | Dialect::Responses => "/openai",
    };
    let again = format!("{vendor}{upstream}");
    let again = locate(method, &again, fields).unwrap_or_else(|error| panic!("{path} became {upstream}: {error:?}"));
    assert_eq!(
        (again.endpoint, again.model.as_deref(), again.object),
        (located.endpoint, located.model.as_deref(), located.object),
        "{path} became {upstream}"
    );
    if located.model.is_none() {
        // Nothing is named by it, so it means nothing how many slashes there are.
        assert_eq!(locate(method, &path.replace('/', "//"), fields).as_ref(), Ok(located));
    }
}

fn is_credential(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    let mut plain = Vec::new();
    let mut rest = name.as_bytes();
    while let [byte, tail @ ..] = rest {
        match rest.get(..3).and_then(decode) {
            Some(Cow::Owned(decoded)) if *byte == b'%' => {
                plain.extend_from_slice(&decoded);
                rest = &rest[3..];
            }
            _ => {
                plain.push(*byte);
                rest = tail;
            }
        }
    }
    let plain = plain.to_ascii_lowercase();
    let plain = plain.strip_prefix(b"$").unwrap_or(&plain);
    CREDENTIALS.iter().any(|credential| credential.as_bytes() == plain)
}

fn check_query(query: &str) {
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_credential(pair)).collect();
    let forwarded = forward_query(query).unwrap_or_default();
    assert_eq!(forwarded, kept.join("&"));
    assert_eq!(keys(&forwarded).count(), 0);

    let shown = redact_query(query);
    assert_eq!(shown.split('&').count(), query.split('&').count());
    for (shown, pair) in shown.split('&').zip(query.split('&')) {
        let name = pair.split('=').next().unwrap_or_default();
        assert!(shown.ends_with('…') || (shown == pair && !is_credential(pair)), "{pair} is shown as {shown}");
        assert!(shown == pair || shown == "…" || *shown == *format!("{name}=…"), "{pair} is shown as {shown}");
    }
}

fuzz_target!(|input: &[u8]| {
    let [choice, text @ ..] = input else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let mut fields = Fields::default();
    if choice & 0x80 != 0 {
        fields.push(ANTHROPIC_VERSION.text(), b"2023-06-01");
    }
    if choice & 0x40 != 0 {
        fields.push("upgrade", b"websocket");
    }
    let method = &METHODS[usize::from(choice & 0x3f) % METHODS.len()];
    match locate(method, path, &fields) {
        Ok(located) => check(method, path, &fields, &located),
        Err(RequestError::MethodNotAllowed { allow }) => {
            for allowed in allow.split(", ") {
                let allowed = Method::from_bytes(allowed.as_bytes()).unwrap();
                assert!(matches!(locate(&allowed, path, &fields), Ok(_) | Err(RequestError::UpgradeRefused)));
            }
        }
        Err(RequestError::PathUnknown { path: told }) => assert!(path.starts_with(&*told) && told.len() <= 256),
        Err(RequestError::Unmetered { .. }) => {}
        Err(RequestError::UpgradeRefused) => assert!(choice & 0x40 != 0),
        Err(error) => panic!("{error:?}"),
    }
    let _ = dialect_guess(path, choice & 0x80 != 0);
    check_query(query);
});
