//! Virtual keys as Tollgate makes them: `tg-`, then 32 random bytes and their CRC-32 in base64url.
//!
//! Invariant: a key is never printed by `Debug` and is wiped from memory when it is dropped. The checksum is no security: it
//! lets a typing error and a secret scanner's find be told apart from a key that is unknown, without asking anybody.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::snapshot::keyring::{Digest, digest};

/// What Tollgate's own keys begin with.
pub const PREFIX: &str = "tg-";
const RANDOM: usize = 32;
const BYTES: usize = RANDOM + 4;

/// A key in clear.
pub struct VirtualKey(Zeroizing<String>);

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoEntropy;

impl fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gave no random bytes")
    }
}

impl std::error::Error for NoEntropy {}

/// Makes a key.
///
/// # Errors
///
/// When the operating system gives no random bytes.
pub fn generate() -> Result<VirtualKey, NoEntropy> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    SystemRandom::new().fill(&mut bytes[..RANDOM]).map_err(|_| NoEntropy)?;
    let sum = crc32fast::hash(&bytes[..RANDOM]).to_be_bytes();
    bytes[RANDOM..].copy_from_slice(&sum);
    // Room for all of it at once: growing would leave a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + BYTES.div_ceil(3) * 4));
    text.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(*bytes, &mut text);
    Ok(VirtualKey(text))
}

/// Whether a key of ours has the checksum it should have; `None` if it does not begin like one of ours.
#[must_use]
pub fn checksum_holds(key: &str) -> Option<bool> {
    let text = key.strip_prefix(PREFIX)?;
    let mut bytes = Zeroizing::new([0; BYTES]);
    let Ok(BYTES) = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes[..]) else { return Some(false) };
    Some(crc32fast::hash(&bytes[..RANDOM]).to_be_bytes() == bytes[RANDOM..])
}

impl VirtualKey {
    /// A key that was made earlier; `None` if its prefix or its checksum is wrong.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (checksum_holds(text) == Some(true)).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The key itself, for the one moment in which it is shown.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(self.0.as_bytes())
    }

    /// The same in hex, as the configuration has it.
    #[must_use]
    pub fn digest_hex(&self) -> String {
        self.digest().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for VirtualKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VirtualKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_51_characters_differs_from_the_next_and_hides_in_debug() {
        let (a, b) = (generate().unwrap(), generate().unwrap());
        assert_eq!(a.expose().len(), 51);
        assert_ne!(a.expose(), b.expose());
        assert_eq!(format!("{a:?}"), "VirtualKey(…)");
        assert_eq!(VirtualKey::parse(a.expose()).unwrap().digest(), a.digest());
    }

    #[test]
    fn the_checksum_finds_every_single_typing_error() {
        let key = generate().unwrap();
        assert_eq!(checksum_holds(key.expose()), Some(true));
        for i in PREFIX.len()..key.expose().len() {
            let mut typed = key.expose().to_owned();
            let other = if &typed[i..=i] == "A" { "B" } else { "A" };
            typed.replace_range(i..=i, other);
            assert_eq!(checksum_holds(&typed), Some(false), "character {i}");
            typed.remove(i);
            assert_eq!(checksum_holds(&typed), Some(false), "without character {i}");
        }
    }

    #[test]
    fn only_our_prefix_has_a_checksum() {
        for (text, want) in [
            ("sk-abc", None),
            ("", None),
            ("TG-abc", None),
            ("tg-", Some(false)),
            ("tg-our-own-choice", Some(false)),
            ("tg-ä", Some(false)),
        ] {
            assert_eq!(checksum_holds(text), want, "{text}");
        }
    }
}
