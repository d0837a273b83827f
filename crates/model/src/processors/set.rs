//! Sets of processors, as the kernel numbers and lists them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The highest number that a processor can have: far above what the kernel can be built for, so that
/// a list cannot ask for more memory than a machine has.
const PROCESSOR_MAX: u32 = 65_535;

/// Some processors of a machine. Its text is the kernel's: `0-3,8`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessorSet(BTreeSet<u32>);

/// A text that does not list processors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a list of processors, such as `0-3,8`")]
pub struct ProcessorSetError(String);

impl ProcessorSet {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them has this number.
    #[must_use]
    pub fn contains(&self, processor: u32) -> bool {
        self.0.contains(&processor)
    }

    /// Their numbers, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// Those of either.
    #[must_use]
    pub fn with(&self, more: &Self) -> Self {
        self.0.union(&more.0).copied().collect()
    }

    /// Those that are not of the other.
    #[must_use]
    pub fn without(&self, less: &Self) -> Self {
        self.0.difference(&less.0).copied().collect()
    }

    /// Those of both.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        self.0.intersection(&other.0).copied().collect()
    }
}

impl FromIterator<u32> for ProcessorSet {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        Self(numbers.into_iter().collect())
    }
}

impl fmt::Display for ProcessorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = numbers.next() {
            let mut last = first;
            while let Some(next) = numbers.next_if(|next| *next == last + 1) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl FromStr for ProcessorSet {
    type Err = ProcessorSetError;

    /// No text is no processors, as the kernel writes it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ProcessorSetError(text.to_owned());
        let number = |text: &str| {
            let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let number = is_plain.then(|| text.parse::<u32>().ok()).flatten();
            number.filter(|n| *n <= PROCESSOR_MAX).ok_or_else(wrong)
        };
        let mut set = BTreeSet::new();
        for part in text.trim().split(',').filter(|_| !text.trim().is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(wrong());
            }
            set.extend(first..=last);
        }
        Ok(Self(set))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        for (text, numbers, written) in [
            ("0\n", &[0][..], "0"),
            ("0-1", &[0, 1], "0-1"),
            ("3,0-1,2,8", &[0, 1, 2, 3, 8], "0-3,8"),
            ("1,3,5-6", &[1, 3, 5, 6], "1,3,5-6"),
            ("\n", &[], ""),
        ] {
            let set: ProcessorSet = text.parse().unwrap();
            assert_eq!(set.iter().collect::<Vec<_>>(), numbers, "{text:?}");
            assert_eq!(set.to_string(), written);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "a",
            "1-",
            "-1",
            "2-1",
            "1,,2",
            "1,",
            "+1",
            "0x1",
            "1 2",
            "65536",
            "0-4294967295",
        ] {
            assert!(bad.parse::<ProcessorSet>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sets_are_put_together() {
        let set = |text: &str| text.parse::<ProcessorSet>().unwrap();
        assert_eq!(set("0-3").without(&set("1,7")), set("0,2-3"));
        assert_eq!(set("0-1").with(&set("1,3")), set("0-1,3"));
        assert_eq!(set("0-3").within(&set("2-9")), set("2-3"));
    }
}
