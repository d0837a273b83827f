//! The agent's ledger: opened before any group is taken over, told of every session, asked what it
//! knows.

mod budgets;
mod retire;
mod sample;
mod tell;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use burstlet_metering::Meter;
use burstlet_metering::book::Book;
use burstlet_metering::budget;
use burstlet_metering::ledger::{
    AppendError, Directory, Ledger, Mark, Opening, Options, Outcome, SEGMENT_BYTES, Shown, Status,
};
use burstlet_metering::recent::Recent;
use burstlet_metering::record::{BootId, Entry, Fact, Moment};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Billing, Budget};
use crate::machine;
use sample::Samples;

/// The directory in the state directory.
pub(crate) const DIRECTORY: &str = "ledger";

/// The ledger and what follows from it.
pub(crate) struct Metering {
    ledger: Ledger,
    meter: Meter,
    samples: Mutex<Samples>,
    /// How the budgets stood when somebody looked last.
    budgets: watch::Sender<Arc<[budget::State]>>,
    boot_id: BootId,
    directory: PathBuf,
    tag_labels: Vec<String>,
    /// How far an earlier agent got, and when it was last up.
    last_mark: Option<Mark>,
}

impl Metering {
    /// Opens the ledger and reads it; `recent` is told of its records. Blocks.
    ///
    /// # Errors
    /// It cannot be read or written, another agent has it, or a newer version wrote it.
    pub(crate) fn open(
        state_dir: &Path,
        config: &Billing,
        recent: Option<Recent>,
    ) -> anyhow::Result<Self> {
        let boot_id = boot_id().context("read the boot id")?;
        let directory = state_dir.join(DIRECTORY);
        let storage = Directory::open(&directory)?;
        let options = Options {
            clock: Box::new(move || now(boot_id)),
            key: random().context("get random bytes")?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            segment_bytes: SEGMENT_BYTES,
            archive: config.archive,
        };
        let budgets = config.budgets.iter().map(|Budget(budget)| budget.clone());
        let labels = config.tag_labels.iter().cloned();
        let meter = Meter::new(boot_id, labels, budgets.collect());
        let told = meter.clone();
        let observer = Box::new(move |shown: Shown<'_>| {
            if let Err(error) = told.apply(shown) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a record has no price");
            }
            if let (Shown::Record(record), Some(recent)) = (shown, &recent) {
                recent.put(record);
            }
        });
        let (ledger, opening) = Ledger::open(storage, options, observer)?;
        meter.follow(ledger.status());
        report(&opening);
        Ok(Self {
            ledger,
            meter,
            samples: Mutex::default(),
            budgets: watch::Sender::default(),
            boot_id,
            directory,
            tag_labels: config.tag_labels.clone(),
            last_mark: opening.last_mark,
        })
    }

    /// Ends the agent if the ledger's disk fails: what is on it has to be read anew before anything
    /// more is acknowledged.
    pub(crate) fn end_when_poisoned(&self, shutdown: CancellationToken) {
        let mut status = self.ledger.status();
        tokio::spawn(async move {
            let poisoned = status.wait_for(|status| status.poisoned.is_some()).await;
            if let Ok(status) = poisoned {
                let why = status.poisoned.as_deref().unwrap_or_default();
                tracing::error!(why, "the ledger's disk has failed; ending, groups go on");
                shutdown.cancel();
            }
        });
    }

    /// How far the ledger is, whenever that changes.
    pub(crate) fn ledger_status(&self) -> watch::Receiver<Status> {
        self.ledger.status()
    }

    /// Whether the ledger takes records.
    pub(crate) fn is_sound(&self) -> bool {
        self.ledger.status().borrow().poisoned.is_none()
    }

    /// Says in the ledger that the agent leaves in order.
    pub(crate) async fn close(&self) {
        if let Err(error) = self.ledger.clone().close().await {
            tracing::error!(%error, "close the ledger");
        }
    }

    async fn append(&self, entries: Vec<Entry>) -> Result<(), AppendError> {
        self.ledger.append(entries).await.map(drop)
    }

    /// What follows from the ledger.
    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Writes the price books down that the ledger does not have. One that changed under the same
    /// date is refused: what ran by it was charged by it.
    ///
    /// # Errors
    /// A book does not fit those of the ledger, or cannot be written.
    pub(crate) async fn install_books(&self, books: Vec<Book>) -> anyhow::Result<()> {
        for book in books {
            let at = self.now();
            let (before, name) = (self.meter.shelf(), book.name().to_owned());
            let with = before.with(book.clone(), at.stamp.wall);
            let with = with.with_context(|| format!("put the price book {name} in force"))?;
            if with != before {
                tracing::info!(book = name, version = %book.version(), "a price book is installed");
                let fact = Fact::BookInstalled(book.to_record());
                self.append(vec![Entry { at, fact }]).await?;
            }
        }
        if self.meter.shelf().books().is_empty() {
            tracing::warn!("there is no price book: what groups use is metered and costs nothing");
        }
        Ok(())
    }

    fn now(&self) -> Moment {
        now(self.boot_id)
    }
}

fn now(boot_id: BootId) -> Moment {
    let stamp = machine::now();
    Moment { boot_id, stamp }
}

/// How the ledger was found is said as loudly as it deserves.
fn report(opening: &Opening) {
    match &opening.outcome {
        Outcome::Fresh => tracing::info!("a new ledger begins"),
        Outcome::Loaded => tracing::info!(records = opening.seq, "the ledger is read"),
        Outcome::TornTail { file, bytes } => tracing::warn!(
            file,
            bytes,
            "a power cut tore the ledger's last write, which nobody had been told of; it was cut off"
        ),
        Outcome::Corrupt { set_aside } => tracing::error!(
            ?set_aside,
            "the ledger is damaged; the damaged segments were set aside"
        ),
    }
    for damage in &opening.damages {
        tracing::error!(
            file = damage.file,
            from_record = damage.from_seq,
            what = damage.what,
            "the ledger is not as it was written"
        );
    }
}

fn boot_id() -> anyhow::Result<BootId> {
    let text = machine::boot_id()?;
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let mut id = [0; 16];
    anyhow::ensure!(digits.len() == 2 * id.len(), "{text:?} is not a UUID");
    for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).context("read a UUID")?;
        *byte = u8::from_str_radix(pair, 16).with_context(|| format!("{text:?} is not a UUID"))?;
    }
    Ok(BootId(id))
}

fn random() -> std::io::Result<[u8; 32]> {
    let mut key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}
