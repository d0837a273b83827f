use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::trail::file::TrailFile;

/// Lines that each file takes.
const LINES: u64 = 3;

struct Written {
    _dir: TempDir,
    config: TrailConfig,
    file: TrailFile,
    count: u64,
}

impl Written {
    fn new(files_max: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let line = Head::default().tie(object(1).as_bytes()).0;
        let config = TrailConfig {
            dir: dir.path().join("audit"),
            // Numbers become longer by a digit or two.
            bytes_max: LINES * (line.len() as u64 + 2),
            files_max,
        };
        let file = TrailFile::open(config.clone()).unwrap();
        Self {
            _dir: dir,
            config,
            file,
            count: 0,
        }
    }

    fn add(&mut self, lines: u64) {
        for _ in 0..lines {
            self.count += 1;
            self.file.write(object(self.count).as_bytes()).unwrap();
        }
    }

    /// The number of the oldest line that is kept.
    fn first(&self) -> u64 {
        let files = u64::from(self.config.files_max);
        let full = self.count.saturating_sub(1) / LINES;
        (full + 1).saturating_sub(files) * LINES + 1
    }
}

/// As long for each number below a hundred.
fn object(number: u64) -> String {
    format!("{{\"call\":\"{number:02}\"}}")
}

/// What a reader finds until there is no more, so many lines at once.
fn rest(reader: &mut Reader, lines_max: usize) -> Vec<u64> {
    let mut found = Vec::new();
    loop {
        let lines = reader.read(lines_max).unwrap();
        assert!(lines.len() <= lines_max);
        if lines.is_empty() {
            return found;
        }
        for line in lines {
            let text = String::from_utf8(line.text).unwrap();
            let says = format!("\"call\":\"{:02}\"", line.head.seq % 100);
            assert!(text.contains(&says), "{text}");
            found.push(line.head.seq);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However lines are written and read in turns, each is read once and in order, but for those that
    /// went with their file before it was their turn.
    #[test]
    fn every_line_that_is_kept_is_read_once(
        steps in prop::collection::vec((0u64..8, 1usize..5), 1..10),
    ) {
        let mut trail = Written::new(3);
        let mut reader = Reader::after(&trail.config, 0);
        let mut expected = 1;
        for (lines, lines_max) in steps {
            trail.add(lines);
            let found = rest(&mut reader, lines_max);
            let begins = found.first().copied().unwrap_or(expected);
            prop_assert!(begins == expected || begins == trail.first());
            let skipped = found.windows(2).filter(|pair| pair[1] != pair[0] + 1);
            for pair in skipped {
                prop_assert_eq!(pair[1], trail.first());
            }
            prop_assert!(found.last().is_none_or(|last| *last == trail.count));
            expected = trail.count + 1;
            prop_assert_eq!(reader.last(), trail.count);
        }
    }
}

#[test]
fn reading_goes_on_behind_a_line_that_is_kept() {
    let mut trail = Written::new(3);
    trail.add(7);
    for kept in 1..=7 {
        let mut all = Reader::after(&trail.config, kept - 1);
        let head = all.read(1).unwrap()[0].head;
        let mut reader = Reader::behind(&trail.config, head).unwrap().unwrap();
        let expected: Vec<u64> = (kept + 1..=7).collect();
        assert_eq!(rest(&mut reader, 2), expected, "{kept}");
    }
    let mut all = Reader::behind(&trail.config, Head::default())
        .unwrap()
        .unwrap();
    assert_eq!(rest(&mut all, 100), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn reading_goes_on_behind_a_line_that_is_gone_and_not_in_another_trail() {
    let mut trail = Written::new(2);
    trail.add(2);
    let second = Reader::after(&trail.config, 1).read(1).unwrap()[0].head;
    trail.add(8);
    let mut reader = Reader::behind(&trail.config, second).unwrap().unwrap();
    assert_eq!(rest(&mut reader, 100), [7, 8, 9, 10]);
    let other = Head { seq: 8, ..second };
    assert!(Reader::behind(&trail.config, other).unwrap().is_none());
    let beyond = Head { seq: 11, ..second };
    assert!(Reader::behind(&trail.config, beyond).unwrap().is_none());
}

#[test]
fn what_is_no_line_of_the_trail_is_passed_over() {
    let mut trail = Written::new(3);
    trail.add(2);
    let path = trail.config.dir.join("audit.log");
    let whole = fs::read(&path).unwrap();
    let (third, _) = Head {
        seq: 2,
        ..Head::default()
    }
    .tie(object(3).as_bytes());
    let long = vec![b'x'; CHUNK_BYTES + 7];
    let text = [&whole[..], b"{\"at\":\"20\nword\n", &long, b"\n", &third].concat();
    fs::write(&path, &text).unwrap();
    let mut reader = Reader::after(&trail.config, 0);
    assert_eq!(rest(&mut reader, 1), [1, 2, 3]);
    // A line that is not finished is not there yet.
    let unfinished = text.strip_suffix(b"\n").unwrap();
    fs::write(&path, unfinished).unwrap();
    assert_eq!(rest(&mut Reader::after(&trail.config, 0), 9), [1, 2]);
}
