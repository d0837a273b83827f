//! The audit trail: who did what, when, and how it ended, one JSON object on a line.
//!
//! ```text
//! calls ─► queue (bounded) ─► one thread ─► audit.log, audit.log.1 …, so many and so large
//! ```
//!
//! The file is written by a thread of its own, so that a slow disk holds up no other call; whoever
//! must not answer before his entry is in the file waits for it, within a bound. A trail that cannot
//! be written does not stop the node, for then nobody could make room on its disk: it is told in the
//! log, counted, and the trail itself says how many entries it lacks as soon as it goes on.
//!
//! Each line is tied to the one before it ([`chain`]), so that [`verify()`] finds what was changed.

mod chain;
mod entry;
mod file;
mod reader;
mod strangers;
mod verify;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burstlet_model::{ErrorKind, WallTime};
use tokio::sync::{mpsc, oneshot, watch};

pub use chain::{Head, HeadError};
pub use entry::{Entry, Event, argv_sha256};
use file::TrailFile;
pub use reader::{Line, Reader};
use strangers::Strangers;
pub use verify::{Fault, Verified, Wrong, verify};

/// Entries that wait for the disk.
const QUEUE_ENTRIES_MAX: usize = 4096;
/// How long an answer waits for its entry.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Where the trail is, and how large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailConfig {
    /// Its directory, which only its owner can enter.
    pub dir: PathBuf,
    /// A file is followed by the next before it would be larger than this.
    pub bytes_max: u64,
    /// So many files are kept, with the one that is being written.
    pub files_max: u8,
}

/// Why the trail cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// Its file cannot be opened.
    #[error("open the audit trail in {dir}")]
    Open {
        /// Where.
        dir: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Its files cannot be read.
    #[error("read the audit trail's file {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no thread to write it.
    #[error("start the audit trail's thread")]
    Thread(#[source] std::io::Error),
}

impl TrailError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// Where entries are put. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Trail {
    queue: mpsc::Sender<Item>,
    lost: Arc<AtomicU64>,
    strangers: Arc<Mutex<Strangers>>,
    head: watch::Receiver<Head>,
}

#[derive(Debug)]
struct Item {
    object: Option<Vec<u8>>,
    written: Option<oneshot::Sender<()>>,
}

impl Trail {
    /// Goes on with the trail in a directory, or begins it.
    ///
    /// # Errors
    /// Its file cannot be opened.
    pub fn open(config: TrailConfig) -> Result<Self, TrailError> {
        let dir = config.dir.clone();
        let file = TrailFile::open(config).map_err(|source| TrailError::Open { dir, source })?;
        let (queue, entries) = mpsc::channel(QUEUE_ENTRIES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let (shown, head) = watch::channel(file.head());
        let writer = Writer {
            file,
            lost: Arc::clone(&lost),
            shown,
        };
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.write_all(entries))
            .map_err(TrailError::Thread)?;
        Ok(Self {
            queue,
            lost,
            strangers: Arc::default(),
            head,
        })
    }

    /// The last line that is in the file, whenever there is another.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.clone()
    }

    /// Puts an entry into the queue.
    pub fn put(&self, entry: &Entry) {
        self.push(Some(entry), None);
    }

    /// Puts an entry into the queue and waits until it is in the file, for at most a few seconds.
    pub async fn write(&self, entry: &Entry) {
        let (written, is_written) = oneshot::channel();
        self.push(Some(entry), Some(written));
        // Whether it was written or lost has been told where it happened.
        let _ = tokio::time::timeout(WAIT_MAX, is_written).await;
    }

    /// Puts the refusal of somebody who is not known into the queue, unless there have been too many
    /// of them lately: strangers must not be able to push what others did out of the trail. Those
    /// that are left out are counted in the next one.
    pub fn put_stranger(&self, mut entry: Entry, now: WallTime) {
        let admitted = {
            let mut strangers = self
                .strangers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            strangers.admit(now)
        };
        if let Some(left_out) = admitted {
            entry.left_out = left_out;
            self.put(&entry);
        }
    }

    /// Waits until what was put before is in the file, for at most a few seconds.
    pub async fn settle(&self) {
        let (written, is_written) = oneshot::channel();
        self.push(None, Some(written));
        let _ = tokio::time::timeout(WAIT_MAX, is_written).await;
    }

    fn push(&self, entry: Option<&Entry>, written: Option<oneshot::Sender<()>>) {
        let object = entry.map(Entry::json);
        let is_entry = object.is_some();
        if self.queue.try_send(Item { object, written }).is_err() && is_entry {
            self.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!("an entry of the audit trail was lost: the disk is too slow");
        }
    }
}

/// The thread's own.
struct Writer {
    file: TrailFile,
    lost: Arc<AtomicU64>,
    shown: watch::Sender<Head>,
}

impl Writer {
    /// Writes entries until nobody can put any more.
    fn write_all(mut self, mut entries: mpsc::Receiver<Item>) {
        let mut sound = true;
        while let Some(Item { object, written }) = entries.blocking_recv() {
            if let Some(object) = object {
                match self.write(&object) {
                    Ok(()) => sound = true,
                    Err(error) => {
                        self.lost.fetch_add(1, Ordering::Relaxed);
                        // Told once for each time that it begins.
                        if std::mem::replace(&mut sound, false) {
                            tracing::error!(%error, "the audit trail cannot be written");
                        }
                    }
                }
                self.shown.send_replace(self.file.head());
            }
            // Whoever waited may have gone.
            let _ = written.map(|written| written.send(()));
        }
    }

    fn write(&mut self, object: &[u8]) -> std::io::Result<()> {
        let missing = self.lost.load(Ordering::Relaxed);
        if missing > 0 {
            let gap = format!("{{\"event\":\"lost\",\"entries\":{missing}}}");
            self.file.write(gap.as_bytes())?;
            self.lost.fetch_sub(missing, Ordering::Relaxed);
        }
        self.file.write(object)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
