//! Frames and header blocks as bytes (RFC 9113 section 4, RFC 7541), right ones and wrong ones.

use crate::gateway::KEY;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A body that the gateway takes.
pub const BODY: &str = r#"{"model":"m","messages":[]}"#;

pub fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

/// One parameter each.
pub fn settings(parameters: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        parameters.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

pub fn window_update(id: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, id, &by.to_be_bytes())
}

pub fn reset(id: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())
}

/// A string without Huffman's code (RFC 7541 section 5.2).
fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match u8::try_from(bytes.len()).ok().filter(|length| *length < 127) {
        Some(length) => out.push(length),
        None => {
            out.push(127);
            let mut rest = bytes.len() - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            out.push(u8::try_from(rest).unwrap());
        }
    }
    out.extend_from_slice(bytes);
    out
}

/// A field that enters no table (RFC 7541 section 6.2.2).
pub fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0], string(name), string(value)].concat()
}

/// A field that enters the dynamic table (RFC 7541 section 6.2.1).
pub fn indexed(name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0x40], string(name), string(value)].concat()
}

/// The fields of a good request.
pub const GOOD: [(&str, &str); 5] = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "gateway.test"),
    (":path", "/v1/messages"),
    ("content-type", "application/json"),
];

/// The same as a block, with the key.
pub fn good() -> Vec<u8> {
    block(&GOOD)
}

/// A block of these fields and the key.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name.as_bytes(), value.as_bytes())).collect();
    out.extend(field(b"authorization", format!("Bearer {KEY}").as_bytes()));
    out
}

pub fn headers(id: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, id, block)
}

/// A whole request with this body.
pub fn request(id: u32, body: &str) -> Vec<u8> {
    [headers(id, 0, &good()), frame(DATA, END_STREAM, id, body.as_bytes())].concat()
}
