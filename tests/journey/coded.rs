//! Bodies in gzip and zstd: what the provider sees of them, and how those that lie are refused.

use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};
use http::Request;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::scripted::{self, Gateway, Then, Upload, json, post, read};

/// Some 300 KB, so that it comes out in several pieces.
fn plain() -> String {
    let turns: Vec<String> =
        (0..6000).map(|i| format!("{{\"role\":\"user\",\"content\":\"turn {}\"}}", i * i)).collect();
    format!("{{\"model\":\"alias\",\"max_tokens\":9,\"messages\":[{}]}}", turns.join(", "))
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    compress_to_vec(plain, CompressionLevel::Fastest)
}

fn coded(coding: &str, body: &[u8], frame: usize) -> Request<Upload> {
    let mut request = post("/v1/messages", "");
    request.headers_mut().insert("content-encoding", coding.parse().unwrap());
    request.headers_mut().insert("content-digest", "sha-256=:AAAA:".parse().unwrap());
    let frames = body.chunks(frame).map(Bytes::copy_from_slice).collect();
    *request.body_mut() = Upload { frames, then: Then::End };
    request
}

#[tokio::test]
async fn the_provider_sees_a_plain_body_and_nothing_of_its_coding() {
    let plain = plain();
    for (coding, body) in
        [("gzip", gzip(plain.as_bytes())), ("X-GZIP", gzip(plain.as_bytes())), ("zstd", zstd(plain.as_bytes()))]
    {
        for frame in [1, 1000, body.len()] {
            let gateway = Gateway::new(vec![json(200, "{}")]);
            assert_eq!(gateway.ask(coded(coding, &body, frame)).await.status(), 200, "{coding} {frame}");
            let seen = gateway.stage.seen.lock().unwrap();
            let want = plain.replace("\"alias\"", "\"real-name\"");
            assert!(
                seen[0].body == want.as_bytes(),
                "{coding} {frame}: the model's name is changed, and no other byte"
            );
            for gone in ["content-encoding", "content-digest", "content-length"] {
                assert!(!seen[0].headers().contains_key(gone), "{coding}: {gone}");
            }
            assert_eq!(gateway.core.held_bodies.load(Relaxed), 0, "{coding}: no room stays taken");
        }
    }
}

#[tokio::test]
async fn bodies_that_lie_are_refused_and_reach_nobody() {
    let whole = plain();
    let (gz, zst) = (gzip(whole.as_bytes()), zstd(whole.as_bytes()));
    let garbage = |good: &[u8]| [good, b"garbage"].concat();
    for (what, coding, body, status, reason) in [
        ("cut off", "gzip", gz[..gz.len() - 1].to_vec(), 400, "body_broken"),
        ("cut off", "zstd", zst[..zst.len() - 1].to_vec(), 400, "body_broken"),
        ("empty", "gzip", vec![], 400, "body_broken"),
        ("empty", "zstd", vec![], 400, "body_broken"),
        ("something behind it", "gzip", garbage(&gz), 400, "body_broken"),
        ("something behind it", "zstd", garbage(&zst), 400, "body_broken"),
        ("the other one", "gzip", zst.clone(), 400, "body_broken"),
        ("plain", "zstd", whole.clone().into_bytes(), 400, "body_broken"),
        ("no JSON in it", "gzip", gzip(b"{]"), 400, "body_broken"),
        ("no model in it", "zstd", zstd(b"{}"), 400, "field_missing"),
        ("two codings", "gzip, zstd", gz.clone(), 415, "encoding_unsupported"),
        ("a coding twice", "gzip,gzip", gz.clone(), 415, "encoding_unsupported"),
        ("another coding", "br", gz.clone(), 415, "encoding_unsupported"),
        ("larger than the limit", "gzip", gzip(&vec![b' '; 400_001]), 413, "body_too_large"),
        ("larger than the limit", "zstd", zstd(&vec![b' '; 400_001]), 413, "body_too_large"),
        ("says nothing, at length", "gzip", gzip(b"").repeat(10_000), 400, "body_broken"),
        (
            "long before it says anything",
            "zstd",
            [&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 9, 0][..], &vec![0; 400_001]].concat(),
            413,
            "body_too_large",
        ),
    ] {
        for frame in [100, 1 << 20] {
            let rules = format!("{}\n[limits]\nrequest_body = 400000\n", scripted::RULES);
            let gateway = Gateway::with(&rules, vec![], 1);
            let answer = gateway.ask(coded(coding, &body, frame)).await;
            assert_eq!(answer.status(), status, "{coding}: {what}");
            read(answer.into_body()).await;
            let page = gateway.core.metrics.render();
            assert!(page.contains(&format!("reason=\"{reason}\"")), "{coding}: {what}");
            assert!(gateway.attempts().is_empty(), "{coding}: {what}");
            assert_eq!(gateway.core.held_bodies.load(Relaxed), 0, "{coding}: {what}");
        }
    }
}

#[tokio::test]
async fn two_lines_are_two_codings() {
    let gateway = Gateway::new(vec![]);
    let mut request = coded("gzip", &gzip(b"{}"), 100);
    request.headers_mut().append("content-encoding", "zstd".parse().unwrap());
    let answer = gateway.ask(request).await;
    assert_eq!(answer.status(), 415);
    let (body, _) = read(answer.into_body()).await;
    assert!(String::from_utf8(body).unwrap().contains("'gzip, zstd'"));
}

#[tokio::test]
async fn what_the_decompressor_keeps_is_room_too() {
    let rules = format!("{}\n[limits]\nrequest_body = 1000\ninflight_bodies = 1000\n", scripted::RULES);
    for (coding, body) in [("gzip", gzip(b"{\"model\":\"m\"}")), ("zstd", zstd(b"{\"model\":\"m\"}"))] {
        let gateway = Gateway::with(&rules, vec![], 1);
        let answer = gateway.ask(coded(coding, &body, 100)).await;
        assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (503, true), "{coding}");
        assert_eq!(gateway.core.held_bodies.load(Relaxed), 0, "{coding}");
    }
}

const GIB: usize = 1 << 30;

/// A gzip body of 1 GiB of one byte: after a flush that forgets what was before, one MiB is compressed like the other.
fn gzip_bomb(byte: u8) -> Vec<u8> {
    let (mut compress, mut mebi) = (Compress::new(Compression::best(), false), Vec::with_capacity(1 << 16));
    compress.compress_vec(&vec![byte; 1 << 20], &mut mebi, FlushCompress::Full).unwrap();
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255][..], &mebi.repeat(GIB >> 20)].concat()
}

/// A zstd body of 1 GiB of one byte, in blocks that repeat it, with a window of 8 MiB.
fn zstd_bomb(byte: u8) -> Vec<u8> {
    let block = (128_u32 << 10) << 3 | 1 << 1;
    let [a, b, c, _] = block.to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3][..], &[a, b, c, byte].repeat(GIB >> 17)].concat()
}

#[test]
fn a_bomb_is_refused_before_more_of_it_is_decompressed() {
    const LIMIT: u64 = 32 << 20;
    for (coding, byte, bomb, status, most) in [
        // Blanks may stand in front of JSON, so only the limit stops them; zeros may not.
        ("gzip", b' ', gzip_bomb(b' '), 413, LIMIT + (2 << 20)),
        ("zstd", b' ', zstd_bomb(b' '), 413, LIMIT + (40 << 20)),
        ("gzip", 0, gzip_bomb(0), 400, 2 << 20),
        ("zstd", 0, zstd_bomb(0), 400, 40 << 20),
    ] {
        assert!(bomb.len() < 2 << 20, "{coding}: {}", bomb.len());
        for frame in [64 << 10, bomb.len()] {
            let gateway = Gateway::new(vec![]);
            let request = coded(coding, &bomb, frame);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let used = allocation_counter::measure(|| {
                let answer = runtime.block_on(gateway.ask(request));
                assert_eq!(answer.status(), status, "{coding} {byte}");
            });
            assert!(used.bytes_max < most, "{coding} {byte}: {} bytes at one time", used.bytes_max);
        }
    }
}
