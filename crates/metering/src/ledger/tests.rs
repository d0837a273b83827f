mod crash;
mod mutation;
mod retire;
mod shim;
mod writing;

use std::sync::{Arc, Mutex};

use burstlet_model::{BootTime, GroupUid, Stamp, WallTime};

use super::*;
use crate::chain::Hash;
use crate::record::{BootId, Entry, Fact, Moment, Record, SessionFact, SessionId, State};

/// Bytes of a test's segments: a few records fill one.
const SMALL: u64 = 1500;

fn at(ns: u64) -> Moment {
    Moment {
        boot_id: BootId([7; 16]),
        stamp: Stamp {
            boot: BootTime(ns),
            wall: WallTime(ns as i64),
        },
    }
}

/// A clock that goes on by a microsecond whenever it is looked at.
fn options(segment_bytes: u64) -> Options {
    let mut now = 1_000_000;
    Options {
        clock: Box::new(move || {
            now += 1000;
            at(now)
        }),
        key: [9; 32],
        version: "test".to_owned(),
        segment_bytes,
        archive: false,
    }
}

fn entry(number: u64) -> Entry {
    let id = SessionId {
        uid: GroupUid::new(format!("g{number}")).unwrap(),
        start: 1,
    };
    let fact = SessionFact::Entered(State::ALL[number as usize % 7]);
    Entry {
        at: at(number),
        fact: Fact::Session { id, fact },
    }
}

/// An observer, and what it was shown.
fn observer() -> (Observer, Arc<Mutex<Vec<Record>>>) {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&shown);
    let observer = Box::new(move |shown: Shown<'_>| match shown {
        Shown::Carried(carried) => to.lock().unwrap().extend(carried.records.clone()),
        Shown::Record(record) => to.lock().unwrap().push(record.clone()),
    });
    (observer, shown)
}

/// Opens a ledger and gives what its observer saw while it was read.
fn open<S: Storage>(storage: S) -> (Writer<S>, Opening, Vec<Record>) {
    let (observer, shown) = observer();
    let (writer, opening) = Writer::open(storage, options(SMALL), observer).unwrap();
    let mut shown = shown.lock().unwrap().clone();
    shown.truncate(shown.len() - 1);
    (writer, opening, shown)
}

/// Every record with the head after it.
fn contents(files: &impl Files) -> (Scan, Vec<(Record, Hash)>) {
    let mut all = Vec::new();
    let scan = scan(files, |found| {
        if let Found::Record(entered) = found {
            all.push((entered.record.clone(), entered.head));
        }
    })
    .unwrap();
    (scan, all)
}
