//! The client's side of a session: its bytes, and what it asks beside them.
//!
//! ```text
//! client ─► one stream ─┬─ bytes ─► what waits ─► stdin
//!                       └─ resize, signal ──────► control
//! ```
//!
//! A process that does not read must still be told of a signal, so bytes for it wait beside the way
//! of the controls. Of those no more than [`WAITING_BYTES_MAX`] wait: a client that has more under
//! way is not read until some of it is taken.

use std::future::pending;

use burstlet_supervisor::stream::{SessionControl, Writer};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tonic::Status;

use super::Input;

/// Bytes of input that wait for the process.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// Bytes given to the process at once.
const CHUNK_BYTES: usize = 32 << 10;

/// Carries the client's input; comes back only with what ends the session.
pub(super) async fn carry(
    stdin: Option<Writer>,
    control: mpsc::Sender<SessionControl>,
    input: impl Stream<Item = Result<Input, Status>>,
) -> Status {
    let (waiting, taken) = duplex(WAITING_BYTES_MAX);
    let waiting = stdin.is_some().then_some(waiting);
    let give = async {
        if let Some(stdin) = stdin {
            give(taken, stdin).await;
        }
        pending().await
    };
    // Both hold what is under way; they are dropped with the session.
    tokio::select! {
        status = part(input, waiting, control) => status,
        status = give => status,
    }
}

/// Parts bytes from controls.
async fn part(
    input: impl Stream<Item = Result<Input, Status>>,
    mut waiting: Option<DuplexStream>,
    control: mpsc::Sender<SessionControl>,
) -> Status {
    tokio::pin!(input);
    while let Some(input) = input.next().await {
        match input {
            Ok(Input::Stdin(bytes)) => {
                // A process that reads no more is no error: it goes on without.
                if let Some(to) = &mut waiting
                    && to.write_all(&bytes).await.is_err()
                {
                    waiting = None;
                }
            }
            Ok(Input::CloseStdin) => waiting = None,
            Ok(Input::Control(message)) => {
                // A session that takes no more is ending; its exit is on the way.
                let _ = control.send(message).await;
            }
            Err(status) => return status,
        }
    }
    // The client has closed its side: that is the end of the input, not of the session.
    drop(waiting);
    pending().await
}

/// Gives the process what waits for it, and the end after it.
async fn give(mut from: DuplexStream, mut stdin: Writer) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = match from.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let bytes = chunk.get(..count).unwrap_or_default();
        let given = async {
            stdin.write_all(bytes).await?;
            stdin.flush().await
        };
        if given.await.is_err() {
            return;
        }
    }
    // Being dropped is not enough for a terminal, which the output still holds. A process that has
    // ended needs no end of its input.
    let _ = stdin.shutdown().await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use burstlet_supervisor::stream::TerminalSize;
    use futures_util::stream;

    use super::*;

    const RESIZE: SessionControl = SessionControl::Resize(TerminalSize {
        columns: 1,
        rows: 2,
    });

    /// Sends `bytes` and then a resize to a process that reads nothing; whether the resize comes.
    async fn resize_passes(bytes: usize) -> bool {
        let (stdin, _unread) = duplex(1);
        let (control, mut controlled) = mpsc::channel(1);
        let input = stream::iter([Ok(Input::Stdin(vec![0; bytes])), Ok(Input::Control(RESIZE))]);
        let stdin: Writer = Box::new(stdin);
        let told = tokio::select! {
            _ = carry(Some(stdin), control, input) => None,
            told = controlled.recv() => told,
            () = tokio::time::sleep(Duration::from_secs(60)) => None,
        };
        told == Some(RESIZE)
    }

    #[tokio::test(start_paused = true)]
    async fn controls_pass_what_waits_and_the_wait_is_bounded() {
        assert!(resize_passes(WAITING_BYTES_MAX).await);
        assert!(!resize_passes(2 * WAITING_BYTES_MAX).await);
    }

    #[tokio::test(start_paused = true)]
    async fn closed_input_is_shut_down() {
        // Its two halves hold each other: dropping the writer ends nothing.
        let (mut reader, writer) = tokio::io::simplex(8);
        let (control, _controlled) = mpsc::channel(1);
        let input = stream::iter([Ok(Input::Stdin(b"x".to_vec())), Ok(Input::CloseStdin)]);
        let mut read = Vec::new();
        let all = async { reader.read_to_end(&mut read).await.unwrap() };
        let whole = tokio::time::timeout(Duration::from_secs(1), async {
            tokio::select! {
                _ = carry(Some(Box::new(writer)), control, input) => 0,
                whole = all => whole,
            }
        });
        assert_eq!(whole.await.unwrap(), 1);
        assert_eq!(read, b"x");
    }
}
