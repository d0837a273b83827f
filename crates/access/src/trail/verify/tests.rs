use std::fs;

use super::*;
use crate::trail::TrailConfig;
use crate::trail::file::TrailFile;

/// Lines that each file takes.
const LINES: u64 = 3;

/// A trail of three files with `count` lines.
fn written(count: u64) -> (tempfile::TempDir, TrailConfig) {
    let dir = tempfile::tempdir().unwrap();
    let config = TrailConfig {
        dir: dir.path().join("audit"),
        bytes_max: LINES * Head::default().tie(object(1).as_bytes()).0.len() as u64,
        files_max: 3,
    };
    let mut file = TrailFile::open(config.clone()).unwrap();
    for number in 1..=count {
        file.write(object(number).as_bytes()).unwrap();
    }
    (dir, config)
}

fn object(number: u64) -> String {
    format!("{{\"call\":\"{number}\"}}")
}

fn look(config: &TrailConfig, heads: &[Head]) -> Verified {
    verify(&config.dir, config.files_max, heads).unwrap()
}

#[test]
fn a_trail_is_whole_over_files_and_agents() {
    let (_dir, config) = written(8);
    let found = look(&config, &[]);
    assert_eq!((found.tied, found.first), (8, Some(1)));
    assert!(found.is_whole(), "{found:?}");
    // The next agent goes on where this one ended, and the oldest file goes.
    let mut next = TrailFile::open(config.clone()).unwrap();
    for number in 1..=3 {
        next.write(object(number).as_bytes()).unwrap();
    }
    let later = look(&config, &[found.head]);
    assert_eq!((later.first, later.head.seq), (Some(4), 11));
    assert!(later.is_whole(), "{later:?}");
}

#[test]
fn what_an_agents_end_has_cut_is_tied_too() {
    let (_dir, config) = written(2);
    let config = TrailConfig {
        bytes_max: 1 << 20,
        ..config
    };
    let path = config.dir.join("audit.log");
    let whole = fs::read(&path).unwrap();
    let (cut, _) = look(&config, &[]).head.tie(object(3).as_bytes());
    for length in 1..cut.len() {
        fs::write(&path, [&whole, &cut[..length]].concat()).unwrap();
        assert!(look(&config, &[]).is_whole());
        let mut next = TrailFile::open(config.clone()).unwrap();
        next.write(object(4).as_bytes()).unwrap();
        let found = look(&config, &[]);
        // Without its newline a line is all there.
        let is_whole = length == cut.len() - 1;
        let expected = if is_whole { (4, 4, 0) } else { (3, 3, 1) };
        assert_eq!((found.tied, found.head.seq, found.torn), expected);
        assert!(found.is_whole(), "{length}: {found:?}");
    }
}

#[test]
fn lines_of_earlier_agents_stay_at_the_beginning() {
    let (_dir, config) = written(0);
    fs::write(config.dir.join("audit.log"), "{\"call\":\"old\"}\n").unwrap();
    TrailFile::open(config.clone())
        .unwrap()
        .write(object(1).as_bytes())
        .unwrap();
    let found = look(&config, &[]);
    assert_eq!((found.untied, found.tied), (1, 1));
    assert!(found.is_whole(), "{found:?}");
    // None can be put in later, nor be changed.
    let path = config.dir.join("audit.log");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.clone() + "{\"call\":\"new\"}\n").unwrap();
    assert_eq!(look(&config, &[]).faults[0].wrong, Wrong::Untied);
    fs::write(&path, text.replace("old", "odd")).unwrap();
    assert_eq!(look(&config, &[]).faults[0].wrong, Wrong::Before);
}

#[test]
fn no_byte_can_be_changed_under_a_head_that_was_kept() {
    let (_dir, config) = written(8);
    let head = look(&config, &[]).head;
    for path in paths(&config.dir, config.files_max) {
        let text = fs::read(&path).unwrap();
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(!look(&config, &[head]).is_whole(), "{path:?}, byte {at}");
        }
        fs::write(&path, &text).unwrap();
    }
    assert!(look(&config, &[head]).is_whole());
}

#[test]
fn no_line_can_be_removed_repeated_or_moved() {
    let (_dir, config) = written(9);
    let path = config.dir.join("audit.log.1");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let [a, b, c] = lines[..] else {
        panic!("{lines:?}")
    };
    for changed in [[a, c].concat(), [a, a, b, c].concat(), [b, a, c].concat()] {
        fs::write(&path, changed).unwrap();
        assert!(!look(&config, &[]).is_whole());
    }
    // A file in the middle, with what it had.
    fs::remove_file(&path).unwrap();
    let wrongs: Vec<Wrong> = look(&config, &[]).faults.iter().map(|f| f.wrong).collect();
    assert_eq!(wrongs, [Wrong::Before, Wrong::Number(4)]);
}

#[test]
fn the_end_is_missed_by_a_head_only() {
    let (_dir, config) = written(8);
    let head = look(&config, &[]).head;
    fs::remove_file(config.dir.join("audit.log")).unwrap();
    assert!(look(&config, &[]).is_whole());
    let wrongs = |heads: &[Head]| -> Vec<Wrong> {
        let found = look(&config, heads);
        found.faults.iter().map(|fault| fault.wrong).collect()
    };
    assert_eq!(wrongs(&[head]), [Wrong::Ended(head)]);
    fs::remove_file(config.dir.join("audit.log.2")).unwrap();
    let gone = Head { seq: 2, ..head };
    assert_eq!(wrongs(&[gone]), [Wrong::Gone(gone)]);
    let other = Head { seq: 5, ..head };
    assert_eq!(wrongs(&[other]), [Wrong::Other(other)]);
}
