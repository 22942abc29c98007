//! Where a body ends (RFC 9112 sections 6 and 7).
//!
//! Invariant: a body is over only when its framing says so; whatever is not exactly in form breaks it. Works on any borders:
//! what is between two pieces is kept in a few bytes of state.

use bytes::{Buf, Bytes};

/// Bytes that one chunk's size with its extensions, and all trailers together, may have.
const ASIDE: u16 = 16 * 1024;

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many more bytes.
    Length(u64),
    /// By a last chunk.
    Chunked(Chunks),
    /// By the end of the connection: answers alone.
    Close,
}

/// Where in the chunks we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    place: Place,
    /// Bytes of this chunk that are still to come; while its size is read, the size so far.
    left: u64,
    /// Bytes read aside so far.
    aside: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first digit of a size.
    Size,
    /// After at least one digit.
    Digits,
    /// In blanks behind them, which some servers pad sizes with.
    Blanks,
    /// In what follows a size: extensions mean nothing to us (RFC 9112 section 7.1.1).
    Extension,
    /// Before the line feed that ends the size.
    SizeEnd,
    Data,
    /// Behind the data: the line's end.
    DataCr,
    DataLf,
    /// At the beginning of a line of the trailers.
    Trailer,
    /// Inside one.
    TrailerText,
    TrailerEnd,
    /// Before the last line feed of all.
    LastLf,
    Over,
}

/// The framing is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What a look at the bytes has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A part of the body.
    Data(Bytes),
    /// All bytes are used up; there is more to come.
    More,
    /// The body is over. What is left of the bytes is not of it.
    End,
}

impl Framing {
    /// In chunks, from the beginning.
    #[must_use]
    pub const fn chunked() -> Self {
        Self::Chunked(Chunks { place: Place::Size, left: 0, aside: 0 })
    }

    /// Takes the next part of the body out of `bytes`.
    ///
    /// # Errors
    /// The chunks are not in form.
    pub fn next(&mut self, bytes: &mut Bytes) -> Result<Step, Malformed> {
        match self {
            Self::Length(0) => Ok(Step::End),
            _ if bytes.is_empty() => Ok(self.without_bytes()),
            Self::Length(left) => {
                let data = take(bytes, *left);
                *left -= data.len() as u64;
                Ok(Step::Data(data))
            }
            Self::Chunked(chunks) => chunks.next(bytes),
            Self::Close => Ok(Step::Data(std::mem::take(bytes))),
        }
    }

    fn without_bytes(&self) -> Step {
        if self.is_over() { Step::End } else { Step::More }
    }

    /// Whether the end has been seen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks { place: Place::Over, .. }))
    }

    /// How many bytes are still to come, where that is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::Close => None,
        }
    }
}

fn take(bytes: &mut Bytes, most: u64) -> Bytes {
    match usize::try_from(most) {
        Ok(most) if most < bytes.len() => bytes.split_to(most),
        _ => std::mem::take(bytes),
    }
}

impl Chunks {
    fn next(&mut self, bytes: &mut Bytes) -> Result<Step, Malformed> {
        loop {
            if self.place == Place::Data {
                if bytes.is_empty() {
                    return Ok(Step::More);
                }
                let data = take(bytes, self.left);
                self.left -= data.len() as u64;
                if self.left == 0 {
                    self.place = Place::DataCr;
                    // The end of the body is worth knowing together with its last part. What is wrong with it comes next.
                    let _ = self.between(bytes);
                }
                return Ok(Step::Data(data));
            }
            if self.place == Place::Over {
                return Ok(Step::End);
            }
            if bytes.is_empty() {
                return Ok(Step::More);
            }
            self.between(bytes)?;
        }
    }

    /// Reads past everything that is not data. On an error, the byte at fault is still there.
    fn between(&mut self, bytes: &mut Bytes) -> Result<(), Malformed> {
        let mut read = 0;
        let mut all = Ok(());
        for &byte in &**bytes {
            if matches!(self.place, Place::Data | Place::Over) {
                break;
            }
            all = self.byte(byte);
            if all.is_err() {
                break;
            }
            read += 1;
        }
        if read == bytes.len() {
            // Even an empty slice would keep the room that it was read into.
            *bytes = Bytes::new();
        } else {
            bytes.advance(read);
        }
        all
    }

    fn byte(&mut self, byte: u8) -> Result<(), Malformed> {
        self.place = match (self.place, byte) {
            (Place::Size | Place::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                // Four bits are still free.
                if self.left >> 60 != 0 {
                    return Err(Malformed);
                }
                self.left = self.left << 4 | u64::from(digit);
                // Counted, for zeros in front could go on for ever.
                self.set_aside(Place::Digits)?
            }
            (Place::Digits | Place::Blanks | Place::Extension, b'\r') => Place::SizeEnd,
            (Place::Digits | Place::Blanks, b' ' | b'\t') => self.set_aside(Place::Blanks)?,
            (Place::Digits | Place::Blanks, b';') => self.set_aside(Place::Extension)?,
            (Place::Extension, b'\t' | 0x20..=0x7e | 0x80..) => self.set_aside(Place::Extension)?,
            (Place::SizeEnd, b'\n') => {
                self.aside = 0;
                if self.left == 0 { Place::Trailer } else { Place::Data }
            }
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size,
            (Place::Trailer, b'\r') => Place::LastLf,
            (Place::TrailerText, b'\r') => Place::TrailerEnd,
            (Place::Trailer | Place::TrailerText, b'\t' | 0x20..=0x7e | 0x80..) => {
                self.set_aside(Place::TrailerText)?
            }
            (Place::TrailerEnd, b'\n') => Place::Trailer,
            (Place::LastLf, b'\n') => Place::Over,
            _ => return Err(Malformed),
        };
        Ok(())
    }

    fn set_aside(&mut self, place: Place) -> Result<Place, Malformed> {
        self.aside += 1;
        if self.aside == ASIDE { Err(Malformed) } else { Ok(place) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body of `wire` when it comes in pieces of `piece` bytes: its data, what is left, or that it is broken.
    fn read(mut framing: Framing, wire: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<u8>, bool), Malformed> {
        let mut data = Vec::new();
        let mut pieces = wire.chunks(piece);
        let mut bytes = Bytes::new();
        loop {
            match framing.next(&mut bytes)? {
                Step::Data(part) => {
                    assert!(!part.is_empty());
                    data.extend_from_slice(&part);
                }
                Step::End => {
                    let rest = [&*bytes, &pieces.collect::<Vec<_>>().concat()].concat();
                    return Ok((data, rest, true));
                }
                Step::More => {
                    assert!(bytes.is_empty());
                    match pieces.next() {
                        Some(piece) => bytes = Bytes::copy_from_slice(piece),
                        None => return Ok((data, Vec::new(), false)),
                    }
                }
            }
        }
    }

    #[track_caller]
    fn whole(framing: Framing, wire: &str, data: &str, rest: &str) {
        for piece in 1..=wire.len().max(1) {
            let want = Ok((data.as_bytes().to_vec(), rest.as_bytes().to_vec(), true));
            assert_eq!(read(framing, wire.as_bytes(), piece), want, "{wire:?} by {piece}");
        }
    }

    #[track_caller]
    fn unfinished(framing: Framing, wire: &str, data: &str) {
        for piece in 1..=wire.len().max(1) {
            assert_eq!(read(framing, wire.as_bytes(), piece), Ok((data.as_bytes().to_vec(), Vec::new(), false)));
        }
    }

    #[test]
    fn by_length() {
        whole(Framing::Length(0), "next", "", "next");
        whole(Framing::Length(5), "hello", "hello", "");
        whole(Framing::Length(5), "hellonext", "hello", "next");
        unfinished(Framing::Length(5), "hell", "hell");
    }

    #[test]
    fn by_close() {
        unfinished(Framing::Close, "hello", "hello");
        unfinished(Framing::Close, "", "");
    }

    #[test]
    fn by_chunks() {
        for (wire, data, rest) in [
            ("0\r\n\r\n", "", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
            ("5\r\nhello\r\n0\r\n\r\nHTTP/1.1", "hello", "HTTP/1.1"),
            ("1\r\nh\r\n0004\r\nello\r\n000\r\n\r\n", "hello", ""),
            ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", ""),
            ("5 \t\r\nhello\r\n0\r\n\r\n", "hello", ""),
            ("5;name=\"a b\"\r\nhello\r\n0 ; x\r\n\r\n", "hello", ""),
            ("5\r\nhello\r\n0\r\nx-a: b\r\nx-c: d\r\n\r\n", "hello", ""),
            ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""),
        ] {
            whole(Framing::chunked(), wire, data, rest);
        }
        for (wire, data) in
            [("", ""), ("5", ""), ("5\r\nhel", "hel"), ("5\r\nhello", "hello"), ("0\r\n", ""), ("0\r\n\r", "")]
        {
            unfinished(Framing::chunked(), wire, data);
        }
    }

    #[test]
    fn chunks_that_are_not_in_form_are_refused_whatever_the_borders() {
        for wire in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            " 1\r\n",
            "1 1\r\n",
            "1 x\r\n",
            "0x1\r\n",
            "1\nh",
            "1\r\r",
            "1;a\nb\r\n",
            "1\r\nhx",
            "1\r\nh\n",
            "1\r\nh\rx",
            "1\r\nh\r\n\r\n",
            "0\r\n\n",
            "0\r\nx: y\n",
            "0\r\nx\r\r",
            "0\r\n\r\r",
            "10000000000000000\r\n",
            "1;\u{1}\r\n",
            "0\r\n\u{0}\r\n",
        ] {
            for piece in 1..=wire.len() {
                assert_eq!(read(Framing::chunked(), wire.as_bytes(), piece), Err(Malformed), "{wire:?} by {piece}");
            }
        }
    }

    #[test]
    fn what_is_read_past_is_bounded() {
        let long = "x".repeat(usize::from(ASIDE));
        for wire in [format!("1;{long}\r\nh\r\n0\r\n\r\n"), format!("0\r\nx: {long}\r\n\r\n"), long.replace('x', "0")] {
            assert_eq!(read(Framing::chunked(), wire.as_bytes(), 1000), Err(Malformed));
        }
    }

    #[test]
    fn the_end_is_known_with_the_last_part_where_it_came_along() {
        let mut framing = Framing::chunked();
        let mut bytes = Bytes::from_static(b"5\r\nhello\r\n0\r\n\r\n");
        assert_eq!(framing.next(&mut bytes), Ok(Step::Data(Bytes::from_static(b"hello"))));
        assert!(framing.is_over() && bytes.is_empty());
    }

    proptest! {
        #[test]
        fn what_was_put_into_chunks_comes_out(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..10),
            rest in prop::collection::vec(any::<u8>(), 0..10),
            piece in 1_usize..64,
        ) {
            let mut wire = Vec::new();
            for part in &parts {
                wire.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                wire.extend_from_slice(part);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            wire.extend_from_slice(&rest);
            prop_assert_eq!(read(Framing::chunked(), &wire, piece), Ok((parts.concat(), rest, true)));
        }

        #[test]
        fn any_bytes_are_read_alike_whatever_the_borders(wire in "[0-9a-f\r\n; x]{0,60}", piece in 1_usize..16) {
            let at_once = read(Framing::chunked(), wire.as_bytes(), 100);
            prop_assert_eq!(read(Framing::chunked(), wire.as_bytes(), piece), at_once);
        }
    }
}
