//! The queue between who tells and the collector. Who tells never waits: what has no room is dropped
//! and counted.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::counts::{Counts, Signal};
use crate::record::Record;
use crate::send::{BATCH_RECORDS_MAX, Batch, Collector, Patience, Sender};

/// Records that wait for the collector.
pub const QUEUE_RECORDS_MAX: usize = 8192;
/// How long a record waits for others to go with.
const GATHER: Duration = Duration::from_secs(1);
/// How often a batch is tried: while it is, the queue fills.
const TRIES: u32 = 5;

/// Where records wait.
#[derive(Debug)]
pub struct Queue(mpsc::Receiver<Record>);

/// Where records are put.
#[derive(Clone, Debug)]
pub struct Entrance {
    queue: mpsc::Sender<Record>,
    signal: Signal,
    counts: Counts,
}

/// A queue for records of a signal, and its two ends.
#[must_use]
pub fn queue(signal: Signal, counts: Counts) -> (Entrance, Queue) {
    let (entrance, queue) = mpsc::channel(QUEUE_RECORDS_MAX);
    let entrance = Entrance {
        queue: entrance,
        signal,
        counts,
    };
    (entrance, Queue(queue))
}

impl Entrance {
    /// Puts a record in the queue, or drops it.
    pub fn put(&self, record: Record) {
        if self.queue.try_send(record).is_err() {
            self.counts.add_dropped(self.signal, 1);
        }
    }
}

impl Queue {
    /// Sends what is in the queue, until it is dropped.
    pub async fn follow<C: Collector>(mut self, sender: &Sender<C>) {
        let mut records = Vec::new();
        while self.0.recv_many(&mut records, 1).await > 0 {
            if self.0.len() < BATCH_RECORDS_MAX {
                tokio::time::sleep(GATHER).await;
            }
            while records.len() < BATCH_RECORDS_MAX {
                let Ok(record) = self.0.try_recv() else {
                    break;
                };
                records.push(record);
            }
            let batch = Batch::of(std::mem::take(&mut records));
            sender.send(&batch, Patience::Tries(TRIES)).await;
        }
    }
}
