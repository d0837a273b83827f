//! Exact money. No floats, and no rounding before somebody looks.
//!
//! A price is a decimal with at most 18 fraction digits, for a unit such as a core-hour. A quantity
//! is a whole number of the smallest things we count, such as millicore·nanoseconds. An hour has
//! 3600 seconds and a GiB 2³⁰ bytes, so what a quantity costs is seldom a finite decimal; but every
//! unit that a price may be for divides one number, the [`GRAIN`]. Held as a multiple of 10⁻¹⁸ /
//! `GRAIN` every cost is a whole number: sums are exact in any order, and only showing them rounds.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};

use ethnum::I256;

/// Fraction digits of a price.
pub const FRACTION_DIGITS: usize = 18;
/// What every divisor of [`Money::charge`] divides: nanoseconds in a second, seconds in an hour, a
/// day, 30 days and 730 hours, and thousandths, 10⁹ and 2³⁰ of an amount.
pub const GRAIN: u128 = 1_000_000_000 * 189_216_000 * (1 << 30) * 1_953_125;

const ONE: i128 = 1_000_000_000_000_000_000;

/// Why arithmetic with money has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is no decimal.
    #[error("{0:?} is not a decimal number such as 0.0405, with at most 18 fraction digits")]
    Syntax(String),
    /// The number does not fit.
    #[error("{0} is too large")]
    TooLarge(String),
    /// The product of two decimals has more fraction digits than we hold.
    #[error("{0} times {1} has more than 18 fraction digits")]
    TooFine(Decimal, Decimal),
    /// The divisor is not one of a unit.
    #[error("{0} does not divide the grain of money")]
    OddDivisor(u128),
}

/// A decimal number with at most 18 fraction digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(i128);

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One.
    pub const ONE: Self = Self(ONE);

    /// The number whose 18-digit fraction is written without the point.
    #[must_use]
    pub const fn from_raw(raw: i128) -> Self {
        Self(raw)
    }

    /// The number times 10¹⁸.
    #[must_use]
    pub const fn raw(self) -> i128 {
        self.0
    }

    /// Reads digits with at most one point; a sign, an exponent and separators are refused.
    ///
    /// # Errors
    /// The text is something else, has more than 18 fraction digits, or does not fit.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let syntax = || MoneyError::Syntax(text.to_owned());
        let large = || MoneyError::TooLarge(text.to_owned());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > FRACTION_DIGITS {
            return Err(syntax());
        }
        let whole: i128 = whole.parse().map_err(|_| large())?;
        let fraction: i128 = format!("{fraction:0<18}").parse().map_err(|_| syntax())?;
        let scaled = whole.checked_mul(ONE).ok_or_else(large)?;
        scaled.checked_add(fraction).map(Self).ok_or_else(large)
    }

    /// The sum, saturating.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, saturating.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The product, if 18 fraction digits hold it.
    ///
    /// # Errors
    /// They do not, or it does not fit.
    pub fn times(self, other: Self) -> Result<Self, MoneyError> {
        let product = I256::from(self.0) * I256::from(other.0);
        if product % I256::from(ONE) != I256::ZERO {
            return Err(MoneyError::TooFine(self, other));
        }
        let product = i128::try_from(product / I256::from(ONE));
        let product = product.map_err(|_| MoneyError::TooLarge(format!("{self} times {other}")))?;
        Ok(Self(product))
    }

    /// The product to its last digit, as text.
    #[must_use]
    pub fn product_text(self, other: Self) -> String {
        plain(self.product_raw(other), 2 * FRACTION_DIGITS)
    }

    /// The product times 10³⁶.
    pub(crate) fn product_raw(self, other: Self) -> I256 {
        I256::from(self.0) * I256::from(other.0)
    }

    /// The number as a whole number of 1/`per`, if it is one.
    #[must_use]
    pub fn in_parts(self, per: u64) -> Option<u64> {
        let parts = I256::from(self.0) * I256::from(per);
        let whole = parts % I256::from(ONE) == I256::ZERO;
        whole.then(|| u64::try_from(parts / I256::from(ONE)).ok())?
    }

    /// `numerator` / `denominator`, rounded down to 18 fraction digits; nothing if that does not fit.
    #[must_use]
    pub fn floor_ratio(numerator: u128, denominator: u128) -> Option<Self> {
        let scaled = I256::from(numerator) * I256::from(ONE);
        let floor = scaled.checked_div_euclid(I256::from(denominator))?;
        i128::try_from(floor).ok().map(Self)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain(I256::from(self.0), FRACTION_DIGITS))
    }
}

/// An exact amount of a currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(I256);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(I256::ZERO);
    /// More than anybody has.
    pub const MAX: Self = Self(I256::MAX);

    /// What `quantity` costs at `price` for each `per` of it.
    ///
    /// # Errors
    /// `per` is none of a unit, or the cost does not fit.
    pub fn charge(quantity: u128, price: Decimal, per: u128) -> Result<Self, MoneyError> {
        if per == 0 || !GRAIN.is_multiple_of(per) {
            return Err(MoneyError::OddDivisor(per));
        }
        let scale = I256::from(GRAIN / per);
        let product = I256::from(quantity).checked_mul(I256::from(price.0));
        let cost = product.and_then(|product| product.checked_mul(scale));
        let large = || MoneyError::TooLarge(format!("{quantity} at {price}"));
        cost.map(Self).ok_or_else(large)
    }

    /// Whole decimals of the currency.
    #[must_use]
    pub fn from_decimal(amount: Decimal) -> Self {
        Self(I256::from(amount.0) * I256::from(GRAIN))
    }

    /// The amount in the smallest units that there are: 10⁻¹⁸ / [`GRAIN`].
    pub(crate) const fn grains(self) -> I256 {
        self.0
    }

    /// The same, back.
    pub(crate) const fn from_grains(grains: I256) -> Self {
        Self(grains)
    }

    /// This many times the amount.
    ///
    /// # Errors
    /// The product does not fit.
    pub fn times(self, factor: i64) -> Result<Self, MoneyError> {
        let product = self.0.checked_mul(I256::from(factor));
        let large = || MoneyError::TooLarge(format!("{self} times {factor}"));
        product.map(Self).ok_or_else(large)
    }

    /// The amount in equal parts, rounded down to the smallest amount that there is.
    #[must_use]
    pub fn divided(self, parts: u32) -> Self {
        Self(self.0.div_euclid(I256::from(parts.max(1))))
    }

    /// How often `other` fits in, rounded down to 18 fraction digits; nothing if it is zero or the
    /// ratio does not fit.
    #[must_use]
    pub fn ratio(self, other: Self) -> Option<Decimal> {
        let scaled = self.0.checked_mul(I256::from(ONE))?;
        let ratio = scaled.checked_div_euclid(other.0)?;
        i128::try_from(ratio).ok().map(Decimal)
    }

    /// The amount rounded, half to even, to `digits` fraction digits of which all are shown.
    #[must_use]
    pub fn rounded(self, digits: usize) -> String {
        let digits = digits.min(FRACTION_DIGITS);
        let text = plain(self.round_to(digits), digits);
        match (digits, text.find('.')) {
            (0, _) => text,
            (_, None) => format!("{text}.{}", "0".repeat(digits)),
            (_, Some(point)) => {
                let missing = digits - (text.len() - point - 1);
                format!("{text}{}", "0".repeat(missing))
            }
        }
    }

    /// The amount rounded, half to even, to `digits` fraction digits, without zeros at its end.
    #[must_use]
    pub fn shown(self, digits: usize) -> String {
        let digits = digits.min(FRACTION_DIGITS);
        plain(self.round_to(digits), digits)
    }

    /// The amount rounded to so many `significant` digits, of which at most `digits` are behind the point.
    /// What is in front of it stays.
    #[must_use]
    pub fn rough(self, significant: usize, digits: usize) -> String {
        let text = self.to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let whole = whole.trim_start_matches(['-', '0']).len();
        let zeros = match whole {
            0 => fraction.len() - fraction.trim_start_matches('0').len(),
            _ => 0,
        };
        self.shown((zeros + significant).saturating_sub(whole).min(digits))
    }

    /// The amount in units of 10⁻ᵈⁱᵍⁱᵗˢ, half to even.
    fn round_to(self, digits: usize) -> I256 {
        let step = (digits..FRACTION_DIGITS).fold(I256::from(GRAIN), |step, _| step * 10);
        let (floor, rest) = (self.0.div_euclid(step), self.0.rem_euclid(step));
        let odd = floor % 2 != I256::ZERO;
        match (rest * 2).cmp(&step) {
            std::cmp::Ordering::Greater => floor + 1,
            std::cmp::Ordering::Equal if odd => floor + 1,
            _ => floor,
        }
    }
}

impl fmt::Display for Money {
    /// At most 18 fraction digits, rounded half to even.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain(self.round_to(FRACTION_DIGITS), FRACTION_DIGITS))
    }
}

impl Add for Money {
    type Output = Self;
    /// Saturates: at 10²⁵ of a currency no bill is right anyway.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// A count of 10⁻ᵈⁱᵍⁱᵗˢ as a decimal, without zeros at its end: nanoseconds as seconds with nine.
#[must_use]
pub fn fixed(count: u128, digits: usize) -> String {
    plain(I256::from(count), digits)
}

/// A number with a fixed number of fraction digits, without zeros at its end.
/// A count of 10⁻ᵈⁱᵍⁱᵗˢ as a decimal, without zeros at its end.
pub(crate) fn decimal(count: u128, digits: usize) -> String {
    plain(I256::from(count), digits)
}

fn plain(scaled: I256, digits: usize) -> String {
    let sign = if scaled < I256::ZERO { "-" } else { "" };
    let all = format!("{:0>width$}", scaled.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = all.split_at(all.len() - digits);
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
