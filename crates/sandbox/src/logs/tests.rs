//! Writer and reader together.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use burstlet_model::{ErrorKind, WallTime};
use proptest::prelude::*;

use super::files::CURRENT;
use super::*;

struct Log {
    dir: tempfile::TempDir,
    writer: LogWriter,
}

impl Log {
    fn new(files_max: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plan = LogPlan {
            dir: dir.path().join("log"),
            bytes_max: FILE_BYTES_MIN,
            files_max,
        };
        Self {
            writer: LogWriter::open(&plan).unwrap(),
            dir,
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn push(&mut self, stream: Stream, bytes: &[u8], at: i64) {
        self.writer.push(stream, bytes, WallTime(at)).unwrap();
    }

    fn reader(&self, query: LogQuery) -> LogReader {
        LogReader::open(self.path(), query).unwrap()
    }

    fn text(&self, query: LogQuery) -> String {
        String::from_utf8(drain(&mut self.reader(query), None)).unwrap()
    }
}

/// All text that can be read now.
fn drain(reader: &mut LogReader, stream: Option<Stream>) -> Vec<u8> {
    let mut text = Vec::new();
    while Progress::More
        == reader
            .read(|record| {
                if stream.is_none_or(|stream| stream == record.stream) {
                    text.extend_from_slice(record.text);
                }
            })
            .unwrap()
    {}
    text
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|number| format!("line {number}\n")).collect()
}

/// A log of lines 0 to 9, one each nanosecond, those of odd numbers on stderr.
fn ten_lines() -> Log {
    let mut log = Log::new(3);
    for number in 0..10 {
        let stream = if number % 2 == 0 {
            Stream::Stdout
        } else {
            Stream::Stderr
        };
        let at = i64::try_from(number).unwrap();
        log.push(stream, lines(number..number + 1).as_bytes(), at);
    }
    log
}

#[test]
fn queries() {
    let log = ten_lines();
    let all = LogQuery::default();
    assert_eq!(log.text(all.clone()), lines(0..10));
    for (tail, first) in [(0, 10), (1, 9), (4, 6), (10, 0), (11, 0), (u64::MAX, 0)] {
        let query = LogQuery {
            tail_lines: Some(tail),
            ..all.clone()
        };
        assert_eq!(log.text(query), lines(first..10), "tail {tail}");
    }
    let since = LogQuery {
        since: Some(WallTime(7)),
        ..all.clone()
    };
    assert_eq!(log.text(since.clone()), lines(7..10));
    assert_eq!(
        log.text(LogQuery {
            tail_lines: Some(5),
            ..since
        }),
        lines(7..10)
    );
    let until = LogQuery {
        until: Some(WallTime(3)),
        ..all.clone()
    };
    assert_eq!(log.text(until), lines(0..3));
    let errors = LogQuery {
        stream: Some(Stream::Stderr),
        ..all.clone()
    };
    assert_eq!(log.text(errors), "line 1\nline 3\nline 5\nline 7\nline 9\n");
    let cut = LogQuery {
        limit_bytes: Some(10),
        ..all.clone()
    };
    assert_eq!(log.text(cut), "line 0\nlin");
    let nothing = LogQuery {
        limit_bytes: Some(0),
        ..all
    };
    assert_eq!(log.text(nothing), "");
}

#[test]
fn a_tail_reaches_into_rotated_files() {
    let mut log = Log::new(4);
    let wide = |number: i64| format!("{number:09999}\n");
    for number in 0..20 {
        log.push(Stream::Stdout, wide(number).as_bytes(), number);
    }
    assert!(fs::read_dir(log.path()).unwrap().count() > 2);
    for tail in [1, 5, 6, 7, 13, 20] {
        let expected: String = (20 - tail..20).map(wide).collect();
        let tail_lines = Some(u64::try_from(tail).unwrap());
        let text = log.text(LogQuery {
            tail_lines,
            ..LogQuery::default()
        });
        assert!(
            text == expected,
            "tail {tail}: {} of {} bytes",
            text.len(),
            expected.len()
        );
    }
}

#[test]
fn what_is_no_record_is_passed_over() {
    let log = ten_lines();
    let file = log.path().join(CURRENT);
    let mut bytes = fs::read(&file).unwrap();
    bytes.extend_from_slice(b"1970-01-01T00:00:00.0000\n\nno record\n");
    bytes.extend_from_slice(&vec![b'x'; 300_000]);
    bytes.extend_from_slice(b"\n1970-01-01T00:00:00.000000010Z stdout F line 10\n");
    bytes.extend_from_slice(b"1970-01-01T00:00:00.000000010Z stdout F not yet whole");
    fs::write(&file, bytes).unwrap();
    assert_eq!(log.text(LogQuery::default()), lines(0..11));
    let tail_lines = Some(1);
    assert_eq!(
        log.text(LogQuery {
            tail_lines,
            ..LogQuery::default()
        }),
        lines(10..11)
    );
}

#[test]
fn a_log_that_does_not_exist() {
    let dir = tempfile::tempdir().unwrap();
    let error = LogReader::open(dir.path().join("none"), LogQuery::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    fs::create_dir(dir.path().join("empty")).unwrap();
    let mut reader = LogReader::open(dir.path().join("empty"), LogQuery::default()).unwrap();
    assert_eq!(reader.read(|_| ()).unwrap(), Progress::End);
}

#[test]
fn following_sees_every_rotation() {
    let mut log = Log::new(100);
    let mut reader = log.reader(LogQuery {
        follow: true,
        ..LogQuery::default()
    });
    let mut seen = Vec::new();
    let mut written = Vec::new();
    for turn in 0..60_i64 {
        let line = format!("{turn:09999}\n");
        written.extend_from_slice(line.as_bytes());
        log.push(Stream::Stdout, line.as_bytes(), turn);
        if turn % 17 == 0 {
            seen.extend(drain(&mut reader, None));
        }
    }
    seen.extend(drain(&mut reader, None));
    assert!(seen == written, "{} of {} bytes", seen.len(), written.len());
    assert_eq!(reader.read(|_| ()).unwrap(), Progress::CaughtUp);
}

#[test]
fn following_goes_on_where_rotation_left_something() {
    let mut log = Log::new(2);
    log.push(Stream::Stdout, b"first\n", 0);
    let mut reader = log.reader(LogQuery {
        follow: true,
        ..LogQuery::default()
    });
    assert_eq!(drain(&mut reader, None), b"first\n");
    for turn in 1..40_i64 {
        log.push(Stream::Stdout, format!("{turn:09999}\n").as_bytes(), turn);
    }
    log.push(Stream::Stdout, b"last\n", 40);
    let text = String::from_utf8(drain(&mut reader, None)).unwrap();
    assert!(text.ends_with("39\nlast\n"));
    let numbers: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(numbers.is_sorted(), "out of order: {numbers:?}");
}

#[tokio::test]
async fn a_stream_follows_to_the_end_of_the_run() {
    let mut log = ten_lines();
    let query = LogQuery {
        follow: true,
        tail_lines: Some(2),
        ..LogQuery::default()
    };
    let (ends, running) = tokio::sync::watch::channel(true);
    let mut stream = LogStream::new(&log.path(), log.reader(query), running);
    let text = |records: Vec<OwnedRecord>| -> String {
        records
            .iter()
            .map(|record| String::from_utf8_lossy(&record.text).into_owned())
            .collect()
    };
    assert_eq!(text(stream.next().await.unwrap().unwrap()), lines(8..10));

    let waiting = tokio::time::timeout(Duration::from_millis(50), stream.changed());
    assert!(waiting.await.is_err(), "nothing was written");
    log.push(Stream::Stdout, lines(10..11).as_bytes(), 10);
    let told = tokio::time::timeout(Duration::from_millis(500), stream.changed());
    assert!(told.await.is_ok(), "the kernel tells of a write");
    assert_eq!(text(stream.next().await.unwrap().unwrap()), lines(10..11));

    log.push(Stream::Stdout, b"end", 11);
    log.writer.finish(WallTime(12)).unwrap();
    ends.send(false).unwrap();
    assert_eq!(text(stream.next().await.unwrap().unwrap()), "end");
    assert_eq!(stream.next().await.unwrap(), None);
}

fn chunk() -> impl Strategy<Value = (Stream, Vec<u8>)> {
    let stream = prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)];
    let text = prop_oneof![
        4 => proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..200),
        1 => (0..3 * RECORD_BYTES_MAX).prop_map(|len| vec![b'x'; len]),
        1 => (0..3_usize).prop_map(|more| vec![b'y'; RECORD_BYTES_MAX - 1 + more]),
    ];
    (stream, text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(chunks in proptest::collection::vec(chunk(), 0..30)) {
        let mut log = Log::new(1000);
        let mut follower = log.reader(LogQuery { follow: true, ..LogQuery::default() });
        let mut followed = Vec::new();
        let mut at = 0;
        for (turn, (stream, bytes)) in chunks.iter().enumerate() {
            at += 1;
            log.push(*stream, bytes, at);
            if turn % 3 == 0 {
                followed.extend(drain(&mut follower, None));
            }
        }
        log.writer.finish(WallTime(at)).unwrap();
        followed.extend(drain(&mut follower, None));
        for wanted in [Stream::Stdout, Stream::Stderr] {
            let written: Vec<u8> = chunks
                .iter()
                .filter(|(stream, _)| *stream == wanted)
                .flat_map(|(_, bytes)| bytes.clone())
                .collect();
            let mut reader = log.reader(LogQuery::default());
            prop_assert!(drain(&mut reader, Some(wanted)) == written);
        }
        let all = drain(&mut log.reader(LogQuery::default()), None);
        prop_assert!(followed == all);
        prop_assert_eq!(log.writer.dropped(), Dropped::default());
    }
}
