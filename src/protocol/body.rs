//! A request body, held as the frames it arrived in.
//!
//! Invariant: frames are never copied or joined; cloning a [`Frames`] shares the bytes.

use bytes::Bytes;
use smallvec::SmallVec;

/// The frames of one body, in order, without empty ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frames {
    frames: SmallVec<[Bytes; 2]>,
    len: usize,
}

impl Frames {
    /// Appends a frame; an empty one is dropped.
    pub fn push(&mut self, frame: Bytes) {
        if !frame.is_empty() {
            self.len += frame.len();
            self.frames.push(frame);
        }
    }

    /// Bytes in all frames.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The frames themselves.
    #[must_use]
    pub fn into_frames(self) -> SmallVec<[Bytes; 2]> {
        self.frames
    }

    /// The frames in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.frames.iter()
    }
}

impl FromIterator<Bytes> for Frames {
    fn from_iter<I: IntoIterator<Item = Bytes>>(frames: I) -> Self {
        let mut all = Self::default();
        for frame in frames {
            all.push(frame);
        }
        all
    }
}

impl IntoIterator for Frames {
    type Item = Bytes;
    type IntoIter = smallvec::IntoIter<[Bytes; 2]>;

    fn into_iter(self) -> Self::IntoIter {
        self.frames.into_iter()
    }
}
