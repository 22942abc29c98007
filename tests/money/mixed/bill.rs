//! Prices and bills, reckoned without the program: plain tables, plain integers, in pico-dollars.

use super::Dialect;
use crate::Dice;

/// What an answer used, as the provider would bill it. The kinds do not overlap, but `reasoning` is part of `output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    pub input: u64,
    pub read: u64,
    pub write: u64,
    /// For an hour (Anthropic) or twelve (OpenAI).
    pub write_long: u64,
    pub output: u64,
    pub reasoning: u64,
    pub audio_in: u64,
    pub audio_out: u64,
    pub web_search: u64,
    pub tier: Tier,
    pub us: bool,
    pub fast: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    Standard,
    Batch,
    Flex,
    Priority,
}

/// Dollars for a million tokens, as tenths of cents: whole numbers.
#[derive(Debug)]
pub struct Prices {
    pub input: u64,
    pub read: u64,
    pub write: u64,
    pub write_long: u64,
    pub output: u64,
    pub reasoning: u64,
    pub audio_in: u64,
    pub audio_out: u64,
}

#[derive(Debug)]
pub struct Model {
    pub name: &'static str,
    /// As the configuration names what it is found by.
    pub route: &'static str,
    pub provider: &'static str,
    pub usual: Prices,
    /// Above so many tokens of input, these.
    pub long: Option<(u64, Prices)>,
    /// What the tiers change every price by, in percent; none: the model has no such tier.
    pub batch: Option<u64>,
    pub flex: Option<u64>,
    pub priority: Option<u64>,
    /// In percent.
    pub us: Option<u64>,
    pub fast: Option<u64>,
    /// Tenths of cents a use.
    pub web_search: Option<u64>,
    pub audio: bool,
}

impl Used {
    pub const NOTHING: Self = Self {
        input: 0,
        read: 0,
        write: 0,
        write_long: 0,
        output: 0,
        reasoning: 0,
        audio_in: 0,
        audio_out: 0,
        web_search: 0,
        tier: Tier::Standard,
        us: false,
        fast: false,
    };

    /// Anything that the dialect can tell and the model has a price for.
    pub fn roll(dice: &mut Dice, dialect: Dialect, model: &Model) -> Self {
        let mut some = |most: u64| if dice.below(2) == 0 { dice.below(most) } else { 0 };
        let (read, write, write_long) = (some(90_000), some(9_000), some(9_000));
        let (audio_in, audio_out, web_search) = (some(500), some(500), some(4));
        let writes = dialect != Dialect::Gemini && model.usual.write > 0;
        let long = writes && model.usual.write_long > 0;
        let heard = model.audio && matches!(dialect, Dialect::Chat | Dialect::Gemini);
        let anthropic = dialect == Dialect::Anthropic;
        let searches = model.web_search.is_some() && matches!(dialect, Dialect::Anthropic | Dialect::Responses);
        let long_context = if dice.below(5) == 0 { 280_000 } else { 0 };
        let output = 1 + dice.below(4_000);
        let tiers = [(Tier::Batch, model.batch), (Tier::Flex, model.flex), (Tier::Priority, model.priority)];
        let tier = match tiers[dice.below(3) as usize] {
            // Anthropic has no such tier, and who asks Gemini for batches asks elsewhere.
            (Tier::Flex, _) if anthropic => Tier::Standard,
            (tier, Some(_)) if dice.below(2) == 0 => tier,
            _ => Tier::Standard,
        };
        let audio_out = if heard { audio_out.min(output / 4) } else { 0 };
        Self {
            input: 20 + dice.below(3_000) + long_context + if heard { audio_in } else { 0 },
            read,
            write: if writes { write } else { 0 },
            write_long: if long && dialect != Dialect::Gemini { write_long } else { 0 },
            output,
            reasoning: if dice.below(2) == 0 { dice.below(output / 2 + 1) } else { 0 },
            audio_in: if heard { audio_in } else { 0 },
            audio_out,
            web_search: if searches { web_search } else { 0 },
            tier,
            us: anthropic && model.us.is_some() && dice.below(4) == 0,
            fast: anthropic && model.fast.is_some() && dice.below(4) == 0,
        }
    }
}

impl Model {
    pub fn cost(&self, used: &Used) -> u64 {
        let whole = used.input + used.read + used.write + used.write_long;
        let prices = match &self.long {
            Some((above, prices)) if whole > *above => prices,
            _ => &self.usual,
        };
        let tokens = [
            (used.input - used.audio_in, prices.input),
            (used.read, prices.read),
            (used.write, prices.write),
            (used.write_long, prices.write_long),
            (used.output - used.reasoning - used.audio_out, prices.output),
            (used.reasoning, prices.reasoning),
            (used.audio_in, prices.audio_in),
            (used.audio_out, prices.audio_out),
        ];
        // A thousandth of a dollar for a million tokens is a thousand pico-dollars for one.
        let sum: u128 = tokens.iter().map(|(count, price)| u128::from(count * price) * 1_000).sum();
        let tier = match used.tier {
            Tier::Standard => 100,
            Tier::Batch => self.batch.unwrap(),
            Tier::Flex => self.flex.unwrap(),
            Tier::Priority => self.priority.unwrap(),
        };
        let factor = |said: bool, percent: Option<u64>| if said { percent.unwrap() } else { 100 };
        let factors = [tier, factor(used.us, self.us), factor(used.fast, self.fast)];
        let sum = factors.iter().fold(sum, |sum, percent| {
            let times = sum * u128::from(*percent);
            assert_eq!(times % 100, 0, "prices are chosen so that nothing is to be rounded");
            times / 100
        });
        let tools = used.web_search * self.web_search.unwrap_or(0) * 1_000_000_000;
        u64::try_from(sum).unwrap() + tools
    }
}

/// Two models that a dialect is asked for.
pub const fn models(dialect: Dialect) -> [&'static Model; 2] {
    match dialect {
        Dialect::Anthropic => [&OWN, &CLAUDE],
        Dialect::Chat | Dialect::Responses => [&OWN, &GPT],
        Dialect::Gemini => [&OWN, &GEMINI],
    }
}

/// Every kind has a price of its own, so that none can pass for another.
static OWN: Model = Model {
    name: "own-model",
    route: "own-model",
    provider: "own",
    usual: Prices {
        input: 3_000,
        read: 300,
        write: 3_740,
        write_long: 6_020,
        output: 15_000,
        reasoning: 17_000,
        audio_in: 32_000,
        audio_out: 64_000,
    },
    long: Some((
        200_000,
        Prices {
            input: 6_000,
            read: 620,
            write: 7_480,
            write_long: 12_060,
            output: 22_520,
            reasoning: 25_500,
            audio_in: 64_000,
            audio_out: 96_000,
        },
    )),
    batch: Some(50),
    flex: Some(50),
    priority: Some(200),
    us: Some(110),
    fast: Some(600),
    web_search: Some(10),
    audio: true,
};

/// <https://platform.claude.com/docs/en/about-claude/pricing>, as of 2026-11-22.
static CLAUDE: Model = Model {
    name: "claude-sonnet-4-6",
    route: "claude-*",
    provider: "anthropic",
    usual: Prices {
        input: 3_000,
        read: 300,
        write: 3_750,
        write_long: 6_000,
        output: 15_000,
        reasoning: 15_000,
        audio_in: 0,
        audio_out: 0,
    },
    long: None,
    batch: Some(50),
    flex: None,
    priority: None,
    us: Some(110),
    fast: None,
    web_search: Some(10),
    audio: false,
};

/// <https://developers.openai.com/api/docs/pricing>, as of 2026-11-22.
static GPT: Model = Model {
    name: "gpt-5.6-terra",
    route: "gpt-*",
    provider: "openai",
    usual: Prices {
        input: 2_000,
        read: 200,
        write: 2_500,
        write_long: 5_000,
        output: 12_000,
        reasoning: 12_000,
        audio_in: 0,
        audio_out: 0,
    },
    long: Some((
        272_000,
        Prices {
            input: 4_000,
            read: 400,
            write: 5_000,
            write_long: 10_000,
            output: 18_000,
            reasoning: 18_000,
            audio_in: 0,
            audio_out: 0,
        },
    )),
    batch: Some(50),
    flex: Some(50),
    priority: Some(200),
    us: None,
    fast: None,
    web_search: Some(10),
    audio: false,
};

/// <https://ai.google.dev/gemini-api/docs/pricing>, as of 2026-11-22.
static GEMINI: Model = Model {
    name: "gemini-4-argon",
    route: "gemini-*",
    provider: "gemini",
    usual: Prices {
        input: 2_000,
        read: 100,
        write: 0,
        write_long: 0,
        output: 10_000,
        reasoning: 10_000,
        audio_in: 0,
        audio_out: 0,
    },
    long: None,
    batch: None,
    flex: Some(50),
    priority: Some(180),
    us: None,
    fast: None,
    web_search: None,
    audio: false,
};

/// The prices of our own model, as an operator says them.
pub fn own_prices() -> String {
    let list = |prices: &Prices, percent: u64| {
        let dollars = |price: u64| format!("\"{}.{:05}\"", price * percent / 100_000, price * percent % 100_000);
        let kinds = [
            ("input", prices.input),
            ("cache_read", prices.read),
            ("cache_write", prices.write),
            ("cache_write_1h", prices.write_long),
            ("cache_write_12h", prices.write_long),
            ("output", prices.output),
            ("reasoning", prices.reasoning),
            ("audio_input", prices.audio_in),
            ("audio_output", prices.audio_out),
        ];
        kinds.map(|(kind, price)| format!("{kind} = {}", dollars(price))).join(", ")
    };
    let (above, long) = OWN.long.as_ref().unwrap();
    format!(
        "[[price]]\nprovider = 'own'\nmodel = 'own-model'\n{}\nlong = [{{ above = {above}, {} }}]\nbatch = {{ {} }}\n\
         flex = {{ {} }}\npriority = {{ {} }}\nus = \"1.1\"\nfast = 6\ntools = {{ web_search = \"0.01\" }}\n",
        list(&OWN.usual, 100).replace(", ", "\n"),
        list(long, 100),
        list(&OWN.usual, 50),
        list(&OWN.usual, 50),
        list(&OWN.usual, 200),
    )
}
