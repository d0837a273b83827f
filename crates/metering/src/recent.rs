//! The ledger's records for who follows it: the latest from memory, older ones from its files.
//!
//! Who follows is never waited for: what he has not asked for in time he reads from the disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ledger::{Files, Found, OpenError, scan};
use crate::record::Record;

/// Records that are kept in memory.
pub const RECENT_RECORDS_MAX: usize = 4096;

/// The latest records. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<VecDeque<Record>>>);

impl Recent {
    /// Takes note of a record, which comes after all before it.
    pub fn put(&self, record: &Record) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() == RECENT_RECORDS_MAX {
            records.pop_front();
        }
        records.push_back(record.clone());
    }

    /// The records after `seq`, oldest first and so many at most; `None` if the next of them is not
    /// here any more.
    #[must_use]
    pub fn after(&self, seq: u64, max: usize) -> Option<Vec<Record>> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = seq.saturating_add(1);
        records.front().filter(|first| first.seq <= next)?;
        let begin = records.partition_point(|record| record.seq < next);
        Some(records.range(begin..).take(max).cloned().collect())
    }
}

/// The records after `seq` up to `through` that the ledger's files have, oldest first and so many at
/// most. What is behind `through` may not be durable yet.
///
/// # Errors
/// The files cannot be read.
pub fn read_after(
    files: &impl Files,
    (seq, through): (u64, u64),
    max: usize,
) -> Result<Vec<Record>, OpenError> {
    let mut records = Vec::new();
    scan(files, |found| {
        if let Found::Record(entered) = found
            && (seq + 1..=through).contains(&entered.record.seq)
            && records.len() < max
        {
            records.push(entered.record.clone());
        }
    })?;
    Ok(records)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::record::{Fact, Moment};

    fn record(seq: u64) -> Record {
        Record {
            seq,
            epoch: 1,
            salt: [0; 16],
            at: Moment::default(),
            fact: Fact::EpochEnded,
        }
    }

    fn numbers(recent: &Recent, seq: u64, max: usize) -> Option<Vec<u64>> {
        let records = recent.after(seq, max)?;
        Some(records.iter().map(|record| record.seq).collect())
    }

    #[test]
    fn the_latest_are_here_and_older_ones_are_not() {
        let recent = Recent::default();
        assert_eq!(numbers(&recent, 0, 9), None);
        let last = RECENT_RECORDS_MAX as u64 + 3;
        (1..=last).for_each(|seq| recent.put(&record(seq)));
        assert_eq!(numbers(&recent, 2, 9), None);
        assert_eq!(numbers(&recent, 3, 2), Some(vec![4, 5]));
        assert_eq!(numbers(&recent, last - 1, 9), Some(vec![last]));
        assert_eq!(numbers(&recent, last, 9), Some(vec![]));
    }
}
