//! What the operator says of prices.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, IntoDeserializer};
use serde::{Deserialize, Deserializer};

use crate::config::units::{At, Dollars, Expiry, HINT};
use crate::price::{Kind, Ratio, Tool};

/// A table with a price for every kind of token, and more.
macro_rules! priced {
    ($(#[$about:meta])* $name:ident { $($(#[$said:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$said])* pub $field: $type,)*
            /// Input that no cache knew, in dollars per million tokens.
            pub input: Option<At<Dollars>>,
            /// Output, in dollars per million tokens.
            pub output: Option<At<Dollars>>,
            /// Input read from a prompt cache, in dollars per million tokens.
            pub cache_read: Option<At<Dollars>>,
            /// Input written to a prompt cache, for the provider's shortest time, in dollars per million tokens.
            pub cache_write: Option<At<Dollars>>,
            /// Input written to a prompt cache for an hour, in dollars per million tokens.
            pub cache_write_1h: Option<At<Dollars>>,
            /// Input written to a prompt cache for twelve hours, in dollars per million tokens.
            pub cache_write_12h: Option<At<Dollars>>,
            /// Hidden thought, in dollars per million tokens.
            pub reasoning: Option<At<Dollars>>,
            /// Sound that goes in, in dollars per million tokens.
            pub audio_input: Option<At<Dollars>>,
            /// Sound that comes out, in dollars per million tokens.
            pub audio_output: Option<At<Dollars>>,
            /// Images that come out, in dollars per million tokens.
            pub image_output: Option<At<Dollars>>,
        }

        impl $name {
            /// By kind, what is said.
            #[must_use]
            pub fn said(&self) -> Vec<(Kind, &At<Dollars>)> {
                let all = [
                    (Kind::Input, &self.input),
                    (Kind::CacheRead, &self.cache_read),
                    (Kind::CacheWrite, &self.cache_write),
                    (Kind::CacheWrite1h, &self.cache_write_1h),
                    (Kind::CacheWrite12h, &self.cache_write_12h),
                    (Kind::Output, &self.output),
                    (Kind::Reasoning, &self.reasoning),
                    (Kind::AudioInput, &self.audio_input),
                    (Kind::AudioOutput, &self.audio_output),
                    (Kind::ImageOutput, &self.image_output),
                ];
                all.into_iter().filter_map(|(kind, price)| Some((kind, price.as_ref()?))).collect()
            }
        }
    };
}

priced! {
    /// What some models cost, in place of the vendor's list price. With `tools` alone, only those.
    ///
    /// An entry replaces the list price as a whole: what it does not say is as told here, not as in the list. Cached input
    /// without a price costs as input, reasoning as output.
    Price {
        /// Only at this [[provider]]. Default: at all.
        pub provider: Option<At<String>>,
        /// The provider's name for the model; one `*` stands for any text. An exact name wins over a pattern, and a longer
        /// pattern over a shorter one. Default: all models.
        pub model: Option<At<String>>,
        /// Only for models that have neither a list price nor another entry. Default: false.
        pub fallback: Option<At<bool>>,
        /// The first moment at which it holds: a date (its beginning, UTC) or an RFC 3339 time. Default: always.
        pub from: Option<At<Start>>,
        /// Long context: what all tokens of a request cost whose whole input is above so many tokens.
        #[serde(default)]
        pub long: Vec<At<Long>>,
        /// What answers of the batch tier cost; what is not said changes by the ratio of input, or of output.
        pub batch: Option<At<Service>>,
        /// What answers of the flex tier cost; what is not said changes by the ratio of input, or of output.
        pub flex: Option<At<Service>>,
        /// What answers of the priority tier cost; what is not said changes by the ratio of input, or of output.
        pub priority: Option<At<Service>>,
        /// What it costs at some hours.
        pub off_peak: Option<At<OffPeak>>,
        /// Factor on the tokens of answers that were made in the US (`inference_geo`).
        pub us: Option<At<Factor>>,
        /// Factor on the tokens of answers that were made faster (`speed`).
        pub fast: Option<At<Factor>>,
        /// What the provider's own tools cost. Default: as listed.
        pub tools: Option<At<Tools>>,
    }
}

priced! {
    /// Prices above a border.
    Long {
        /// So many tokens: uncached, read from caches and written to them together.
        pub above: At<u64>,
    }
}

priced! {
    /// Prices of a service tier.
    Service {}
}

priced! {
    /// Prices at some hours.
    OffPeak {
        /// When.
        pub windows: Vec<At<Window>>,
    }
}

/// Some hours of some weekdays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// From and until when, UTC, as in "22:00-06:00".
    #[schemars(regex(pattern = "^[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$"))]
    pub hours: At<String>,
    /// On which days they begin: 1 (Monday) to 7 (Sunday). Default: all.
    #[serde(default)]
    pub weekdays: Vec<u8>,
}

/// What a provider's own tools cost. What is not said is as listed; what is neither said nor listed has no price, which is told
/// of every answer that uses it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    /// Searching the web.
    pub web_search: Option<At<ToolPrice>>,
    /// Fetching pages.
    pub web_fetch: Option<At<ToolPrice>>,
    /// Searching a map.
    pub map_search: Option<At<ToolPrice>>,
    /// Searching stored files.
    pub file_search: Option<At<ToolPrice>>,
    /// Running code.
    pub code_execution: Option<At<ToolPrice>>,
    /// Making images.
    pub image_generation: Option<At<ToolPrice>>,
    /// Any tool that is none of these. No list has a price for it.
    pub other_tools: Option<At<ToolPrice>>,
}

impl Tools {
    /// By tool, what is said.
    #[must_use]
    pub fn said(&self) -> Vec<(Tool, &At<ToolPrice>)> {
        let all = [
            (Tool::WebSearch, &self.web_search),
            (Tool::WebFetch, &self.web_fetch),
            (Tool::MapSearch, &self.map_search),
            (Tool::FileSearch, &self.file_search),
            (Tool::CodeExecution, &self.code_execution),
            (Tool::ImageGeneration, &self.image_generation),
            (Tool::Other, &self.other_tools),
        ];
        all.into_iter().filter_map(|(tool, price)| Some((tool, price.as_ref()?))).collect()
    }
}

/// What a tool costs: dollars for each use, or `{ per_answer = dollars }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolPrice {
    /// So much.
    pub each: Dollars,
    /// For an answer that used it, however often.
    pub once: bool,
}

impl<'de> Deserialize<'de> for ToolPrice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let (value, once) = match value {
            toml::Value::Table(mut table) if table.len() == 1 => match table.remove("per_answer") {
                Some(value) => (value, true),
                None => {
                    return Err(D::Error::custom(format!(
                        "not a price{HINT}dollars a use, or {{ per_answer = dollars }}"
                    )));
                }
            },
            value => (value, false),
        };
        let each = Dollars::deserialize(value.into_deserializer()).map_err(|e| D::Error::custom(e.message()))?;
        Ok(Self { each, once })
    }
}

impl JsonSchema for ToolPrice {
    fn schema_name() -> Cow<'static, str> {
        "ToolPrice".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let dollars = generator.subschema_for::<Dollars>();
        json_schema!({
            "description": "Dollars for each use, or for each answer that used it.",
            "anyOf": [
                dollars.clone(),
                { "type": "object", "properties": { "per_answer": dollars }, "required": ["per_answer"],
                  "additionalProperties": false },
            ],
        })
    }
}

/// A factor on prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor(pub Ratio);

impl<'de> Deserialize<'de> for Factor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom(format!("not a factor{HINT}above 0, at most 1000 and six decimals, as in 1.1"));
        let value = toml::Value::deserialize(deserializer)?;
        let written = Dollars::deserialize(value.into_deserializer()).map_err(|_| wrong())?;
        Ratio::of(written.0).map(Self).ok_or_else(wrong)
    }
}

impl JsonSchema for Factor {
    fn schema_name() -> Cow<'static, str> {
        "Factor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A factor on prices: above 0, at most 1000, at most six decimals.",
            "type": "number", "exclusiveMinimum": 0, "maximum": 1000, "examples": [1.1, 2],
        })
    }
}

/// A moment at which something begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start(pub u64);

impl Start {
    /// Reads a date (its beginning, UTC) or an RFC 3339 time, as seconds since 1970.
    ///
    /// # Errors
    ///
    /// What it is instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() != 10 {
            return Expiry::parse(text).map(|moment| Self(moment.seconds));
        }
        let date: jiff::civil::Date = text.parse().map_err(|_| "neither a date nor a time")?;
        let start = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| "not a day of this calendar")?;
        u64::try_from(start.timestamp().as_second()).map(Self).map_err(|_| "a time before 1970")
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            toml::Value::Datetime(moment) => moment.to_string(),
            _ => String::new(),
        };
        Self::parse(&text).map_err(|what| {
            let example = "as in \"2027-01-01\" (from the beginning of that day, UTC) or \"2027-01-01T00:00:00+01:00\"";
            D::Error::custom(format!("{what}{HINT}{example}"))
        })
    }
}

impl JsonSchema for Start {
    fn schema_name() -> Cow<'static, str> {
        "Start".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A date (its beginning, UTC) or an RFC 3339 time.",
            "type": "string",
            "anyOf": [{ "format": "date" }, { "format": "date-time" }],
            "examples": ["2027-01-01", "2027-01-01T00:00:00+01:00"],
        })
    }
}
