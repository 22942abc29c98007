//! Instruction counts of what every request pays at the edges, before and after its provider is involved.
//!
//! `identify`: what is called, by which agent, with which key. `strip_headers`: a request's head and a response's.
//! `render_429`: a whole refusal, the answer that whoever storms gets.

#![expect(clippy::disallowed_methods, reason = "gungraun's main ends the process")]
#![expect(unused_qualifications, reason = "gungraun's macro repeats the arguments with a path")]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use gungraun::{library_benchmark, library_benchmark_group, main};
use http::Method;
use tollgate::agent::Agent;
use tollgate::agent::detect::detect;
use tollgate::error::{Error, KeyError};
use tollgate::message::{Fields, Response};
use tollgate::protocol::Dialect;
use tollgate::protocol::headers::{presented_keys, strip_request, strip_response};
use tollgate::protocol::path::locate;
use tollgate::protocol::problem::problem;

/// A head of the shape and size of Claude Code's, with what a proxy in front of us adds.
fn request_head() -> Fields {
    head(&[
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("user-agent", "claude-cli/2.1.330 (external, sdk-cli)"),
        ("x-claude-code-session-id", "00000000-0000-4000-8000-000000000000"),
        ("x-stainless-arch", "x64"),
        ("x-stainless-lang", "js"),
        ("x-stainless-os", "Linux"),
        ("x-stainless-package-version", "0.128.0"),
        ("x-stainless-retry-count", "0"),
        ("x-stainless-runtime", "node"),
        ("x-stainless-runtime-version", "v26.12.1"),
        ("x-stainless-timeout", "600"),
        ("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27"),
        ("anthropic-dangerous-direct-browser-access", "true"),
        ("anthropic-version", "2023-06-01"),
        ("authorization", "Bearer tg-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"),
        ("x-app", "cli"),
        ("connection", "keep-alive"),
        ("host", "127.0.0.1:8080"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("content-length", "49323"),
        ("x-claude-code-request-class", "main"),
        ("x-claude-code-prompt-id", "00000000-0000-4000-8000-000000000001"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
    ])
}

fn response_head() -> Fields {
    head(&[
        ("date", "Tue, 24 Nov 2026 00:00:00 GMT"),
        ("content-type", "text/event-stream; charset=utf-8"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive"),
        ("cache-control", "no-cache"),
        ("anthropic-ratelimit-requests-limit", "4000"),
        ("anthropic-ratelimit-requests-remaining", "3999"),
        ("anthropic-ratelimit-requests-reset", "2026-11-24T00:00:01Z"),
        ("anthropic-ratelimit-tokens-limit", "400000"),
        ("anthropic-ratelimit-tokens-remaining", "399000"),
        ("anthropic-organization-id", "00000000-0000-4000-8000-000000000002"),
        ("request-id", "req_000000000000000000000000"),
        ("strict-transport-security", "max-age=31536000"),
        ("server", "cloudflare"),
        ("cf-ray", "0000000000000000-FRA"),
        ("set-cookie", "a=b"),
    ])
}

fn head(rows: &[(&'static str, &'static str)]) -> Fields {
    let mut fields = Fields::default();
    rows.iter().for_each(|(name, value)| fields.push(name, value.as_bytes()));
    fields
}

fn too_many() -> Error {
    KeyError::TooManyFailed { retry_after: Duration::from_secs(41) }.into()
}

#[library_benchmark]
#[bench::claude_code(request_head())]
fn identify(headers: Fields) -> Fields {
    let located = locate(black_box(&Method::POST), black_box("/v1/messages"), &headers);
    let dialect = located.as_ref().map_or(Dialect::Chat, |located| located.dialect);
    black_box(detect(&headers, dialect));
    let _ = black_box(presented_keys(&headers, black_box(Some("beta=true"))));
    let _ = black_box(located);
    // Back to the caller: its destruction is not ours to count.
    headers
}

#[library_benchmark]
#[bench::request(request_head())]
fn strip_headers(mut headers: Fields) -> Fields {
    strip_request(&mut headers);
    headers
}

#[library_benchmark]
#[bench::response(response_head())]
fn strip_answer(mut headers: Fields) -> Fields {
    strip_response(&mut headers, black_box("claude-sonnet-4-5"));
    headers
}

#[library_benchmark]
#[bench::anthropic(Dialect::Anthropic, too_many())]
#[bench::gemini(Dialect::Gemini, too_many())]
fn render_429(dialect: Dialect, error: Error) -> (Response<Bytes>, Error) {
    (problem(dialect, Agent::ClaudeCode, &error, black_box("req_0123456789abcdef")), error)
}

library_benchmark_group!(name = edges, benchmarks = [identify, strip_headers, strip_answer, render_429]);
main!(library_benchmark_groups = edges);
