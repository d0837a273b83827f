//! One live exec or attach between a client and a process.
//!
//! ```text
//! client ─► input: stdin bytes, resize, signal ─► process
//! client ◄─ output: stdout and stderr, each by its own copy ◄─ process
//! client ◄─ exit, after the last byte of output
//! ```
//!
//! The client's pace is the process's: nothing is kept but one read of each output, and as much
//! input as [`input`] lets wait so that resizes and signals pass a process that does not read. The
//! session ends with the process; if the client goes first, the session is dropped and with it an
//! exec's process.

mod input;

use std::future::pending;
use std::time::Duration;

use burstlet_model::spec::Signal;
use burstlet_supervisor::host::HostError;
use burstlet_supervisor::stream::{ExecSession, Reader, SessionControl, SessionExit, TerminalSize};
use futures_util::Stream;
use tokio::io::AsyncReadExt;
use tokio::sync::{oneshot, watch};
use tonic::Status;

use crate::status;
use crate::streams::{self, Answer};

/// Bytes of output in one message.
const CHUNK_BYTES: usize = 32 << 10;
/// After the process has ended, how long output that others still hold open may be silent.
const SILENCE_AFTER_EXIT: Duration = Duration::from_millis(250);

/// What a client sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Stdin(Vec<u8>),
    CloseStdin,
    Control(SessionControl),
}

/// What a client is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    Started,
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Exit(SessionExit),
}

/// The messages of a session, which are alike and yet of two types.
macro_rules! wire {
    ($request:ty, $response:path, $Message:ident, $Reply:ident) => {
        fn input(message: Result<$request, Status>) -> Result<Option<Input>, Status> {
            Ok(match message?.request {
                None => None,
                Some($Message::Start(_)) => {
                    return Err(status::invalid("start", "the session has begun"));
                }
                Some($Message::Stdin(bytes)) => Some(Input::Stdin(bytes)),
                Some($Message::CloseStdin(_)) => Some(Input::CloseStdin),
                Some($Message::Resize(size)) => {
                    let size = session::terminal_size(&size);
                    Some(Input::Control(SessionControl::Resize(size)))
                }
                Some($Message::Signal(number)) => {
                    let signal = session::signal(number)?;
                    Some(Input::Control(SessionControl::Signal(signal)))
                }
            })
        }

        fn output(output: Output) -> $response {
            let reply = match output {
                Output::Started => $Reply::Started(v1::ExecStarted {}),
                Output::Stdout(bytes) => $Reply::Stdout(bytes),
                Output::Stderr(bytes) => $Reply::Stderr(bytes),
                Output::Exit(exit) => $Reply::Exit(v1::ExecExit { code: exit.code }),
            };
            $response {
                response: Some(reply),
            }
        }
    };
}
pub(super) use wire;

/// Runs a session to its end. An error among the input ends it, too.
pub(super) async fn run<T: Send + 'static>(
    session: ExecSession,
    input: impl Stream<Item = Result<Input, Status>> + Send,
    answers: Answer<T>,
    wrap: fn(Output) -> T,
) -> Result<(), Status> {
    let ExecSession {
        stdin,
        stdout,
        stderr,
        control,
        exit,
    } = session;
    let to_client = ToClient { answers, wrap };
    to_client.send(Output::Started).await;
    // Neither arm loses anything when it is dropped: the session is over then.
    tokio::select! {
        result = output(stdout, stderr, exit, &to_client) => result,
        status = input::carry(stdin, control, input) => Err(status),
    }
}

/// A terminal's size as the wire has it.
pub(super) fn terminal_size(size: &burstlet_proto::v1::TerminalSize) -> TerminalSize {
    TerminalSize {
        columns: u16::try_from(size.columns).unwrap_or(u16::MAX),
        rows: u16::try_from(size.rows).unwrap_or(u16::MAX),
    }
}

/// A signal as the wire has it.
pub(super) fn signal(number: u32) -> Result<Signal, Status> {
    u8::try_from(number)
        .ok()
        .and_then(Signal::new)
        .ok_or_else(|| status::invalid("signal", format!("{number} is not a signal")))
}

struct ToClient<T> {
    answers: Answer<T>,
    wrap: fn(Output) -> T,
}

impl<T> ToClient<T> {
    /// If the client has gone, the task that we run in is about to be dropped.
    async fn send(&self, output: Output) {
        let _ = streams::send(&self.answers, (self.wrap)(output)).await;
    }
}

/// Copies output until the process has ended and its output with it.
async fn output<T>(
    stdout: Option<Reader>,
    stderr: Option<Reader>,
    exit: oneshot::Receiver<Result<SessionExit, HostError>>,
    to_client: &ToClient<T>,
) -> Result<(), Status> {
    let (ended, has_ended) = watch::channel(false);
    let exit = async {
        let exit = exit.await;
        ended.send_replace(true);
        exit
    };
    let (exit, (), ()) = tokio::join!(
        exit,
        copy(stdout, Output::Stdout, has_ended.clone(), to_client),
        copy(stderr, Output::Stderr, has_ended.clone(), to_client),
    );
    match exit {
        Ok(Ok(exit)) => {
            to_client.send(Output::Exit(exit)).await;
            Ok(())
        }
        Ok(Err(error)) => Err(status::host(&error)),
        Err(_) => Err(status::session_lost()),
    }
}

async fn copy<T>(
    reader: Option<Reader>,
    kind: fn(Vec<u8>) -> Output,
    mut has_ended: watch::Receiver<bool>,
    to_client: &ToClient<T>,
) {
    let Some(mut reader) = reader else {
        return;
    };
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        // Reading is cancel-safe; the silence counts from each read anew.
        let read = tokio::select! {
            biased;
            read = reader.read(&mut chunk) => read,
            () = silence(&mut has_ended) => return,
        };
        match read {
            Ok(0) => return,
            Ok(count) => {
                let bytes = chunk.get(..count).unwrap_or_default().to_vec();
                to_client.send(kind(bytes)).await;
            }
            // A terminal whose last holder is gone reads as EIO: its end.
            Err(error) => {
                tracing::debug!(%error, "the output has ended");
                return;
            }
        }
    }
}

async fn silence(has_ended: &mut watch::Receiver<bool>) {
    if has_ended.wait_for(|ended| *ended).await.is_err() {
        pending::<()>().await;
    }
    tokio::time::sleep(SILENCE_AFTER_EXIT).await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use futures_util::{StreamExt, stream};
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;

    /// A session whose process the test plays.
    struct Played {
        stdin: DuplexStream,
        stdout: DuplexStream,
        control: mpsc::Receiver<SessionControl>,
        exit: oneshot::Sender<Result<SessionExit, HostError>>,
        answers: mpsc::Receiver<Result<Output, Status>>,
        task: JoinHandle<Result<(), Status>>,
    }

    fn play(input: Vec<Input>) -> Played {
        let (stdin, their_stdin) = duplex(64);
        let (stdout, their_stdout) = duplex(64);
        let (control, their_control) = mpsc::channel(1);
        let (exit, their_exit) = oneshot::channel();
        let (answers, received) = mpsc::channel(1);
        let session = ExecSession {
            stdin: Some(Box::new(stdin)),
            stdout: Some(Box::new(their_stdout)),
            stderr: None,
            control,
            exit: their_exit,
        };
        let input = stream::iter(input.into_iter().map(Ok)).chain(stream::pending());
        Played {
            stdin: their_stdin,
            stdout,
            control: their_control,
            exit,
            answers: received,
            task: tokio::spawn(run(session, input, answers, |output| output)),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn output_comes_before_the_exit() {
        let mut played = play(Vec::new());
        played.exit.send(Ok(SessionExit { code: 3 })).unwrap();
        played.stdout.write_all(b"last words").await.unwrap();
        drop(played.stdout);
        let mut heard = Vec::new();
        while let Some(answer) = played.answers.recv().await {
            heard.push(answer.unwrap());
        }
        let words = Output::Stdout(b"last words".to_vec());
        assert_eq!(
            heard,
            [
                Output::Started,
                words,
                Output::Exit(SessionExit { code: 3 })
            ]
        );
        played.task.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn output_held_open_by_others_does_not_hold_the_exit() {
        let mut played = play(Vec::new());
        played.exit.send(Ok(SessionExit { code: 0 })).unwrap();
        let mut last = None;
        while let Some(answer) = played.answers.recv().await {
            last = Some(answer.unwrap());
        }
        assert_eq!(last, Some(Output::Exit(SessionExit { code: 0 })));
        drop(played.stdout);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_holds_its_process() {
        let mut played = play(Vec::new());
        let flood = tokio::time::timeout(
            Duration::from_secs(60),
            played.stdout.write_all(&[0; 1 << 20]),
        );
        assert!(flood.await.is_err(), "a megabyte went nowhere");
        assert_eq!(
            played.answers.recv().await.unwrap().unwrap(),
            Output::Started
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_session_is_no_success() {
        let mut played = play(Vec::new());
        drop((played.exit, played.stdout));
        played.answers.recv().await.unwrap().unwrap();
        let status = played.task.await.unwrap().unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_does_not_read_is_still_told_of_signals() {
        let signal = SessionControl::Signal(signal(2).unwrap());
        // More than its pipe holds.
        let mut played = play(vec![Input::Stdin(vec![0; 4096]), Input::Control(signal)]);
        played.answers.recv().await.unwrap().unwrap();
        let told = tokio::time::timeout(Duration::from_secs(60), played.control.recv()).await;
        assert_eq!(told.unwrap(), Some(signal));
        drop(played.stdin);
    }

    #[tokio::test(start_paused = true)]
    async fn input_arrives_in_order() {
        let size = TerminalSize {
            columns: 1,
            rows: 2,
        };
        let mut played = play(vec![
            Input::Stdin(b"ab".to_vec()),
            Input::Control(SessionControl::Resize(size)),
            Input::Stdin(b"c".to_vec()),
            Input::CloseStdin,
            Input::Stdin(b"too late".to_vec()),
        ]);
        let mut received = Vec::new();
        played.stdin.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"abc");
        assert_eq!(
            played.control.recv().await,
            Some(SessionControl::Resize(size))
        );
    }
}
