//! A session of exec or attach: one loop between a client and a process.
//!
//! ```text
//! waits for streams ─► starts ─► copies ─► output ended, exit told ─► client leaves
//!        └─ in vain ──────────────┴─ client gone, idle, agent goes down ──► closed
//! ```
//!
//! What is kept: at most [`STDIN_BYTES_MAX`](stdin::STDIN_BYTES_MAX) of input that the process does not read, then the
//! client is not read; the backlog of a client that does not read, then the process is not.

mod stdin;

use std::collections::VecDeque;
use std::time::Duration;

use burstlet_stream_wire::{ClientEvent, CommandWire, Exit, Output, TerminalSize};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::backend::{Reader, Session};
use crate::client::{Client, Lost};
use crate::read_size::ReadSize;
use crate::refused::Refused;
use crate::sessions::{KEEP_ALIVE, Outcome, Timeouts};
use stdin::Stdin;

/// Sizes of a terminal that wait; the oldest go first.
const SIZES_MAX: usize = 16;
/// After the process has ended, how long output that others still hold open may be silent.
const SILENCE_AFTER_EXIT: Duration = Duration::from_millis(250);

/// Runs a session to its end. `start` begins when the client is ready; `what` says in a failure
/// what was to be done.
pub(crate) async fn run<W: CommandWire>(
    mut client: Client<W>,
    start: impl Future<Output = Result<Session, Refused>>,
    what: &str,
    timeouts: Timeouts,
    stop: CancellationToken,
) -> Outcome {
    let outcome = match begin(&mut client, start, timeouts, &stop).await {
        Ok(session) => Copies::new(session, timeouts).run(&mut client, &stop).await,
        Err(outcome) => outcome,
    };
    let exit = match &outcome {
        Outcome::Exited(code) => Exit::Code(*code),
        Outcome::Failed(refused) => Exit::Failed(format!("{what}: {refused}")),
        Outcome::Lost(_) => return outcome,
        Outcome::NoStreams => {
            client.close().await;
            return outcome;
        }
        Outcome::Idle | Outcome::Stopped => Exit::Failed(format!("{what}: {outcome}")),
    };
    client.wire.end(&exit);
    match outcome {
        Outcome::Stopped => client.close().await,
        _ => client.leave().await,
    }
    outcome
}

async fn begin<W: CommandWire>(
    client: &mut Client<W>,
    start: impl Future<Output = Result<Session, Refused>>,
    timeouts: Timeouts,
    stop: &CancellationToken,
) -> Result<Session, Outcome> {
    let ready = async {
        loop {
            if let Some(ClientEvent::Ready) = client.next(true).await? {
                return Ok::<(), Lost>(());
            }
        }
    };
    tokio::select! {
        ready = timeout(timeouts.creation, ready) => match ready {
            Ok(Ok(())) => {}
            Ok(Err(lost)) => return Err(Outcome::Lost(lost)),
            Err(_) => return Err(Outcome::NoStreams),
        },
        () = stop.cancelled() => return Err(Outcome::Stopped),
    }
    // What is dropped with `start` is undone by whoever runs it.
    tokio::select! {
        session = start => session.map_err(Outcome::Failed),
        lost = write_all(client) => Err(Outcome::Lost(lost)),
        () = stop.cancelled() => Err(Outcome::Stopped),
    }
}

/// A client waits for the answers to what it opened, however long a start takes.
async fn write_all<W: CommandWire>(client: &mut Client<W>) -> Lost {
    loop {
        if let Err(lost) = client.next(false).await {
            return lost;
        }
    }
}

/// The copies of a session that runs.
struct Copies {
    stdin: Stdin,
    stdout: Stream,
    stderr: Stream,
    sizes: mpsc::Sender<TerminalSize>,
    sizes_waiting: VecDeque<TerminalSize>,
    exit: std::pin::Pin<Box<dyn Future<Output = Result<i32, Refused>> + Send>>,
    exited: Option<Result<i32, Refused>>,
    idle: Duration,
    last_byte: Instant,
}

/// What a turn of the loop has seen.
enum Seen {
    Client(Option<ClientEvent>),
    Output(Output, usize),
    Exit(Result<i32, Refused>),
    KeepAlive,
    Silence,
    Nothing,
}

impl Copies {
    fn new(session: Session, timeouts: Timeouts) -> Self {
        Self {
            stdin: Stdin::new(session.stdin),
            stdout: Stream::new(session.stdout),
            stderr: Stream::new(session.stderr),
            sizes: session.sizes,
            sizes_waiting: VecDeque::new(),
            exit: session.exit,
            exited: None,
            idle: timeouts.idle,
            last_byte: Instant::now(),
        }
    }

    async fn run<W: CommandWire>(
        mut self,
        client: &mut Client<W>,
        stop: &CancellationToken,
    ) -> Outcome {
        let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        loop {
            if let Some(outcome) = self.ended() {
                return outcome;
            }
            let idle_at = self.last_byte + self.idle;
            let is_ending = self.exited.is_some() && client.has_room();
            let seen = tokio::select! {
                // Output that is there comes before the silence that would end it.
                biased;
                () = stop.cancelled() => return Outcome::Stopped,
                _ = keep_alive.tick() => Ok(Seen::KeepAlive),
                seen = self.turn(client) => seen,
                () = sleep(SILENCE_AFTER_EXIT), if is_ending => Ok(Seen::Silence),
                () = sleep_until(idle_at) => return Outcome::Idle,
            };
            match seen {
                Ok(seen) => self.take(client, seen),
                Err(lost) => return Outcome::Lost(lost),
            }
        }
    }

    /// Waits for whatever comes first. Dropped at any point it has lost nothing: each of its arms
    /// either was done or was not.
    async fn turn<W: CommandWire>(&mut self, client: &mut Client<W>) -> Result<Seen, Lost> {
        let room = client.has_room();
        let is_running = self.exited.is_none();
        // Input is of no use any more to a process that has ended.
        let reads = is_running && self.stdin.has_room();
        tokio::select! {
            count = self.stdout.read(), if room && self.stdout.is_open() => {
                Ok(Seen::Output(Output::Stdout, count))
            }
            count = self.stderr.read(), if room && self.stderr.is_open() => {
                Ok(Seen::Output(Output::Stderr, count))
            }
            event = client.next(reads) => event.map(Seen::Client),
            () = self.stdin.write(), if self.stdin.has_work() => Ok(Seen::Nothing),
            size = self.sizes.reserve(), if !self.sizes_waiting.is_empty() => {
                if let (Ok(place), Some(size)) = (size, self.sizes_waiting.pop_front()) {
                    place.send(size);
                }
                Ok(Seen::Nothing)
            }
            exit = &mut self.exit, if is_running => Ok(Seen::Exit(exit)),
        }
    }

    fn take<W: CommandWire>(&mut self, client: &mut Client<W>, seen: Seen) {
        match seen {
            Seen::Client(event) => self.take_event(event),
            Seen::Output(output, count) => {
                let stream = match output {
                    Output::Stdout => &mut self.stdout,
                    Output::Stderr => &mut self.stderr,
                };
                if count > 0 {
                    self.last_byte = Instant::now();
                }
                client.wire.send(output, stream.bytes(count));
            }
            Seen::Exit(exit) => self.exited = Some(exit),
            Seen::KeepAlive => client.wire.keep_alive(),
            Seen::Silence => {
                self.stdout.close();
                self.stderr.close();
            }
            Seen::Nothing => {}
        }
    }

    fn take_event(&mut self, event: Option<ClientEvent>) {
        match event {
            Some(ClientEvent::Stdin(bytes)) => {
                self.last_byte = Instant::now();
                self.stdin.push(bytes);
            }
            Some(ClientEvent::StdinEnd) => self.stdin.end(),
            Some(ClientEvent::Resize(size)) => {
                if self.sizes_waiting.len() >= SIZES_MAX {
                    self.sizes_waiting.pop_front();
                }
                self.sizes_waiting.push_back(size);
            }
            Some(ClientEvent::Ready) | None => {}
        }
    }

    fn ended(&mut self) -> Option<Outcome> {
        if self.stdout.is_open() || self.stderr.is_open() {
            return None;
        }
        Some(match self.exited.take()? {
            Ok(code) => Outcome::Exited(code),
            Err(refused) => Outcome::Failed(refused),
        })
    }
}

/// One stream of output, and what was read of it last.
struct Stream {
    reader: Option<Reader>,
    buffer: Vec<u8>,
    size: ReadSize,
}

impl Stream {
    const fn new(reader: Option<Reader>) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            size: ReadSize::new(),
        }
    }

    const fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    fn close(&mut self) {
        self.reader = None;
    }

    /// How many bytes there are now; none at the end. Cancel-safe.
    async fn read(&mut self) -> usize {
        let Some(reader) = &mut self.reader else {
            return 0;
        };
        self.buffer.resize(self.size.bytes(), 0);
        match reader.read(&mut self.buffer).await {
            Ok(count) if count > 0 => {
                self.size.came(count);
                count
            }
            // A terminal whose last holder is gone reads as an error: its end.
            _ => {
                self.close();
                0
            }
        }
    }

    fn bytes(&self, count: usize) -> &[u8] {
        self.buffer.get(..count).unwrap_or_default()
    }
}
