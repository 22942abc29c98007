//! The scanner tells the same keys and values whatever the borders, and takes what is JSON.

#![no_main]

use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use tollgate::error::BodyError;
use tollgate::protocol::json::{Key, Root, Scanner, Value, Want, Watch};
use tollgate_fuzz::{is_json, is_plain, open};

#[derive(Debug, PartialEq)]
enum Told {
    Key(Vec<u8>, usize),
    Value(Option<Vec<u8>>, Range<usize>),
}

/// Wants something else of each key, by its first byte.
#[derive(Default)]
struct Curious(Vec<Told>);

impl Watch for Curious {
    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        self.0.push(Told::Key(key.raw.to_vec(), key.level));
        Ok(match key.raw.first().map(|byte| byte % 4) {
            None | Some(0) => Want::Pass,
            Some(1) => Want::Enter,
            Some(2) => Want::Value { limit: 8 },
            Some(_) => Want::Value { limit: 100 },
        })
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        self.0.push(Told::Value(value.raw.map(<[u8]>::to_vec), value.at));
        Ok(())
    }
}

fn scan(root: Root, frames: &[&[u8]]) -> (Result<(), BodyError>, Vec<Told>) {
    let mut scanner = Scanner::new(root);
    let mut watch = Curious::default();
    for frame in frames {
        if let Err(error) = scanner.feed(frame, &mut watch) {
            return (Err(error), watch.0);
        }
    }
    (scanner.finish(), watch.0)
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, text, pieces)) = open(input) else { return };
    let root = if choice & 1 == 0 { Root::Object } else { Root::ObjectOrArray };
    let whole = scan(root, &[text]);
    assert_eq!(scan(root, &pieces), whole, "it depends on the borders");

    let first = text.trim_ascii_start().first().copied();
    let rooted = first == Some(b'{') || (root == Root::ObjectOrArray && first == Some(b'['));
    match &whole.0 {
        Ok(()) => assert!(rooted && (!is_plain(text) || is_json(text)), "taken, but no JSON"),
        Err(BodyError::Broken { .. }) => assert!(!(rooted && is_json(text)), "broken, but JSON: {whole:?}"),
        Err(_) => {}
    }
    for told in &whole.1 {
        if let Told::Value(Some(raw), at) = told {
            assert_eq!(raw, &text[at.clone()]);
            assert!(!is_plain(raw) || is_json(raw), "a value that is none: {told:?}");
        }
    }
});
