//! This process's signals: the first goes to the container, the second ends our part.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::Input;

/// SIGINT and SIGTERM, caught from now on.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Catches the signals.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Forwards the first signal to `inputs` and returns at the second.
    pub(super) async fn second(mut self, inputs: mpsc::Sender<Input>) {
        let number = self.next().await;
        // Not awaited: the way may be blocked, and then the second signal counts all the more.
        tokio::spawn(async move { inputs.send(Input::Signal(number)).await });
        self.next().await;
    }

    /// The number of the next one. Cancel-safe.
    pub(crate) async fn next(&mut self) -> u32 {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        // A signal that is not taken in this turn stays pending in its stream.
        let kind = tokio::select! {
            _ = self.interrupt.recv() => interrupt,
            _ = self.terminate.recv() => terminate,
        };
        u32::try_from(kind.as_raw_value()).unwrap_or_default()
    }
}
