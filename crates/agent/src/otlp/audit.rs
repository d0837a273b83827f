//! The audit trail on its way to the collector.
//!
//! ```text
//! files of the trail ─► lines behind the place ─► records ─► collector ─► place (kept)
//! ```
//!
//! The place is moved when the collector has what lies before it, and never earlier. Whoever ends in
//! between tells some lines again, with the ids and the words of the first time. Who makes an entry
//! waits for none of it: it is read from the trail's files. What goes with the oldest of them before
//! the collector has it is counted as dropped.

mod line;
mod place;

use std::path::Path;

use anyhow::Context;
use burstlet_access::{Head, Line, Reader, TrailConfig, TrailError};
use burstlet_otlp::{BATCH_RECORDS_MAX, Batch, Collector, Patience, Sender};
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use place::Place;

/// How long a line waits for others to go with.
const GATHER: Duration = Duration::from_secs(1);
/// The pause after the trail could not be read, or the place not be kept.
const TROUBLE_PAUSE: Duration = Duration::from_secs(30);

/// Tells a collector of the trail.
pub(super) struct Audit<C> {
    trail: TrailConfig,
    sender: Sender<C>,
    place: Place,
    /// Where it reads; `None` before it has begun, and after it could not.
    reader: Option<Reader>,
    /// How far the collector has heard, for whoever asks.
    heard: watch::Sender<u64>,
}

/// Lines of the trail that follow each other.
struct Read {
    lines: Vec<Line>,
    /// Lines before them, or among them, that are gone.
    missing: u64,
}

impl<C: Collector> Audit<C> {
    /// Goes on where an earlier agent has left off.
    ///
    /// # Errors
    /// Where that was cannot be read.
    pub(super) fn open(
        (state_dir, trail): (&Path, TrailConfig),
        sender: Sender<C>,
        heard: watch::Sender<u64>,
    ) -> anyhow::Result<Self> {
        let place = Place::open(state_dir);
        let place = place.context("read how far the collector has heard the audit trail")?;
        heard.send_replace(place.head().seq);
        Ok(Self {
            trail,
            sender,
            place,
            reader: None,
            heard,
        })
    }

    /// Tells of every line, until it is dropped. May be at any point: the next one goes on.
    pub(super) async fn follow(mut self, mut trail: watch::Receiver<Head>) {
        loop {
            let through = trail.borrow_and_update().seq;
            if let Err(error) = self.catch_up(through).await {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "the collector is not told of the audit trail; trying again"
                );
                sleep(TROUBLE_PAUSE).await;
                continue;
            }
            if trail.changed().await.is_err() {
                return;
            }
            sleep(GATHER).await;
        }
    }

    /// Tells of all lines up to one.
    async fn catch_up(&mut self, through: u64) -> anyhow::Result<()> {
        loop {
            let read = self.read().await?;
            let Some(last) = read.lines.last().map(|line| line.head) else {
                // They are gone, or were never written as they should be: who verifies the trail is
                // told so.
                return Ok(());
            };
            self.tell(read, last).await?;
            if last.seq >= through {
                return Ok(());
            }
        }
    }

    /// The next lines. Who cannot read begins anew behind the place.
    async fn read(&mut self) -> anyhow::Result<Read> {
        let (trail, place) = (self.trail.clone(), self.place.head());
        let reader = self.reader.take();
        let read = move || -> Result<_, TrailError> {
            let mut reader = match reader {
                Some(reader) => reader,
                None => resume(&trail, place)?,
            };
            let before = reader.last();
            let lines = reader.read(BATCH_RECORDS_MAX)?;
            let missing = missing(before, &lines);
            Ok((reader, Read { lines, missing }))
        };
        let (reader, read) = tokio::task::spawn_blocking(read).await??;
        self.reader = Some(reader);
        Ok(read)
    }

    /// Tells of some lines, and keeps how far that is.
    async fn tell(&mut self, read: Read, last: Head) -> anyhow::Result<()> {
        if read.missing > 0 {
            let lines = read.missing;
            tracing::warn!(
                lines,
                "lines of the audit trail went untold with their file"
            );
            self.sender.forgo(lines);
        }
        let batch = Batch::of(read.lines.iter().map(line::record).collect());
        self.sender.send(&batch, Patience::Endless).await;
        let kept = self.place.keep(last);
        if kept.is_err() {
            // What is not kept is told again, by this agent or the next.
            self.reader = None;
        }
        kept.context("keep how far the collector has heard the audit trail")?;
        self.heard.send_replace(last.seq);
        Ok(())
    }
}

/// Reads on behind a place, or all if the trail has never passed through it.
fn resume(trail: &TrailConfig, place: Head) -> Result<Reader, TrailError> {
    let behind = Reader::behind(trail, place)?;
    Ok(behind.unwrap_or_else(|| {
        tracing::warn!(
            %place,
            "how far the collector has heard is of another audit trail; it is told all again"
        );
        Reader::after(trail, 0)
    }))
}

/// How many lines are not there that should be. Before the very first that anybody reads may be any.
fn missing(before: u64, lines: &[Line]) -> u64 {
    let (mut missing, mut last) = (0, before);
    for line in lines {
        if last > 0 {
            missing += line.head.seq.saturating_sub(last + 1);
        }
        last = line.head.seq;
    }
    missing
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
