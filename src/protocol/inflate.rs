//! Request bodies in `content-encoding: gzip` or `zstd` (RFC 9110 section 8.4.1, RFC 8878), decompressed as they arrive.
//!
//! Invariant: nothing is decompressed before it is asked for, and at most [`PIECE`] bytes at a time, so that whoever counts
//! what comes out can stop a bomb between any two pieces. What is kept meanwhile is bounded, whatever the body says of itself.
//! No limit on the whole is known here.

mod gzip;
mod zstd;

use bytes::Bytes;

use crate::error::BodyError;

/// The largest piece, in bytes.
pub const PIECE: usize = 64 * 1024;

/// The largest zstd window, in bytes: what every decoder has to take, and none has to take more (RFC 9659).
pub const WINDOW: u64 = 8 << 20;

/// Members of gzip, or frames of zstd, in one body. Each costs the work of a beginning, however short it is.
const PARTS: u32 = 4096;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// The one coding that a `content-encoding` names; `None` if it names another, or several.
    #[must_use]
    pub fn named(value: &[u8]) -> Option<Self> {
        let value = value.trim_ascii();
        if value.eq_ignore_ascii_case(b"gzip") || value.eq_ignore_ascii_case(b"x-gzip") {
            Some(Self::Gzip)
        } else if value.eq_ignore_ascii_case(b"zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    /// As in `content-encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// A body on its way from compressed to plain.
pub struct Inflate {
    coding: Coding,
    decoder: Decoder,
    room: Box<[u8]>,
}

/// What one step brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A piece of the plain body.
    Piece(Bytes),
    /// No bytes yet, but there is more to do with what is there.
    Worked,
    /// All of the input is taken in.
    Hungry,
}

/// As [`Step`], with the number of bytes that are in the room.
enum Made {
    Bytes(usize),
    Nothing,
    Hungry,
}

enum Decoder {
    Gzip(Box<gzip::Gzip>),
    Zstd(Box<zstd::Zstd>),
}

impl Inflate {
    /// At the beginning of a body.
    #[must_use]
    pub fn new(coding: Coding) -> Self {
        let decoder = match coding {
            Coding::Gzip => Decoder::Gzip(Box::default()),
            Coding::Zstd => Decoder::Zstd(Box::default()),
        };
        Self { coding, decoder, room: vec![0; PIECE].into_boxed_slice() }
    }

    /// One step, of a piece's or a block's work at most, with what was taken in before and as much of `input` as it needs,
    /// which is taken off its front.
    ///
    /// # Errors
    ///
    /// [`BodyError::Undecodable`] when it is not what it should be. Nothing may be asked after that.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Step, BodyError> {
        let made = match &mut self.decoder {
            Decoder::Gzip(gzip) => gzip.next(input, &mut self.room),
            Decoder::Zstd(zstd) => zstd.next(input, &mut self.room),
        };
        Ok(match made.map_err(|what| self.broken(what))? {
            // Copied, so that a piece holds the bytes that it is counted for and no more.
            Made::Bytes(made) => Step::Piece(Bytes::copy_from_slice(&self.room[..made])),
            Made::Nothing => Step::Worked,
            Made::Hungry => Step::Hungry,
        })
    }

    /// Whether the body may end here.
    ///
    /// # Errors
    ///
    /// [`BodyError::Undecodable`] when it was cut off.
    pub fn finish(&self) -> Result<(), BodyError> {
        let whole = match &self.decoder {
            Decoder::Gzip(gzip) => gzip.may_end(),
            Decoder::Zstd(zstd) => zstd.may_end(),
        };
        if whole { Ok(()) } else { Err(self.broken("it ends too early")) }
    }

    /// What it keeps by now, at most, in bytes.
    #[must_use]
    pub fn kept(&self) -> u64 {
        PIECE as u64
            + match &self.decoder {
                Decoder::Gzip(_) => gzip::KEPT,
                Decoder::Zstd(zstd) => zstd.kept(),
            }
    }

    fn broken(&self, what: &'static str) -> BodyError {
        BodyError::Undecodable { coding: self.coding.name(), what }
    }
}

#[cfg(test)]
mod tests;
