//! Tests of the splitter: the standard's own cases, and that chunk borders do not matter.

use proptest::prelude::*;

use super::*;

type Told = Vec<(String, String)>;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn split(limit: usize, frames: &[&[u8]], finish: bool) -> Told {
    let mut splitter = Splitter::with_limit(limit);
    let mut told = Vec::new();
    for frame in frames {
        splitter.feed(frame, |event| told.push((text(event.name), text(event.data))));
    }
    if finish {
        splitter.finish(|event| told.push((text(event.name), text(event.data))));
    }
    told
}

#[track_caller]
fn row(name: &str, stream: &str, want: &[(&str, &str)]) {
    let want: Told = want.iter().map(|&(name, data)| (name.into(), data.into())).collect();
    assert_eq!(split(MAX_EVENT, &[stream.as_bytes()], true), want, "{name}");
    for at in 0..=stream.len() {
        let (head, tail) = stream.as_bytes().split_at(at);
        assert_eq!(split(MAX_EVENT, &[head, tail], true), want, "{name}, cut at {at}");
    }
    for end in ["\r\n", "\r"] {
        let stream = stream.replace('\n', end);
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(split(MAX_EVENT, &bytes, true), want, "{name}, with {end:?}, byte by byte");
        assert_eq!(split(MAX_EVENT, &[stream.as_bytes()], true), want, "{name}, with {end:?}");
    }
}

#[test]
fn events() {
    row("one", "data: a\n\n", &[("", "a")]);
    row("named", "event: x\ndata: a\n\n", &[("x", "a")]);
    row("name behind", "data: a\nevent: x\n\n", &[("x", "a")]);
    row("two", "data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]);
    row("no space", "event:x\ndata:a\n\n", &[("x", "a")]);
    row("one space is taken", "data:  a \n\n", &[("", " a ")]);
    row("lines join", "data: YHOO\ndata: +2\ndata: 10\n\n", &[("", "YHOO\n+2\n10")]);
    row("empty lines join", "data\n\ndata\ndata\n\ndata:\n\n", &[("", ""), ("", "\n"), ("", "")]);
    row("comments", ": hi\n\n:\n: x\ndata: a\n: y\n\n: z\n", &[("", "a")]);
    row("no data, no event", "event: x\n\ndata: a\n\n", &[("", "a")]);
    row("other fields", "id: 1\nretry: 5\ndatax: 1\ndat: 2\nevents: 3\ndata: a\n\nid\n\n", &[("", "a")]);
    row("the last name counts", "event: x\nevent: y\ndata: a\n\n", &[("y", "a")]);
    row("blank lines between", "\n\n\ndata: a\n\n\n\ndata: b\n\n\n", &[("", "a"), ("", "b")]);
    row("byte order mark", "\u{feff}data: a\n\n", &[("", "a")]);
    row("only one, only first", "\u{feff}\u{feff}data: a\n\n\u{feff}data: b\n\n", &[]);
    row("colons", "data: a: b\ndata:: c\n\n", &[("", "a: b\n: c")]);
    row("no blank line at the end", "data: a\n\nevent: x\ndata: b\n", &[("", "a"), ("x", "b")]);
    row("no line end at the end", "data: a\n\ndata: b", &[("", "a"), ("", "b")]);
    row("utf-8", "data: \u{1f600}é\n\n", &[("", "\u{1f600}é")]);
}

#[test]
fn a_start_like_a_byte_order_mark() {
    let stream = b"\xef\xbbdata: a\n\ndata: b\n\n";
    assert_eq!(split(MAX_EVENT, &[stream], true), [(String::new(), "b".into())]);
    assert_eq!(split(MAX_EVENT, &stream.chunks(1).collect::<Vec<_>>(), true), [(String::new(), "b".into())]);
}

#[test]
fn boundaries() {
    let places = |stream: &str| -> Vec<usize> {
        let mut splitter = Splitter::default();
        (0..stream.len())
            .filter(|&at| {
                splitter.feed(&stream.as_bytes()[at..=at], |_| {});
                splitter.at_boundary()
            })
            .map(|at| at + 1)
            .collect()
    };
    assert!(Splitter::default().at_boundary(), "before the first byte");
    assert_eq!(places("event: x\ndata: a\n\ndata: b\n\n"), [18, 27]);
    assert_eq!(places("data: a\r\n\r\ndata: b\r\n\r\n"), [11, 22]);
    assert_eq!(places(": hi\n\nid: 1\n\n"), [5, 6, 13]);
}

#[test]
fn bare_json() {
    let bare = |stream: &[u8], step: usize| {
        let mut splitter = Splitter::default();
        stream.chunks(step).for_each(|frame| splitter.feed(frame, |_| {}));
        splitter.finish(|_| {});
        splitter.saw_bare_json()
    };
    for step in [1, 5, 100] {
        assert!(bare(b"data: {}\n\n{\n  \"error\": {}}\n", step));
        assert!(bare(b"data: {}\n\n{\"error\":{}}", step));
        assert!(!bare(b"data: {}\n\n : {\ndata: {\n\n", step));
    }
}

#[test]
fn a_large_event_passes_untold() {
    let fits = format!("data: {}\n\n", "x".repeat(57));
    let large = format!("event: y\ndata: {}\n\n", "x".repeat(57));
    let lines = format!("{}\n", "data: x\n".repeat(9));
    let stream = format!("{fits}{large}data: a\n\n{lines}: {}\ndata: b\n\n", "c".repeat(100));
    let want = split(64, &[stream.as_bytes()], true);
    assert_eq!(want.iter().map(|(_, data)| data.len()).collect::<Vec<_>>(), [57, 1, 1]);
    for step in 1..stream.len() {
        let frames: Vec<&[u8]> = stream.as_bytes().chunks(step).collect();
        assert_eq!(split(64, &frames, true), want, "{step}");
    }
}

#[test]
fn a_large_event_is_not_kept() {
    let mut splitter = Splitter::with_limit(64);
    let mut events = 0;
    for _ in 0..1000 {
        splitter.feed(b"data: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\ndata", |_| events += 1);
        assert!(splitter.carry.capacity() + splitter.joined.capacity() < 512);
    }
    splitter.feed(b"\n\ndata: a\n\n", |_| events += 1);
    assert_eq!(events, 1);
}

#[test]
fn whole_events_are_not_copied() {
    let info = allocation_counter::measure(|| {
        let mut splitter = Splitter::default();
        let mut bytes = 0;
        for _ in 0..10 {
            splitter.feed(b"event: x\ndata: abc\n\n: c\n\ndata: d\n\n", |event| bytes += event.data.len());
        }
        assert_eq!(bytes, 40);
    });
    assert_eq!(info.count_total, 0);
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("data"),
        Just("data: "),
        Just("event: "),
        Just(":"),
        Just("\n"),
        Just("\n\n"),
        Just("\r\n"),
        Just("\r"),
        Just("x"),
        Just("{\"a\":1}"),
        Just("\u{feff}"),
        Just("id: 3\n"),
        Just("xxxxxxxxxxxxxxxxxxxx"),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat().into_bytes())
}

/// The standard's algorithm, line by line, with the one deviation of the module and a limit.
fn naive(stream: &[u8], limit: usize) -> Told {
    let text = String::from_utf8_lossy(stream).replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut told = Vec::new();
    let (mut name, mut data, mut size) = (String::new(), Vec::new(), None);
    for line in text.split('\n').chain([""]) {
        if line.is_empty() {
            if !data.is_empty() && size.unwrap_or(0) <= limit {
                told.push((std::mem::take(&mut name), data.join("\n")));
            }
            (name, data, size) = (String::new(), Vec::new(), None);
            continue;
        }
        if !line.starts_with(':') || size.is_some() {
            size = Some(size.unwrap_or(0) + line.len() + 1);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => data.push(value.to_owned()),
            "event" => value.clone_into(&mut name),
            _ => {}
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn as_the_standard_says_at_any_chunk_borders(
        stream in stream(),
        limit in prop_oneof![Just(MAX_EVENT), 5usize..60],
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let frames: Vec<&[u8]> = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        let want = naive(&stream, limit);
        prop_assert_eq!(&split(limit, &[&stream], true), &want);
        prop_assert_eq!(&split(limit, &frames, true), &want);
        prop_assert_eq!(&split(limit, &stream.chunks(1).collect::<Vec<_>>(), true), &want);
    }

    #[test]
    fn boundaries_do_not_depend_on_chunks(stream in stream()) {
        let mut whole = Splitter::default();
        whole.feed(&stream, |_| {});
        let mut bytes = Splitter::default();
        stream.chunks(1).for_each(|byte| bytes.feed(byte, |_| {}));
        prop_assert_eq!(whole.at_boundary(), bytes.at_boundary());
        prop_assert_eq!(whole.saw_bare_json(), bytes.saw_bare_json());
    }
}
