//! Names of models: what in them does not change the price.
//!
//! Invariant: only what vendors themselves write around a name is taken off, a date of release and their own name in front;
//! nothing is guessed by resemblance.

use super::table::Vendor;

/// The name without the date of release at its end, if it has one: `-20251101`, `@20251101` or `-2025-11-01`.
pub fn undated(name: &str) -> Option<&str> {
    for (separators, length) in [(&['-', '@'][..], 8), (&['-'][..], 10)] {
        let Some(at) = name.len().checked_sub(length) else { continue };
        let (Some(front), Some(date)) = (name.get(..at), name.get(at..)) else { continue };
        let Some(front) = front.strip_suffix(separators) else { continue };
        if !front.is_empty() && is_date(date) {
            return Some(front);
        }
    }
    None
}

/// Whether it is a day of this century, with dashes or without.
fn is_date(text: &str) -> bool {
    let parts = match text.len() {
        8 => (text.get(..4), text.get(4..6), text.get(6..)),
        10 if text.get(4..5) == Some("-") && text.get(7..8) == Some("-") => {
            (text.get(..4), text.get(5..7), text.get(8..))
        }
        _ => return false,
    };
    let number =
        |part: Option<&str>| part.filter(|p| p.bytes().all(|b| b.is_ascii_digit())).and_then(|p| p.parse().ok());
    let (Some(year), Some(month), Some(day)) = (number(parts.0), number(parts.1), number(parts.2)) else {
        return false;
    };
    (2000..2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// The name without its vendor's own name in front (`anthropic/…`), or Gemini's `models/`.
pub fn unprefixed(vendor: Vendor, name: &str) -> &str {
    vendor.prefixes().iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_release_is_taken_off() {
        for (name, want) in [
            ("claude-opus-4-5-20251101", Some("claude-opus-4-5")),
            ("claude-sonnet-4-5@20250929", Some("claude-sonnet-4-5")),
            ("gpt-5-2025-08-07", Some("gpt-5")),
            ("gpt-5@2025-08-07", None),
            ("gpt-5", None),
            ("claude-opus-4-5", None),
            ("claude-opus-4-5-20251301", None),
            ("claude-opus-4-5-20251132", None),
            ("claude-opus-4-5-19991231", None),
            ("claude-opus-4-5_20251101", None),
            ("-20251101", None),
            ("20251101", None),
            ("gemini-2.5-flash-preview-09-2025", None),
            ("mistral-large-2512", None),
            ("gpt-5-2025-08-07-mini", None),
            ("gpt-5-2025ü08-7", None),
        ] {
            assert_eq!(undated(name), want, "{name}");
        }
    }

    #[test]
    fn only_the_vendors_own_name_is_taken_off_in_front() {
        for (vendor, name, want) in [
            (Vendor::Anthropic, "anthropic/claude-opus-5", "claude-opus-5"),
            (Vendor::Openai, "anthropic/claude-opus-5", "anthropic/claude-opus-5"),
            (Vendor::Gemini, "models/gemini-2.5-pro", "gemini-2.5-pro"),
            (Vendor::Groq, "openai/gpt-oss-20b", "openai/gpt-oss-20b"),
        ] {
            assert_eq!(unprefixed(vendor, name), want, "{name}");
        }
    }
}
