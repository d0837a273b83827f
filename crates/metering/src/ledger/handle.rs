//! The writer on a thread of its own, and the handles by which tasks reach it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::carried::Carried;
use crate::record::Entry;

use super::error::{AppendError, OpenError};
use super::status::{Opening, Receipt, Status};
use super::storage::Storage;
use super::writer::{Observer, Options, SEGMENT_BYTES_MIN, Writer};

/// Appends that may wait for the writer; who comes later waits for a place.
const APPENDS_WAITING_MAX: usize = 1024;
/// Appends that share one sync.
const APPENDS_PER_COMMIT_MAX: usize = 256;
/// The time between two marks.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// A handle of an open ledger. When all are gone the writer ends, as if the agent had been killed.
#[derive(Clone, Debug)]
pub struct Ledger {
    places: Arc<Semaphore>,
    asks: SyncSender<Ask>,
    status: watch::Receiver<Status>,
}

#[derive(Debug)]
struct Ask {
    what: What,
    answer: oneshot::Sender<Result<Receipt, AppendError>>,
    /// Given back when the ask is answered.
    place: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum What {
    Append(Vec<Entry>),
    Retire(Box<Carried>),
    Close,
}

impl Ledger {
    /// Opens the ledger in a storage and starts its writer. Reads everything that is in it, and so
    /// blocks for a while.
    ///
    /// # Errors
    /// See [`Writer::open`].
    pub fn open<S: Storage>(
        storage: S,
        mut options: Options,
        observer: Observer,
    ) -> Result<(Self, Opening), OpenError> {
        options.segment_bytes = options.segment_bytes.max(SEGMENT_BYTES_MIN);
        let (writer, opening) = Writer::open(storage, options, observer)?;
        let (asks, asked) = sync_channel(APPENDS_WAITING_MAX);
        let (published, status) = watch::channel(writer.status().clone());
        thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || serve(writer, &asked, &published))
            .map_err(|source| OpenError::Storage {
                what: "start the writer",
                path: "of the ledger".to_owned(),
                source,
            })?;
        let ledger = Self {
            places: Arc::new(Semaphore::new(APPENDS_WAITING_MAX)),
            asks,
            status,
        };
        Ok((ledger, opening))
    }

    /// Appends entries, all or none. When this returns they are durable, and the observer has seen
    /// them. Who stops waiting does not know whether they were.
    ///
    /// # Errors
    /// They were not taken, or nobody can tell.
    pub async fn append(&self, entries: Vec<Entry>) -> Result<Receipt, AppendError> {
        self.ask(What::Append(entries)).await
    }

    /// Lets old segments go; see [`Writer::retire`].
    ///
    /// # Errors
    /// They stay.
    pub async fn retire(&self, carried: Carried) -> Result<Receipt, AppendError> {
        self.ask(What::Retire(Box::new(carried))).await
    }

    /// Says that the agent leaves in order, and ends the writer.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn close(self) -> Result<Receipt, AppendError> {
        self.ask(What::Close).await
    }

    /// How the ledger is, now and from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    async fn ask(&self, what: What) -> Result<Receipt, AppendError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            what,
            answer,
            place: place.map_err(|_| AppendError::Closed)?,
        };
        // There are as many places in the channel as permits: it is full only if it is closed.
        self.asks.try_send(ask).map_err(|_| AppendError::Closed)?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }
}

fn serve<S: Storage>(
    mut writer: Writer<S>,
    asked: &Receiver<Ask>,
    published: &watch::Sender<Status>,
) {
    let mut mark_at = Instant::now() + MARK_EVERY;
    loop {
        let wait = mark_at.saturating_duration_since(Instant::now());
        let end = match asked.recv_timeout(wait) {
            Ok(first) => commit(&mut writer, asked, first),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Some((answer, carried)) = end {
            let result = match &carried {
                Some(carried) => writer.retire(carried),
                None => writer.close(),
            };
            published.send_replace(writer.status().clone());
            // Whoever asked may have gone.
            let _ = answer.send(result);
            if carried.is_none() {
                return;
            }
        }
        if Instant::now() >= mark_at {
            writer.mark();
            mark_at = Instant::now() + MARK_EVERY;
        }
        published.send_replace(writer.status().clone());
    }
}

/// Who asked for something other than an append: to retire this, or to close.
type Special = (
    oneshot::Sender<Result<Receipt, AppendError>>,
    Option<Box<Carried>>,
);

/// Commits all appends that wait, up to an ask for something else, which it gives.
fn commit<S: Storage>(
    writer: &mut Writer<S>,
    asked: &Receiver<Ask>,
    first: Ask,
) -> Option<Special> {
    let mut appends = Vec::new();
    let mut answers = Vec::new();
    let mut special = None;
    let more = std::iter::from_fn(|| asked.try_recv().ok());
    for ask in std::iter::once(first).chain(more.take(APPENDS_PER_COMMIT_MAX - 1)) {
        match ask.what {
            What::Append(entries) => {
                appends.push(entries);
                answers.push((ask.answer, ask.place));
            }
            What::Retire(carried) => {
                special = Some((ask.answer, Some(carried)));
                break;
            }
            What::Close => {
                special = Some((ask.answer, None));
                break;
            }
        }
    }
    let results = writer.commit(appends);
    for ((answer, _place), result) in answers.into_iter().zip(results) {
        // Whoever asked may have gone.
        let _ = answer.send(result);
    }
    special
}
