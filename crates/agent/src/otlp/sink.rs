//! A collector of the tests: keeps what it is told, while agents are killed around it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use burstlet_otlp::{Batch, Collector, Signal};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use tokio::sync::Notify;
use tonic::Status as Answer;

use super::UID;

/// Where an agent is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kill {
    /// The sink has nothing of the batch.
    Before,
    /// It has the batch, and its answer never arrives.
    Unanswered,
    /// The agent has the answer, and did not keep how far that was.
    Unkept,
    /// All of one batch is done.
    Between,
}

/// Agents that are killed one after the other, each in its way.
pub(super) const KILLS: [&[Kill]; 6] = [
    &[],
    &[Kill::Before],
    &[Kill::Unanswered],
    &[Kill::Unkept],
    &[Kill::Between],
    &[
        Kill::Between,
        Kill::Unkept,
        Kill::Unanswered,
        Kill::Between,
        Kill::Before,
        Kill::Unkept,
    ],
];

/// Somebody who keeps what he is told.
#[derive(Default)]
pub(super) struct Sink {
    /// Each record with its id, as often as it was told.
    heard: Mutex<Vec<(String, LogRecord)>>,
    /// What becomes of the agent that tells him, batch by batch.
    kills: Mutex<Vec<Kill>>,
    killed: Notify,
}

impl Sink {
    /// How the next agent is killed.
    pub(super) fn will(&self, kill: Kill) {
        *self.kills.lock().unwrap() = vec![kill];
    }

    /// Lets an agent tell, until all is told or it is killed as it was said.
    pub(super) async fn kill<T>(&self, state: &Path, told: impl Future<Output = T>) {
        let is_unkept = self.kills.lock().unwrap().last() == Some(&Kill::Unkept);
        if is_unkept {
            lock_place(state, true);
        }
        tokio::select! {
            _ = told => {}
            () = self.killed.notified() => {}
        }
        if is_unkept {
            lock_place(state, false);
        }
        self.kills.lock().unwrap().clear();
    }

    /// How many records he was told, as often as they were.
    pub(super) fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// What he has once what he was told twice is taken away; whoever is told twice is told the same.
    pub(super) fn unique(&self) -> BTreeMap<String, LogRecord> {
        let mut unique = BTreeMap::new();
        for (uid, record) in self.heard.lock().unwrap().iter() {
            let known = unique.insert(uid.clone(), record.clone());
            assert!(known.is_none_or(|known| known == *record), "{record:?}");
        }
        unique
    }

    fn keep(&self, batch: &Batch) {
        let Batch::Records(records) = batch else {
            panic!("{batch:?}")
        };
        let keyed = records.iter().map(|record| (uid(record), record.clone()));
        self.heard.lock().unwrap().extend(keyed);
    }
}

impl Collector for &Sink {
    async fn take(&self, _: Signal, batch: &Batch) -> Result<u64, Answer> {
        let kill = self.kills.lock().unwrap().pop();
        if kill != Some(Kill::Before) {
            self.keep(batch);
        }
        match kill {
            Some(Kill::Before | Kill::Unanswered) => {
                self.killed.notify_one();
                std::future::pending().await
            }
            Some(Kill::Between) => {
                // The agent goes on, and is killed as it tells of the next batch.
                self.kills.lock().unwrap().push(Kill::Before);
                Ok(0)
            }
            Some(Kill::Unkept) | None => Ok(0),
        }
    }
}

fn uid(record: &LogRecord) -> String {
    let uid = record.attributes.iter().find(|pair| pair.key == UID);
    match uid.and_then(|pair| pair.value.as_ref()?.value.as_ref()) {
        Some(Any::StringValue(uid)) => uid.clone(),
        other => panic!("{other:?}"),
    }
}

/// Makes it impossible to keep how far the collector has heard, or possible again.
fn lock_place(state: &Path, is_locked: bool) {
    let directory = state.join(super::cursor::DIRECTORY);
    let aside = state.join("aside");
    if is_locked {
        let _ = std::fs::rename(&directory, &aside);
        std::fs::write(&directory, "in the way").unwrap();
    } else {
        std::fs::remove_file(&directory).unwrap();
        let _ = std::fs::rename(&aside, &directory);
    }
}
