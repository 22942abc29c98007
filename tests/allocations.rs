//! Heap allocations on the way of a request, as exact numbers: one more is a decision, not an accident.
//!
//! Without sockets: what a connection allocates for heads is not in here, nor what the scripted upstream builds (it is
//! measured by itself and taken off).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

#[path = "journey/scripted.rs"]
#[expect(dead_code, reason = "shared with the journey's tests, which use more of it")]
mod scripted;

use bytes::Bytes;
use scripted::{Act, Gateway, Step, inbound, json, post};
use tollgate::journal::{Journal, Settings};
use tollgate::protocol::inflate::{self, Coding, Inflate};

const ASK: &str = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
/// The same by a client that does not ask for the usage: the provider is asked in its place.
const ASK_NOTHING: &str = r#"{"model":"m","stream":true,"messages":[]}"#;
const EVENT: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"sixty bytes of text, more or less\"}}]}\n\n";

fn stream(events: usize) -> Act {
    let data = |text: &'static str| Step::Data(Bytes::from_static(text.as_bytes()));
    let frames = std::iter::repeat_n(data(EVENT), events).chain([data("data: [DONE]\n\n")]).collect();
    Act::Answer { status: 200, kind: "text/event-stream", frames }
}

/// Allocations of the last of three equal calls: the first two pay for what happens once in a process.
fn allocations(ask: &'static str, act: &Act) -> u64 {
    counted(ask, &Gateway::new(vec![act.clone(), act.clone(), act.clone()]))
}

fn counted(ask: &'static str, gateway: &Gateway) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut last = 0;
    for _ in 0..3 {
        let request = inbound(post("/v1/chat/completions", ask));
        let info = allocation_counter::measure(|| {
            runtime.block_on(async {
                use http_body_util::BodyExt;
                let mut body = gateway.serve(request).await.unwrap().body;
                while let Some(frame) = body.frame().await {
                    assert!(frame.unwrap().is_data());
                }
            });
        });
        last = info.count_total;
    }
    last
}

#[test]
fn an_event_costs_no_allocation() {
    let (few, many) = (allocations(ASK_NOTHING, &stream(10)), allocations(ASK_NOTHING, &stream(1_010)));
    assert_eq!(many, few, "allocations of 1,000 more events");
}

#[test]
fn a_request_costs_a_known_number() {
    // The scripted upstream's own share: its future, the provider's name, the recorded request, the answer's headers.
    let answer = json(200, r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#);
    let got = allocations(ASK, &answer);
    assert!(got <= REQUEST, "{got} allocations, the budget is {REQUEST}");
    assert!(got + 4 > REQUEST, "{got} allocations: lower the budget of {REQUEST} and keep the gain");
    // The spliced list of pieces, the words between two of them with their `Bytes`, and what is withheld by.
    let asked = allocations(ASK_NOTHING, &answer) - got;
    assert_eq!(asked, 5, "more allocations for asking");
}

#[test]
fn limits_budgets_and_the_journal_cost_no_more_than_three() {
    let answer = json(200, r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#);
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::start(Settings::new(folder.path().to_owned()), 1).unwrap();
    let acts = vec![answer.clone(), answer.clone(), answer.clone()];
    let gateway = Gateway::writing(&scripted::governed(), acts, 1, journal.for_core(0).unwrap());
    let more = counted(ASK, &gateway) - allocations(ASK, &answer);
    assert!(more <= 3, "{more} more allocations");
    let page = gateway.core.metrics.render();
    let cost = page.lines().find(|line| line.starts_with("tollgate_cost_")).unwrap();
    assert!(!cost.ends_with(" 0"), "it was charged: {cost}");
}

/// Raised only in a commit of its own, with a reason.
const REQUEST: u64 = 22;

/// What a decompressor of zstd says that it keeps is not less than what it takes, even for blocks that are made for it.
#[test]
fn a_decompressor_keeps_no_more_than_it_says() {
    const HEAD: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3]; // a window of 128 KiB
    let block = |content: &[u8]| {
        let head = u32::try_from(content.len() << 3 | 2 << 1).unwrap().to_le_bytes();
        [&head[..3], content].concat()
    };
    let stored = [&64_u32.to_le_bytes()[..3], b"12345678"].concat();
    // One literal 131,071 times, and no sequence.
    let literals = block(&[0xfd, 0xff, 0x1f, b'x', 0]);
    // No literal, and 43,690 sequences of nothing but their least length.
    let sequences = block(&[0, 0xff, 0xaa, 0x2b, 0x54, 0, 0, 0, 1]);
    for (name, blocks) in [("literals", literals), ("sequences", sequences)] {
        let body = [&HEAD[..], &stored, &blocks.repeat(20)].concat();
        let (mut kept, mut out) = (0, 0);
        let took = allocation_counter::measure(|| {
            let mut inflate = Inflate::new(Coding::Zstd);
            let mut rest = &body[..];
            loop {
                match inflate.next(&mut rest).unwrap() {
                    inflate::Step::Piece(piece) => out += piece.len(),
                    inflate::Step::Worked => {}
                    inflate::Step::Hungry => break,
                }
                kept = kept.max(inflate.kept());
            }
        });
        // A piece belongs to whoever has it.
        let took = took.bytes_max - inflate::PIECE as u64;
        assert!(out > 2_000_000, "{name}: {out}");
        assert!(took <= kept, "{name}: took {took}, says {kept}, after {out}");
    }
}
