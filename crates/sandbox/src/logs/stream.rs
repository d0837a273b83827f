//! A log as a stream for tokio.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use burstlet_model::WallTime;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::reader::{LogError, LogReader, Progress};
use super::record::Stream;

/// How long a change can stay unseen if the kernel does not tell of it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How much text is gathered for one batch.
const BATCH_BYTES: usize = 64 * 1024;

/// A record that owns its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// When it was read from the container.
    pub at: WallTime,
    /// Which stream it came by.
    pub stream: Stream,
    /// The text; with its newline if the line ends here.
    pub text: Vec<u8>,
}

/// Reads a log in batches, on threads that may block, and waits for more when following.
#[derive(Debug)]
pub struct LogStream {
    /// `None` only while a thread has it, or after that thread was lost.
    reader: Option<LogReader>,
    running: watch::Receiver<bool>,
    changes: Option<AsyncFd<OwnedFd>>,
}

impl LogStream {
    /// Streams what `reader` reads of the log in `dir`. A stream that follows ends when all is
    /// read after `running` has become false or was dropped.
    #[must_use]
    pub fn new(dir: &Path, reader: LogReader, running: watch::Receiver<bool>) -> Self {
        Self {
            reader: Some(reader),
            running,
            // Without it there is still the clock.
            changes: watch_directory(dir).ok(),
        }
    }

    /// The next records; `None` at the end. Dropping the future in between loses a batch, so a
    /// stream that was left so is at its end.
    ///
    /// # Errors
    /// A file cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<OwnedRecord>>, LogError> {
        loop {
            // Asked before reading: what was written before it became false is then read.
            let running = *self.running.borrow_and_update() && self.running.has_changed().is_ok();
            let Some(mut reader) = self.reader.take() else {
                return Ok(None);
            };
            let read = tokio::task::spawn_blocking(move || {
                let batch = read_batch(&mut reader);
                (reader, batch)
            });
            let Ok((reader, batch)) = read.await else {
                return Ok(None);
            };
            self.reader = Some(reader);
            let (records, progress) = batch?;
            if !records.is_empty() {
                return Ok(Some(records));
            }
            match progress {
                Progress::More => {}
                Progress::CaughtUp if running => self.changed().await,
                Progress::CaughtUp | Progress::End => return Ok(None),
            }
        }
    }

    /// Waits until something may have been written. Cancel-safe: what a notification said is
    /// found by looking.
    pub(super) async fn changed(&mut self) {
        let notified = async {
            match &self.changes {
                Some(changes) => {
                    if let Ok(mut ready) = changes.readable().await {
                        let mut events = [0_u8; 4096];
                        while nix::unistd::read(changes.get_ref(), &mut events).is_ok() {}
                        ready.clear_ready();
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = notified => {}
            _ = self.running.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

fn read_batch(reader: &mut LogReader) -> Result<(Vec<OwnedRecord>, Progress), LogError> {
    let mut records = Vec::new();
    let mut bytes = 0;
    loop {
        let progress = reader.read(|record| {
            bytes += record.text.len();
            records.push(OwnedRecord {
                at: record.at,
                stream: record.stream,
                text: record.text.to_vec(),
            });
        })?;
        if progress != Progress::More || bytes >= BATCH_BYTES {
            return Ok((records, progress));
        }
    }
}

fn watch_directory(dir: &Path) -> std::io::Result<AsyncFd<OwnedFd>> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let events = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_FROM;
    inotify.add_watch(dir, events)?;
    #[allow(
        deprecated,
        reason = "its successor is unsafe; what that asks for holds, as an OwnedFd is one descriptor"
    )]
    AsyncFd::new(OwnedFd::from(inotify))
}
