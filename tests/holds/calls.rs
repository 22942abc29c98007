//! What calls cost, drawn at random but always the same: costs as agents cause them, with tails.

use tollgate::ledger::account::Wanted;
use tollgate::ledger::bound::Bound;
use tollgate::money::Pico;

/// Random numbers of a seed (splitmix64).
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Between 0 and 1, neither included.
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Log-normal: its median, and the deviation of its logarithm.
    fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let normal = (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        median * (sigma * normal).exp()
    }
}

/// A call, as only fate knows it.
#[derive(Clone, Copy)]
pub struct Call {
    /// Which kind it is: what is learnt, is learnt by kind.
    pub kind: usize,
    pub cost: Pico,
    /// The part of it that can be seen while it streams.
    pub visible: Pico,
    pub thought: Wanted,
    /// In milliseconds.
    pub takes: u64,
}

/// Where calls come from.
#[derive(Clone, Copy, PartialEq)]
pub enum Source {
    /// One kind of call of which nothing is known before its end: σ = 1.5, a ceiling of 128 mean calls.
    Blind,
    /// Agents: long prompts that mostly come from the cache, answers far below their caps, hidden reasoning, small helpers.
    Agents,
}

impl Source {
    /// What a call costs on average, in dollars.
    pub const fn mean(self) -> f64 {
        match self {
            Self::Blind => 0.01,
            Self::Agents => 0.049,
        }
    }

    pub fn call(self, random: &mut Random) -> Call {
        match self {
            Self::Blind => blind(random),
            Self::Agents if random.unit() < 0.2 => helper(random),
            Self::Agents => turn(random),
        }
    }
}

fn blind(random: &mut Random) -> Call {
    let calls = random.log_normal((-1.125_f64).exp(), 1.5).min(128.0);
    Call {
        kind: 0,
        cost: pico(calls * 0.01),
        visible: Pico::ZERO,
        thought: thought(0.045, 1.28),
        takes: millis(0.3 + calls.sqrt()),
    }
}

/// A turn of a large model: 5, 0.4 and 20 dollars for a million tokens written to the cache, read from it, and answered.
fn turn(random: &mut Random) -> Call {
    let cap = if random.unit() < 0.5 { 32_000.0 } else { 128_000.0 };
    let body = random.log_normal(120e3, 0.7).clamp(40e3, 2e6);
    let tokens = body / 4.0;
    let (read, written) = if random.unit() < 0.08 { (0.0, tokens) } else { (tokens * 0.94, tokens * 0.06) };
    let shown = random.log_normal(300.0, 1.5);
    let hidden = if random.unit() < 0.5 { random.log_normal(250.0, 1.5) } else { 0.0 };
    let fits = (cap / (shown + hidden)).min(1.0);
    let (shown, hidden) = (shown * fits, hidden * fits);
    let input = (read * 0.4 + written * 5.0) / 1e6;
    let visible = if random.unit() < 0.9 { input + shown * 20.0 / 1e6 } else { 0.0 };
    Call {
        kind: 1,
        cost: pico(input + (shown + hidden) * 20.0 / 1e6),
        visible: pico(visible),
        thought: thought((body * 5.0 + 4_096.0 * 20.0) / 1e6, (body * 5.0 + cap * 20.0) / 1e6),
        takes: millis(1.0 + (shown + hidden) / 80.0),
    }
}

/// A title or a summary by a small model.
fn helper(random: &mut Random) -> Call {
    let output = random.log_normal(40.0, 1.0).min(32_000.0);
    let dollars = |input: f64, output: f64| (input * 0.3 + output * 2.5) / 1e6;
    Call {
        kind: 2,
        cost: pico(dollars(750.0, output)),
        visible: Pico::ZERO,
        thought: thought(dollars(3_000.0, 4_096.0), dollars(3_000.0, 32_000.0)),
        takes: 500,
    }
}

fn thought(usual: f64, ceiling: f64) -> Wanted {
    let cost = Bound::guess(pico(usual).pico(), pico(ceiling).pico());
    Wanted { cost, input: Bound::exact(0), output: Bound::exact(0) }
}

pub fn pico(dollars: f64) -> Pico {
    Pico::new((dollars * 1e12) as u64)
}

fn millis(seconds: f64) -> u64 {
    (seconds * 1e3) as u64 + 1
}
