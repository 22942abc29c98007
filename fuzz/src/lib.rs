//! What the targets share: an input is a byte that chooses, a byte that throws dice for chunk borders, and the text.

use serde::de::IgnoredAny;

/// The choice, the text, and the text in pieces.
pub fn open(input: &[u8]) -> Option<(u8, &[u8], Vec<&[u8]>)> {
    let [choice, dice, text @ ..] = input else { return None };
    Some((*choice, text, pieces(*dice, text)))
}

/// A text in pieces of 1 to 16 bytes, or sometimes longer ones.
pub fn pieces(dice: u8, mut text: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut state = u32::from(dice) + 1;
    while !text.is_empty() {
        // Xorshift.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let most = if dice & 1 == 0 { 16 } else { 200 };
        let (piece, rest) = text.split_at((1 + state as usize % most).min(text.len()));
        pieces.push(piece);
        text = rest;
    }
    pieces
}

/// Whether this is one JSON text, by a parser that is not ours. Depth does not matter to it.
pub fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// Whether nothing is in it about which our scanner is laxer on purpose: escape sequences and raw control characters.
pub fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte >= b' ' && byte != b'\\') && std::str::from_utf8(text).is_ok()
}
