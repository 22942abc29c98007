//! gzip: members one after another, each a head, deflated data, and a checksum with the length (RFC 1952).
//!
//! Invariant: every member is checked to its end, and nothing may stand behind the last one. Names and comments are passed
//! over, never kept.

use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};

use super::{Made, PARTS};

/// The decompressor: a window of 32 KiB and its tables.
pub const KEPT: u64 = 64 * 1024;

// The flags of a head, section 2.3.1.
const CHECKED: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAMED: u8 = 1 << 3;
const COMMENTED: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

pub struct Gzip {
    part: Part,
    inflate: Decompress,
    /// More may come out without anything going in.
    full: bool,
    flags: u8,
    head: Hasher,
    data: Hasher,
    /// The length of the member's data, modulo 2^32 as in its trailer.
    length: u32,
    trailer: [u8; 8],
    members: u32,
}

/// What the next byte belongs to, and how many of that part have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Fixed(u8),
    ExtraLength(Option<u8>),
    Extra(u16),
    Name,
    Comment,
    HeadSum(Option<u8>),
    Data,
    Trailer(u8),
}

impl Default for Gzip {
    fn default() -> Self {
        Self {
            part: Part::Fixed(0),
            inflate: Decompress::new(false),
            full: false,
            flags: 0,
            head: Hasher::new(),
            data: Hasher::new(),
            length: 0,
            trailer: [0; 8],
            members: 0,
        }
    }
}

impl Gzip {
    pub fn may_end(&self) -> bool {
        self.part == Part::Fixed(0) && self.members > 0
    }

    pub fn next(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<Made, &'static str> {
        let (mut made, before) = (0, self.members);
        while made < room.len() && self.members == before {
            if self.part == Part::Data {
                if input.is_empty() && !self.full {
                    break;
                }
                made += self.inflate(input, &mut room[made..])?;
                continue;
            }
            let Some((&byte, rest)) = input.split_first() else { break };
            *input = rest;
            self.framing(byte)?;
        }
        Ok(match made {
            0 if self.members > before => Made::Nothing,
            0 => Made::Hungry,
            made => Made::Bytes(made),
        })
    }

    fn inflate(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<usize, &'static str> {
        const BROKEN: &str = "its data is damaged";
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, room, FlushDecompress::None).map_err(|_| BROKEN)?;
        let advance = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        let used = advance(self.inflate.total_in(), before.0);
        let made = advance(self.inflate.total_out(), before.1);
        let ended = status == Status::StreamEnd;
        if used == 0 && made == 0 && !ended && !input.is_empty() {
            return Err(BROKEN);
        }
        *input = &input[used..];
        self.data.update(&room[..made]);
        self.length = self.length.wrapping_add(u32::try_from(made).unwrap_or(u32::MAX));
        self.full = made == room.len() && !ended;
        if ended {
            self.part = Part::Trailer(0);
        }
        Ok(made)
    }

    /// A byte outside the data.
    fn framing(&mut self, byte: u8) -> Result<(), &'static str> {
        if !matches!(self.part, Part::HeadSum(_) | Part::Trailer(_)) {
            self.head.update(&[byte]);
        }
        self.part = match self.part {
            Part::Fixed(n) => {
                let right = match n {
                    0 => byte == 0x1f,
                    1 => byte == 0x8b,
                    // Deflate, the only method there is.
                    2 => byte == 8,
                    3 => byte & RESERVED == 0,
                    _ => true,
                };
                if !right {
                    return Err(if self.members > 0 {
                        "something else follows it"
                    } else {
                        "it does not begin like it"
                    });
                }
                if n == 3 {
                    self.flags = byte;
                }
                if n < 9 { Part::Fixed(n + 1) } else { self.behind(EXTRA >> 1) }
            }
            Part::ExtraLength(None) => Part::ExtraLength(Some(byte)),
            Part::ExtraLength(Some(low)) => match u16::from_le_bytes([low, byte]) {
                0 => self.behind(EXTRA),
                length => Part::Extra(length),
            },
            Part::Extra(1) => self.behind(EXTRA),
            Part::Extra(left) => Part::Extra(left - 1),
            Part::Name if byte == 0 => self.behind(NAMED),
            Part::Comment if byte == 0 => self.behind(COMMENTED),
            part @ (Part::Name | Part::Comment | Part::Data) => part,
            Part::HeadSum(None) => Part::HeadSum(Some(byte)),
            Part::HeadSum(Some(low)) => {
                // The lower half of the head's CRC-32.
                if self.head.clone().finalize() & 0xffff != u32::from(u16::from_le_bytes([low, byte])) {
                    return Err("the checksum of its head is wrong");
                }
                Part::Data
            }
            Part::Trailer(n) => {
                self.trailer[usize::from(n)] = byte;
                if n < 7 { Part::Trailer(n + 1) } else { self.end_member()? }
            }
        };
        Ok(())
    }

    /// What comes behind a part of the head, by the flags: parts stand in the order of their flags, the checksum last.
    fn behind(&self, part: u8) -> Part {
        let later = self.flags & !(part | (part - 1));
        if later & EXTRA != 0 {
            Part::ExtraLength(None)
        } else if later & NAMED != 0 {
            Part::Name
        } else if later & COMMENTED != 0 {
            Part::Comment
        } else if self.flags & CHECKED != 0 {
            Part::HeadSum(None)
        } else {
            Part::Data
        }
    }

    fn end_member(&mut self) -> Result<Part, &'static str> {
        let [a, b, c, d, e, f, g, h] = self.trailer;
        let sum = std::mem::take(&mut self.data).finalize();
        if sum != u32::from_le_bytes([a, b, c, d]) || self.length != u32::from_le_bytes([e, f, g, h]) {
            return Err("its checksum is wrong");
        }
        self.inflate.reset(false);
        self.head = Hasher::new();
        self.length = 0;
        self.members += 1;
        if self.members > PARTS {
            return Err("it has too many members");
        }
        Ok(Part::Fixed(0))
    }
}
