//! Lines as RFC 9112 has them, and beside a parser that many servers use.

use proptest::prelude::*;

use super::*;

fn text(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write(&mut out, |_| true);
    String::from_utf8_lossy(&out).into_owned()
}

#[track_caller]
fn reads(wire: &str, want: &str) {
    let (length, fields, _) = read(wire.as_bytes()).unwrap().unwrap();
    assert_eq!((text(&fields).as_str(), &wire[length..]), (want, "rest"), "{wire:?}");
    let head = &wire[..length];
    for end in 0..length {
        assert!(matches!(read(&head.as_bytes()[..end]), Ok(None)), "{:?} is not all of it", &head[..end]);
    }
}

#[test]
fn lines_in_form() {
    reads("\r\nrest", "");
    reads("\nrest", "");
    reads("X-A: 1\r\nx-b:2\r\n\r\nrest", "x-a: 1\r\nx-b: 2\r\n");
    reads("a: \t b\tc  \t\r\n\r\nrest", "a: b\tc\r\n");
    reads("a:\r\nb: \t \r\n\r\nrest", "a: \r\nb: \r\n");
    reads("a: 1\nb: 2\n\nrest", "a: 1\r\nb: 2\r\n");
    reads(
        "a: caf\u{e9}, \"a long value of more than eight bytes\": yes\r\n\r\nrest",
        "a: caf\u{e9}, \"a long value of more than eight bytes\": yes\r\n",
    );
}

#[test]
fn lines_that_are_none() {
    for wire in [
        " a: b\r\n\r\n",
        "\ta: b\r\n\r\n",
        "a: b\r\n c\r\n\r\n",
        "a: b\r\n\tc\r\n\r\n",
        "a : b\r\n\r\n",
        "a\t: b\r\n\r\n",
        ": b\r\n\r\n",
        "a\r\n\r\n",
        "a b: c\r\n\r\n",
        "a\u{0}: b\r\n\r\n",
        "caf\u{e9}: b\r\n\r\n",
        "a: b\rc\r\n\r\n",
        "a: b\r\rc",
        "a: \u{0}\r\n\r\n",
        "a: b\u{7f}\r\n\r\n",
        "a: 12345678\u{1}\r\n\r\n",
        "a: b\u{b}\r\n\r\n",
        "a: b\r\n\rx",
        "(a): b\r\n\r\n",
        "a: b\r\n: c\r\n\r\n",
    ] {
        assert!(matches!(read(wire.as_bytes()), Err(Wrong::Malformed)), "{wire:?}");
    }
    let many = |n: usize| read(format!("{}\r\n", "a: b\r\n".repeat(n)).as_bytes()).map(|found| found.is_some());
    assert_eq!((many(MOST), many(MOST + 1)), (Ok(true), Err(Wrong::TooMany)));
}

proptest! {
    /// Where both read a head, they read the same one; and what we let pass, it lets pass.
    #[test]
    fn as_another_parser_reads_them(wire in "([a-cA: \t\r\n\u{0}\u{7f}é-]{0,6}(: |:)?[a-c \t\r]{0,12}\r?\n){0,4}\r?\n?[a\r\n]{0,3}") {
        let mut lines = [httparse::EMPTY_HEADER; MOST];
        let theirs = httparse::parse_headers(wire.as_bytes(), &mut lines);
        match (read(wire.as_bytes()), theirs) {
            (Ok(Some((length, fields, _))), Ok(httparse::Status::Complete((their_length, lines)))) => {
                prop_assert_eq!(length, their_length);
                let trimmed = |value: &[u8]| String::from_utf8_lossy(value).trim_matches([' ', '\t']).to_owned();
                let theirs: String = lines.iter().map(|l| format!("{}: {}\r\n", l.name.to_ascii_lowercase(), trimmed(l.value))).collect();
                prop_assert_eq!(text(&fields), theirs);
            }
            (Ok(None), Ok(httparse::Status::Partial)) | (Err(_), _) => {}
            (ours, theirs) => prop_assert!(false, "{:?} {:?}", ours.map(|found| found.map(|found| found.0)), theirs),
        }
    }

    #[test]
    fn a_length_unlike_another_is_heard(one in 0_u64..3, two in 0_u64..3) {
        let read = read(format!("content-length: {one}\r\nCONTENT-LENGTH:{two} \r\n\r\n").as_bytes());
        prop_assert_eq!(read.ok().flatten().and_then(|(_, _, says)| says.length), (one == two).then_some(one));
    }
}
