use std::collections::BTreeSet;

use burstlet_access::{Entry, Event, Trail};
use burstlet_model::WallTime;
use burstlet_otlp::{Counts, Signal};
use tempfile::TempDir;

use super::*;
use crate::otlp::sink::{KILLS, Kill, Sink};

/// Lines of the tests' trail: they are three batches.
const LINES: u64 = 1200;

/// A trail on the disk, and what agents have kept beside it.
struct Node {
    state: TempDir,
    config: TrailConfig,
    trail: Trail,
}

impl Node {
    /// With files for so many bytes.
    fn new(bytes_max: u64) -> Self {
        let state = tempfile::tempdir().unwrap();
        let config = TrailConfig {
            dir: state.path().join("audit"),
            bytes_max,
            files_max: 2,
        };
        let trail = Trail::open(config.clone()).unwrap();
        Self {
            state,
            config,
            trail,
        }
    }

    async fn add(&self, lines: u64) {
        let from = self.trail.head().borrow().seq;
        for number in from..from + lines {
            let at = WallTime(i64::try_from(number).unwrap());
            self.trail.put(&Entry::new(at, Event::Call, "a.B/C", "OK"));
        }
        let mut head = self.trail.head();
        let written = head.wait_for(|head| head.seq == from + lines);
        drop(written.await.unwrap());
    }

    fn agent<'s>(&self, sink: &'s Sink, counts: &Counts) -> Audit<&'s Sink> {
        let place = (self.state.path(), self.config.clone());
        let sender = Sender::new(sink, Signal::Audit, counts.clone());
        Audit::open(place, sender, watch::Sender::new(0)).unwrap()
    }

    /// Tells the sink of everything, unless the agent is killed before; gives what was dropped.
    async fn run(&self, sink: &Sink) -> u64 {
        let counts = Counts::default();
        let mut agent = self.agent(sink, &counts);
        let through = self.trail.head().borrow().seq;
        sink.kill(self.state.path(), agent.catch_up(through)).await;
        counts.dropped(Signal::Audit)
    }

    /// The heads of all lines that are there.
    fn heads(&self) -> BTreeSet<String> {
        let mut reader = Reader::after(&self.config, 0);
        let mut heads = BTreeSet::new();
        loop {
            let lines = reader.read(usize::MAX).unwrap();
            if lines.is_empty() {
                return heads;
            }
            heads.extend(lines.iter().map(|line| line.head.to_string()));
        }
    }
}

async fn check(kills: &[Kill]) {
    // All lines are in the two files.
    let (node, sink) = (Node::new(LINES * 120), Sink::default());
    node.add(LINES).await;
    for kill in kills {
        sink.will(*kill);
        node.run(&sink).await;
    }
    node.run(&sink).await;
    let heard: BTreeSet<String> = sink.unique().into_keys().collect();
    assert_eq!(heard.len() as u64, LINES, "{kills:?}");
    assert_eq!(heard, node.heads(), "{kills:?}");

    let before = sink.count();
    assert_eq!(node.run(&sink).await, 0);
    assert_eq!(sink.count(), before, "what was heard is not told again");
    if kills.is_empty() {
        assert_eq!(before as u64, LINES, "nobody was told twice");
    }
}

/// Whoever is told has every line once, if he takes away what he was told twice, wherever the agent
/// is killed and however often.
#[tokio::test]
async fn every_line_is_told_wherever_the_agent_is_killed() {
    for kills in KILLS {
        check(kills).await;
    }
}

/// A collector that is away for longer than lines are kept misses some, and that is counted.
#[tokio::test]
async fn lines_that_went_untold_are_counted() {
    let (node, sink) = (Node::new(1000), Sink::default());
    node.add(3).await;
    assert_eq!(node.run(&sink).await, 0);
    node.add(100).await;
    let kept = node.heads().len() as u64;
    let dropped = node.run(&sink).await;
    assert!(kept < 100, "{kept}");
    assert_eq!(dropped + kept, 100);
    assert_eq!(sink.count() as u64, 3 + kept);
}

/// A trail that is not the one of which the collector has heard is told from its beginning.
#[tokio::test]
async fn another_trail_is_told_all() {
    let (node, sink) = (Node::new(1 << 20), Sink::default());
    node.add(7).await;
    let places = node.state.path().join(crate::otlp::cursor::DIRECTORY);
    std::fs::create_dir(&places).unwrap();
    for place in [format!("5:{}\n", "ab".repeat(32)), "word".to_owned()] {
        std::fs::write(places.join("audit"), place).unwrap();
        let begun = sink.count();
        assert_eq!(node.run(&sink).await, 0);
        assert_eq!(sink.count() - begun, 7);
    }
}

#[test]
fn what_is_missing_is_counted_between_lines() {
    let line = |seq: u64| Line {
        head: format!("{seq}:{}", "00".repeat(32)).parse().unwrap(),
        text: Vec::new(),
    };
    let of =
        |before, seqs: &[u64]| missing(before, &seqs.iter().copied().map(line).collect::<Vec<_>>());
    assert_eq!(of(0, &[]), 0);
    assert_eq!(of(0, &[9, 10]), 0, "nobody knows what was before");
    assert_eq!(of(8, &[9, 10]), 0);
    assert_eq!(of(8, &[12, 15]), 3 + 2);
}
