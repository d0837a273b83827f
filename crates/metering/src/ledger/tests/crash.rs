//! Power is lost after every single thing that is asked of the disk, in several ways: what was
//! acknowledged is always there, nothing is taken for damage, and the ledger goes on.

use proptest::prelude::*;

use super::shim::{Disk, Lost, after};
use super::*;

/// Appends in batches, with marks in between, over several segments and two agents.
fn history(disk: &Disk, batches: &[Vec<usize>]) -> Vec<(Record, Hash)> {
    let mut number = 0;
    for agent in 0..2 {
        let (mut writer, _, _) = open(disk.clone());
        disk.acknowledge(writer.status().seq);
        for batch in batches {
            let appends = batch.iter().map(|count| {
                number += *count as u64;
                (number - *count as u64..number).map(entry).collect()
            });
            let appends: Vec<Vec<Entry>> = appends.collect();
            for result in writer.commit(appends) {
                disk.acknowledge(result.unwrap().seq);
            }
            if number % 3 == 0 {
                writer.mark();
            }
        }
        if agent == 1 {
            disk.acknowledge(writer.close().unwrap().seq);
        }
    }
    contents(disk).1
}

fn check(log: &[shim::Op], lost: Lost, truth: &[(Record, Hash)]) {
    let (files, acknowledged) = after(log, lost);
    let disk = Disk::with(files);
    let (mut writer, opening, shown) = open(disk.clone());
    assert_eq!(opening.damages, [], "{lost:?} after {} steps", log.len());
    assert!(!matches!(opening.outcome, Outcome::Corrupt { .. }));
    assert!(
        opening.seq >= acknowledged,
        "{lost:?} after {} steps",
        log.len()
    );
    let kept: Vec<_> = truth
        .iter()
        .take(shown.len())
        .map(|(r, _)| r.clone())
        .collect();
    assert_eq!(shown, kept);
    let seq = writer.commit(vec![vec![entry(1)], vec![entry(2), entry(3)]]);
    assert_eq!(seq[1].as_ref().unwrap().seq, opening.seq + 4);
    let (scan, all) = contents(&disk);
    assert_eq!((scan.damages, scan.seq), (Vec::new(), opening.seq + 4));
    for ((record, head), (_, true_head)) in all.iter().zip(truth).take(shown.len()) {
        assert_eq!(head, true_head, "record {}", record.seq);
    }
}

#[test]
fn every_prefix_of_the_write_log_holds_what_was_acknowledged() {
    let disk = Disk::default();
    let batches = vec![
        vec![1],
        vec![2, 1, 1],
        vec![1],
        vec![3, 3],
        vec![1, 1, 1, 1],
    ];
    let truth = history(&disk, &batches);
    let log = disk.log();
    let segments = disk
        .files()
        .keys()
        .filter(|n| n.starts_with("segment"))
        .count();
    assert!(segments > 2, "the history must rotate");
    for steps in 0..=log.len() {
        for lost in [Lost::All, Lost::Nothing, Lost::Every(512), Lost::Every(64)] {
            check(&log[..steps], lost, &truth);
        }
        if let Some(shim::Op::Write { bytes, .. }) = steps.checked_sub(1).map(|at| &log[at]) {
            for kept in (0..bytes.len()).step_by(7) {
                check(&log[..steps], Lost::AllBut(kept), &truth);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_appended_a_power_cut_loses_nothing_acknowledged(
        batches in proptest::collection::vec(proptest::collection::vec(1usize..4, 1..4), 1..6),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..700), 20),
    ) {
        let disk = Disk::default();
        let truth = history(&disk, &batches);
        let log = disk.log();
        for (steps, kept) in cuts {
            let log = &log[..=steps.index(log.len())];
            check(log, Lost::AllBut(kept), &truth);
            check(log, Lost::Every(kept.max(1)), &truth);
        }
    }
}

#[test]
fn a_cut_in_the_middle_of_a_repair_is_repaired() {
    let disk = Disk::default();
    let truth = history(&disk, &[vec![1], vec![2, 1]]);
    let log = disk.log();
    let at = log
        .iter()
        .rposition(|op| matches!(op, shim::Op::Write { name, .. } if name.starts_with("segment")));
    let (torn, _) = after(&log[..=at.unwrap()], Lost::AllBut(50));
    let disk = Disk::with(torn.clone());
    let (_, opening, _) = open(disk.clone());
    assert!(matches!(opening.outcome, Outcome::TornTail { .. }));
    let mut second: Vec<shim::Op> = torn
        .into_iter()
        .map(|(name, bytes)| shim::Op::Create { name, bytes })
        .collect();
    let made = second.len();
    second.extend(disk.log());
    for steps in made..=second.len() {
        for lost in [Lost::All, Lost::Nothing, Lost::Every(16), Lost::AllBut(9)] {
            let (files, _) = after(&second[..steps], lost);
            let (_, opening, shown) = open(Disk::with(files));
            assert_eq!(opening.damages, []);
            assert!(shown.len() >= truth.len() - 1);
        }
    }
}
