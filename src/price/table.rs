//! The price table that is shipped, and who the vendors in it are.
//!
//! Invariant: what `table.toml` says is all that is known without the operator; a test holds that every row can be billed by.
//! The table is read once per process, when something first needs it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use super::hours::Hours;
use super::kind::{Kind, Prices, Ratio, Tool, ToolPrice, Tools};
use super::name::{undated, unprefixed};
use super::rates::{Facts, Period, Rates};
use super::row::{OffPeak, Row, Step};
use crate::money::Pico;

/// Who bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Anthropic.
    Anthropic,
    /// OpenAI.
    Openai,
    /// Google's Gemini API.
    Gemini,
    /// DeepSeek.
    Deepseek,
    /// Mistral.
    Mistral,
    /// xAI.
    Xai,
    /// Groq.
    Groq,
    /// AWS Bedrock, in us-east-1 and its cross-region profiles.
    Bedrock,
    /// Google's Vertex AI, global endpoint.
    Vertex,
    /// Azure OpenAI, global deployments that are named as their model.
    Azure,
}

impl Vendor {
    /// All, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Anthropic,
        Self::Openai,
        Self::Gemini,
        Self::Deepseek,
        Self::Mistral,
        Self::Xai,
        Self::Groq,
        Self::Bedrock,
        Self::Vertex,
        Self::Azure,
    ];

    /// As the table and the configuration spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
            Self::Gemini => "gemini",
            Self::Deepseek => "deepseek",
            Self::Mistral => "mistral",
            Self::Xai => "xai",
            Self::Groq => "groq",
            Self::Bedrock => "bedrock",
            Self::Vertex => "vertex",
            Self::Azure => "azure",
        }
    }

    /// Who bills for what is asked for at a host, where that is certain: the vendor's one public API. Not told by their host:
    /// clouds, whose prices depend on more (a region, what a deployment was named), and everybody who resells.
    #[must_use]
    pub fn at_host(host: &str) -> Option<Self> {
        match host {
            "api.anthropic.com" => Some(Self::Anthropic),
            "api.openai.com" => Some(Self::Openai),
            "generativelanguage.googleapis.com" => Some(Self::Gemini),
            "api.deepseek.com" => Some(Self::Deepseek),
            "api.mistral.ai" => Some(Self::Mistral),
            "api.x.ai" => Some(Self::Xai),
            "api.groq.com" => Some(Self::Groq),
            _ => None,
        }
    }

    /// What may stand in front of its models' names.
    pub(super) const fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Anthropic => &["anthropic/"],
            Self::Openai | Self::Azure => &["openai/", "azure/"],
            Self::Gemini => &["models/", "google/", "gemini/"],
            Self::Deepseek => &["deepseek/"],
            Self::Mistral => &["mistralai/", "mistral/"],
            Self::Xai => &["x-ai/", "xai/"],
            Self::Groq => &["groq/"],
            Self::Bedrock => &["bedrock/"],
            Self::Vertex => &["publishers/google/models/", "publishers/anthropic/models/"],
        }
    }
}

/// List prices.
#[derive(Debug, Default)]
pub struct Table {
    /// The day as of which they are known.
    pub as_of: Arc<str>,
    rows: Vec<(Vendor, Arc<Rates>)>,
    /// By vendor: a model's name, and where it is unambiguous that name without its date, to a place in `rows`.
    names: HashMap<Vendor, HashMap<Box<str>, usize>>,
    /// Names with a date whose price is another than that of the name without.
    except: Vec<(Vendor, Box<str>)>,
    tools: HashMap<Vendor, Tools>,
}

static SHIPPED: LazyLock<Table> = LazyLock::new(|| {
    // A test reads it, so it can be read; an empty one would price nothing, and say so of everything.
    Table::parse(include_str!("table.toml")).unwrap_or_default()
});

impl Table {
    /// The one that this program came with.
    #[must_use]
    pub fn shipped() -> &'static Self {
        &SHIPPED
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut table = Self { as_of: written.as_of.as_str().into(), ..Self::default() };
        for line in &written.tools {
            table.tools.insert(line.vendor, line.tools.tools()?);
        }
        let mut models: Vec<(&Line, Vec<Period>)> = Vec::new();
        for line in &written.price {
            let period = table.period(line).map_err(|why| format!("{}: {why}", line.model))?;
            match models.iter_mut().find(|(first, _)| (first.vendor, &first.model) == (line.vendor, &line.model)) {
                Some((_, periods)) => periods.push(period),
                None => models.push((line, vec![period])),
            }
        }
        for (line, periods) in models {
            let rates = Rates::new(&line.model, Arc::clone(&table.as_of), written.facts(line), periods);
            let rates =
                rates.filter(|rates| rates.starts() == 0).ok_or_else(|| format!("{}: no price yet", line.model))?;
            table.except.extend(line.except.iter().map(|name| (line.vendor, name.as_str().into())));
            let place = table.rows.len();
            table.names.entry(line.vendor).or_default().insert(line.model.as_str().into(), place);
            table.rows.push((line.vendor, Arc::new(rates)));
        }
        table.name_undated();
        Ok(table)
    }

    /// `claude-opus-4-5` is `claude-opus-4-5-20251101`, if that is the only one.
    fn name_undated(&mut self) {
        for (vendor, names) in &mut self.names {
            let mut short: HashMap<Box<str>, Option<usize>> = HashMap::new();
            for (name, place) in names.iter() {
                if let Some(front) = undated(name).filter(|front| !names.contains_key(*front)) {
                    short.entry(front.into()).and_modify(|there| *there = None).or_insert(Some(*place));
                }
            }
            let except = |name: &str| self.except.iter().any(|(v, other)| v == vendor && **other == *name);
            names
                .extend(short.into_iter().filter_map(|(name, place)| Some((name, place?))).filter(|(n, _)| !except(n)));
        }
    }

    fn period(&self, line: &Line) -> Result<Period, String> {
        let from = match &line.from {
            None => 0,
            Some(day) => {
                let day: jiff::civil::Date = day.parse().map_err(|_| "no day")?;
                let start = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| "no day of this calendar")?;
                u64::try_from(start.timestamp().as_second()).map_err(|_| "a day before 1970")?
            }
        };
        let mut row = line.row()?;
        if let Some(tools) = self.tools.get(&line.vendor) {
            row.tools = row.tools.or(tools);
        }
        Period::new(from, row).map_err(|fault| fault.to_string())
    }

    /// The list price of a model, by its vendor's name for it: exactly, with the vendor's name in front, with a date of
    /// release where the table has none, or without one where there is only one with.
    #[must_use]
    pub fn find(&self, vendor: Vendor, model: &str) -> Option<&Arc<Rates>> {
        let names = self.names.get(&vendor)?;
        let exact = |name: &str| names.get(name).map(|place| &self.rows[*place].1);
        if let Some(rates) = exact(model) {
            return Some(rates);
        }
        let bare = unprefixed(vendor, model);
        if let Some(rates) = exact(bare) {
            return Some(rates);
        }
        if self.except.iter().any(|(v, name)| *v == vendor && **name == *bare) {
            return None;
        }
        exact(undated(bare)?)
    }

    /// All rows, in the order of the table.
    pub fn rows(&self) -> impl Iterator<Item = (Vendor, &Arc<Rates>)> {
        self.rows.iter().map(|(vendor, rates)| (*vendor, rates))
    }

    /// What a vendor's server tools cost with every model.
    #[must_use]
    pub fn tools(&self, vendor: Vendor) -> Tools {
        self.tools.get(&vendor).copied().unwrap_or_default()
    }
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    as_of: String,
    sources: HashMap<String, String>,
    tools: Vec<ToolLine>,
    price: Vec<Line>,
}

impl Written {
    fn facts(&self, line: &Line) -> Facts {
        Facts {
            context: line.context,
            max_output: line.max_output,
            cache_min: line.cache_min,
            always_thinks: line.always_thinks,
            retires: line.retires.as_deref().map(Into::into),
            as_of: self.as_of.as_str().into(),
            // What is no name of a source is one itself.
            source: self.sources.get(&line.source).unwrap_or(&line.source).as_str().into(),
        }
    }
}

/// Dollars, from their text.
#[derive(Clone, Copy)]
struct Amount(Pico);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    vendor: Vendor,
    model: String,
    from: Option<String>,
    input: Amount,
    output: Amount,
    cache_read: Option<Amount>,
    cache_write: Option<Amount>,
    cache_write_1h: Option<Amount>,
    cache_write_12h: Option<Amount>,
    reasoning: Option<Amount>,
    audio_input: Option<Amount>,
    audio_output: Option<Amount>,
    image_output: Option<Amount>,
    #[serde(default)]
    long: Vec<LongLine>,
    batch: Option<PriceLine>,
    flex: Option<PriceLine>,
    priority: Option<PriceLine>,
    off_peak: Option<OffPeakLine>,
    us: Option<Amount>,
    fast: Option<Amount>,
    #[serde(default)]
    tools: ToolPriceLine,
    context: Option<u64>,
    max_output: Option<u64>,
    cache_min: Option<u64>,
    #[serde(default)]
    always_thinks: bool,
    retires: Option<String>,
    #[serde(default)]
    except: Vec<String>,
    source: String,
}

#[derive(Deserialize)]
struct LongLine {
    above: u64,
    #[serde(flatten)]
    prices: PriceLine,
}

#[derive(Deserialize)]
struct OffPeakLine {
    weekdays: Vec<String>,
    weekend: Vec<String>,
    #[serde(flatten)]
    prices: PriceLine,
}

#[derive(Deserialize)]
struct PriceLine {
    input: Option<Amount>,
    output: Option<Amount>,
    cache_read: Option<Amount>,
    cache_write: Option<Amount>,
    cache_write_1h: Option<Amount>,
    cache_write_12h: Option<Amount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolLine {
    vendor: Vendor,
    #[expect(dead_code, reason = "for readers of the file")]
    source: String,
    tools: ToolPriceLine,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolPriceLine {
    web_search: Option<Amount>,
    web_search_once: Option<Amount>,
    web_fetch: Option<Amount>,
    file_search: Option<Amount>,
}

impl ToolPriceLine {
    fn tools(&self) -> Result<Tools, String> {
        if self.web_search.is_some() && self.web_search_once.is_some() {
            return Err("two prices of one tool".into());
        }
        let mut tools = Tools::default();
        for (tool, price, once) in [
            (Tool::WebSearch, self.web_search, false),
            (Tool::WebSearch, self.web_search_once, true),
            (Tool::WebFetch, self.web_fetch, false),
            (Tool::FileSearch, self.file_search, false),
        ] {
            tools[tool] = price.map(|Amount(each)| ToolPrice { each, once }).or(tools[tool]);
        }
        Ok(tools)
    }
}

/// Prices by kind, as per million tokens.
fn prices(said: &[(Kind, Option<Amount>)]) -> Result<Prices, String> {
    let mut prices = Prices::default();
    for (kind, amount) in said {
        let Some(Amount(amount)) = amount else { continue };
        let per_token = Prices::per_token(*amount).ok_or_else(|| format!("{}: too many decimals", kind.name()))?;
        prices[*kind] = Some(per_token);
    }
    Ok(prices)
}

impl PriceLine {
    fn prices(&self) -> Result<Prices, String> {
        prices(&[
            (Kind::Input, self.input),
            (Kind::Output, self.output),
            (Kind::CacheRead, self.cache_read),
            (Kind::CacheWrite, self.cache_write),
            (Kind::CacheWrite1h, self.cache_write_1h),
            (Kind::CacheWrite12h, self.cache_write_12h),
        ])
    }
}

impl Line {
    fn row(&self) -> Result<Row, String> {
        let service = |line: &Option<PriceLine>| line.as_ref().map(PriceLine::prices).transpose();
        let ratio = |written: Option<Amount>| {
            written.map(|Amount(written)| Ratio::of(written).ok_or("no multiplier")).transpose()
        };
        let long = self.long.iter().map(|line| Ok(Step { above: line.above, prices: line.prices.prices()? }));
        let off_peak = self.off_peak.as_ref().map(|line| {
            let mut hours = Hours::default();
            let days = [(&line.weekdays, &[1, 2, 3, 4, 5][..]), (&line.weekend, &[6, 7])];
            for (text, days) in days.into_iter().flat_map(|(texts, days)| texts.iter().map(move |text| (text, days))) {
                hours.add(text, days).map_err(|why| why.to_string())?;
            }
            Ok::<_, String>(OffPeak { hours, prices: line.prices.prices()? })
        });
        Ok(Row {
            base: prices(&[
                (Kind::Input, Some(self.input)),
                (Kind::Output, Some(self.output)),
                (Kind::CacheRead, self.cache_read),
                (Kind::CacheWrite, self.cache_write),
                (Kind::CacheWrite1h, self.cache_write_1h),
                (Kind::CacheWrite12h, self.cache_write_12h),
                (Kind::Reasoning, self.reasoning),
                (Kind::AudioInput, self.audio_input),
                (Kind::AudioOutput, self.audio_output),
                (Kind::ImageOutput, self.image_output),
            ])?,
            long: long.collect::<Result<_, String>>()?,
            batch: service(&self.batch)?,
            flex: service(&self.flex)?,
            priority: service(&self.priority)?,
            off_peak: off_peak.transpose()?,
            us: ratio(self.us)?,
            fast: ratio(self.fast)?,
            tools: self.tools.tools()?,
        })
    }
}
