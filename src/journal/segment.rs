//! Reads one journal file, from any frame on, while it may still grow.
//!
//! Invariant: what is yielded was written; a torn frame at the end is not there (yet). Bytes that are no frame, which a power
//! cut may leave in the middle of a dead process' file, are passed over to the next frame and counted.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use super::frame::{self, Frame, HEAD, LONGEST, Local};

/// At the beginning of every file: what it is, and the version of its form.
pub const MAGIC: &[u8; 8] = b"tgjrnl\x00\x01";
/// Read in one go.
const STEP: usize = 256 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Segment {
    file: File,
    buffer: Vec<u8>,
    /// Where in the buffer the next frame begins.
    at: usize,
    /// Where in the file the buffer begins.
    begin: u64,
    /// Bytes that were no frame.
    damaged: u64,
    /// Names that were said so far; the number is the place.
    names: Vec<Option<Box<str>>>,
}

impl Segment {
    /// Opens a file to be read from a position at which a frame begins (0: from its beginning). The names before it are read.
    ///
    /// # Errors
    /// As the file system says, or the file is none of ours ([`ErrorKind::InvalidData`]).
    pub fn open(path: &Path, position: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut magic = [0; MAGIC.len()];
        match file.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => {}
            // Not even that was written.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            Ok(()) => {
                return Err(io::Error::new(ErrorKind::InvalidData, "it is no journal file of a version known here"));
            }
            Err(error) => return Err(error),
        }
        let begin = MAGIC.len() as u64;
        file.seek(SeekFrom::Start(begin))?;
        let mut segment = Self { file, buffer: Vec::new(), at: 0, begin, damaged: 0, names: Vec::new() };
        while segment.position() < position && segment.next(true)?.is_some() {}
        Ok(segment)
    }

    /// Where the next frame begins.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.begin + self.at as u64
    }

    /// Bytes so far that were no frame.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// What a number stands for; empty for none, and for one whose name is lost.
    #[must_use]
    pub fn name(&self, local: Local) -> &str {
        self.names.get(local.0 as usize).and_then(Option::as_deref).unwrap_or_default()
    }

    /// The next frame; `None` at the end of what is there. With `over`, nobody writes here any more: what is no frame is
    /// passed over. Otherwise it is waited for.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next(&mut self, over: bool) -> io::Result<Option<Parsed>> {
        loop {
            match self.whole() {
                Found::Frame(length) => {
                    let from = self.at + HEAD;
                    self.at = from + length;
                    let Some(body) = self.buffer.get(from..self.at) else { return Ok(None) };
                    if frame::is_name(body)
                        && let Some(Frame::Name(Local(number), text)) = frame::decode(body)
                    {
                        let text: Box<str> = text.into();
                        remember(&mut self.names, number, text);
                    }
                    return Ok(Some(Parsed { from, to: self.at }));
                }
                Found::More => {
                    if !self.refill()? {
                        if !over || self.at == self.buffer.len() {
                            return Ok(None);
                        }
                        self.skip();
                    }
                }
                // A live file has no gaps: then this is the write that is being made.
                Found::Wrong if !over => return Ok(None),
                Found::Wrong => self.skip(),
            }
        }
    }

    /// The bytes, behind the head, of a frame that [`next`](Self::next) has just found.
    #[must_use]
    pub fn body(&self, parsed: Parsed) -> &[u8] {
        self.buffer.get(parsed.from..parsed.to).unwrap_or_default()
    }

    /// What such a frame says; `None` for a form that is not known here.
    #[must_use]
    pub fn frame(&self, parsed: Parsed) -> Option<Frame<'_>> {
        frame::decode(self.body(parsed))
    }

    /// That frame says nothing that can be understood.
    pub fn spoilt(&mut self, parsed: Parsed) {
        self.damaged += (HEAD + parsed.to - parsed.from) as u64;
    }

    fn skip(&mut self) {
        self.at += 1;
        self.damaged += 1;
    }

    fn whole(&self) -> Found {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let Some((head, rest)) = rest.split_first_chunk::<HEAD>() else { return Found::More };
        let [a, b, c, d, e, f, g, h] = *head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length == 0 || length > LONGEST {
            return Found::Wrong;
        }
        let Some(body) = rest.get(..length) else { return Found::More };
        if crc32fast::hash(body) != u32::from_le_bytes([e, f, g, h]) { Found::Wrong } else { Found::Frame(length) }
    }

    /// Whether there was more.
    fn refill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.at);
        self.begin += self.at as u64;
        self.at = 0;
        let before = self.buffer.len();
        (&mut self.file).take(STEP as u64).read_to_end(&mut self.buffer)?;
        Ok(self.buffer.len() > before)
    }
}

/// Where a frame is in the buffer, until the next one is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Parsed {
    from: usize,
    to: usize,
}

enum Found {
    Frame(usize),
    More,
    Wrong,
}

fn remember(names: &mut Vec<Option<Box<str>>>, number: u32, text: Box<str>) {
    // Numbers are dense: a higher one than there can be names is damage that has passed for a frame.
    let at = number as usize;
    if at >= 1 << 23 {
        return;
    }
    if names.len() <= at {
        names.resize(at + 1, None);
    }
    if let Some(place) = names.get_mut(at) {
        *place = Some(text);
    }
}
