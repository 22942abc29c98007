//! Wall-clock time of the same work as `protocol` and `journey`, for a person at a quiet machine: `cargo bench --bench wall`.
//!
//! Nothing is decided by it: the budget is counted in instructions, for clocks lie on shared machines.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[expect(dead_code, reason = "shared with the instruction counts, which use more of it")]
mod bodies;
#[path = "../tests/journey/scripted.rs"]
#[expect(dead_code, reason = "shared with the journey's tests, which use more of it")]
mod scripted;

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use scripted::{Act, Gateway, Step, json, post, read};
use tollgate::protocol::peek::Peek;
use tollgate::protocol::tap::Tap;
use tollgate::protocol::{Dialect, Endpoint};

const ASK: &str = r#"{"model":"m","messages":[{"role":"user","content":"Summarise the report in three sentences."}]}"#;
const ANSWER: &str = r#"{"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"A short answer."}}],"usage":{"prompt_tokens":17,"completion_tokens":42}}"#;
const EVENT: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"sixty bytes of text, more or less, in every one of the events\"},\"finish_reason\":null}]}\n\n";

fn bodies_read(c: &mut Criterion) {
    let mut group = c.benchmark_group("peek");
    for (name, body) in [("4k", bodies::agent(4_000)), ("200k", bodies::agent(200_000))] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut peek = Peek::new(Endpoint::Messages);
                peek.feed(black_box(&body)).unwrap();
                peek.finish().unwrap().stream
            });
        });
    }
    group.finish();
}

fn events_heard(c: &mut Criterion) {
    c.bench_function("sse_tap_event", |b| {
        let mut tap = Tap::stream(Dialect::Chat);
        b.iter(|| tap.feed(black_box(EVENT.as_bytes())).events);
    });
}

fn journeys(c: &mut Criterion) {
    let mut group = c.benchmark_group("journey_open");
    let data = |text: &'static str| Step::Data(Bytes::from_static(text.as_bytes()));
    let stream = std::iter::repeat_n(data(EVENT), 99).chain([data("data: [DONE]\n\n")]).collect();
    let stream = Act::Answer { status: 200, kind: "text/event-stream", frames: stream };
    for (name, act) in [("json", json(200, ANSWER)), ("stream_100", stream)] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        group.bench_function(name, |b| {
            b.iter_batched(
                || (Gateway::new(vec![act.clone()]), post("/v1/chat/completions", ASK)),
                |(gateway, request)| {
                    let (bytes, whole) = runtime.block_on(async { read(gateway.ask(request).await.into_body()).await });
                    assert!(whole);
                    (gateway, bytes)
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bodies_read, events_heard, journeys);
criterion_main!(benches);
