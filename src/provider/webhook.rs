//! Where notices go: a receiver of webhooks, and the signature by which it knows that they are ours.
//!
//! As Standard Webhooks 1.0.0 has it (<https://github.com/standard-webhooks/standard-webhooks>, spec/standard-webhooks.md):
//! HMAC-SHA256 over `id.timestamp.body`, with a secret that is written `whsec_` and base64. Invariant: neither the secret nor
//! the path can be printed (in many products who knows the path may post there); both are wiped when they are dropped.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use zeroize::Zeroizing;

use super::Origin;

/// A receiver.
pub struct Webhook {
    /// Where connections go.
    pub origin: Origin,
    /// Path and query.
    pub target: Zeroizing<String>,
    /// What messages are signed with, if they are.
    pub secret: Option<SigningSecret>,
    /// How it is known to be itself; `None` for clear text.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// How long an answer of the resolver is as good as new.
    pub dns_ttl: Duration,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.origin.host).finish_non_exhaustive()
    }
}

/// The secret that receivers share with us.
pub struct SigningSecret(Zeroizing<Vec<u8>>);

impl SigningSecret {
    /// Reads `whsec_` and base64.
    ///
    /// # Errors
    /// What is wrong with it, in words that hold nothing of it: another form, or fewer than 24 or more than 64 bytes (the
    /// specification's bounds).
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let encoded = text.strip_prefix("whsec_").ok_or("it does not begin with whsec_")?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| "what follows whsec_ is not base64")?);
        if !(24..=64).contains(&bytes.len()) {
            return Err("what follows whsec_ is not 24 to 64 bytes, in base64");
        }
        Ok(Self(bytes))
    }

    /// The value of `webhook-signature` for a message that is sent at that time, in seconds since 1970.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        for part in [id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body] {
            signing.update(part);
        }
        format!("v1,{}", STANDARD.encode(signing.sign()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's libraries test themselves with this one.
    #[test]
    fn a_known_signature() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_part_is_signed() {
        let secret = |bytes: &[u8]| SigningSecret::parse(&format!("whsec_{}", STANDARD.encode(bytes))).unwrap();
        let base = secret(&[1; 24]).sign("a", 1, b"x");
        for other in [
            secret(&[2; 24]).sign("a", 1, b"x"),
            secret(&[1; 24]).sign("b", 1, b"x"),
            secret(&[1; 24]).sign("a", 2, b"x"),
            secret(&[1; 24]).sign("a", 1, b"y"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn secrets() {
        let of = |length: usize| format!("whsec_{}", STANDARD.encode(vec![7; length]));
        for (name, text, want) in [
            ("shortest", of(24), None),
            ("longest", of(64), None),
            ("too short", of(23), Some("24 to 64 bytes")),
            ("too long", of(65), Some("24 to 64 bytes")),
            ("without the prefix", STANDARD.encode([7; 32]), Some("begin with whsec_")),
            ("no base64", "whsec_hunter2!".to_owned(), Some("base64")),
            ("nothing", "whsec_".to_owned(), Some("24 to 64 bytes")),
        ] {
            let wrong = SigningSecret::parse(&text).err();
            assert_eq!(wrong.is_some(), want.is_some(), "{name}");
            if let (Some(wrong), Some(want)) = (wrong, want) {
                assert!(wrong.contains(want), "{name}: {wrong}");
            }
        }
    }

    #[test]
    fn neither_secret_nor_path_is_shown() {
        let hook = Webhook {
            origin: Origin::new(true, "hooks.example", 443, None).unwrap(),
            target: Zeroizing::new("/hunter2".to_owned()),
            secret: SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").ok(),
            tls: None,
            dns_ttl: Duration::ZERO,
        };
        let shown = format!("{hook:?} {:?}", hook.secret);
        assert!(shown.contains("hooks.example") && !shown.contains("hunter2") && !shown.contains("MfKQ"), "{shown}");
    }
}
