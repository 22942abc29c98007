//! Which model an answer says it is from: often a dated one behind the name that was asked for.
//!
//! Invariant: fixed memory, and nothing but plain names: what is longer or has other characters is no name.

/// Longest name that is kept, in bytes.
const MAX: usize = 64;

/// See the module.
#[derive(Clone, Copy)]
pub struct Served {
    text: [u8; MAX],
    len: u8,
}

impl Default for Served {
    fn default() -> Self {
        Self { text: [0; MAX], len: 0 }
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.name(), f)
    }
}

impl Served {
    /// Longest spelling that is worth reading, quotes included.
    pub const RAW: usize = MAX + 2;

    /// Takes a value as it is spelled in JSON. Gemini's names may have the collection in front.
    pub fn note(&mut self, raw: &[u8]) {
        let [b'"', name @ .., b'"'] = raw else { return };
        let name = name.strip_prefix(b"models/").unwrap_or(name);
        let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        let (Some(room), Ok(len)) = (self.text.get_mut(..name.len()), u8::try_from(name.len())) else { return };
        if name.iter().all(plain) {
            room.copy_from_slice(name);
            self.len = len;
        }
    }

    /// The name, if there was one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let name = self.text.get(..usize::from(self.len)).filter(|name| !name.is_empty())?;
        std::str::from_utf8(name).ok()
    }
}
