//! Fields, beside the map that everybody uses.

use proptest::prelude::*;

use super::*;

const A: Name = Name::new("x-a");

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in lines {
        fields.push(name, value.as_bytes());
    }
    fields
}

fn text(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write(&mut out, |_| true);
    assert!(out.len() <= fields.written_len());
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_put_in_is_found_and_written() {
    let mut all = fields(&[("X-A", "1"), ("x-b", ""), ("x-a", "2"), ("x-c", "3")]);
    assert_eq!(text(&all), "x-a: 1\r\nx-b: \r\nx-a: 2\r\nx-c: 3\r\n");
    assert_eq!(
        (all.get(A), all.get(Name::new("x-b")), all.get(Name::new("x"))),
        (Some(&b"1"[..]), Some(&b""[..]), None)
    );
    assert_eq!(all.all(A).collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(all.iter().map(|field| field.name).collect::<Vec<_>>(), [b"x-a", b"x-b", b"x-a", b"x-c"]);
    let mut some = Vec::new();
    all.write(&mut some, |field| !field.is(A));
    assert_eq!(some, b"x-b: \r\nx-c: 3\r\n");
    all.remove(A);
    assert_eq!((text(&all).as_str(), all.len()), ("x-b: \r\nx-c: 3\r\n", 2));
    all.push("x-a", b"4");
    assert_eq!(text(&all), "x-b: \r\nx-c: 3\r\nx-a: 4\r\n");
    all.retain(|field| field.value.is_empty());
    assert_eq!(text(&all), "x-b: \r\n");
}

proptest! {
    /// Eight bytes at a time or one by one, it is the same token.
    #[test]
    fn a_token_is_read_alike_both_ways(bytes in prop_oneof![
        "[A-Za-z0-9-]{0,40}(:|_| |é)?.{0,12}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
    ]) {
        let read = token(&bytes);
        prop_assert_eq!(read, by_byte(&bytes));
        let token = &bytes[..read.length];
        prop_assert!(token.iter().all(|byte| LOWER[usize::from(*byte)] != 0));
        prop_assert_eq!(bytes.get(read.length).is_some_and(|byte| LOWER[usize::from(*byte)] != 0), false);
        prop_assert_eq!(read.capitals, token.iter().any(u8::is_ascii_uppercase));
        prop_assert_eq!(read.hash, super::token(&token.to_ascii_lowercase()).hash);
    }
}

#[test]
fn every_byte_ends_a_token_or_does_not_at_every_place() {
    for byte in 0..=u8::MAX {
        for at in 0..18 {
            let mut bytes = [b'a'; 18];
            bytes[at] = byte;
            assert_eq!(token(&bytes), by_byte(&bytes), "{byte} at {at}");
        }
    }
}

#[test]
fn what_would_become_two_fields_is_none() {
    let bad = [
        ("x a", "1"),
        ("", "1"),
        ("x:", "1"),
        ("x\r\ny", "1"),
        ("é", "1"),
        ("x", "a\r\nb: c"),
        ("x", "\n"),
        ("x", "\0"),
        ("x", "\u{7f}"),
    ];
    assert!(fields(&bad).is_empty());
    assert_eq!(text(&fields(&[("x", "\tcaf\u{e9} ")])), "x: \tcaf\u{e9} \r\n");
}

#[test]
fn no_value_is_shown() {
    assert_eq!(format!("{:?}", fields(&[("authorization", "Bearer secret")])), "[authorization]");
}

proptest! {
    #[test]
    fn as_the_map_has_it(lines in prop::collection::vec(("[a-eA-E-]{0,3}", prop::collection::vec(any::<u8>(), 0..20)), 0..12)) {
        let (mut ours, mut map) = (Fields::default(), HeaderMap::new());
        for (name, value) in &lines {
            ours.push(name, value);
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        prop_assert_eq!(&ours.to_map(|_| true), &map);
        let again = Fields::from(&map);
        prop_assert_eq!(again.to_map(|_| true), map);
        prop_assert_eq!(again.len(), ours.len());
    }

    #[test]
    fn every_byte_of_a_value_is_looked_at(mut value in prop::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let allowed = |b: u8| b == b'\t' || (b >= b' ' && b != 0x7f);
        value.iter_mut().filter(|b| !allowed(**b)).for_each(|b| *b = b'x');
        if !value.is_empty() {
            let at = at.index(value.len());
            value[at] = byte;
        }
        prop_assert_eq!(value_len(&value), value.iter().position(|b| !allowed(*b)).unwrap_or(value.len()));
    }

    #[test]
    fn every_byte_of_a_token_is_looked_at(bytes in prop::collection::vec(any::<u8>(), 1..6)) {
        let length = token(&bytes).length;
        prop_assert_eq!(length == bytes.len(), HeaderName::from_bytes(&bytes).is_ok());
    }
}
