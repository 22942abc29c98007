//! Instructions of what happens to every request body and every streamed event, under callgrind.
//!
//! Budgets: `peek_200k` 3.5 instructions a byte on an agent's body; `sse_tap_event` 350 an event once content has begun.

#![expect(clippy::disallowed_methods, reason = "gungraun's main ends the process")]
#![expect(unused_qualifications, reason = "gungraun's macro repeats the arguments with a path")]

mod bodies;

use std::hint::black_box;

use bytes::Bytes;
use gungraun::{library_benchmark, library_benchmark_group, main};
use tollgate::protocol::body::Frames;
use tollgate::protocol::peek::{Peek, Peeked};
use tollgate::protocol::splice::{json_string, splice};
use tollgate::protocol::tap::{Seen, Tap};
use tollgate::protocol::{Dialect, Endpoint};

fn peek(endpoint: Endpoint, body: &[u8]) -> Option<Peeked> {
    let mut peek = Peek::new(endpoint);
    peek.feed(body).ok()?;
    peek.finish().ok()
}

/// A body that has been read once, so that nothing is measured that happens once in a process.
fn read(endpoint: Endpoint, body: Vec<u8>) -> (Endpoint, Vec<u8>) {
    assert!(peek(endpoint, &body).is_some_and(|peeked| peeked.stream));
    (endpoint, body)
}

#[library_benchmark]
#[bench::agent(read(Endpoint::Messages, bodies::agent(4_000)))]
fn peek_4k((endpoint, body): (Endpoint, Vec<u8>)) -> (Option<Peeked>, Vec<u8>) {
    (black_box(peek(endpoint, black_box(&body))), body)
}

#[library_benchmark]
#[bench::agent(read(Endpoint::Messages, bodies::agent(200_000)))]
#[bench::prompt(read(Endpoint::Responses, bodies::prompt(200_000)))]
#[bench::tools(read(Endpoint::Responses, bodies::tools_only(200_000)))]
fn peek_200k((endpoint, body): (Endpoint, Vec<u8>)) -> (Option<Peeked>, Vec<u8>) {
    (black_box(peek(endpoint, black_box(&body))), body)
}

fn held() -> Frames {
    bodies::agent(200_000).chunks(16_384).map(Bytes::copy_from_slice).collect()
}

#[library_benchmark]
#[bench::first_frame(held())]
fn splice_model(body: Frames) -> (Frames, Frames) {
    (black_box(splice(black_box(&body), 9..26, json_string("claude-sonnet-5-5"))), body)
}

/// A tap whose stream has begun to carry content.
fn begun(dialect: Dialect, event: &'static str) -> (Box<Tap>, &'static str) {
    let mut tap = Box::new(Tap::stream(dialect));
    // Of the first ones, and of every sixty-fourth, more is seen; what that costs shows in `journey_open/stream_100`.
    for _ in 0..40 {
        assert!(tap.feed(event.as_bytes()).content);
    }
    (tap, event)
}

#[library_benchmark]
#[bench::anthropic(begun(Dialect::Anthropic, bodies::ANTHROPIC_DELTA))]
#[bench::chat(begun(Dialect::Chat, bodies::CHAT_DELTA))]
#[bench::responses(begun(Dialect::Responses, bodies::RESPONSES_DELTA))]
#[bench::gemini(begun(Dialect::Gemini, bodies::GEMINI_CHUNK))]
fn sse_tap_event((mut tap, event): (Box<Tap>, &'static str)) -> (Seen, Box<Tap>) {
    (black_box(tap.feed(black_box(event.as_bytes()))), tap)
}

library_benchmark_group!(name = protocol, benchmarks = [peek_4k, peek_200k, splice_model, sse_tap_event]);
main!(library_benchmark_groups = protocol);
