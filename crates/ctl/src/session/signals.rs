//! This process's signals: the first goes to the container, the second ends our part.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::Input;

/// SIGINT and SIGTERM, caught from now on.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    inputs: mpsc::Sender<Input>,
}

impl Signals {
    /// Catches the signals; the first will go to `inputs`.
    pub(crate) fn new(inputs: mpsc::Sender<Input>) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            inputs,
        })
    }

    /// Forwards the first signal and returns at the second.
    pub(crate) async fn second(mut self) {
        let number = self.next().await;
        let inputs = self.inputs.clone();
        // Not awaited: the way may be blocked, and then the second signal counts all the more.
        tokio::spawn(async move { inputs.send(Input::Signal(number)).await });
        self.next().await;
    }

    async fn next(&mut self) -> u32 {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        // A signal that is not taken in this turn stays pending in its stream.
        let kind = tokio::select! {
            _ = self.interrupt.recv() => interrupt,
            _ = self.terminate.recv() => terminate,
        };
        u32::try_from(kind.as_raw_value()).unwrap_or_default()
    }
}
