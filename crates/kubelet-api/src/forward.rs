//! A session of port-forward: one loop for the client, one task for each connection to a port.
//!
//! ```text
//! Open ─► task: dials ─┬─ refused ─► fail
//!                      └─► copies both ways, each to its end ─► done
//! Abort, end of the session ─► the task is dropped, and its socket with it
//! ```
//!
//! A port that does not read holds only its own connection while its queue and the session's
//! budget have room; then it holds the client, which has one connection for all.

mod port;

use std::collections::HashMap;
use std::sync::Arc;

use burstlet_stream_wire::{ForwardEvent, ForwardWire, PairId};
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::backend::PortStream;
use crate::client::{Client, Lost};
use crate::refused::Refused;
use crate::sessions::{KEEP_ALIVE, Outcome, Timeouts};
use port::{FromPort, ToPort};

/// Pieces that wait for a port.
const QUEUE_PIECES_MAX: usize = 32;
/// Bytes that wait for all ports of a session.
const QUEUED_BYTES_MAX: usize = 8 << 20;
/// Pieces from all ports that wait for the client.
const ANSWERS_MAX: usize = 8;

/// Runs a session to its end.
pub(crate) async fn run<W, D, F>(
    mut client: Client<W>,
    dial: D,
    timeouts: Timeouts,
    stop: CancellationToken,
) -> Outcome
where
    W: ForwardWire,
    D: Fn(u16) -> F,
    F: Future<Output = Result<PortStream, Refused>> + Send + 'static,
{
    let outcome = Ports::new(dial).run(&mut client, timeouts, &stop).await;
    match outcome {
        Outcome::Lost(_) => {}
        _ => client.close().await,
    }
    outcome
}

/// The connections to ports.
struct Ports<D> {
    dial: D,
    open: HashMap<PairId, Port>,
    tasks: JoinSet<()>,
    budget: Arc<Semaphore>,
    /// What has no room yet.
    stuck: Option<(PairId, Bytes)>,
    answers: mpsc::Sender<(PairId, FromPort)>,
    answered: mpsc::Receiver<(PairId, FromPort)>,
}

struct Port {
    /// Nothing when the client has sent its end.
    to_port: Option<mpsc::Sender<ToPort>>,
    task: AbortHandle,
}

/// What a turn of the loop has seen.
enum Seen {
    Client(Option<ForwardEvent>),
    Port(PairId, FromPort),
    Room,
}

impl<D, F> Ports<D>
where
    D: Fn(u16) -> F,
    F: Future<Output = Result<PortStream, Refused>> + Send + 'static,
{
    fn new(dial: D) -> Self {
        let (answers, answered) = mpsc::channel(ANSWERS_MAX);
        Self {
            dial,
            open: HashMap::new(),
            tasks: JoinSet::new(),
            budget: Arc::new(Semaphore::new(QUEUED_BYTES_MAX)),
            stuck: None,
            answers,
            answered,
        }
    }

    async fn run<W: ForwardWire>(
        mut self,
        client: &mut Client<W>,
        timeouts: Timeouts,
        stop: &CancellationToken,
    ) -> Outcome {
        let every = |period| interval_at(Instant::now() + period, period);
        let (mut keep_alive, mut sweep) = (every(KEEP_ALIVE), every(timeouts.creation));
        let mut last_byte = Instant::now();
        loop {
            let seen = tokio::select! {
                seen = self.turn(client) => seen,
                _ = keep_alive.tick() => {
                    client.wire.keep_alive();
                    continue;
                }
                _ = sweep.tick() => {
                    client.wire.sweep();
                    continue;
                }
                () = sleep_until(last_byte + timeouts.idle) => return Outcome::Idle,
                () = stop.cancelled() => return Outcome::Stopped,
            };
            match seen {
                Ok(Seen::Client(Some(event))) => {
                    last_byte = Instant::now();
                    self.take(event);
                }
                Ok(Seen::Port(pair, answer)) => {
                    last_byte = Instant::now();
                    self.answer(client, pair, answer);
                }
                Ok(Seen::Client(None) | Seen::Room) => {}
                Err(lost) => return Outcome::Lost(lost),
            }
        }
    }

    /// Waits for whatever comes first; its arms lose nothing when they are dropped.
    async fn turn<W: ForwardWire>(&mut self, client: &mut Client<W>) -> Result<Seen, Lost> {
        let (reads, room) = (self.stuck.is_none(), client.has_room());
        tokio::select! {
            event = client.next(reads) => event.map(Seen::Client),
            answer = self.answered.recv(), if room => {
                // There is always a sender: ours.
                Ok(answer.map_or(Seen::Room, |(pair, answer)| Seen::Port(pair, answer)))
            }
            () = unstick(&self.open, &self.budget, self.stuck.as_ref()), if !reads => {
                self.stuck = None;
                Ok(Seen::Room)
            }
            Some(_) = self.tasks.join_next() => Ok(Seen::Room),
        }
    }

    fn take(&mut self, event: ForwardEvent) {
        match event {
            ForwardEvent::Open { pair, port } => {
                let (to_port, queue) = mpsc::channel(QUEUE_PIECES_MAX);
                let dialing = (self.dial)(port);
                let copies = port::run(pair, port, dialing, queue, self.answers.clone());
                let task = self.tasks.spawn(copies);
                let to_port = Some(to_port);
                self.open.insert(pair, Port { to_port, task });
            }
            ForwardEvent::Data { pair, bytes } => self.stuck = Some((pair, bytes)),
            ForwardEvent::End { pair } => {
                if let Some(port) = self.open.get_mut(&pair) {
                    port.to_port = None;
                }
            }
            ForwardEvent::Abort { pair } => {
                if let Some(port) = self.open.remove(&pair) {
                    port.task.abort();
                }
            }
        }
    }

    fn answer<W: ForwardWire>(&mut self, client: &mut Client<W>, pair: PairId, answer: FromPort) {
        // What a port sent before the client gave it up is of no use to anybody.
        if !self.open.contains_key(&pair) {
            return;
        }
        match answer {
            FromPort::Data(bytes) => client.wire.send(pair, &bytes),
            FromPort::End => client.wire.finish(pair),
            FromPort::Done => {
                self.open.remove(&pair);
                client.wire.done(pair);
            }
            FromPort::Failed(why) => {
                self.open.remove(&pair);
                client.wire.fail(pair, &why);
            }
        }
    }
}

/// Queues what is stuck when there is room for it, or nobody for it.
async fn unstick(
    open: &HashMap<PairId, Port>,
    budget: &Arc<Semaphore>,
    stuck: Option<&(PairId, Bytes)>,
) {
    let Some((pair, bytes)) = stuck else {
        return;
    };
    let Some(to_port) = open.get(pair).and_then(|port| port.to_port.as_ref()) else {
        return;
    };
    let Ok(place) = to_port.reserve().await else {
        return;
    };
    let cost = bytes.len().min(QUEUED_BYTES_MAX);
    let cost = u32::try_from(cost).unwrap_or(u32::MAX);
    if let Ok(held) = Arc::clone(budget).acquire_many_owned(cost).await {
        place.send(ToPort::new(bytes, held));
    }
}
