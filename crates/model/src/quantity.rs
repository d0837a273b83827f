//! Kubernetes quantities (`500m`, `1.5`, `128Mi`, `1e3`), exact, without floats.

use std::fmt;

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text does not follow the grammar.
    #[error(
        "{0:?} is not a quantity: write a number with an optional suffix such as m, k, M, G, Ki, Mi or Gi"
    )]
    Syntax(String),
    /// The value is below zero.
    #[error("{0:?} is negative")]
    Negative(String),
    /// The value does not fit.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

/// An exact non-negative quantity, held in nano units as Kubernetes' smallest suffix (`n`) is.
/// Finer fractions are rounded up, as Kubernetes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nano: u128,
}

const NANO: u128 = 1_000_000_000;

impl Quantity {
    /// Parses Kubernetes' quantity grammar.
    ///
    /// # Errors
    /// The text is not a quantity, is negative, or does not fit 2⁹⁶ nano units.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let syntax = || QuantityError::Syntax(text.to_owned());
        let large = || QuantityError::TooLarge(text.to_owned());
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        let (unsigned, negative) = match unsigned.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (unsigned, false),
        };
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(syntax());
        }
        let scale = Scale::of(suffix).ok_or_else(syntax)?;
        if whole.len() + fraction.len() > 36 {
            return Err(large());
        }
        let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_| syntax())?;
        if negative && digits != 0 {
            return Err(QuantityError::Negative(text.to_owned()));
        }
        let nano = scale.nano(digits, fraction.len()).ok_or_else(large)?;
        if nano >= 1 << 96 {
            return Err(large());
        }
        Ok(Self { nano })
    }

    /// Whole units, rounded up.
    #[must_use]
    pub const fn ceil_units(self) -> u128 {
        self.nano.div_ceil(NANO)
    }

    /// Whole units; nothing if there is a fraction.
    #[must_use]
    pub const fn units(self) -> Option<u128> {
        match self.nano % NANO {
            0 => Some(self.nano / NANO),
            _ => None,
        }
    }

    /// Thousandths, rounded up.
    #[must_use]
    pub const fn ceil_milli(self) -> u128 {
        self.nano.div_ceil(NANO / 1000)
    }
}

/// How a suffix scales a number: by `multiplier`, and by a power of ten.
struct Scale {
    multiplier: u128,
    exponent: i32,
}

impl Scale {
    fn of(suffix: &str) -> Option<Self> {
        let decimal = |exponent| {
            Some(Self {
                multiplier: 1,
                exponent,
            })
        };
        let binary = |power: u32| {
            Some(Self {
                multiplier: 1 << (10 * power),
                exponent: 0,
            })
        };
        match suffix {
            "" => decimal(0),
            "n" => decimal(-9),
            "u" => decimal(-6),
            "m" => decimal(-3),
            "k" => decimal(3),
            "M" => decimal(6),
            "G" => decimal(9),
            "T" => decimal(12),
            "P" => decimal(15),
            "E" => decimal(18),
            "Ki" => binary(1),
            "Mi" => binary(2),
            "Gi" => binary(3),
            "Ti" => binary(4),
            "Pi" => binary(5),
            "Ei" => binary(6),
            _ => {
                let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
                (-30..=30).contains(&exponent).then_some(Self {
                    multiplier: 1,
                    exponent,
                })
            }
        }
    }

    fn nano(&self, digits: u128, fraction_len: usize) -> Option<u128> {
        let exponent = self.exponent + 9 - i32::try_from(fraction_len).ok()?;
        let scaled = digits.checked_mul(self.multiplier)?;
        if digits == 0 {
            return Some(0);
        }
        let power = 10u128.checked_pow(exponent.unsigned_abs())?;
        if exponent >= 0 {
            scaled.checked_mul(power)
        } else {
            Some(scaled.div_ceil(power))
        }
    }
}

/// Processor time per time, in thousandths of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MilliCpu(pub u64);

impl MilliCpu {
    /// Parses a cpu quantity (`500m`, `1.5`), rounding up to a thousandth.
    ///
    /// # Errors
    /// The text is not a quantity or does not fit.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let milli = Quantity::parse(text)?.ceil_milli();
        u64::try_from(milli)
            .map(Self)
            .map_err(|_| QuantityError::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", self.0 / 1000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Parses a memory or storage quantity (`128Mi`, `1G`), rounding up to a byte. The largest
    /// value is 2⁶³ − 1, the kernel's.
    ///
    /// # Errors
    /// The text is not a quantity or does not fit.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let units = Quantity::parse(text)?.ceil_units();
        match u64::try_from(units) {
            Ok(bytes) if i64::try_from(bytes).is_ok() => Ok(Self(bytes)),
            _ => Err(QuantityError::TooLarge(text.to_owned())),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (power, suffix) in [(40u32, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")] {
            if self.0 != 0 && self.0.is_multiple_of(1 << power) {
                return write!(f, "{}{suffix}", self.0 >> power);
            }
        }
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_what_kubernetes_parses() {
        for (text, milli) in [
            ("1", 1000),
            ("500m", 500),
            ("0.1", 100),
            (".5", 500),
            ("1.", 1000),
            ("1e3", 1_000_000),
            ("1E-3", 1),
            ("100n", 1),
            ("0", 0),
            ("-0", 0),
            ("+2", 2000),
            ("2k", 2_000_000),
        ] {
            assert_eq!(MilliCpu::parse(text), Ok(MilliCpu(milli)), "{text}");
        }
        for (text, bytes) in [
            ("128Mi", 128 << 20),
            ("1.5Gi", 3 << 29),
            ("1G", 1_000_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("1m", 1),
            ("7Ei", 7 << 60),
        ] {
            assert_eq!(Bytes::parse(text), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "", "m", ".", "1.2.3", "1 Gi", "1gi", "0x10", "1KB", "1e", "1e99", "NaN", "１",
        ] {
            assert!(
                matches!(Quantity::parse(text), Err(QuantityError::Syntax(_))),
                "{text}"
            );
        }
        assert!(matches!(
            Quantity::parse("-1"),
            Err(QuantityError::Negative(_))
        ));
        assert!(matches!(
            Bytes::parse("8Ei"),
            Err(QuantityError::TooLarge(_))
        ));
        assert!(matches!(
            Bytes::parse(&"9".repeat(50)),
            Err(QuantityError::TooLarge(_))
        ));
    }

    #[test]
    fn fractions_are_no_whole_units() {
        for (text, units) in [
            ("0", Some(0)),
            ("2", Some(2)),
            ("2000m", Some(2)),
            ("1k", Some(1000)),
            ("1500m", None),
            ("0.1", None),
            ("1n", None),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().units(), units, "{text}");
        }
    }

    proptest! {
        #[test]
        fn display_round_trips(bytes in 0..i64::MAX as u64, milli in 0..u64::MAX >> 8) {
            prop_assert_eq!(Bytes::parse(&Bytes(bytes).to_string()), Ok(Bytes(bytes)));
            prop_assert_eq!(MilliCpu::parse(&MilliCpu(milli).to_string()), Ok(MilliCpu(milli)));
        }

        #[test]
        fn never_panics(text in "[-+]?[0-9.]{0,40}[a-zA-Z0-9-]{0,4}") {
            let _ = Quantity::parse(&text);
        }
    }
}
