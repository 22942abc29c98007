//! Money: whole pico-dollars, and nothing else.
//!
//! Invariant: an amount is an exact number of 10^-12 US dollars. Nothing here wraps, and no float takes part: what does not
//! fit is `None` or the largest amount there is, whichever the method says. A price list's finest step, a millionth of a
//! dollar per million tokens, is one pico-dollar per token, so tokens times price is exact; the largest amount is about 18
//! million dollars. Currencies other than the dollar, negative amounts and what things cost are not known here.

#[cfg(test)]
mod tests;

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

/// An amount of money in pico-dollars (10^-12 US dollars).
///
/// As text it is dollars with six decimals (micro-dollars, rounded half up); [`Pico::exact`] shows all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pico(u64);

impl Pico {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount, about 18.4 million dollars.
    pub const MAX: Self = Self(u64::MAX);
    /// One dollar.
    pub const DOLLAR: Self = Self(1_000_000_000_000);
    /// A millionth of a dollar.
    pub const MICRO: Self = Self(1_000_000);

    /// So many pico-dollars.
    #[must_use]
    pub const fn new(pico: u64) -> Self {
        Self(pico)
    }

    /// In pico-dollars.
    #[must_use]
    pub const fn pico(self) -> u64 {
        self.0
    }

    /// In whole micro-dollars, rounded half up.
    #[must_use]
    pub const fn micro(self) -> u64 {
        // Not (n + 500,000) / 1,000,000: near the largest amount that sum would wrap.
        let (whole, rest) = (self.0 / Self::MICRO.0, self.0 % Self::MICRO.0);
        whole + (rest >= Self::MICRO.0 / 2) as u64
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum; `None` if it is too large.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(pico) => Some(Self(pico)),
            None => None,
        }
    }

    /// The difference; `None` if it is negative.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(pico) => Some(Self(pico)),
            None => None,
        }
    }

    /// So many times this; `None` if it is too large.
    #[must_use]
    pub const fn checked_mul(self, times: u64) -> Option<Self> {
        match self.0.checked_mul(times) {
            Some(pico) => Some(Self(pico)),
            None => None,
        }
    }

    /// The sum, at most [`Pico::MAX`].
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least nothing.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times this, at most [`Pico::MAX`].
    #[must_use]
    pub const fn saturating_mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }

    /// `part` of `whole` of it, rounded half up, at most [`Pico::MAX`]; nothing of a `whole` of zero.
    #[must_use]
    pub fn share(self, part: u64, whole: u64) -> Self {
        let whole = u128::from(whole);
        if whole == 0 {
            return Self::ZERO;
        }
        let exact = u128::from(self.0) * u128::from(part);
        let pico = exact / whole + u128::from(exact % whole >= whole.div_ceil(2));
        Self(u64::try_from(pico).unwrap_or(u64::MAX))
    }

    /// As text with every decimal that is not zero, and at least two.
    #[must_use]
    pub const fn exact(self) -> Exact {
        Exact(self)
    }
}

/// Dollars, six decimals, without a sign: `0.012346`.
impl fmt::Display for Pico {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micro = self.micro();
        write!(f, "{}.{:06}", micro / 1_000_000, micro % 1_000_000)
    }
}

/// The sum of many, at most [`Pico::MAX`].
impl Sum for Pico {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

/// An amount whose text is exact: `0.0123456789`, `25.00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact(Pico);

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut rest) = (self.0.0 / Pico::DOLLAR.0, self.0.0 % Pico::DOLLAR.0);
        let mut decimals = DECIMALS;
        while decimals > 2 && rest % 10 == 0 {
            rest /= 10;
            decimals -= 1;
        }
        write!(f, "{whole}.{rest:0decimals$}")
    }
}

/// How many decimals of a dollar there are.
const DECIMALS: usize = 12;

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotMoney {
    /// It is not digits with at most one point among them.
    Form,
    /// It is below zero.
    Negative,
    /// It has more than twelve decimals.
    TooFine,
    /// It is more than the largest amount.
    TooLarge,
}

impl fmt::Display for NotMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "not an amount in dollars",
            Self::Negative => "an amount below zero",
            Self::TooFine => "an amount with more than twelve decimals",
            Self::TooLarge => "an amount above 18 million dollars",
        })
    }
}

impl std::error::Error for NotMoney {}

/// Dollars: `25`, `$25`, `0.25`. No exponents, no thousands separators, no blanks.
impl FromStr for Pico {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let digits = text.strip_prefix('$').unwrap_or(text);
        if digits.starts_with('-') {
            return Err(NotMoney::Negative);
        }
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
        let only_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !only_digits(whole) || !only_digits(decimals) {
            return Err(NotMoney::Form);
        }
        // Zeros at the end say nothing more.
        let decimals = decimals.trim_end_matches('0');
        let Some(missing) = DECIMALS.checked_sub(decimals.len()) else { return Err(NotMoney::TooFine) };
        let each = (0..missing).fold(1_u64, |power, _| power * 10);
        let rest = if decimals.is_empty() { 0 } else { decimals.parse::<u64>().map_err(|_| NotMoney::Form)? * each };
        let dollars: u64 = whole.parse().map_err(|_| NotMoney::TooLarge)?;
        let dollars = Self::DOLLAR.checked_mul(dollars).ok_or(NotMoney::TooLarge)?;
        dollars.checked_add(Self(rest)).ok_or(NotMoney::TooLarge)
    }
}
