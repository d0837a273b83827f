//! What is counted, and for how much of it a price is.

use std::fmt;

use crate::money::GRAIN;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// What is counted of a group, over time, in the smallest whole amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meter {
    /// The group itself: one.
    Group,
    /// Requested processor time per time, in thousandths of a core.
    Cpu,
    /// Requested memory, in bytes.
    Memory,
    /// Requested ephemeral storage, in bytes.
    EphemeralStorage,
    /// Whole accelerators.
    Gpu,
    /// Ports published on the host.
    Port,
    /// Volumes that outlive the group's containers, in bytes.
    Volume,
}

impl Meter {
    /// Every meter with the word that a book has for it.
    pub const ALL: [(&'static str, Self); 7] = [
        ("group", Self::Group),
        ("cpu", Self::Cpu),
        ("memory", Self::Memory),
        ("ephemeral_storage", Self::EphemeralStorage),
        ("gpu", Self::Gpu),
        ("port", Self::Port),
        ("volume", Self::Volume),
    ];

    /// The meter of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        lookup(&Self::ALL, word)
    }

    /// The word that a book has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        word(&Self::ALL, self)
    }

    const fn measures(self, amount: Amount) -> bool {
        matches!(
            (self, amount),
            (Self::Group, Amount::Group)
                | (Self::Cpu, Amount::Core)
                | (Self::Gpu, Amount::Device)
                | (Self::Port, Amount::Port)
                | (
                    Self::Memory | Self::EphemeralStorage | Self::Volume,
                    Amount::Gb | Amount::Gib
                )
        )
    }
}

/// An amount that a price is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Amount {
    /// One group; not spelled.
    Group,
    /// One core.
    Core,
    /// 10⁹ bytes.
    Gb,
    /// 2³⁰ bytes.
    Gib,
    /// One accelerator.
    Device,
    /// One port.
    Port,
}

impl Amount {
    const ALL: [(&'static str, Self); 5] = [
        ("Core", Self::Core),
        ("GB", Self::Gb),
        ("GiB", Self::Gib),
        ("Device", Self::Device),
        ("Port", Self::Port),
    ];

    /// How many of the meter's smallest amounts it is.
    #[must_use]
    pub const fn parts(self) -> u64 {
        match self {
            Self::Group | Self::Device | Self::Port => 1,
            Self::Core => 1000,
            Self::Gb => 1_000_000_000,
            Self::Gib => 1 << 30,
        }
    }

    /// The amount of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        lookup(&Self::ALL, word)
    }
}

/// A span of time that a price is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// One second.
    Second,
    /// 60 seconds.
    Minute,
    /// 3600 seconds.
    Hour,
    /// 24 hours.
    Day,
    /// 30 days, a month of some price lists.
    ThirtyDays,
    /// 730 hours, a month of others.
    Month,
}

impl Span {
    const ALL: [(&'static str, Self); 6] = [
        ("Second", Self::Second),
        ("Minute", Self::Minute),
        ("Hour", Self::Hour),
        ("Day", Self::Day),
        ("30Days", Self::ThirtyDays),
        ("730Hours", Self::Month),
    ];

    /// Its length.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::ThirtyDays => 30 * 86_400,
            Self::Month => 730 * 3600,
        }
    }
}

/// What a price is for: an amount over a span, such as `Core-Hour`, `GB-Second` or `Hour`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// How much.
    pub amount: Amount,
    /// For how long.
    pub span: Span,
}

impl Unit {
    /// Reads a unit that a meter is priced in.
    #[must_use]
    pub fn parse(text: &str, meter: Meter) -> Option<Self> {
        let (amount, span) = match text.split_once('-') {
            Some((amount, span)) => (Amount::parse(amount)?, span),
            None => (Amount::Group, text),
        };
        let span = lookup(&Span::ALL, span)?;
        meter.measures(amount).then_some(Self { amount, span })
    }

    /// How many smallest amounts times nanoseconds one unit is.
    #[must_use]
    pub const fn grains(self) -> u128 {
        self.amount.parts() as u128 * self.span.seconds() as u128 * SECOND_NS as u128
    }

    /// The unit as FOCUS spells it: in the plural.
    #[must_use]
    pub fn plural(self) -> String {
        match self.span {
            Span::ThirtyDays | Span::Month => self.to_string(),
            _ => format!("{self}s"),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = word(&Span::ALL, self.span);
        match self.amount {
            Amount::Group => f.write_str(span),
            amount => write!(f, "{}-{span}", word(&Amount::ALL, amount)),
        }
    }
}

fn lookup<T: Copy>(words: &[(&'static str, T)], wanted: &str) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == wanted);
    found.map(|(_, value)| *value)
}

fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], wanted: T) -> &'static str {
    let found = words.iter().find(|(_, value)| *value == wanted);
    found.map_or("", |(word, _)| *word)
}

/// Every unit's grains divide the grain of money: a unit that does not would make every charge in
/// it fail, so it does not compile.
const _: () = {
    let amounts = [Amount::Group, Amount::Core, Amount::Gb, Amount::Gib];
    let spans = [
        Span::Second,
        Span::Minute,
        Span::Hour,
        Span::Day,
        Span::ThirtyDays,
        Span::Month,
    ];
    let mut i = 0;
    while i < amounts.len() {
        let mut j = 0;
        while j < spans.len() {
            let unit = Unit {
                amount: amounts[i],
                span: spans[j],
            };
            assert!(GRAIN.is_multiple_of(unit.grains()));
            j += 1;
        }
        i += 1;
    }
};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_shown() {
        for (text, meter, grains, plural) in [
            ("Core-Hour", Meter::Cpu, 3_600_000_000_000_000, "Core-Hours"),
            (
                "GB-Second",
                Meter::Memory,
                1_000_000_000_000_000_000,
                "GB-Seconds",
            ),
            ("Second", Meter::Group, 1_000_000_000, "Seconds"),
            (
                "Device-Minute",
                Meter::Gpu,
                60_000_000_000,
                "Device-Minutes",
            ),
            (
                "GB-30Days",
                Meter::Volume,
                2_592_000_000_000_000_000_000_000,
                "GB-30Days",
            ),
        ] {
            let unit = Unit::parse(text, meter).unwrap();
            assert_eq!(unit.grains(), grains, "{text}");
            assert_eq!(unit.to_string(), text);
            assert_eq!(unit.plural(), plural);
        }
    }

    #[test]
    fn a_meter_has_its_own_amounts() {
        for (text, meter) in [
            ("GB-Hour", Meter::Cpu),
            ("Hour", Meter::Memory),
            ("Core-Hour", Meter::Group),
            ("Core-Hours", Meter::Cpu),
            ("core-hour", Meter::Cpu),
            ("", Meter::Group),
        ] {
            assert_eq!(Unit::parse(text, meter), None, "{text}");
        }
        for (word, meter) in Meter::ALL {
            assert_eq!(Meter::parse(word), Some(meter));
            assert_eq!(meter.as_str(), word);
        }
    }
}
