//! Where each dialect keeps its usage in a JSON object.
//!
//! Invariant: only the places below count; the same key anywhere deeper (in a tool's arguments, say) does not. Of several
//! reports the last one wins, or is merged (Anthropic).

use super::hosted::Listed;
use super::served::Served;
use crate::error::BodyError;
use crate::protocol::Dialect;
use crate::protocol::json::{DeepKey, Key, Root, Scanner, Value, Want, Watch};
use crate::protocol::usage::{AnthropicUsage, Tier, Usage, Uses};

/// Largest usage object that is read, in bytes.
const MAX_USAGE: usize = 64 * 1024;
/// Longest name of a price class, in bytes.
const MAX_TIER: usize = 64;

/// Finds usage, the price class and the uses of tools beside it, and whether there is an `error`.
#[derive(Debug)]
pub struct UsageWatch {
    dialect: Dialect,
    wanted: Wanted,
    usage: Option<Usage>,
    anthropic: AnthropicUsage,
    tier: Tier,
    listed: Listed,
    /// The model that the answer names.
    pub served: Served,
    /// `error` at the top, and not `null`.
    pub failed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    Usage { level: usize },
    Tier,
    ItemType,
    Model,
    Error,
}

impl UsageWatch {
    /// Has seen nothing.
    pub fn new(dialect: Dialect) -> Self {
        let anthropic = AnthropicUsage::default();
        Self {
            dialect,
            wanted: Wanted::Error,
            usage: None,
            anthropic,
            tier: Tier::Unsaid,
            listed: Listed::default(),
            served: Served::default(),
            failed: false,
        }
    }

    /// Reads one object; where it breaks, what came before counts.
    pub fn read(&mut self, object: &[u8]) {
        let _ = Scanner::new(Root::Object).feed(object, self);
    }

    /// Whether it is Anthropic's answer.
    pub fn is_of_anthropic(&self) -> bool {
        self.dialect == Dialect::Anthropic
    }

    /// What was found.
    pub fn usage(&self) -> Option<Usage> {
        match self.dialect {
            Dialect::Anthropic => self.anthropic.usage(),
            Dialect::Gemini => self.usage,
            Dialect::Chat | Dialect::Responses => {
                let mut usage = self.usage?;
                usage.tier = self.tier;
                usage.add_uses(&self.uses());
                Some(usage)
            }
        }
    }

    /// Uses of tools, as far as an answer lists them.
    pub fn uses(&self) -> Uses {
        self.listed.hosted.uses()
    }
}

impl Watch for UsageWatch {
    const DEEP: bool = true;

    #[inline]
    fn may_want(&self, first: u8, len: usize) -> bool {
        // `message`, `model`, `modelVersion`, `x_groq`, `response`, `usage`, `usageMetadata`, `error`, `service_tier`, `output`
        matches!(
            (first, len),
            (b'u', 5 | 13) | (b'e', 5) | (b'm', 5 | 7 | 12) | (b'x', 6) | (b'r', 8) | (b's', 12) | (b'o', 6)
        ) || self.listed.is_in()
    }

    #[inline]
    fn may_begin(&self, first: u8, depth: usize) -> bool {
        self.listed.may_begin(first, depth)
    }

    fn may_have(&self, key: &[u8], _: usize) -> bool {
        key.len() == 4
    }

    fn deep(&mut self, key: DeepKey<'_>) -> Want {
        self.wanted = Wanted::ItemType;
        self.listed.deep(&key)
    }

    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        if self.dialect == Dialect::Responses {
            if self.listed.has_level(key.level) {
                self.wanted = Wanted::ItemType;
                return Ok(self.listed.of_item(&key));
            }
            self.listed.beside(&key);
        }
        let wanted = match (self.dialect, key.level, key.raw) {
            (Dialect::Anthropic, 0, b"message")
            | (Dialect::Chat, 0, b"x_groq")
            | (Dialect::Responses, 0, b"response") => {
                return Ok(Want::Enter);
            }
            (Dialect::Anthropic | Dialect::Chat | Dialect::Responses, level, b"usage") => Wanted::Usage { level },
            (Dialect::Gemini, level, b"usageMetadata") => Wanted::Usage { level },
            (Dialect::Chat | Dialect::Responses, _, b"service_tier") => {
                self.wanted = Wanted::Tier;
                return Ok(Want::Value { limit: MAX_TIER });
            }
            (Dialect::Anthropic | Dialect::Chat | Dialect::Responses, _, b"model")
            | (Dialect::Gemini, 0, b"modelVersion") => {
                self.wanted = Wanted::Model;
                return Ok(Want::Value { limit: Served::RAW });
            }
            (_, 0, b"error") => Wanted::Error,
            _ => return Ok(Want::Pass),
        };
        self.wanted = wanted;
        Ok(Want::Value { limit: MAX_USAGE })
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        match (self.wanted, value.raw) {
            (Wanted::Error, raw) => self.failed |= raw != Some(b"null"),
            (Wanted::Usage { level }, Some(raw)) => {
                let usage = match self.dialect {
                    Dialect::Anthropic => {
                        self.anthropic.update(raw);
                        return Ok(());
                    }
                    Dialect::Chat => Usage::of_chat(raw),
                    Dialect::Responses => Usage::of_responses(raw),
                    Dialect::Gemini => Usage::of_gemini(raw),
                };
                // A report at the top is nearer to the standard than one inside an extension.
                if level == 0 || self.usage.is_none() {
                    self.usage = usage.or(self.usage);
                }
            }
            (Wanted::Tier, Some([b'"', name @ .., b'"'])) => {
                self.tier = std::str::from_utf8(name).map_or(Tier::Other, Tier::from);
            }
            (Wanted::ItemType, _) => self.listed.value(&value),
            (Wanted::Model, Some(raw)) => self.served.note(raw),
            (Wanted::Usage { .. } | Wanted::Tier | Wanted::Model, _) => {}
        }
        Ok(())
    }
}
