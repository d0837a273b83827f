//! A live session with a process in a container: this end's keys, signals and window go there,
//! its output comes here.
//!
//! ```text
//!   stdin thread ──► detach keys ──► inputs ──► agent ──► process
//!   SIGINT, SIGTERM, SIGWINCH ────────┘                      │
//!   stdout, stderr ◄──────────────── outputs ◄───────────────┘
//! ```
//!
//! The two directions are separate tasks: a process that does not read while it writes must not
//! stop the reader of its output.

mod detach;
mod piped;
mod rpc;
mod signals;
pub(crate) mod terminal;

use anyhow::{Context, Result, bail};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tonic::Status;

pub(crate) use detach::DetachKeys;
pub(crate) use piped::{Piped, exec_piped};
pub(crate) use rpc::{attach, exec};
pub(crate) use signals::Signals;

use terminal::{RawMode, WindowSize};

/// Messages on their way to the agent.
const INPUTS_MAX: usize = 16;

/// What this end sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Stdin(Vec<u8>),
    CloseStdin,
    Resize(WindowSize),
    Signal(u32),
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Started,
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Exit(i32),
}

/// How this end takes part.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The process has a terminal, and ours is to be its.
    pub(crate) tty: bool,
    /// Our standard input goes there.
    pub(crate) stdin: bool,
    /// Its output is shown.
    pub(crate) output: bool,
    /// Our signals go there.
    pub(crate) signals: bool,
    /// What leaves it alone.
    pub(crate) detach_keys: DetachKeys,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The process ended.
    Exited(i32),
    /// The user left it alone, by keys.
    Detached,
    /// The user left it, by a second signal.
    Interrupted,
}

/// Carries everything until the process ends or the user leaves.
async fn drive(
    options: &Options,
    inputs: mpsc::Sender<Input>,
    outputs: impl Stream<Item = Result<Output, Status>>,
) -> Result<End> {
    let _raw = if options.tty {
        Some(RawMode::enable()?)
    } else {
        None
    };
    let leave = leave(options, inputs);
    let show = show(options.output, outputs);
    tokio::pin!(leave, show);
    // Either future holds its own state; the one that loses is dropped with the session.
    tokio::select! {
        exit = &mut show => Ok(End::Exited(exit?)),
        end = &mut leave => Ok(end),
    }
}

/// Feeds the session from this end, until the user leaves it. Does not complete otherwise.
async fn leave(options: &Options, inputs: mpsc::Sender<Input>) -> End {
    let (detached, mut is_detached) = mpsc::channel::<()>(1);
    if options.stdin {
        let keys = options.tty.then(|| options.detach_keys.clone());
        tokio::spawn(pump_stdin(keys, inputs.clone(), detached.clone()));
    }
    if options.tty {
        tokio::spawn(terminal::pump_size(inputs.clone()));
    }
    let signals = options.signals.then(Signals::catch);
    let interrupted = async {
        match signals {
            Some(Ok(signals)) => signals.second(inputs).await,
            _ => std::future::pending().await,
        }
    };
    // `detached` is kept, so receiving ends only by detaching.
    tokio::select! {
        _ = is_detached.recv() => End::Detached,
        () = interrupted => End::Interrupted,
    }
}

async fn pump_stdin(
    keys: Option<DetachKeys>,
    inputs: mpsc::Sender<Input>,
    detached: mpsc::Sender<()>,
) {
    let mut watch = keys.map(|keys| keys.watch());
    let mut chunks = terminal::stdin_chunks();
    while let Some(chunk) = chunks.recv().await {
        let (forward, leaves) = match &mut watch {
            Some(watch) => watch.feed(&chunk),
            None => (chunk, false),
        };
        if !forward.is_empty() && inputs.send(Input::Stdin(forward)).await.is_err() {
            return;
        }
        if leaves {
            // The receiver lives as long as the session.
            let _ = detached.send(()).await;
            return;
        }
    }
    // The session may be over, and then there is nothing to close.
    let _ = inputs.send(Input::CloseStdin).await;
}

/// Shows the output and gives the exit code.
async fn show(wanted: bool, outputs: impl Stream<Item = Result<Output, Status>>) -> Result<i32> {
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    tokio::pin!(outputs);
    while let Some(output) = outputs.next().await {
        match output? {
            Output::Exit(code) => return Ok(code),
            Output::Stdout(bytes) if wanted => write(&mut stdout, &bytes).await?,
            Output::Stderr(bytes) if wanted => write(&mut stderr, &bytes).await?,
            Output::Started | Output::Stdout(_) | Output::Stderr(_) => {}
        }
    }
    bail!("the agent ended the session without an exit code: is it being stopped?")
}

async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<()> {
    to.write_all(bytes).await.context("write the output")?;
    to.flush().await.context("write the output")
}
