//! The streams between a client and a container: requests and live sessions, free of any wire.

use std::fmt;

use burstlet_model::spec::Signal;
use burstlet_model::{ContainerName, WallTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use crate::host::HostError;

/// Bytes from a container.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// Bytes to a container; dropping it closes that direction.
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A command to run in a running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecRequest {
    /// Which container.
    pub container: ContainerName,
    /// Program and arguments; at least one.
    pub command: Vec<String>,
    /// Gives it a terminal of this size to begin with; stderr is then one with stdout.
    pub tty: Option<TerminalSize>,
    /// Gives it a standard input.
    pub stdin: bool,
}

/// A client joining the streams of a running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachRequest {
    /// Which container.
    pub container: ContainerName,
    /// Joins its standard input, if it has one.
    pub stdin: bool,
    /// The client's terminal, if the container has one.
    pub size: Option<TerminalSize>,
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// A live exec or attach. Dropping it ends an exec's process and leaves an attached container
/// alone.
pub struct ExecSession {
    /// To its standard input, if asked for.
    pub stdin: Option<Writer>,
    /// From its standard output, or its terminal.
    pub stdout: Option<Reader>,
    /// From its standard error; `None` with a terminal.
    pub stderr: Option<Reader>,
    /// Resizes the terminal and sends signals.
    pub control: mpsc::Sender<SessionControl>,
    /// How it ended. Comes after the last byte of output was written by the process.
    pub exit: oneshot::Receiver<Result<SessionExit, HostError>>,
}

impl fmt::Debug for ExecSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecSession").finish_non_exhaustive()
    }
}

/// What a client may do to a live session beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionControl {
    /// The client's window changed.
    Resize(TerminalSize),
    /// Sends a signal to the process.
    Signal(Signal),
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExit {
    /// The exit code; 128 + signal if a signal ended it.
    pub code: i32,
}

/// A two-way connection to a port inside a group.
pub type PortStream = tokio::net::TcpStream;

/// Which part of a container's log is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRequest {
    /// Which container.
    pub container: ContainerName,
    /// Goes on with what is written from now on, over restarts of the container's log file, until
    /// the container's run ends.
    pub follow: bool,
    /// Only the last lines.
    pub tail_lines: Option<u64>,
    /// Only from this time on.
    pub since: Option<WallTime>,
    /// Only before this time.
    pub until: Option<WallTime>,
    /// The run before the current one.
    pub previous: bool,
    /// Only one of the streams.
    pub stream: Option<LogStream>,
    /// Ends after this many bytes of text.
    pub limit_bytes: Option<u64>,
}

/// One of a container's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of a log, or a part of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// When it was written.
    pub at: WallTime,
    /// Which stream it came by.
    pub stream: LogStream,
    /// The text, with its newline if the line ends here.
    pub text: Vec<u8>,
}
