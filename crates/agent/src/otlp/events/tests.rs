use std::collections::{BTreeMap, BTreeSet};

use burstlet_metering::ledger::{Directory, Ledger, Options, SEGMENT_BYTES, Shown};
use burstlet_metering::record::{
    Allocation, BootId, Close, Entry, Moment, Opened, Scheduling, SessionFact, SessionId,
};
use burstlet_model::{BootTime, GroupName, GroupUid, Name, Namespace, Stamp, WallTime};
use burstlet_otlp::{Counts, Signal};
use tempfile::TempDir;

use super::*;
use crate::otlp::sink::{KILLS, Kill, Sink};

/// Sessions of the tests' ledger: their records are three batches.
const SESSIONS: u64 = 600;

fn moment(second: u64) -> Moment {
    let ns = second * 1_000_000_000;
    Moment {
        boot_id: BootId([7; 16]),
        stamp: Stamp {
            boot: BootTime(ns),
            wall: WallTime(i64::try_from(ns).unwrap()),
        },
    }
}

/// A group that began and ended.
fn session(number: u64) -> [Entry; 2] {
    let opened = Opened {
        group: GroupName {
            namespace: Namespace::new("team-a").unwrap(),
            name: Name::new(format!("job-{number}")).unwrap(),
        },
        owner: String::new(),
        tags: BTreeMap::new(),
        images: Vec::new(),
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        scheduling: Scheduling::OnDemand,
        isolation: "container".to_owned(),
        allocation: Allocation::default(),
    };
    let id = SessionId {
        uid: GroupUid::new(format!("uid-{number}")).unwrap(),
        start: 1,
    };
    let facts = [
        SessionFact::Opened(Box::new(opened)),
        SessionFact::Closed(Close::Succeeded),
    ];
    facts.map(|fact| Entry {
        at: moment(number + 1),
        fact: Fact::Session {
            id: id.clone(),
            fact,
        },
    })
}

/// A ledger on the disk.
struct Node {
    state: TempDir,
    ledger: Ledger,
    source: Source,
}

impl Node {
    async fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("ledger");
        let source = Source {
            meter: Meter::new(BootId([7; 16]), [], Vec::new()),
            recent: Recent::default(),
            files: Inspected::new(&directory),
        };
        let options = Options {
            clock: Box::new(|| moment(1)),
            key: [9; 32],
            version: "test".to_owned(),
            segment_bytes: SEGMENT_BYTES,
            archive: false,
        };
        let (meter, recent) = (source.meter.clone(), source.recent.clone());
        let observer = Box::new(move |shown: Shown<'_>| {
            meter.apply(shown).unwrap();
            if let Shown::Record(record) = shown {
                recent.put(record);
            }
        });
        let storage = Directory::open(&directory).unwrap();
        let (ledger, _) = Ledger::open(storage, options, observer).unwrap();
        let entries: Vec<Entry> = (0..SESSIONS).flat_map(session).collect();
        for entries in entries.chunks(100) {
            let receipt = ledger.append(entries.to_vec()).await.unwrap();
            // What is acknowledged is published a little later.
            let mut status = ledger.status();
            let published = status.wait_for(|status| status.seq >= receipt.seq);
            drop(published.await.unwrap());
        }
        Self {
            state,
            ledger,
            source,
        }
    }

    /// An agent that tells the sink, where the last one left off. One that has just started has
    /// nothing in memory.
    fn agent<'s>(&self, sink: &'s Sink, has_recent: bool) -> Events<&'s Sink> {
        let status = self.ledger.status().borrow().clone();
        let cursor = Cursor::open(self.state.path(), status.ledger).unwrap();
        let mut source = self.source.clone();
        if !has_recent {
            source.recent = Recent::default();
        }
        let sender = Sender::new(sink, Signal::Events, Counts::default());
        Events::new(source, sender, cursor, watch::Sender::new(0))
    }

    /// Tells the sink of everything, unless the agent is killed before.
    async fn run(&self, sink: &Sink, has_recent: bool) {
        let status = self.ledger.status().borrow().clone();
        let mut agent = self.agent(sink, has_recent);
        // An agent that cannot keep its cursor ends here; ours would try again.
        let told = agent.catch_up(status.ledger, status.seq);
        sink.kill(self.state.path(), told).await;
    }
}

/// The ids of every event that there is, from the ledger's files alone.
fn expected(node: &Node) -> BTreeSet<String> {
    let status = node.ledger.status().borrow().clone();
    let all = read_after(&node.source.files, (0, status.seq), usize::MAX).unwrap();
    let sessions = all
        .iter()
        .filter(|r| matches!(r.fact, Fact::Session { .. }));
    let id = burstlet_metering::Hex(&status.ledger.0).to_string();
    sessions
        .map(|record| format!("{id}:{}", record.seq))
        .collect()
}

async fn check(kills: &[Kill], has_recent: bool) {
    let (node, sink) = (Node::new().await, Sink::default());
    for kill in kills {
        sink.will(*kill);
        node.run(&sink, has_recent).await;
    }
    node.run(&sink, has_recent).await;
    let heard: BTreeSet<String> = sink.unique().into_keys().collect();
    let missed = expected(&node).difference(&heard).count();
    assert_eq!(missed, 0, "{kills:?}");
    assert_eq!(heard.len() as u64, 2 * SESSIONS);

    let before = sink.count();
    node.run(&sink, has_recent).await;
    let after = sink.count();
    assert_eq!(after, before, "what was heard is not told again");
    if kills.is_empty() {
        assert_eq!(before as u64, 2 * SESSIONS, "nobody was told twice");
    }
}

/// Whoever is told has every event once, if he takes away what he was told twice, wherever the agent
/// is killed and however often.
#[tokio::test]
async fn every_event_is_told_wherever_the_agent_is_killed() {
    for kills in KILLS {
        check(kills, true).await;
        check(kills, false).await;
    }
}
