//! A log's files as a broken disk or a program with the same name may leave them. Whatever they hold,
//! no more is read than is there, the last lines are the end of all lines, and each stream by itself is
//! what both together have of it.
#![no_main]

use std::path::Path;

use burstlet_sandbox::logs::{LogQuery, LogReader, Progress, RECORD_BYTES_MAX, Stream};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

type Line = (i64, Stream, Vec<u8>);

fuzz_target!(|data: (u8, &[u8])| {
    let (lines, bytes) = data;
    let dir = TempDir::new().expect("make a directory");
    let (old, new) = bytes.split_at(bytes.len() / 2);
    let rotated = dir.path().join("output.log.20261121-120000.000000001");
    std::fs::write(rotated, old).expect("write a rotated file");
    std::fs::write(dir.path().join("output.log"), new).expect("write the current file");
    let all = read(dir.path(), LogQuery::default());
    let text: usize = all.iter().map(|(_, _, text)| text.len()).sum();
    assert!(text <= bytes.len());
    for (_, _, text) in &all {
        assert!(text.len() <= RECORD_BYTES_MAX + 1);
        assert!(!text[..text.len().saturating_sub(1)].contains(&b'\n'));
    }
    let tail = read(
        dir.path(),
        LogQuery {
            tail_lines: Some(lines.into()),
            ..LogQuery::default()
        },
    );
    assert!(all.ends_with(&tail) && tail.len() <= usize::from(lines));
    for stream in [Stream::Stdout, Stream::Stderr] {
        let query = LogQuery {
            stream: Some(stream),
            ..LogQuery::default()
        };
        let own: Vec<Line> = all
            .iter()
            .filter(|line| line.1 == stream)
            .cloned()
            .collect();
        assert_eq!(read(dir.path(), query), own);
    }
});

fn read(dir: &Path, query: LogQuery) -> Vec<Line> {
    let mut reader = LogReader::open(dir, query).expect("open the log");
    let mut lines = Vec::new();
    let mut keep = |record: burstlet_sandbox::logs::Record<'_>| {
        lines.push((record.at.0, record.stream, record.text.to_vec()));
    };
    while reader.read(&mut keep).expect("read the log") != Progress::End {}
    lines
}
