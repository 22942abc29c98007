//! Events and what a tap reads of them do not depend on the borders, in any dialect.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::protocol::Dialect;
use tollgate::protocol::sse::Splitter;
use tollgate::protocol::tap::Tap;
use tollgate_fuzz::open;

fn events(frames: &[&[u8]]) -> (Vec<(Vec<u8>, Vec<u8>)>, bool, bool) {
    let mut splitter = Splitter::default();
    let mut events = Vec::new();
    for frame in frames {
        splitter.feed(frame, |event| events.push((event.name.to_vec(), event.data.to_vec())));
    }
    let boundary = splitter.at_boundary();
    splitter.finish(|event| events.push((event.name.to_vec(), event.data.to_vec())));
    (events, boundary, splitter.saw_bare_json())
}

fn tapped(mut tap: Tap, frames: &[&[u8]]) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut count = 0;
    let mut last = None;
    for frame in frames {
        let seen = tap.feed(frame);
        count += seen.events;
        last = Some((seen.content, seen.terminal, seen.failed));
    }
    let boundary = tap.at_boundary();
    tap.finish();
    (count, last, boundary, tap.usage(), tap.terminal(), tap.ended_well())
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, text, pieces)) = open(input) else { return };
    if text.is_empty() {
        return;
    }
    assert_eq!(events(&pieces), events(&[text]));
    for dialect in Dialect::ALL {
        let tap = || if choice & 1 == 0 { Tap::stream(dialect) } else { Tap::json(dialect) };
        assert_eq!(tapped(tap(), &pieces), tapped(tap(), &[text]), "{dialect:?}");
    }
});
