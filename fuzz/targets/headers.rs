//! After the strips nothing is left that a table or a `connection` header forbids, and everything else is.

#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tollgate::message::Fields;
use tollgate::protocol::headers::{strip_request, strip_response, table};

fn parse(text: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.split(|&byte| byte == b'\n').take(200) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(line[colon + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fn nominated(headers: &HeaderMap, name: &HeaderName) -> bool {
    let tokens =
        headers.get_all("connection").into_iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    tokens.map(<[u8]>::trim_ascii).any(|token| token.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

fn check<const N: usize>(table: &table::Table<N>, before: &HeaderMap, after: &HeaderMap, also: &[&str]) {
    for name in before.keys() {
        let row = table.rows().iter().any(|row| row.text == name.as_str());
        let family = table.families().iter().any(|family| name.as_str().starts_with(family.prefix));
        let goes = row || family || also.contains(&name.as_str()) || nominated(before, name);
        // `connection: close` alone names no header.
        let word = matches!(name.as_str(), "close" | "keep-alive") && !row;
        if goes && !word {
            assert!(!after.contains_key(name), "{name} is left");
        } else if !goes {
            let all = |headers: &HeaderMap| headers.get_all(name).into_iter().cloned().collect::<Vec<_>>();
            assert_eq!(all(before), all(after), "{name}");
        }
    }
    assert!(after.keys().all(|name| before.contains_key(name)));
}

fuzz_target!(|input: &[u8]| {
    let before = parse(input);
    let mut request = Fields::from(&before);
    strip_request(&mut request);
    check(&table::REQUEST, &before, &request.to_map(|_| true), &[]);

    let mut response = Fields::from(&before);
    strip_response(&mut response, "m");
    let renamed = before.get("openai-model").is_some_and(|model| model != "m");
    check(&table::RESPONSE, &before, &response.to_map(|_| true), if renamed { &["openai-model"] } else { &[] });
});
