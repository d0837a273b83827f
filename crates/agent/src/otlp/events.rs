//! Billing events on their way to the collector.
//!
//! ```text
//! ledger ─► records after the cursor ─► events ─► collector ─► cursor (kept)
//! ```
//!
//! The cursor is moved when the collector has what lies before it, and never earlier. Whoever ends in
//! between tells some events again, with the ids and the words of the first time.

use burstlet_metering::Meter;
use burstlet_metering::book::Shelf;
use burstlet_metering::chain::LedgerId;
use burstlet_metering::events::{Event, Told, event};
use burstlet_metering::ledger::{Inspected, OpenError, Status};
use burstlet_metering::recent::{Recent, read_after};
use burstlet_metering::record::{Fact, Record};
use burstlet_otlp::{BATCH_RECORDS_MAX, Batch, Collector, Patience, Sender, Severity, Value};
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use super::UID;
use super::cursor::Cursor;

/// How long a record waits for others to go with.
const GATHER: Duration = Duration::from_secs(1);
/// The pause after the ledger could not be read, or the cursor not be kept.
const TROUBLE_PAUSE: Duration = Duration::from_secs(30);
/// Records that are read from the disk at once.
const READ_RECORDS_MAX: usize = 16_384;

/// Where the records are, and what is known of their sessions.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) meter: Meter,
    pub(super) recent: Recent,
    pub(super) files: Inspected,
}

/// Tells a collector of the ledger.
pub(super) struct Events<C> {
    source: Source,
    sender: Sender<C>,
    cursor: Cursor,
    /// How far it has heard, for whoever asks.
    heard: watch::Sender<u64>,
}

impl<C: Collector> Events<C> {
    /// Goes on behind the cursor.
    pub(super) fn new(
        source: Source,
        sender: Sender<C>,
        cursor: Cursor,
        heard: watch::Sender<u64>,
    ) -> Self {
        heard.send_replace(cursor.seq());
        Self {
            source,
            sender,
            cursor,
            heard,
        }
    }

    /// Tells of every record, until it is dropped. May be at any point: the next one goes on.
    pub(super) async fn follow(mut self, mut ledger: watch::Receiver<Status>) {
        loop {
            let (id, seq) = {
                let status = ledger.borrow_and_update();
                (status.ledger, status.seq)
            };
            if let Err(error) = self.catch_up(id, seq).await {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "the collector is not told of the ledger; trying again"
                );
                sleep(TROUBLE_PAUSE).await;
                continue;
            }
            if ledger.changed().await.is_err() {
                return;
            }
            sleep(GATHER).await;
        }
    }

    /// Tells of all records up to one.
    async fn catch_up(&mut self, ledger: LedgerId, through: u64) -> anyhow::Result<()> {
        while self.cursor.seq() < through {
            let records = self.source.after(self.cursor.seq(), through).await?;
            if records.is_empty() {
                // They were damaged, or retired: whoever reads the ledger is told so.
                return Ok(());
            }
            for records in records.chunks(BATCH_RECORDS_MAX) {
                self.tell(ledger, records).await?;
            }
        }
        Ok(())
    }

    /// Tells of some records, and keeps how far that is.
    async fn tell(&mut self, ledger: LedgerId, records: &[Record]) -> anyhow::Result<()> {
        let shelf = self.source.meter.shelf();
        let events = records
            .iter()
            .filter_map(|record| self.source.event(ledger, record, &shelf));
        let events: Vec<_> = events.map(told).collect();
        let is_told = !events.is_empty();
        if is_told {
            self.sender
                .send(&Batch::of(events), Patience::Endless)
                .await;
        }
        if let Some(last) = records.last() {
            self.cursor.pass(last.seq);
        }
        if is_told {
            self.cursor.keep()?;
        }
        self.heard.send_replace(self.cursor.seq());
        Ok(())
    }
}

impl Source {
    /// The records after one: the latest from memory, else from the disk.
    async fn after(&self, seq: u64, through: u64) -> anyhow::Result<Vec<Record>> {
        if let Some(records) = self.recent.after(seq, BATCH_RECORDS_MAX) {
            return Ok(records);
        }
        let files = self.files.clone();
        let read = move || read_after(&files, (seq, through), READ_RECORDS_MAX);
        let read: Result<_, OpenError> = tokio::task::spawn_blocking(read).await?;
        Ok(read?)
    }

    fn event(&self, ledger: LedgerId, record: &Record, shelf: &Shelf) -> Option<Event> {
        let Fact::Session { id, .. } = &record.fact else {
            return None;
        };
        let session = self.meter.look(|sessions| {
            let mut of_group = sessions.shared_of_group(&id.uid);
            of_group.find(|session| session.id() == id).cloned()
        });
        let made = event(ledger, record, session.as_deref(), shelf);
        made.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "an end is told without what it cost");
            event(ledger, record, None, shelf).ok().flatten()
        })
    }
}

fn told(event: Event) -> burstlet_otlp::Record {
    let mut attributes = vec![(UID.to_owned(), Value::Text(event.id))];
    attributes.extend(event.facts.into_iter().map(|(key, told)| {
        let value = match told {
            Told::Text(text) => Value::Text(text),
            Told::Whole(number) => match i64::try_from(number) {
                Ok(number) => Value::Whole(number),
                Err(_) => Value::Text(number.to_string()),
            },
        };
        (key, value)
    }));
    burstlet_otlp::Record {
        at_ns: u64::try_from(event.at.0).unwrap_or(0),
        severity: Severity::Info,
        event: event.name,
        body: event.name.to_owned(),
        attributes,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
