//! Another value in a body's place of one, with every other byte as it came.
//!
//! Invariant: untouched bytes are shared, not copied; the result is what cutting and joining the whole body would give. It
//! does not know what it replaces: [`super::peek`] says where.

use std::ops::Range;

use bytes::Bytes;

use super::body::Frames;

/// The body with `replacement` where the bytes of `at` stood. A range beyond the body is cut to it.
#[must_use]
pub fn splice(body: &Frames, at: Range<usize>, replacement: Bytes) -> Frames {
    let mut spliced = Frames::default();
    let mut replacement = Some(replacement);
    let mut offset = 0;
    for frame in body.iter() {
        let before = at.start.saturating_sub(offset).min(frame.len());
        let after = at.end.max(at.start).saturating_sub(offset).min(frame.len());
        offset += frame.len();
        spliced.push(frame.slice(..before));
        // The cut starts in this frame, or at its very end.
        if at.start <= offset
            && let Some(replacement) = replacement.take()
        {
            spliced.push(replacement);
        }
        spliced.push(frame.slice(after..));
    }
    if let Some(replacement) = replacement {
        spliced.push(replacement);
    }
    spliced
}

/// A name as a JSON string (RFC 8259 section 7), quotes included.
#[must_use]
pub fn json_string(name: &str) -> Bytes {
    let mut spelled = Vec::with_capacity(name.len() + 2);
    spelled.push(b'"');
    for &byte in name.as_bytes() {
        match byte {
            b'"' | b'\\' => spelled.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let low = HEX[usize::from(byte & 15)];
                spelled.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), low]);
            }
            _ => spelled.push(byte),
        }
    }
    spelled.push(b'"');
    spelled.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(body: &Frames) -> Vec<u8> {
        body.iter().flat_map(|frame| frame.iter().copied()).collect()
    }

    proptest! {
        #[test]
        fn as_if_joined(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..6),
            a in 0usize..140,
            b in 0usize..140,
            replacement in proptest::collection::vec(any::<u8>(), 0..12),
        ) {
            let body: Frames = frames.into_iter().map(Bytes::from).collect();
            let at = a.min(b).min(body.len())..a.max(b).min(body.len());
            let mut naive = joined(&body);
            naive.splice(at.clone(), replacement.iter().copied());
            let spliced = splice(&body, at, replacement.into());
            prop_assert_eq!(spliced.len(), naive.len());
            prop_assert_eq!(joined(&spliced), naive);
        }

        #[test]
        fn json_string_reads_back(name in any::<String>()) {
            let read: String = serde_json::from_slice(&json_string(&name)).unwrap();
            prop_assert_eq!(read, name);
        }
    }

    #[test]
    fn untouched_bytes_are_shared() {
        let frame = Bytes::from_static(br#"{"model":"a","x":1}"#);
        let body: Frames = [frame.clone()].into_iter().collect();
        let spliced = splice(&body, 9..12, json_string("b"));
        let parts: Vec<_> = spliced.iter().collect();
        assert_eq!(joined(&spliced), br#"{"model":"b","x":1}"#);
        assert_eq!(parts[0].as_ptr(), frame.as_ptr());
        assert_eq!(parts[2].as_ptr(), frame[12..].as_ptr());
    }
}
