//! The bytes of a head, until all of them are there.
//!
//! Invariant: a head that comes in one piece, as nearly all do, is not copied; one that drips is looked at once per byte, not
//! once per piece.

use bytes::{Buf, Bytes, BytesMut};

/// See the module.
#[derive(Debug, Default)]
pub struct Gathering {
    bytes: BytesMut,
}

/// Why there will be no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed<E> {
    /// It is longer than it may be.
    TooLong,
    /// It is none.
    Wrong(E),
}

impl Gathering {
    /// Whether something of a head is there.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Takes a piece; gives the head if that completes it, with what is behind it left in `piece`. `read` takes a head off
    /// the front, or nothing if it is not all there.
    ///
    /// # Errors
    /// [`Failed`].
    pub fn add<T, E>(
        &mut self,
        piece: &mut Bytes,
        longest: usize,
        read: impl FnOnce(&[u8]) -> Result<Option<(usize, T)>, E>,
    ) -> Result<Option<T>, Failed<E>> {
        if !self.has_begun() {
            // Lines that are empty before the first are skipped (RFC 9112 section 2.2).
            let blank = piece.iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count();
            piece.advance(blank);
            if piece.is_empty() {
                return Ok(None);
            }
            let head = take(piece, longest, read)?;
            if head.is_none() {
                self.bytes.extend_from_slice(piece);
                *piece = Bytes::new();
            }
            return Ok(head);
        }
        let before = self.bytes.len();
        self.bytes.extend_from_slice(piece);
        *piece = Bytes::new();
        if !has_empty_line(&self.bytes, before.saturating_sub(3)) {
            return if before > longest { Err(Failed::TooLong) } else { Ok(None) };
        }
        let mut whole = std::mem::take(&mut self.bytes).freeze();
        let head = take(&mut whole, longest, read)?;
        if head.is_some() {
            *piece = whole;
        } else {
            self.bytes.extend_from_slice(&whole);
        }
        Ok(head)
    }
}

/// Takes a head off the front.
fn take<T, E>(
    bytes: &mut Bytes,
    longest: usize,
    read: impl FnOnce(&[u8]) -> Result<Option<(usize, T)>, E>,
) -> Result<Option<T>, Failed<E>> {
    match read(bytes).map_err(Failed::Wrong)? {
        Some((length, _)) if length > longest => Err(Failed::TooLong),
        None if bytes.len() > longest => Err(Failed::TooLong),
        None => Ok(None),
        Some((length, head)) => {
            bytes.advance(length);
            if bytes.is_empty() {
                // Even an empty slice would keep the room that it was read into.
                *bytes = Bytes::new();
            }
            Ok(Some(head))
        }
    }
}

fn has_empty_line(bytes: &[u8], from: usize) -> bool {
    let new = bytes.get(from..).unwrap_or_default();
    memchr::memchr_iter(b'\n', new).any(|at| matches!(new.get(at + 1..), Some([b'\n', ..] | [b'\r', b'\n', ..])))
}
