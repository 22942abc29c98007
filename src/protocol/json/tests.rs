//! Tests of the scanner: the grammar by table and against serde_json, what a watch is told, and that chunk borders do not
//! matter.

use proptest::prelude::*;

use super::*;

/// Writes down what it is told. Keys that start with `e` are entered, with `v` wanted.
#[derive(Debug, Default, PartialEq)]
struct Log(Vec<String>);

const LIMIT: usize = 24;

impl Watch for Log {
    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        self.0.push(format!("{}:{}", key.level, String::from_utf8_lossy(key.raw)));
        Ok(match key.raw.first() {
            Some(b'e') => Want::Enter,
            Some(b'v') => Want::Value { limit: LIMIT },
            _ => Want::Pass,
        })
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        let raw = value.raw.map(String::from_utf8_lossy);
        self.0.push(format!("{:?} at {:?}", raw, value.at));
        Ok(())
    }
}

fn scan(root: Root, frames: &[&[u8]]) -> (Log, Result<bool, BodyError>) {
    let mut scanner = Scanner::new(root);
    let mut log = Log::default();
    for frame in frames {
        if let Err(error) = scanner.feed(frame, &mut log) {
            return (log, Err(error));
        }
    }
    (log, Ok(scanner.is_complete()))
}

fn is_valid(text: &[u8]) -> bool {
    scan(Root::Object, &[text]).1 == Ok(true)
}

#[track_caller]
fn told(text: &str, want: &[&str]) {
    let (log, end) = scan(Root::ObjectOrArray, &[text.as_bytes()]);
    assert_eq!(log.0, want, "{text}");
    assert_eq!(end, Ok(true), "{text}");
    for cut in 0..text.len() {
        let (head, tail) = text.as_bytes().split_at(cut);
        assert_eq!(scan(Root::ObjectOrArray, &[head, tail]), (Log(log.0.clone()), Ok(true)), "{text} cut at {cut}");
    }
}

#[test]
fn what_a_watch_is_told() {
    told(r#"{}"#, &[]);
    told(r#" { "a" : 1 , "v" : "x\"y" } "#, &["0:a", "0:v", r#"Some("\"x\\\"y\"") at 19..25"#]);
    told(r#"{"a":{"v":1},"b":[{"v":2}]}"#, &["0:a", "0:b"]);
    told(r#"{"v":{"v" : 1,"e":[]},"x":{}}"#, &["0:v", r#"Some("{\"v\" : 1,\"e\":[]}") at 5..21"#, "0:x"]);
    told(
        r#"{"e":{"v":-1.5e+3,"x":{"v":1}},"v":true}"#,
        &["0:e", "1:v", r#"Some("-1.5e+3") at 10..17"#, "1:x", "0:v", r#"Some("true") at 35..39"#],
    );
    told(
        r#"{"e":{"e":{"v":null}},"e":7,"e":[{"v":1}],"x":{"v":2}}"#,
        &["0:e", "1:e", "2:v", r#"Some("null") at 15..19"#, "0:e", "0:e", "0:x"],
    );
    told(r#"{"v":"12345678901234567890123"}"#, &["0:v", r#"None at 5..30"#]);
    told(r#"{"v":"1234567890123456789012"}"#, &["0:v", r#"Some("\"1234567890123456789012\"") at 5..29"#]);
    told(r#"{"v\u0041\n":[ ]}"#, &[r#"0:v\u0041\n"#, r#"Some("[ ]") at 13..16"#]);
    told(
        r#"[{"v":1},{"e":{"v":2}},[{"v":3}],4]"#,
        &["0:v", r#"Some("1") at 6..7"#, "0:e", "1:v", r#"Some("2") at 19..20"#],
    );
}

#[test]
fn a_longer_key_is_not_told() {
    let fits = "k".repeat(MAX_KEY);
    told(&format!("{{\"{fits}\":1,\"{fits}k\":2,\"a\":3}}"), &[&format!("0:{fits}"), "0:a"]);
}

#[track_caller]
fn refused(text: &str, what: &'static str, at: u64) {
    let (_, end) = scan(Root::Object, &[text.as_bytes()]);
    assert_eq!(end, Err(BodyError::Broken { what, at }), "{text}");
    for cut in 0..text.len() {
        let (head, tail) = text.as_bytes().split_at(cut);
        assert_eq!(scan(Root::Object, &[head, tail]).1, end, "{text} cut at {cut}");
    }
}

#[test]
fn faults_say_where() {
    refused("\u{feff}{}", "a JSON object", 0);
    refused(" [1]", "a JSON object", 1);
    refused("{} x", "nothing more after the JSON object", 3);
    refused(r#"{a:1}"#, "a key in quotes", 1);
    refused(r#"{"a":1,}"#, "a key in quotes", 7);
    refused(r#"{,"a":1}"#, "a key in quotes", 1);
    refused(r#"{"a" 1}"#, "`:`", 5);
    refused(r#"{"a"::1}"#, "a value", 5);
    refused(r#"{"a":}"#, "a value", 5);
    refused(r#"{"a":1 2}"#, "`,` or the end of an object or array", 7);
    refused(r#"{"a":1]"#, "the bracket that was opened", 6);
    refused(r#"{"a":[1}"#, "the bracket that was opened", 7);
    refused(r#"{"a":[1,]}"#, "a value", 8);
    refused(r#"{"a":[,1]}"#, "a value", 6);
    refused(r#"{"a":tru}"#, "`true`, `false` or `null`", 8);
    refused(r#"{"a":nulL}"#, "`true`, `false` or `null`", 8);
    refused(r#"{"a":01}"#, "`,` or the end of an object or array", 6);
    refused(r#"{"a":+1}"#, "a value", 5);
    refused(r#"{"a":.5}"#, "a value", 5);
    refused(r#"{"a":1.}"#, "a digit", 7);
    refused(r#"{"a":-}"#, "a digit", 6);
    refused(r#"{"a":1e}"#, "a digit", 7);
    refused(r#"{"a":1e+}"#, "a digit", 8);
    refused(r#"{"a":1E5.5}"#, "`,` or the end of an object or array", 8);
    refused(r#"{"a":NaN}"#, "a value", 5);
    refused(r#"{"a":'b'}"#, "a value", 5);
    refused(r#"{}{}"#, "nothing more after the JSON object", 2);
}

#[test]
fn unfinished() {
    for text in ["", " ", "{", "{\"a", "{\"a\\", "{\"a\":1", "{\"a\":tr", "{\"a\":[", "{\"a\":1,"] {
        let mut scanner = Scanner::new(Root::Object);
        assert_eq!(scanner.feed(text.as_bytes(), &mut Log::default()), Ok(()), "{text}");
        let Err(BodyError::Broken { at, .. }) = scanner.finish() else { panic!("{text} is not complete") };
        assert_eq!(at, text.len() as u64);
    }
}

#[test]
fn depth() {
    let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n - 1), "]".repeat(n - 1));
    assert!(is_valid(nested(MAX_DEPTH).as_bytes()));
    assert_eq!(scan(Root::Object, &[nested(MAX_DEPTH + 1).as_bytes()]).1, Err(BodyError::TooDeep));
    let objects = format!("{}1{}", "{\"a\":".repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
    assert!(is_valid(objects.as_bytes()));
    // The kind of every open bracket is remembered to the last level.
    let crossed = format!("{}1{}]", "{\"a\":".repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH - 1));
    assert!(!is_valid(crossed.as_bytes()));
}

#[test]
fn leniencies() {
    assert!(is_valid(b"{\"a\":\"\n\x01\"}"), "raw control characters");
    assert!(is_valid(b"{\"a\":\"\xff\xfe\"}"), "bytes that are not UTF-8");
    assert!(is_valid(br#"{"a":"\ud800\q\u12"}"#), "escape sequences");
    assert!(!is_valid(br#"{"a":"\"}"#), "but a backslash takes the quote with it");
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        "[a-z\"\\\\/\n\u{e9}]{0,40}",
        Just("v".to_owned()),
        Just("e".to_owned()),
        "(\\\\|\"|x){0,40}",
        "[ -~]{0,200}"
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        text.clone().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::vec((text.clone(), inner), 0..6)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// An object, in two spellings, and perhaps with a few bytes changed, so that both outcomes are common.
fn spelled() -> impl Strategy<Value = Vec<u8>> {
    let fault = (any::<prop::sample::Index>(), prop::sample::select(b"{}[]:,\"\\ 0-.etn\x01a".to_vec()), 0..3u8);
    (json(), any::<bool>(), proptest::collection::vec(fault, 0..3)).prop_map(|(value, pretty, faults)| {
        let root = serde_json::json!({ "e": value, "v": [] });
        let text = if pretty { serde_json::to_vec_pretty(&root) } else { serde_json::to_vec(&root) };
        let mut text = text.unwrap();
        for (at, byte, how) in faults {
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => {
                    text.remove(at);
                }
            }
        }
        text
    })
}

fn cut<'a>(text: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

/// What serde_json says, with the leniencies of the module taken out of the strings first.
fn judge(text: &[u8]) -> bool {
    let (mut in_text, mut escaped) = (false, false);
    let lenient: Vec<u8> = text
        .iter()
        .map(|&byte| {
            in_text ^= byte == b'"' && !escaped;
            let taken = escaped;
            escaped = in_text && byte == b'\\' && !taken;
            match byte {
                _ if taken => b'n',
                0..b' ' if in_text => b'x',
                _ => byte,
            }
        })
        .collect();
    let lenient = String::from_utf8_lossy(&lenient);
    matches!(serde_json::from_str::<&serde_json::value::RawValue>(&lenient), Ok(raw) if raw.get().starts_with('{'))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_serde_json(text in spelled()) {
        let ours = scan(Root::Object, &[&text]).1;
        prop_assert_eq!(ours == Ok(true), judge(&text), "{}: {:?}", String::from_utf8_lossy(&text), ours);
    }

    #[test]
    fn chunk_borders_do_not_matter(text in spelled(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let whole = scan(Root::ObjectOrArray, &[&text]);
        prop_assert_eq!(&scan(Root::ObjectOrArray, &cut(&text, &cuts)), &whole);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        prop_assert_eq!(&scan(Root::ObjectOrArray, &bytes), &whole);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(text in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
        let (head, tail) = text.split_at(at.index(text.len() + 1));
        prop_assert_eq!(scan(Root::ObjectOrArray, &[head, tail]), scan(Root::ObjectOrArray, &[&text]));
    }
}
