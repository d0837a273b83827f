//! One connection: requests with their answers, and events.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::ClientError;
use super::keeper::{ExecExit, KeeperEvent};
use crate::protocol::{
    AttachmentEnd, Call, Event, Failure, FromKeeper, Reply, Request, VERSION, decode_answer, encode,
};
use crate::sys::passing;

/// How long an answer may take: longer than any bound that a keeper sets itself.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(90);
/// How many events wait for the agent. One that is further behind loses the connection, and gets
/// the whole state when it adopts the keeper anew.
const EVENTS_MAX: usize = 4096;

/// What came back for a request.
pub(super) struct Answered {
    pub(super) reply: Reply,
    pub(super) fds: Vec<OwnedFd>,
    /// For an attachment: told when it ends.
    pub(super) detached: Option<oneshot::Receiver<AttachmentEnd>>,
}

/// A connection. Its reader ends with the last handle.
#[derive(Clone)]
pub(super) struct Connection {
    shared: Arc<Shared>,
    _reader: Arc<Reader>,
}

struct Reader(AbortHandle);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared {
    socket: AsyncFd<OwnedFd>,
    next: AtomicU64,
    waiting: Mutex<Waiting>,
}

/// Whoever waits for something from the other side. Dropping the senders tells them that nothing
/// will come.
#[derive(Default)]
struct Waiting {
    lost: bool,
    answers: HashMap<u64, oneshot::Sender<Result<Answered, Failure>>>,
    execs: HashMap<String, oneshot::Sender<ExecExit>>,
    attachments: HashMap<u32, oneshot::Sender<AttachmentEnd>>,
}

impl Connection {
    /// Connects to a socket. Events come by the receiver.
    pub(super) fn open(path: &Path) -> io::Result<(Self, mpsc::Receiver<KeeperEvent>)> {
        let socket = passing::connect(path)?;
        let shared = Arc::new(Shared {
            socket: passing::register(socket)?,
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
        });
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let task = tokio::spawn(read(Arc::clone(&shared), events));
        let reader = Arc::new(Reader(task.abort_handle()));
        Ok((
            Self {
                shared,
                _reader: reader,
            },
            receiver,
        ))
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(
        &self,
        request: Request,
        fds: Vec<OwnedFd>,
    ) -> Result<Answered, ClientError> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.shared.waiting();
            if waiting.lost {
                return Err(ClientError::Lost);
            }
            waiting.answers.insert(id, sender);
        }
        // Whatever happens to this future, nobody waits for the answer after it.
        let _forget = Forget {
            shared: &self.shared,
            id,
        };
        let packed = encode(&Call {
            v: VERSION,
            id,
            request,
        })?;
        let exchange = async {
            self.shared
                .send(&packed, &fds)
                .await
                .map_err(ClientError::Send)?;
            drop(fds);
            receiver.await.map_err(|_| ClientError::Lost)
        };
        match tokio::time::timeout(ANSWER_LIMIT, exchange).await {
            Ok(answered) => Ok(answered??),
            Err(_) => Err(ClientError::Late(ANSWER_LIMIT)),
        }
    }

    /// Will tell when the process that is started under this name has ended.
    pub(super) fn expect_exec(&self, id: &str) -> oneshot::Receiver<ExecExit> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.shared.waiting();
        if !waiting.lost {
            waiting.execs.insert(id.to_owned(), sender);
        }
        receiver
    }

    /// Nobody waits for that process.
    pub(super) fn forget_exec(&self, id: &str) {
        self.shared.waiting().execs.remove(id);
    }
}

struct Forget<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.waiting().answers.remove(&self.id);
    }
}

impl Shared {
    /// No code panics while it holds this lock, so a poisoned one is as good as any.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, packed: &crate::protocol::Packed, fds: &[OwnedFd]) -> io::Result<()> {
        loop {
            let mut ready = self.socket.writable().await?;
            let sent = ready.try_io(|socket| {
                let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                passing::send(socket.get_ref().as_fd(), packed, &borrowed)
            });
            if let Ok(result) = sent {
                return result;
            }
        }
    }

    async fn receive(&self) -> io::Result<Option<passing::Packet>> {
        loop {
            let mut ready = self.socket.readable().await?;
            let received = ready.try_io(|socket| passing::receive(socket.get_ref().as_fd()));
            if let Ok(result) = received {
                return result;
            }
        }
    }
}

/// Reads until the connection ends, then tells everybody who waits.
async fn read(shared: Arc<Shared>, events: mpsc::Sender<KeeperEvent>) {
    while let Ok(Some(packet)) = shared.receive().await {
        let told = match decode_answer(&packet.bytes) {
            Ok(FromKeeper::Answer(answer)) => {
                let answered = answer.result.map(|reply| (reply, packet.fds));
                deliver(&shared, answer.id, answered);
                true
            }
            Ok(FromKeeper::Event(event)) => tell(&shared, &events, event),
            Ok(FromKeeper::Unknown) => true,
            Err(error) => {
                tracing::warn!(%error, "a keeper's message cannot be read");
                false
            }
        };
        if !told {
            break;
        }
    }
    let forgotten = {
        let mut waiting = shared.waiting();
        std::mem::replace(
            &mut *waiting,
            Waiting {
                lost: true,
                ..Waiting::default()
            },
        )
    };
    drop(forgotten);
    let _ = events.try_send(KeeperEvent::Lost);
}

fn deliver(shared: &Shared, id: u64, answered: Result<(Reply, Vec<OwnedFd>), Failure>) {
    let mut waiting = shared.waiting();
    let Some(sender) = waiting.answers.remove(&id) else {
        return;
    };
    let answered = answered.map(|(reply, fds)| {
        let detached = match reply {
            Reply::Attached { attachment } => {
                let (sender, receiver) = oneshot::channel();
                waiting.attachments.insert(attachment, sender);
                Some(receiver)
            }
            _ => None,
        };
        Answered {
            reply,
            fds,
            detached,
        }
    });
    let _ = sender.send(answered);
}

/// Gives an event to whoever waits for it. Gives whether there was room.
fn tell(shared: &Shared, events: &mpsc::Sender<KeeperEvent>, event: Event) -> bool {
    match event {
        Event::Exited {
            container,
            attempt,
            exit,
        } => {
            let event = KeeperEvent::Exited {
                container,
                attempt,
                exit,
            };
            !matches!(
                events.try_send(event),
                Err(mpsc::error::TrySendError::Full(_))
            )
        }
        Event::ExecExited { exec, code, signal } => {
            let waiting = shared.waiting().execs.remove(&exec);
            let _ = waiting.map(|sender| sender.send(ExecExit { code, signal }));
            true
        }
        Event::Detached { attachment, end } => {
            let waiting = shared.waiting().attachments.remove(&attachment);
            let _ = waiting.map(|sender| sender.send(end));
            true
        }
    }
}
