//! The table's promises, and the keys.

use super::*;
use crate::error::KeyError;

fn map(rows: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    rows.iter().for_each(|(name, value)| fields.push(name, value.as_bytes()));
    fields
}

fn text(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write(&mut out, |_| true);
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn same(left: &Fields, right: &Fields) {
    assert_eq!(text(left), text(right));
}

/// What agents send to a provider that it must see.
const PASSES_UP: &[(&str, &str)] = &[
    ("accept", "application/json"),
    ("accept-language", "*"),
    ("anthropic-beta", "a-1"),
    ("anthropic-beta", "b-2"),
    ("anthropic-dangerous-direct-browser-access", "true"),
    ("anthropic-version", "2023-06-01"),
    ("content-type", "application/json"),
    ("content-encoding", "zstd"),
    ("http-referer", "https://example.com"),
    ("idempotency-key", "1"),
    ("openai-beta", "responses=v1"),
    ("originator", "codex_exec"),
    ("sec-fetch-mode", "cors"),
    ("session-id", "s"),
    ("thread-id", "t"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("tracestate", "vendor=a,rojo=00f067aa0ba902b7"),
    ("user-agent", "claude-cli/2.1.330 (external, sdk-cli)"),
    ("version", "0.169.0"),
    ("x-app", "cli"),
    ("x-claude-code-agent-id", "a"),
    ("x-claude-code-session-id", "s"),
    ("x-client-request-id", "r"),
    ("x-codex-turn-metadata", "{}"),
    ("x-goog-api-client", "google-genai-sdk/1.30.0"),
    ("x-new-header-of-tomorrow", "1"),
    ("x-openai-subagent", "review"),
    ("x-parent-session-id", "p"),
    ("x-session-affinity", "ses_1"),
    ("x-session-id", "ses_1"),
    ("x-stainless-arch", "x64"),
    ("x-stainless-retry-count", "0"),
];

/// What providers answer that agents read.
const PASSES_DOWN: &[(&str, &str)] = &[
    ("anthropic-ratelimit-requests-remaining", "1"),
    ("anthropic-ratelimit-unified-status", "allowed"),
    ("cf-ray", "1-FRA"),
    ("content-encoding", "gzip"),
    ("content-length", "2"),
    ("content-type", "text/event-stream"),
    ("date", "Tue, 24 Nov 2026 00:00:00 GMT"),
    ("openai-processing-ms", "12"),
    ("openai-version", "2020-10-01"),
    ("request-id", "req_1"),
    ("retry-after", "7"),
    ("retry-after-ms", "7000"),
    ("server", "cloudflare"),
    ("x-codex-primary-used-percent", "3"),
    ("x-codex-turn-state", "s"),
    ("x-models-etag", "e"),
    ("x-ratelimit-remaining-tokens", "1"),
    ("x-reasoning-included", "true"),
    ("x-request-id", "req_1"),
    ("x-should-retry", "true"),
];

#[test]
fn what_agents_mean_for_the_provider_passes() {
    let mut headers = map(PASSES_UP);
    strip_request(&mut headers);
    same(&headers, &map(PASSES_UP));
}

#[test]
fn what_providers_mean_for_the_agent_passes() {
    let mut headers = map(PASSES_DOWN);
    strip_response(&mut headers, "m");
    same(&headers, &map(PASSES_DOWN));
}

#[track_caller]
fn takes_out_every_row<const N: usize>(table: &'static Table<N>, passes: &[(&str, &str)], strip: fn(&mut Fields)) {
    let families = table.families().iter().flat_map(|f| [format!("{}x", f.prefix), format!("{}for", f.prefix)]);
    let names: Vec<String> = table.rows().iter().map(|row| row.text.to_owned()).chain(families).collect();
    for name in &names {
        // Alone, twice, and among everything else.
        for (before, times) in [(&[][..], 1), (&[][..], 2), (passes, 1), (passes, 2)] {
            let mut headers = map(before);
            for _ in 0..times {
                headers.push(name, b"x");
            }
            strip(&mut headers);
            assert_eq!(text(&headers), text(&map(before)), "{name} × {times}");
        }
    }
    let mut all = map(passes);
    for name in &names {
        all.push(name, b"x");
    }
    strip(&mut all);
    same(&all, &map(passes));
}

#[test]
fn every_row_of_the_request_table_is_taken_out() {
    takes_out_every_row(&table::REQUEST, PASSES_UP, strip_request);
}

#[test]
fn every_row_of_the_response_table_is_taken_out() {
    takes_out_every_row(&table::RESPONSE, PASSES_DOWN, |headers| strip_response(headers, "m"));
}

#[track_caller]
fn is_well_formed<const N: usize>(table: &'static Table<N>) {
    assert!(table.families().iter().all(|f| !f.why.is_empty()));
    for row in table.rows() {
        assert!(table.names(row.text.as_bytes()), "{}", row.text);
        let times = table.rows().iter().filter(|other| other.text == row.text).count();
        assert_eq!((times, row.text.to_ascii_lowercase().as_str()), (1, row.text), "once, in lower case");
        assert!(!row.why.is_empty());
        assert!(!table.families().iter().any(|f| row.text.starts_with(f.prefix)), "{} is in a family", row.text);
    }
}

#[test]
fn the_tables_hold_each_name_once() {
    is_well_formed(&table::REQUEST);
    is_well_formed(&table::RESPONSE);
}

#[test]
fn nominated_headers_are_for_the_next_hop() {
    let rows: &[(&str, &[&str])] = &[
        ("keep-alive", &["x-a", "x-b"]),
        ("close", &["x-a", "x-b"]),
        ("X-A", &["x-b"]),
        ("keep-alive, x-a , X-b", &[]),
        (", ,x-a,", &["x-b"]),
        ("x a, (), x-b", &["x-a"]),
        ("upgrade, http2-settings", &["x-a", "x-b"]),
    ];
    for (connection, left) in rows {
        for strip in [strip_request, |headers: &mut Fields| strip_response(headers, "m")] {
            let mut headers = map(&[("connection", connection), ("x-a", "1"), ("x-b", "2")]);
            strip(&mut headers);
            let mut names: Vec<_> = headers.iter().map(|field| str::from_utf8(field.name).unwrap()).collect();
            names.sort_unstable();
            assert_eq!(names, *left, "{connection}");
        }
    }
    let mut twice = map(&[("connection", "x-a"), ("connection", "x-b"), ("x-a", "1"), ("x-b", "2"), ("x-c", "3")]);
    strip_request(&mut twice);
    same(&twice, &map(&[("x-c", "3")]));
}

#[test]
fn another_model_than_asked_for_is_not_named() {
    for (answered, asked, left) in
        [("gpt-5.5", "gpt-5.5", 1), ("gpt-5.2", "gpt-5.5", 0), ("gpt-5.5-2026", "gpt-5.5", 0)]
    {
        let mut headers = map(&[("openai-model", answered)]);
        strip_response(&mut headers, asked);
        assert_eq!(headers.len(), left, "{answered} for {asked}");
    }
}

#[track_caller]
fn presents(rows: &[(&str, &str)], query: Option<&str>, want: Result<&str, KeyError>) {
    let headers = map(rows);
    let found = presented_keys(&headers, query).map(|presented| presented.key.into_owned());
    assert_eq!(found, want.map(|key| key.as_bytes().to_vec()), "{rows:?} {query:?}");
}

#[test]
fn places_where_a_key_is_found() {
    presents(&[("authorization", "Bearer tg-1")], None, Ok("tg-1"));
    presents(&[("authorization", "bearer tg-1")], None, Ok("tg-1"));
    presents(&[("authorization", "BEARER   tg-1 ")], None, Ok("tg-1"));
    presents(&[("x-api-key", "tg-1")], None, Ok("tg-1"));
    presents(&[("x-goog-api-key", "tg-1")], None, Ok("tg-1"));
    presents(&[("api-key", "tg-1")], None, Ok("tg-1"));
    presents(&[("x-tollgate-key", "tg-1")], None, Ok("tg-1"));
    presents(&[], Some("alt=sse&key=tg-1"), Ok("tg-1"));
    presents(&[], Some("key=tg%2D1"), Ok("tg-1"));
}

#[test]
fn no_key() {
    for rows in [
        &[][..],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer  ")],
        &[("authorization", "Basic dGc6MQ==")],
        &[("authorization", "tg-1")],
        &[("x-api-key", "")],
        &[("cookie", "key=tg-1")],
        &[("x-apikey", "tg-1")],
    ] {
        presents(rows, Some("alt=sse&key="), Err(KeyError::Missing));
        presents(rows, None, Err(KeyError::Missing));
    }
}

#[test]
fn the_same_key_twice_is_one_key() {
    // Gemini CLI with `GEMINI_API_KEY_AUTH_MECHANISM=bearer`.
    presents(&[("authorization", "Bearer tg-1"), ("x-goog-api-key", "tg-1")], None, Ok("tg-1"));
    presents(&[("x-goog-api-key", "tg-1")], Some("key=tg-1"), Ok("tg-1"));
    presents(&[("x-api-key", "tg-1"), ("x-api-key", "tg-1")], None, Ok("tg-1"));
    presents(&[("x-api-key", "tg-1"), ("authorization", "Bearer ")], None, Ok("tg-1"));
}

#[test]
fn two_keys_are_a_conflict() {
    presents(&[("authorization", "Bearer tg-1"), ("x-api-key", "tg-2")], None, Err(KeyError::Conflict));
    presents(&[("x-api-key", "tg-1"), ("x-api-key", "tg-2")], None, Err(KeyError::Conflict));
    presents(&[("x-goog-api-key", "tg-1")], Some("key=tg-2"), Err(KeyError::Conflict));
    presents(&[], Some("key=tg-1&%6bey=tg-2"), Err(KeyError::Conflict));
    presents(&[("x-tollgate-key", "tg-1"), ("x-tollgate-key", "tg-2")], None, Err(KeyError::Conflict));
    presents(&[("api-key", "tg-1"), ("authorization", "Bearer tg-1x")], None, Err(KeyError::Conflict));
}

#[test]
fn an_explicit_gateway_key_leaves_room_for_the_clients_own() {
    let headers = map(&[
        ("x-tollgate-key", "tg-1"),
        ("authorization", "Bearer sk-own"),
        ("x-api-key", "tg-1"),
        ("x-goog-api-key", "AIza"),
    ]);
    let presented = presented_keys(&headers, None).unwrap();
    assert_eq!(&*presented.key, b"tg-1");
    // For the keyring to say whether one of them is a gateway key after all.
    assert_eq!(presented.beside.as_slice(), [&b"sk-own"[..], b"AIza"]);
    assert_eq!(format!("{presented:?}"), "Presented(…)");
}

#[test]
fn keys_in_headers_are_borrowed() {
    let headers = map(&[("authorization", "Bearer tg-1")]);
    let counted = allocation_counter::measure(|| {
        assert!(presented_keys(&headers, Some("beta=true")).is_ok());
    });
    assert_eq!(counted.count_total, 0);
}
