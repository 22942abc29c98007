//! How values are written in the file: with their place, times, sizes, expiry dates, and where a secret is.
//!
//! Invariant: a secret itself can be written nowhere; [`Secret`] is a place to read it from, and refuses a string without
//! repeating it. Nothing in here reads that place.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::money::{NotMoney, Pico};

/// Separates what is wrong from what to do in the text of a parse error, which has room for one text only.
pub const HINT: &str = "\nhint: ";

/// What to do about a secret in clear.
pub const SECRET_HINT: &str =
    "secrets stay out of this file: write { env = \"NAME\" } or { file = \"path\" } and put the secret there";

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Byte offset into the file.
    pub at: usize,
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { at: spanned.span().start, value: spanned.into_inner() })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A length of time: a whole number and a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Duration);

impl Time {
    /// Reads `30s`; `None` if it is no such text, or longer than a century.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let number: u64 = number.parse().ok()?;
        let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
        let duration = match unit.trim_start() {
            "ms" => Some(Duration::from_millis(number)),
            "s" => seconds(1),
            "m" => seconds(60),
            "h" => seconds(3600),
            "d" => seconds(86_400),
            _ => None,
        };
        // Longer than a century is a typing error, and would overflow an Instant on some systems.
        duration.filter(|d| d.as_secs() <= 100 * 366 * 86_400).map(Self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom(format!("not a time{HINT}a whole number and ms, s, m, h or d, as in \"30s\""));
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Self::parse(&text).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A length of time: a whole number and ms, s, m, h or d.",
            "type": "string", "pattern": "^[0-9]+ ?(ms|s|m|h|d)$", "examples": ["500ms", "30s", "5m"],
        })
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let each = match unit.trim_start() {
            "B" => 1,
            "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(each).map(Self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let size = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Self::parse(&text),
            toml::Value::Integer(bytes) => u64::try_from(bytes).ok().map(Self),
            _ => None,
        };
        size.ok_or_else(|| {
            D::Error::custom(format!("not a size{HINT}bytes, or a whole number and KiB, MiB or GiB, as in \"32MiB\""))
        })
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes, or a whole number and B, KB, MB, GB, KiB, MiB or GiB.",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+ ?(B|[KMG]i?B)$", "examples": ["32MiB", "1GiB"] },
            ],
        })
    }
}

/// An amount of money, in dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dollars(pub Pico);

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            toml::Value::Integer(dollars) => dollars.to_string(),
            // Not arithmetic: a float's shortest text is the one that was written, for up to 15 digits, and an amount with
            // more is refused where it matters (it has too many decimals, or is too large).
            toml::Value::Float(written) => written.to_string(),
            _ => String::new(),
        };
        text.parse()
            .map(Self)
            .map_err(|why: NotMoney| D::Error::custom(format!("{why}{HINT}dollars, as in 25, 0.25 or \"$0.25\"")))
    }
}

impl JsonSchema for Dollars {
    fn schema_name() -> Cow<'static, str> {
        "Dollars".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An amount in US dollars, at most twelve decimals.",
            "anyOf": [
                { "type": "number", "minimum": 0 },
                { "type": "string", "pattern": r"^\$?[0-9]+(\.[0-9]+)?$", "examples": ["$25", "0.25"] },
            ],
        })
    }
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = toml::Value::deserialize(deserializer)?;
        text.as_str().and_then(|text| text.parse().ok()).map(Self).ok_or_else(|| {
            D::Error::custom(format!("not an address and port{HINT}as in \"127.0.0.1:8080\" or \"[::1]:8080\""))
        })
    }
}

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An IP address and a TCP port.",
            "type": "string", "pattern": "^.+:[0-9]+$", "examples": ["127.0.0.1:8080", "[::1]:8080"],
        })
    }
}

/// A moment at which something stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: u64,
    /// The same as RFC 3339 text.
    pub text: Box<str>,
}

impl Expiry {
    /// Reads a date or an RFC 3339 time.
    ///
    /// # Errors
    ///
    /// What it is instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let moment: jiff::Timestamp = match text.parse() {
            Ok(moment) => moment,
            Err(_) => match text.parse::<Date>() {
                // Parsing a date from "2027-01-01T12:00" would drop the hour: a longer text is no date.
                Ok(date) if text.len() == 10 => {
                    let end = date.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC));
                    end.map_err(|_| "not a day of this calendar")?.timestamp()
                }
                _ if text.parse::<DateTime>().is_ok() => return Err("a time without a time zone"),
                _ => return Err("neither a date nor a time"),
            },
        };
        let seconds = u64::try_from(moment.as_second()).map_err(|_| "a time before 1970")?;
        Ok(Self { seconds, text: moment.to_string().into() })
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            // TOML's own dates need no quotes.
            toml::Value::Datetime(moment) => moment.to_string(),
            _ => String::new(),
        };
        Self::parse(&text).map_err(|what| {
            let example = "as in \"2027-06-30\" (to the end of that day, UTC) or \"2027-06-30T18:00:00+02:00\"";
            D::Error::custom(format!("{what}{HINT}{example}"))
        })
    }
}

impl JsonSchema for Expiry {
    fn schema_name() -> Cow<'static, str> {
        "Expiry".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A date (to the end of that day, UTC) or an RFC 3339 time.",
            "type": "string",
            "anyOf": [{ "format": "date" }, { "format": "date-time" }],
            "examples": ["2027-06-30", "2027-06-30T18:00:00+02:00"],
        })
    }
}

/// Where a secret is. A file's trailing line end does not count as part of the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In this environment variable.
    Env(String),
    /// In this file, relative to the folder of the configuration.
    File(PathBuf),
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place;

        impl<'de> Visitor<'de> for Place {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ env = \"NAME\" } or { file = \"path\" }")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Secret, E> {
                Err(E::custom(format!("a secret in clear{HINT}{SECRET_HINT}")))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Fields {
                    env: Option<String>,
                    file: Option<PathBuf>,
                }
                let Fields { env, file } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                match (env, file) {
                    (Some(name), None) => Ok(Secret::Env(name)),
                    (None, Some(path)) => Ok(Secret::File(path)),
                    _ => Err(A::Error::custom("wants one of env and file")),
                }
            }
        }

        deserializer.deserialize_any(Place)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where a secret is: an environment variable, or a file (relative to the folder of this one).",
            "oneOf": [
                { "type": "object", "properties": { "env": { "type": "string", "description": "Name of an environment variable." } },
                  "required": ["env"], "additionalProperties": false },
                { "type": "object", "properties": { "file": { "type": "string", "description": "Path of a file; a trailing line end does not count." } },
                  "required": ["file"], "additionalProperties": false },
            ],
        })
    }
}

/// The value of a header: in clear, or a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderText {
    /// As written.
    Plain(String),
    /// To be read from elsewhere.
    Secret(Secret),
}

impl<'de> Deserialize<'de> for HeaderText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = HeaderText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, { env = \"NAME\" } or { file = \"path\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<HeaderText, E> {
                Ok(HeaderText::Plain(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HeaderText, A::Error> {
                Secret::deserialize(MapAccessDeserializer::new(map)).map(HeaderText::Secret)
            }
        }

        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for HeaderText {
    fn schema_name() -> Cow<'static, str> {
        "HeaderText".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = generator.subschema_for::<Secret>();
        json_schema!({ "description": "A text, or where a secret is.", "anyOf": [{ "type": "string" }, secret] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, want) in [
            ("500ms", Some(Duration::from_millis(500))),
            ("0s", Some(Duration::ZERO)),
            ("30 s", Some(Duration::from_secs(30))),
            ("5m", Some(Duration::from_secs(300))),
            ("2h", Some(Duration::from_secs(7200))),
            ("1d", Some(Duration::from_secs(86_400))),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1m30s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
            ("36601d", None),
        ] {
            assert_eq!(Time::parse(text).map(|t| t.0), want, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, want) in [
            ("32MiB", Some(32 << 20)),
            ("1 GiB", Some(1 << 30)),
            ("4KiB", Some(4096)),
            ("10KB", Some(10_000)),
            ("7B", Some(7)),
            ("32", None),
            ("32mb", None),
            ("MiB", None),
            ("18446744073709551615KiB", None),
        ] {
            assert_eq!(Size::parse(text).map(|s| s.0), want, "{text}");
        }
    }

    #[test]
    fn dollars() {
        #[derive(Debug, Deserialize)]
        struct Row {
            x: Dollars,
        }
        for (written, want) in [
            ("25", Ok(25_000_000_000_000)),
            ("0.25", Ok(250_000_000_000)),
            ("0.1", Ok(100_000_000_000)),
            ("0.000035", Ok(35_000_000)),
            ("1e-6", Ok(1_000_000)),
            ("123456789e-8", Ok(1_234_567_890_000)),
            ("\"$0.25\"", Ok(250_000_000_000)),
            ("\"0.25\"", Ok(250_000_000_000)),
            ("-1", Err("an amount below zero")),
            ("-0.5", Err("an amount below zero")),
            ("nan", Err("not an amount in dollars")),
            ("inf", Err("not an amount in dollars")),
            ("1e300", Err("an amount above 18 million dollars")),
            ("1e-13", Err("an amount with more than twelve decimals")),
            ("true", Err("not an amount in dollars")),
            ("\"25 EUR\"", Err("not an amount in dollars")),
        ] {
            let got = toml::from_str::<Row>(&format!("x = {written}")).map(|row| row.x.0.pico());
            let got = got.map_err(|e| e.message().split(HINT).next().unwrap_or_default().to_owned());
            assert_eq!(got, want.map_err(str::to_owned), "{written}");
        }
    }

    #[test]
    fn expiries() {
        for (text, want) in [
            ("1970-01-01", Ok((86_400, "1970-01-02T00:00:00Z"))),
            ("2027-06-30T18:00:00+02:00", Ok((1_814_371_200, "2027-06-30T16:00:00Z"))),
            ("2027-06-30T16:00:00Z", Ok((1_814_371_200, "2027-06-30T16:00:00Z"))),
            ("2027-06-30T16:00:00", Err("a time without a time zone")),
            ("2027-02-30", Err("neither a date nor a time")),
            ("1969-12-31T00:00:00Z", Err("a time before 1970")),
            ("soon", Err("neither a date nor a time")),
            ("", Err("neither a date nor a time")),
        ] {
            let got = Expiry::parse(text).map(|e| (e.seconds, e.text));
            assert_eq!(got.as_ref().map(|(s, t)| (*s, &**t)).map_err(|e| *e), want, "{text}");
        }
    }
}
