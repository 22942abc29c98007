//! What calls cost, through the whole gateway as users run it: the program over sockets, before a provider that knows what
//! it was asked and what it answered.
//!
//! Each part is small by default and larger by a variable: `TOLLGATE_CRASHES`, `TOLLGATE_MIXED`, `TOLLGATE_HAMMER`,
//! `TOLLGATE_KEYS`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, also in its helpers")]

mod client;
mod gateway;
mod hammer;
mod killed;
mod many;
mod mixed;
mod provider;

/// A number from the environment, for a longer look.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Numbers that look random, again the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
}
