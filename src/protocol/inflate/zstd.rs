//! zstd: frames one after another, each a head and blocks of at most 128 KiB (RFC 8878 section 3.1).
//!
//! Invariant: the decoder is given one whole block at a time and emptied before the next, so it holds a window and a block
//! at most. Windows above [`WINDOW`] and dictionaries are refused; frames that are to be skipped are.

use std::io::Read;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Made, PARTS, WINDOW};

/// The largest block, section 3.1.1.2.4.
const BLOCK: usize = 128 * 1024;
const BLOCK_HEAD: usize = 3;
const CHECKSUM: usize = 4;
const MAGIC: u32 = 0xFD2F_B528;
/// Any of the sixteen magic numbers of frames to be skipped, section 3.1.2.
const SKIPPED: u32 = 0x184D_2A50;
/// Tables, literals, sequences (12 bytes for each three of a block) and the block that is being gathered.
const TABLES: u64 = 1024 * 1024;

pub struct Zstd {
    part: Part,
    /// Gathered until it is a whole head or block.
    held: Vec<u8>,
    decoder: FrameDecoder,
    window: u64,
    /// What the frame's head says of its length.
    announced: Option<u64>,
    checked: bool,
    /// What came out of this frame.
    length: u64,
    frames: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A frame's head.
    Head,
    /// So many bytes of a frame that is skipped.
    Skip(u32),
    /// A block, from its head to its end.
    Block,
    /// The decoder has something to give.
    Drain { last: bool },
}

impl Default for Zstd {
    fn default() -> Self {
        Self {
            part: Part::Head,
            held: Vec::new(),
            decoder: FrameDecoder::new(),
            window: 0,
            announced: None,
            checked: false,
            length: 0,
            frames: 0,
        }
    }
}

impl Zstd {
    pub fn may_end(&self) -> bool {
        self.part == Part::Head && self.held.is_empty() && self.frames > 0
    }

    pub fn kept(&self) -> u64 {
        // Its buffer grows by doubling with what the blocks hold, up to the window and a block.
        let blocks = self.decoder.blocks_decoded() as u64 + 1;
        TABLES + 2 * self.window.min(blocks * BLOCK as u64)
    }

    /// A block at most, or the end of a frame.
    pub fn next(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<Made, &'static str> {
        loop {
            match self.part {
                Part::Head => {
                    if !self.head(input)? {
                        return Ok(Made::Hungry);
                    }
                }
                Part::Skip(left) => {
                    let now = input.len().min(left as usize);
                    *input = &input[now..];
                    let left = left - u32::try_from(now).unwrap_or(left);
                    self.part = Part::Skip(left);
                    if left > 0 {
                        return Ok(Made::Hungry);
                    }
                    self.part = self.next_frame()?;
                    return Ok(Made::Nothing);
                }
                Part::Block => {
                    let Some(last) = self.block(input)? else { return Ok(Made::Hungry) };
                    self.part = Part::Drain { last };
                }
                Part::Drain { last } => {
                    let made = self.decoder.read(room).map_err(|_| DAMAGED)?;
                    self.length += made as u64;
                    if made > 0 {
                        return Ok(Made::Bytes(made));
                    }
                    self.part = if last { self.end_frame()? } else { Part::Block };
                    return Ok(Made::Nothing);
                }
            }
        }
    }

    /// Gathers until so many bytes are held; `false` if the input does not have them.
    fn gather(&mut self, input: &mut &[u8], need: usize) -> bool {
        let now = need.saturating_sub(self.held.len()).min(input.len());
        let (taken, rest) = input.split_at(now);
        self.held.extend_from_slice(taken);
        *input = rest;
        self.held.len() >= need
    }

    /// Reads a frame's head; `false` if there is not enough of it yet.
    fn head(&mut self, input: &mut &[u8]) -> Result<bool, &'static str> {
        // The magic number and the descriptor; a frame to be skipped has three more bytes in any case.
        if !self.gather(input, 4) {
            return Ok(false);
        }
        let magic = u32::from_le_bytes([self.held[0], self.held[1], self.held[2], self.held[3]]);
        if magic & !0xf == SKIPPED {
            if !self.gather(input, 8) {
                return Ok(false);
            }
            self.part = Part::Skip(u32::from_le_bytes([self.held[4], self.held[5], self.held[6], self.held[7]]));
            self.held.clear();
            return Ok(true);
        }
        if magic != MAGIC {
            return Err(if self.frames > 0 { "something else follows it" } else { "it does not begin like it" });
        }
        if !self.gather(input, 5) {
            return Ok(false);
        }
        // Section 3.1.1.1.1.
        let descriptor = self.held[4];
        if descriptor & 0x08 != 0 {
            return Err("its head says what nobody knows yet");
        }
        let single = descriptor & 0x20 != 0;
        let sized = match descriptor >> 6 {
            0 => usize::from(single),
            flag => 1 << flag,
        };
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        if !self.gather(input, 5 + usize::from(!single) + dictionary + sized) {
            return Ok(false);
        }
        self.decoder = FrameDecoder::new();
        self.decoder.set_max_window_size(WINDOW);
        self.decoder
            .init(&self.held[..])
            .map_err(|_| "its head is damaged, or wants a window above 8 MiB or a dictionary")?;
        self.announced = (sized > 0).then(|| self.decoder.content_size());
        self.checked = descriptor & 4 != 0;
        self.window = match (single, self.announced) {
            (true, Some(size)) => size,
            _ => window(self.held[5]),
        };
        self.length = 0;
        self.held.clear();
        self.part = Part::Block;
        Ok(true)
    }

    /// Decodes a block; `None` if there is not enough of it yet, else whether it was the last.
    fn block(&mut self, input: &mut &[u8]) -> Result<Option<bool>, &'static str> {
        if !self.gather(input, BLOCK_HEAD) {
            return Ok(None);
        }
        let head = u32::from_le_bytes([self.held[0], self.held[1], self.held[2], 0]);
        let (last, size) = (head & 1 != 0, (head >> 3) as usize);
        let stored = match head >> 1 & 3 {
            // One byte, repeated.
            1 => 1,
            0 | 2 => size,
            _ => return Err(DAMAGED),
        };
        if size > BLOCK {
            return Err(DAMAGED);
        }
        let checksum = if last && self.checked { CHECKSUM } else { 0 };
        if !self.gather(input, BLOCK_HEAD + stored + checksum) {
            return Ok(None);
        }
        if head >> 1 & 3 == 2 && literals(&self.held[BLOCK_HEAD..]) > BLOCK {
            return Err(DAMAGED);
        }
        self.decoder.decode_blocks(&self.held[..], BlockDecodingStrategy::UptoBlocks(1)).map_err(|_| DAMAGED)?;
        self.held.clear();
        Ok(Some(last))
    }

    fn end_frame(&mut self) -> Result<Part, &'static str> {
        if self.checked && self.decoder.get_checksum_from_data() != self.decoder.get_calculated_checksum() {
            return Err("its checksum is wrong");
        }
        if self.announced.is_some_and(|announced| announced != self.length) {
            return Err("it is not as long as it says");
        }
        self.next_frame()
    }

    fn next_frame(&mut self) -> Result<Part, &'static str> {
        self.frames += 1;
        if self.frames > PARTS { Err("it has too many frames") } else { Ok(Part::Head) }
    }
}

const DAMAGED: &str = "its data is damaged";

/// How many literals a compressed block has, by their head (section 3.1.1.3.1.1), where it could say more than a block may
/// hold. The decoder believes it: five bytes for a mebibyte.
fn literals(block: &[u8]) -> usize {
    match *block {
        [a, b, c, ..] if a & 0b1100 == 0b1100 => {
            // 20 bits where they are stored or repeated, 18 where they are coded.
            let high = if a & 0b10 == 0 { c } else { c & 0x3f };
            usize::from(a >> 4) | usize::from(b) << 4 | usize::from(high) << 12
        }
        _ => 0,
    }
}

/// Section 3.1.1.1.2.
fn window(descriptor: u8) -> u64 {
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}
