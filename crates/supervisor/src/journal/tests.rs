use burstlet_model::Stamp;
use burstlet_testkit::spec::{container, definition, group};

use super::*;
use crate::record::{Definition, Origin};
use crate::seen::Seen;

const FIRST: u64 = 1000;

fn journal(history_max: usize) -> Arc<Journal> {
    Arc::new(Journal::new(FIRST, history_max, CancellationToken::new()))
}

fn push(journal: &Journal) -> u64 {
    let theirs = definition(group("g", vec![container("c")]));
    let snapshot = Snapshot {
        uid: "g".parse().unwrap(),
        status: Seen::new(&theirs.spec, Stamp::default()).status(&theirs.spec),
        definition: Definition {
            spec: theirs.spec,
            source: theirs.source,
            origin: Origin::Direct,
        },
        events: Arc::new([]),
        resource_version: 0,
        request_id: None,
    };
    journal
        .push(ChangeKind::Modified, None, snapshot)
        .resource_version
}

#[tokio::test]
async fn a_watcher_sees_every_change_once_and_in_order() {
    let journal = journal(10);
    let mut changes = journal.watch(FIRST);
    let pushed = [push(&journal), push(&journal), push(&journal)];
    assert_eq!(pushed, [FIRST + 1, FIRST + 2, FIRST + 3]);
    for version in pushed {
        let change = changes.next().await.unwrap().unwrap();
        assert_eq!(change.resource_version, version);
        assert_eq!(change.snapshot.resource_version, version);
    }
    let waiting = tokio::spawn(async move { changes.next().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    push(&journal);
    let change = waiting.await.unwrap().unwrap().unwrap();
    assert_eq!(change.resource_version, FIRST + 4);
}

#[tokio::test]
async fn who_lags_is_told_so() {
    let journal = journal(2);
    let mut slow = journal.watch(FIRST);
    for _ in 0..3 {
        push(&journal);
    }
    let expired = slow.next().await.unwrap_err();
    assert_eq!((expired.since, expired.oldest), (FIRST, FIRST + 2));
    assert!(journal.watch(FIRST + 1).next().await.is_ok());
    // Versions of an earlier agent, and such as no agent gave.
    assert!(journal.watch(3).next().await.is_err());
    assert!(journal.watch(FIRST + 99).next().await.is_err());
}

#[tokio::test]
async fn watching_ends_with_the_agent() {
    let shutdown = CancellationToken::new();
    let journal = Arc::new(Journal::new(FIRST, 2, shutdown.clone()));
    let mut changes = journal.watch(FIRST);
    shutdown.cancel();
    assert!(changes.next().await.unwrap().is_none());
}
