//! Bodies there and back over any borders, and bodies that lie.
//!
//! The fixtures were made by the reference tools from [`body`]: `gzip -9`, `zstd -3`, `zstd -19 --long=23` out of a pipe
//! (so that no frame says how long it is) and with a checksum each.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const ZSTD_3: &[u8] = include_bytes!("tests/body.3.zst");
const ZSTD_19: &[u8] = include_bytes!("tests/body.19.zst");
const GZIP_9: &[u8] = include_bytes!("tests/body.9.gz");

/// A conversation: repetitive, as they are, but not one line over and over.
fn body() -> Vec<u8> {
    let mut out = b"{\"model\":\"m\",\"input\":[".to_vec();
    let mut seed = 1_u32;
    for i in 0..4000 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let _ = write!(out, "{{\"role\":\"user\",\"content\":\"turn {i} reads file_{}.rs\"}},", seed >> 20);
    }
    out.extend_from_slice(b"0]}");
    out
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    compress_to_vec(plain, CompressionLevel::Fastest)
}

/// What comes out, when a body arrives in frames of these sizes, over and over.
fn inflate(coding: Coding, compressed: &[u8], sizes: &[usize]) -> Result<Vec<u8>, BodyError> {
    let mut inflate = Inflate::new(coding);
    let (mut out, mut rest) = (Vec::new(), compressed);
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (mut frame, behind) = rest.split_at((*size).min(rest.len()));
        rest = behind;
        loop {
            match inflate.next(&mut frame)? {
                Step::Hungry => break,
                Step::Worked => {}
                Step::Piece(piece) => {
                    assert!(!piece.is_empty() && piece.len() <= PIECE);
                    out.extend_from_slice(&piece);
                }
            }
        }
        assert!(frame.is_empty(), "hungry, and yet something is left");
    }
    inflate.finish().map(|()| out)
}

#[track_caller]
fn broken(name: &str, coding: Coding, compressed: &[u8], why: &str) {
    for sizes in [&[1][..], &[usize::MAX], &[7, 64]] {
        match inflate(coding, compressed, sizes) {
            Err(BodyError::Undecodable { what, .. }) if what.contains(why) => {}
            other => panic!("{name}: want {why}, got {:?}", other.map(|out| out.len())),
        }
    }
}

#[test]
fn what_the_reference_tools_make_is_read() {
    let body = body();
    assert!(body.len() > 3 * PIECE, "{}", body.len());
    for (name, coding, compressed) in
        [("zstd -3", Coding::Zstd, ZSTD_3), ("zstd -19", Coding::Zstd, ZSTD_19), ("gzip -9", Coding::Gzip, GZIP_9)]
    {
        for sizes in [&[1][..], &[usize::MAX], &[3, 1000, 1]] {
            assert!(inflate(coding, compressed, sizes).unwrap() == body, "{name} {sizes:?}");
        }
    }
}

#[test]
fn a_coding_is_one_name() {
    for (value, want) in [
        ("gzip", Some(Coding::Gzip)),
        ("x-gzip", Some(Coding::Gzip)),
        (" ZSTD ", Some(Coding::Zstd)),
        ("gzip, zstd", None),
        ("gzip,", None),
        ("br", None),
        ("deflate", None),
        ("", None),
    ] {
        assert_eq!(Coding::named(value.as_bytes()), want, "{value}");
    }
}

#[test]
fn every_part_of_a_gzip_head_is_passed_over() {
    for bits in 0..8_u8 {
        let mut builder = GzBuilder::new().mtime(7);
        if bits & 1 != 0 {
            builder = builder.extra(vec![0; 300]);
        }
        if bits & 2 != 0 {
            builder = builder.filename("a name");
        }
        if bits & 4 != 0 {
            builder = builder.comment("a comment");
        }
        let mut encoder = builder.write(Vec::new(), Compression::fast());
        encoder.write_all(b"plain").unwrap();
        let made = encoder.finish().unwrap();
        assert_eq!(inflate(Coding::Gzip, &made, &[1]).unwrap(), b"plain", "{bits:03b}");
        // The same with a checksum of the head.
        let head = made.len() - gzip_tail(b"plain");
        let mut checked = made.clone();
        checked[3] |= 2;
        let sum = crc32fast::hash(&checked[..head]).to_le_bytes();
        checked.splice(head..head, [sum[0], sum[1]]);
        assert_eq!(inflate(Coding::Gzip, &checked, &[1]).unwrap(), b"plain", "{bits:03b} checked");
        checked[head] ^= 1;
        broken("head checksum", Coding::Gzip, &checked, "checksum of its head");
    }
}

/// Data and trailer of a member.
fn gzip_tail(plain: &[u8]) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap().len() - 10
}

#[test]
fn members_and_frames_follow_one_another() {
    let two = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
    assert_eq!(inflate(Coding::Gzip, &two, &[1]).unwrap(), b"one two");
    let skipped = [&0x184D_2A5A_u32.to_le_bytes()[..], &5_u32.to_le_bytes(), b"12345"].concat();
    let two = [zstd(b"one "), skipped.clone(), zstd(b""), zstd(b"two")].concat();
    for sizes in [&[1][..], &[usize::MAX]] {
        assert_eq!(inflate(Coding::Zstd, &two, sizes).unwrap(), b"one two");
    }
    broken("too many members", Coding::Gzip, &gzip(b"").repeat(5000), "too many");
    broken("too many frames", Coding::Zstd, &skipped.repeat(5000), "too many");
}

/// A block of one literal, a million times, and no sequences: the decoder makes all of it and asks nobody.
const LITERALS_WITHOUT_END: [u8; 14] = [0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0x2d, 0, 0, 0xfd, 0xff, 0xff, b'x', 0];

#[test]
fn bodies_that_are_not_what_they_should_be() {
    for (coding, good) in [(Coding::Gzip, GZIP_9), (Coding::Zstd, ZSTD_3)] {
        for n in (0..good.len()).step_by(97).chain([good.len() - 1]) {
            broken("cut off", coding, &good[..n], "too early");
        }
        let garbage = [good, b"x"].concat();
        broken("garbage behind it", coding, &garbage, if coding == Coding::Zstd { "too early" } else { "follows" });
        broken("more garbage behind it", coding, &[good, b"{\"model\":1}"].concat(), "follows");
        broken("plain", coding, b"{\"model\":\"m\"}", "does not begin like it");
        let mut wrong = good.to_vec();
        let trailer = wrong.len() - if coding == Coding::Zstd { 1 } else { 5 };
        wrong[trailer] ^= 1;
        broken("wrong checksum", coding, &wrong, "checksum");
    }
    broken("reserved flag", Coding::Gzip, &[0x1f, 0x8b, 8, 0x80], "begin");
    let mut other = zstd(b"plain");
    other[4] |= 1;
    broken("a dictionary", Coding::Zstd, &[&other[..], &[0; 20]].concat(), "dictionary");
    let head = |window: u8| [&[0x28, 0xb5, 0x2f, 0xfd, 0, window][..], &[1, 0, 0]].concat();
    assert_eq!(inflate(Coding::Zstd, &head(13 << 3), &[1]).unwrap(), b"", "8 MiB");
    broken("a window above 8 MiB", Coding::Zstd, &head(13 << 3 | 1), "window");
    let single = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(9_u64 << 20).to_le_bytes(), &[1, 0, 0]].concat();
    broken("a single segment above 8 MiB", Coding::Zstd, &single, "window");
    broken("not as long as it says", Coding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 9, 1, 0, 0], "not as long");
    broken("a block above 128 KiB", Coding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0, 88, 0xfb, 0xff, 0xff, 7], "damaged");
    broken("a mebibyte of literals in five bytes", Coding::Zstd, &LITERALS_WITHOUT_END, "damaged");
    broken("a reserved flag", Coding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0x08, 88, 1, 0, 0], "nobody knows");
    broken("a reserved block", Coding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0, 88, 7, 0, 0], "damaged");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_body_comes_back_over_any_borders(
        parts in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..200), 1..400_usize), 0..6),
        sizes in proptest::collection::vec(1..9000_usize, 1..6),
    ) {
        let plain: Vec<u8> = parts.iter().flat_map(|(part, times)| part.repeat(*times)).collect();
        prop_assert!(inflate(Coding::Gzip, &gzip(&plain), &sizes).unwrap() == plain);
        prop_assert!(inflate(Coding::Zstd, &zstd(&plain), &sizes).unwrap() == plain);
    }

    /// Damage is found or harmless; never a panic, never other bytes under a right checksum.
    #[test]
    fn damage_is_found(at in any::<prop::sample::Index>(), flip in 1..=255_u8, size in 1..3000_usize) {
        let body = body();
        for (coding, good) in [(Coding::Gzip, GZIP_9), (Coding::Zstd, ZSTD_3), (Coding::Zstd, ZSTD_19)] {
            let mut bad = good.to_vec();
            let at = at.index(bad.len());
            bad[at] ^= flip;
            if let Ok(out) = inflate(coding, &bad, &[size]) {
                prop_assert!(out == body, "{} at {}", coding.name(), at);
            }
        }
    }

    #[test]
    fn noise_is_no_panic(mut noise in proptest::collection::vec(any::<u8>(), 0..600), size in 1..50_usize) {
        for (coding, head) in [(Coding::Gzip, &GZIP_9[..10]), (Coding::Zstd, &ZSTD_3[..6])] {
            let _ = inflate(coding, &noise, &[size]);
            if noise.len() > head.len() {
                noise[..head.len()].copy_from_slice(head);
                let _ = inflate(coding, &noise, &[size]);
            }
        }
    }
}
