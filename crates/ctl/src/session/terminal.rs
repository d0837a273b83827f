//! This end's terminal: raw mode, its size, and what is typed.

use std::io::{self, IsTerminal, Read};
use std::sync::{Mutex, Once, PoisonError};

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::Input;

/// What is read from standard input at once.
const STDIN_CHUNK_BYTES: usize = 32 * 1024;
/// Chunks read ahead.
const STDIN_CHUNKS_MAX: usize = 4;

/// What the terminal was before, for every way out.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// A window in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowSize {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
}

/// Keys come one by one and mean nothing here. Dropping it makes the terminal what it was, and so
/// does a panic.
pub(crate) struct RawMode(());

impl RawMode {
    pub(crate) fn enable() -> Result<Self> {
        static HOOK: Once = Once::new();
        let before = tcgetattr(io::stdin()).context("read the terminal's mode")?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                next(info);
            }));
        });
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw).context("set the terminal's mode")?;
        Ok(Self(()))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether both what is typed and what is shown is a terminal's.
pub(crate) fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The window's size now; nothing if there is none.
pub(crate) fn size() -> Option<WindowSize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(WindowSize {
        columns: size.ws_col.into(),
        rows: size.ws_row.into(),
    })
}

/// What is typed, as it comes. The channel closes at the end of the input.
pub(super) fn stdin_chunks() -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel(STDIN_CHUNKS_MAX);
    // A thread, because a read from a terminal cannot be taken back; it ends with the process.
    std::thread::spawn(move || {
        let mut buffer = vec![0; STDIN_CHUNK_BYTES];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    let chunk = buffer.iter().take(length).copied().collect();
                    if send.blocking_send(chunk).is_err() {
                        break;
                    }
                }
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    });
    receive
}

/// Sends the window's size now and whenever it changes.
pub(super) async fn pump_size(inputs: mpsc::Sender<Input>) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else {
        return;
    };
    // A program that drew before we came draws again when the size changes, so change it once.
    if let Some(size) = size() {
        let larger = WindowSize {
            columns: size.columns + 1,
            rows: size.rows + 1,
        };
        if inputs.send(Input::Resize(larger)).await.is_err() {
            return;
        }
    }
    loop {
        if let Some(size) = size()
            && inputs.send(Input::Resize(size)).await.is_err()
        {
            return;
        }
        if changes.recv().await.is_none() {
            return;
        }
    }
}

fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // If the terminal is gone there is nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &before);
    }
}
