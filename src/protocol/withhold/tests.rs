//! Tests of what is withheld: streams cut at any place, told by the tap as in life.

use proptest::prelude::*;

use super::*;
use crate::protocol::Dialect;
use crate::protocol::tap::Tap;

const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}";

/// What the client sees of a stream in these frames, in how many pieces at the most per frame.
fn passed(frames: &[&[u8]]) -> Vec<u8> {
    let (mut tap, mut withhold) = (Tap::stream(Dialect::Chat), Withhold::default());
    let mut all = Vec::new();
    for frame in frames {
        let seen = tap.feed(frame);
        let boundary = tap.at_boundary();
        if !seen.usage_chunk && boundary && withhold.is_idle() {
            all.extend_from_slice(frame);
            continue;
        }
        let frame = Bytes::copy_from_slice(frame);
        withhold.pass(&frame, boundary).iter().for_each(|part| all.extend_from_slice(part));
        assert!(withhold.held_len <= MAX_HELD);
    }
    withhold.finish().iter().for_each(|part| all.extend_from_slice(part));
    all
}

/// In two pieces cut anywhere, and in steps of every length.
#[track_caller]
fn row(name: &str, stream: &str, want: &str) {
    let stream = stream.as_bytes();
    for at in 0..=stream.len() {
        let (before, after) = stream.split_at(at);
        let got = passed(&[before, after]);
        assert_eq!(String::from_utf8_lossy(&got), want, "{name}, cut at {at}");
    }
    for step in 1..50 {
        let got = passed(&stream.chunks(step).collect::<Vec<_>>());
        assert_eq!(String::from_utf8_lossy(&got), want, "{name}, in steps of {step}");
    }
}

fn chunk(text: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}],\"usage\":null}}"
    )
}

#[test]
fn the_usage_chunk_alone_is_withheld() {
    let (a, b) = (chunk("a"), chunk("say \\\"usage\\\":{}"));
    let done = "data: [DONE]";
    for end in ["\n\n", "\r\n\r\n"] {
        let join = |events: &[&str]| events.iter().map(|event| format!("{event}{end}")).collect::<String>();
        row("usual", &join(&[&a, &b, USAGE, done]), &join(&[&a, &b, done]));
        row("last", &join(&[&a, USAGE]), &join(&[&a]));
        row("first and twice", &join(&[USAGE, &a, USAGE]), &join(&[&a]));
        row("alone", &join(&[USAGE]), "");
        row("none", &join(&[&a, done]), &join(&[&a, done]));
        let bare = "data: {\"choices\":[],\"usage\":null,\"prompt_filter_results\":[]}";
        row("no choices, no usage", &join(&[bare, &a]), &join(&[bare, &a]));
        let both = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3}}";
        row("usage beside a choice", &join(&[&a, both]), &join(&[&a, both]));
        let error = "data: {\"error\":{},\"usage\":{\"prompt_tokens\":3}}";
        row("an error", &join(&[error]), &join(&[error]));
        row(
            "a comment goes with what follows it",
            &join(&[": wait\n: more", USAGE, &a]),
            &join(&[": wait\n: more", &a]),
        );
    }
    row("no last empty line", &format!("{a}\n\n{USAGE}\n"), &format!("{a}\n\n"));
    row("cut", &format!("{a}\n\n{}", &USAGE[..30]), &format!("{a}\n\n{}", &USAGE[..30]));
    row("named", &format!("event: x\n{USAGE}\n\n"), &format!("event: x\n{USAGE}\n\n"));
}

#[test]
fn what_is_long_does_not_wait() {
    let long = chunk(&"x".repeat(3 * MAX_HELD));
    let stream = format!("{long}\n\n{USAGE}\n\n{long}\n\n{USAGE}\n\ndata: [DONE]\n\n");
    let want = format!("{long}\n\n{long}\n\ndata: [DONE]\n\n");
    for step in [1, 7, 100, 4096, 20_000, 70_000, 1 << 20] {
        let got = passed(&stream.as_bytes().chunks(step).collect::<Vec<_>>());
        assert!(got == want.as_bytes(), "in steps of {step}");
    }
    let (mut withhold, mut seen) = (Withhold::default(), 0);
    for part in long.as_bytes().chunks(1000) {
        seen += withhold.pass(&Bytes::copy_from_slice(part), false).iter().map(Bytes::len).sum::<usize>();
    }
    assert!(seen > long.len() - MAX_HELD);
}

proptest! {
    #[test]
    fn any_stream_passes_as_if_uncut(
        parts in proptest::collection::vec(0usize..9, 0..12),
        cuts in proptest::collection::vec(1usize..200, 1..20),
    ) {
        let a = chunk("a");
        let pieces = [USAGE, a.as_str(), "\n", "\n\n", "\r\n\r\n", ": x\n", "data: [DONE]\n\n", "\r", "x"];
        let stream: String = parts.iter().map(|part| pieces[*part]).collect();
        let mut frames = Vec::new();
        let mut rest = stream.as_bytes();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (frame, behind) = rest.split_at((*cut).min(rest.len()));
            frames.push(frame);
            rest = behind;
        }
        prop_assert_eq!(passed(&frames), passed(&[stream.as_bytes()]));
    }
}
