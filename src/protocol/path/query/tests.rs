//! What passes, what is taken out, what a log may show.

use proptest::prelude::*;

use super::*;

#[test]
fn forwarded() {
    let rows = [
        ("", None),
        ("beta=true", Some("beta=true")),
        ("alt=sse", Some("alt=sse")),
        ("alt=sse&key=tg-1", Some("alt=sse")),
        ("key=tg-1&alt=sse", Some("alt=sse")),
        ("a=1&key=tg-1&b=2&key=tg-2&c=3", Some("a=1&b=2&c=3")),
        ("key=tg-1", None),
        ("key", None),
        ("key=", None),
        ("KEY=x", None),
        ("%6bey=x", None),
        ("%6B%65%79=x", None),
        ("k%65y=x&a=1", Some("a=1")),
        ("$key=x", None),
        ("%24key=x", None),
        ("access_token=x", None),
        ("oauth_token=x&alt=sse", Some("alt=sse")),
        ("userProject=p", None),
        ("$userProject=p", None),
        ("$httpHeaders=x-goog-api-key%3Ax", None),
        ("$httpMethod=DELETE", None),
        // Not a credential, and not touched.
        ("keys=1", Some("keys=1")),
        ("monkey=1", Some("monkey=1")),
        ("a=key=b", Some("a=key=b")),
        ("a=key%3Db&&=&%zz=%", Some("a=key%3Db&&=&%zz=%")),
        ("a=%20+%2B", Some("a=%20+%2B")),
        ("key%3Dx", Some("key%3Dx")),
    ];
    for (query, want) in rows {
        assert_eq!(forward_query(query).as_deref(), want, "{query}");
    }
    assert!(matches!(forward_query("beta=true"), Some(Cow::Borrowed(_))));
}

#[test]
fn keys_found() {
    let rows: &[(&str, &[&str])] = &[
        ("", &[]),
        ("alt=sse", &[]),
        ("key=tg-1", &["tg-1"]),
        ("alt=sse&key=tg-1&key=tg-2", &["tg-1", "tg-2"]),
        ("key=", &[]),
        ("key", &[]),
        ("%6bey=tg-1", &["tg-1"]),
        ("key=tg%2D1", &["tg-1"]),
        ("key=a+b", &["a+b"]),
        ("key=a%zz", &["a%zz"]),
        ("KEY=x", &[]),
    ];
    for (query, want) in rows {
        let found: Vec<_> = keys(query).map(|key| String::from_utf8_lossy(&key).into_owned()).collect();
        assert_eq!(found, *want, "{query}");
    }
    assert!(matches!(keys("key=tg-1").next(), Some(Cow::Borrowed(_))));
}

#[test]
fn redacted() {
    let rows = [
        ("", ""),
        ("beta=true", "beta=true"),
        ("alt=sse&key=tg-1", "alt=sse&key=…"),
        ("%6bey=tg-1", "…"),
        ("api_key=tg-1&limit=5", "api_key=…&limit=5"),
        ("tg-1", "…"),
        ("tg-0123456789012345678901234567890123456789==", "…"),
        ("a%20b=1", "…"),
        ("alt=sse&&limit=1", "alt=sse&&limit=1"),
    ];
    for (query, want) in rows {
        assert_eq!(redact_query(query), want, "{query}");
    }
}

#[test]
fn decoding() {
    let rows: &[(&str, Option<&str>)] = &[
        ("", Some("")),
        ("abc", Some("abc")),
        ("%41%62", Some("Ab")),
        ("a%2fb", Some("a/b")),
        ("%2", None),
        ("%", None),
        ("%g0", None),
        ("%%", None),
    ];
    for (raw, want) in rows {
        assert_eq!(decode(raw.as_bytes()).as_deref(), want.map(str::as_bytes), "{raw}");
    }
    assert_eq!(value("a=1&limit=5&limit=6", "limit").as_deref(), Some("5"));
    assert_eq!(value("after_id=a%2Fb", "after_id").as_deref(), Some("a/b"));
    assert_eq!(value("after_id=%ff", "after_id"), None);
    assert_eq!(value("limit", "limit"), None);
}

proptest! {
    #[test]
    fn no_spelling_of_a_credential_survives(
        name in prop::sample::select(vec!["key", "access_token", "oauth_token"]),
        escaped in prop::collection::vec(any::<bool>(), 12),
        lower: bool,
        before in "[a-z=&%]{0,8}",
        after in "[a-z=&%]{0,8}",
    ) {
        let spelled: String = name.bytes().zip(escaped).map(|(byte, escape)| match (escape, lower) {
            (true, true) => format!("%{byte:02x}"),
            (true, false) => format!("%{byte:02X}"),
            (false, _) => char::from(byte).to_string(),
        }).collect();
        let query = format!("{before}&{spelled}=SECRET&{after}");
        prop_assert!(!forward_query(&query).unwrap_or_default().contains("SECRET"));
        prop_assert!(!redact_query(&query).contains("SECRET"));
    }

    #[test]
    fn what_is_no_credential_passes_byte_for_byte(query in "[abc=&%+ é?/]{1,40}") {
        let forwarded = forward_query(&query);
        prop_assert_eq!(forwarded.as_deref(), Some(&*query));
    }

    #[test]
    fn any_query_is_read(query: String) {
        let _ = forward_query(&query);
        let _ = redact_query(&query);
        prop_assert!(keys(&query).all(|key| !key.is_empty()));
    }
}
