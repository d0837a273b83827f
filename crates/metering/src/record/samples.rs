//! How often a group used how much: counts of samples by their size.
//!
//! Sizes below 16 have a bucket each, and every power of two from there on has eight, so that what
//! a bucket stands for is an eighth off at most, and a few dozen numbers tell of a group's life.

use std::collections::BTreeMap;

/// How many buckets there are: every `u64` has one.
pub const BUCKETS: u16 = 496;
/// Values that have a bucket of their own.
const EXACT: u64 = 16;
/// The power of two that the first value with neighbours in its bucket has.
const FIRST_POWER: u32 = 4;
/// Buckets of a power of two, as a power of two.
const SHARES_POWER: u32 = 3;

/// Samples since the session was opened: counts only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// Processor use, in thousandths of a core.
    pub cpu: Histogram,
    /// Memory, in bytes.
    pub memory: Histogram,
}

impl Samples {
    /// Those that are not in an earlier count of the same session.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu: self.cpu.since(&earlier.cpu),
            memory: self.memory.since(&earlier.memory),
        }
    }

    /// Those of both.
    pub fn add(&mut self, other: &Self) {
        self.cpu.combine(&other.cpu, u32::saturating_add);
        self.memory.combine(&other.memory, u32::saturating_add);
    }

    /// The greater of each count: what is told late changes nothing.
    pub(crate) fn raise(&mut self, other: &Self) {
        self.cpu.combine(&other.cpu, u32::max);
        self.memory.combine(&other.memory, u32::max);
    }
}

/// Counts by bucket; a bucket without samples is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u16, u32>);

impl Histogram {
    /// Counts a sample.
    pub fn count(&mut self, value: u64) {
        let count = self.0.entry(bucket(value)).or_default();
        *count = count.saturating_add(1);
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many samples there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().map(|count| u64::from(*count)).sum()
    }

    /// The least that is as much as this share of the samples, rounded up to its bucket's end;
    /// nothing without samples.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        let share = (self.total() * u64::from(percent.min(100))).div_ceil(100);
        let mut seen = 0;
        let mut buckets = self.0.iter();
        let reached = buckets.find(|(_, count)| {
            seen += u64::from(**count);
            seen >= share
        });
        reached.map(|(bucket, _)| last_of(*bucket))
    }

    /// Each bucket with its count, ascending.
    pub(crate) fn counts(&self) -> impl ExactSizeIterator<Item = (u16, u32)> {
        self.0.iter().map(|(bucket, count)| (*bucket, *count))
    }

    /// Takes the next bucket's count; false if there is no such bucket, or it is not the next.
    pub(crate) fn push(&mut self, bucket: u16, count: u32) -> bool {
        let follows = self
            .0
            .last_key_value()
            .is_none_or(|(last, _)| *last < bucket);
        let is_fine = follows && bucket < BUCKETS && count > 0;
        if is_fine {
            self.0.insert(bucket, count);
        }
        is_fine
    }

    fn since(&self, earlier: &Self) -> Self {
        let counts = self.0.iter().filter_map(|(bucket, count)| {
            let before = earlier.0.get(bucket).copied().unwrap_or(0);
            let new = count.checked_sub(before).filter(|new| *new > 0)?;
            Some((*bucket, new))
        });
        Self(counts.collect())
    }

    fn combine(&mut self, other: &Self, both: impl Fn(u32, u32) -> u32) {
        for (bucket, count) in &other.0 {
            let known = self.0.entry(*bucket).or_default();
            *known = both(*known, *count);
        }
    }
}

fn bucket(value: u64) -> u16 {
    let number = match value {
        0..EXACT => value,
        _ => {
            let power = value.ilog2();
            let share = (value >> (power - SHARES_POWER)) & ((1 << SHARES_POWER) - 1);
            EXACT + (u64::from(power - FIRST_POWER) << SHARES_POWER) + share
        }
    };
    // The largest is 495.
    u16::try_from(number).unwrap_or(BUCKETS - 1)
}

/// The greatest value of a bucket.
fn last_of(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    let Some(number) = bucket.checked_sub(EXACT) else {
        return bucket;
    };
    let power = FIRST_POWER + u32::try_from(number >> SHARES_POWER).unwrap_or(u32::MAX);
    let shares = 1 << SHARES_POWER;
    let share = number & (shares - 1);
    let width = 1_u64 << power.saturating_sub(SHARES_POWER).min(63 - SHARES_POWER);
    (shares + share) * width + (width - 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        for value in values {
            histogram.count(value);
        }
        histogram
    }

    #[test]
    fn percentiles_are_the_least_that_would_have_done() {
        assert_eq!(Histogram::default().percentile(95), None);
        // 95 times 3, four times 8, once 200, whose bucket ends at 207.
        let mut values = vec![3; 95];
        values.extend([8, 8, 8, 8, 200]);
        let histogram = of(values);
        let at = |percent| histogram.percentile(percent).unwrap();
        assert_eq!((at(50), at(95), at(96), at(99), at(100)), (3, 3, 8, 8, 207));
    }

    #[test]
    fn what_an_earlier_count_had_is_not_counted_again() {
        let early = of([1, 1, 40]);
        let late = of([1, 1, 1, 40, 7]);
        assert_eq!(late.since(&early), of([1, 7]));
        assert_eq!(early.since(&late), Histogram::default());
        let mut samples = Samples {
            cpu: early.clone(),
            memory: Histogram::default(),
        };
        let told = Samples {
            cpu: late.clone(),
            memory: early,
        };
        samples.raise(&told);
        samples.raise(&told);
        assert_eq!(samples, told);
        samples.add(&told);
        assert_eq!(samples.cpu.total(), 2 * late.total());
    }

    proptest! {
        #[test]
        fn a_bucket_is_an_eighth_off_at_most(value: u64) {
            let last = last_of(bucket(value));
            prop_assert!(last >= value);
            prop_assert!(last - value <= value / 8);
            prop_assert!(bucket(value) < BUCKETS);
            prop_assert_eq!(bucket(last), bucket(value));
            prop_assert!(last == u64::MAX || bucket(last + 1) == bucket(value) + 1);
        }
    }
}
