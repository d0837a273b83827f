//! The writer and its handles: acknowledgement, sharing of syncs, full and failing disks, the lock.

use super::shim::{Disk, Op};
use super::*;
use crate::record::TEXT_BYTES_MAX;

fn syncs(disk: &Disk) -> usize {
    let is_sync = |op: &&Op| matches!(op, Op::Sync { name } if name.starts_with("segment"));
    disk.log().iter().filter(is_sync).count()
}

#[test]
fn appends_of_one_commit_share_one_sync_and_are_shown_in_order() {
    let disk = Disk::default();
    let (observer, shown) = observer();
    let (mut writer, opening) = Writer::open(disk.clone(), options(1 << 20), observer).unwrap();
    assert_eq!(opening.outcome, Outcome::Fresh);
    let before = syncs(&disk);
    let results = writer.commit((0..50).map(|number| vec![entry(number)]).collect());
    assert_eq!(syncs(&disk), before + 1);
    let seqs: Vec<u64> = results.into_iter().map(|r| r.unwrap().seq).collect();
    assert_eq!(seqs, (2..52).collect::<Vec<u64>>());
    let shown: Vec<u64> = shown.lock().unwrap().iter().map(|r| r.seq).collect();
    assert_eq!(shown, (1..52).collect::<Vec<u64>>());
    assert_eq!(writer.status().syncs.count, 2);
}

#[test]
fn one_append_that_does_not_fit_the_format_spoils_no_other() {
    let (mut writer, _, _) = open(Disk::default());
    let version = "v".repeat(TEXT_BYTES_MAX + 1);
    let bad = Entry {
        at: at(1),
        fact: Fact::EpochBegan { version },
    };
    let results = writer.commit(vec![vec![entry(1)], vec![entry(2), bad], vec![entry(3)]]);
    let seqs: Vec<_> = results.into_iter().map(|r| r.map(|r| r.seq)).collect();
    assert!(matches!(seqs[1], Err(AppendError::Encode(_))));
    assert_eq!((seqs[0].clone(), seqs[2].clone()), (Ok(2), Ok(3)));
}

#[test]
fn a_full_disk_stops_nothing_until_the_reserve_is_used_up() {
    let disk = Disk::default();
    let (mut writer, _, _) = open(disk.clone());
    disk.set_full(true);
    let mut taken = 0;
    let error = loop {
        match writer.commit(vec![vec![entry(taken)]]).pop().unwrap() {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Full(_)), "{error}");
    assert_eq!(writer.status().segments, 2, "the reserve was used");
    assert!(!writer.status().has_reserve);
    assert!(writer.status().reserve_trouble.is_some());
    disk.set_full(false);
    writer
        .commit(vec![vec![entry(taken)]])
        .pop()
        .unwrap()
        .unwrap();
    for _ in 0..10 {
        writer.mark();
    }
    assert!(
        writer.status().has_reserve,
        "it is made again when there is room"
    );
    let (scan, all) = contents(&disk);
    assert_eq!(scan.damages, []);
    assert_eq!(all.len() as u64, taken + 2);
}

#[test]
fn a_sync_that_fails_acknowledges_nothing_any_more() {
    let disk = Disk::default();
    let (mut writer, _, _) = open(disk.clone());
    disk.break_sync();
    let results = writer.commit(vec![vec![entry(1)], vec![entry(2)]]);
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Err(AppendError::Poisoned(_))))
    );
    let again = writer.commit(vec![vec![entry(3)]]).pop().unwrap();
    assert!(matches!(again, Err(AppendError::Poisoned(_))));
    assert_eq!((writer.status().seq, writer.status().sync_errors), (1, 1));
}

#[test]
fn epochs_grow_and_the_last_mark_is_told() {
    let disk = Disk::default();
    for epoch in 1..4 {
        let (mut writer, opening, _) = open(disk.clone());
        assert_eq!(writer.status().epoch, epoch);
        assert_eq!(opening.last_mark.map_or(0, |mark| mark.epoch), epoch - 1);
        writer.commit(vec![vec![entry(1)]]).pop().unwrap().unwrap();
        writer.mark();
    }
}

#[test]
fn one_directory_has_one_writer() {
    let path = tempfile::tempdir().unwrap();
    let first = Directory::open(path.path()).unwrap();
    let error = Directory::open(path.path()).unwrap_err();
    assert!(matches!(error, OpenError::Taken(_)), "{error}");
    drop(first);
    Directory::open(path.path()).unwrap();
}

#[tokio::test]
async fn many_tasks_append_at_once_and_each_is_told_when_it_is_durable() {
    let path = tempfile::tempdir().unwrap();
    let directory = Directory::open(path.path()).unwrap();
    let (observer, shown) = observer();
    let (ledger, _) = Ledger::open(directory, options(0), observer).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..2000 {
        let (ledger, shown) = (ledger.clone(), Arc::clone(&shown));
        tasks.spawn(async move {
            let receipt = ledger.append(vec![entry(number)]).await.unwrap();
            let shown = shown.lock().unwrap();
            assert!(
                shown.len() as u64 >= receipt.seq,
                "the observer sees it first"
            );
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let status = ledger.status();
    ledger.close().await.unwrap();
    let status = status.borrow().clone();
    assert!(
        status.syncs.count < 1000,
        "{} syncs for 2000 appends",
        status.syncs.count
    );
    let (scan, all) = contents(&Inspected::new(path.path()));
    assert_eq!(
        (scan.damages, scan.seq, scan.head),
        (Vec::new(), 2002, status.head)
    );
    assert_eq!(all.len(), 2002);
}

#[tokio::test]
async fn a_closed_ledger_takes_nothing() {
    let path = tempfile::tempdir().unwrap();
    let directory = Directory::open(path.path()).unwrap();
    let (ledger, _) = Ledger::open(directory, options(0), observer().0).unwrap();
    let other = ledger.clone();
    ledger.close().await.unwrap();
    assert_eq!(other.append(vec![entry(1)]).await, Err(AppendError::Closed));
}

/// What is on the disk after a kill is what a fresh look sees.
#[test]
fn a_directory_keeps_what_the_shim_keeps() {
    let path = tempfile::tempdir().unwrap();
    let (mut writer, opening, _) = open(Directory::open(path.path()).unwrap());
    assert_eq!(opening.outcome, Outcome::Fresh);
    for number in 0..40 {
        writer
            .commit(vec![vec![entry(number)]])
            .pop()
            .unwrap()
            .unwrap();
    }
    let head = writer.status().head;
    assert!(writer.status().segments > 2);
    drop(writer);
    let (scan, _) = contents(&Inspected::new(path.path()));
    assert_eq!((scan.head, scan.damages), (head, Vec::new()));
    let (writer, opening, shown) = open(Directory::open(path.path()).unwrap());
    assert_eq!((opening.outcome, shown.len()), (Outcome::Loaded, 41));
    assert_eq!(writer.status().epoch, 2);
}
