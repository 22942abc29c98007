//! A compressed body comes out as the reference tools read it, whatever the borders, a bounded piece at a time.

#![no_main]

use std::io::{Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};
use libfuzzer_sys::fuzz_target;
use tollgate::error::BodyError;
use tollgate::protocol::inflate::{Coding, Inflate, PIECE, Step, WINDOW};
use tollgate_fuzz::{open, pieces};

/// What is looked at of what comes out: a few KiB of zstd may stand for half a GiB.
const LOOK: usize = 1 << 20;

#[derive(Debug)]
struct Came {
    out: Vec<u8>,
    /// `None`: there is more than is looked at.
    end: Option<Result<(), BodyError>>,
}

fn inflate(coding: Coding, frames: &[&[u8]]) -> Came {
    let mut inflate = Inflate::new(coding);
    let mut out = Vec::new();
    let (mut steps, mut fed) = (0, 0);
    for mut frame in frames.iter().copied() {
        fed += frame.len() + 1;
        loop {
            match inflate.next(&mut frame) {
                Ok(Step::Hungry) => break,
                Ok(Step::Worked) => {}
                Ok(Step::Piece(piece)) => {
                    assert!(!piece.is_empty() && piece.len() <= PIECE);
                    out.extend_from_slice(&piece);
                }
                Err(error) => return Came { out, end: Some(Err(error)) },
            }
            steps += 1;
            assert!(steps <= 4 * fed + out.len() / 1024, "{steps} steps for {fed} bytes");
            assert!(inflate.kept() <= PIECE as u64 + (1 << 20) + 2 * WINDOW);
            if out.len() >= LOOK {
                return Came { out, end: None };
            }
        }
        assert!(frame.is_empty(), "hungry, and yet something is left");
    }
    Came { out, end: Some(inflate.finish()) }
}

/// What a tool that is not ours makes of it, as far as we look.
fn reference(coding: Coding, compressed: &[u8]) -> Came {
    let mut out = Vec::new();
    let read = match coding {
        Coding::Gzip => MultiGzDecoder::new(compressed).take(LOOK as u64).read_to_end(&mut out),
        Coding::Zstd => zstd::stream::read::Decoder::new(compressed).and_then(|mut decoder| {
            decoder.window_log_max(WINDOW.ilog2())?;
            decoder.take(LOOK as u64).read_to_end(&mut out)
        }),
    };
    let end = match read {
        Ok(_) if out.len() >= LOOK => None,
        Ok(_) => Some(Ok(())),
        Err(_) => Some(Err(BodyError::Undecodable { coding: coding.name(), what: "" })),
    };
    Came { out, end }
}

#[track_caller]
fn same(one: &Came, other: &Came) {
    let both = one.out.len().min(other.out.len());
    assert!(one.out[..both] == other.out[..both], "other bytes");
    match (&one.end, &other.end) {
        (Some(Ok(())), Some(Ok(()))) => assert_eq!(one.out.len(), other.out.len()),
        (Some(Err(_)), Some(Err(_))) | (None, None) => {}
        // Damage behind what is looked at: of zstd, a window's worth is held back, and lost with it.
        (None, Some(Err(_))) | (Some(Err(_)), None) => {}
        _ => panic!("{:?} after {}, {:?} after {}", one.end, one.out.len(), other.end, other.out.len()),
    }
}

/// The text as the data of a gzip member whose head and sums are right, which chance does not bring about.
fn member(data: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(LOOK);
    let mut decoder = Decompress::new(false);
    let status = decoder.decompress_vec(data, &mut plain, FlushDecompress::Finish);
    if !matches!(status, Ok(Status::StreamEnd)) {
        return None;
    }
    let data = &data[..decoder.total_in() as usize];
    let mut sum = flate2::Crc::new();
    sum.update(&plain);
    let tail = [sum.sum().to_le_bytes(), sum.amount().to_le_bytes()].concat();
    Some([&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255][..], data, &tail].concat())
}

/// The text, repetitive, as the reference tools compress it, in one part or two.
fn compress(coding: Coding, choice: u8, text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let plain = text.repeat(1 + usize::from(choice >> 5) * 20);
    let (one, two) = plain.split_at(if choice & 16 == 0 { 0 } else { plain.len() / 3 });
    let level = u32::from(choice >> 3 & 1) * 7 + 1;
    let part = |plain: &[u8]| match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap()
        }
        // Without the length in the head, as out of a pipe, or with it.
        Coding::Zstd if choice & 32 == 0 => zstd::stream::encode_all(plain, level as i32).unwrap(),
        Coding::Zstd => zstd::bulk::compress(plain, level as i32).unwrap(),
    };
    ([part(one), part(two)].concat(), plain)
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, text, _)) = open(input) else { return };
    let coding = if choice & 4 == 0 { Coding::Gzip } else { Coding::Zstd };
    let (compressed, plain) = match choice & 3 {
        0 | 1 => (text.to_vec(), None),
        2 => match member(text) {
            Some(member) => (member, None),
            None => return,
        },
        _ => {
            let (compressed, plain) = compress(coding, choice, text);
            (compressed, Some(plain))
        }
    };
    let coding = if choice & 3 == 2 { Coding::Gzip } else { coding };
    let whole = inflate(coding, &[&compressed]);
    let parts = inflate(coding, &pieces(input[1], &compressed));
    same(&parts, &whole);
    if let (Some(one), Some(other)) = (&parts.end, &whole.end) {
        assert_eq!(one, other, "it depends on the borders");
    }
    if let Some(plain) = plain {
        assert!(whole.out == plain[..plain.len().min(whole.out.len())]);
        assert!(!matches!(whole.end, Some(Err(_))), "{:?}", whole.end);
        return;
    }
    let reference = reference(coding, &compressed);
    // A compressed block of nothing, which no tool makes, is something to libzstd alone.
    let nothing = coding == Coding::Zstd && compressed.windows(3).any(|head| matches!(head, [4 | 5, 0, 0]));
    // What libzstd refuses and we read (blocks longer than a small window allows) is only ever read by us. A body of nothing
    // at all is one to libzstd, and none to us.
    let refused = matches!(reference.end, Some(Err(_)));
    if !text.is_empty() && !nothing && !(coding == Coding::Zstd && refused) {
        same(&whole, &reference);
    }
});
