//! What the port shows and runs, as functions that the agent passes in.

use std::fmt;
use std::pin::Pin;

use burstlet_model::{ContainerName, Name, Namespace, WallTime};
use burstlet_stream_wire::TerminalSize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::refused::Refused;

/// The pods of this node.
pub trait Backend: Send + Sync + 'static {
    /// What a path of documents shows: JSON or Prometheus' text, as its clients expect it there.
    fn document(&self, document: Document) -> impl Future<Output = Result<String, Refused>> + Send;

    /// Whether there is such a pod, and with `container` such a container in it that can be
    /// reached. Asked before a session begins, as only then a client is told by a status code.
    fn admit(&self, pod: &PodPath, container: Option<&ContainerName>) -> Result<(), Refused>;

    /// Runs a command in a container.
    fn exec(
        &self,
        container: ContainerPath,
        request: ExecRequest,
    ) -> impl Future<Output = Result<Session, Refused>> + Send;

    /// Joins the streams of a container.
    fn attach(
        &self,
        container: ContainerPath,
        request: AttachRequest,
    ) -> impl Future<Output = Result<Session, Refused>> + Send;

    /// Connects to a port of a pod, from within its network.
    fn dial(
        &self,
        pod: PodPath,
        port: u16,
    ) -> impl Future<Output = Result<PortStream, Refused>> + Send;

    /// Reads a container's log. The channel ends with the log, or when the receiver is dropped.
    fn logs(
        &self,
        container: ContainerPath,
        request: LogRequest,
    ) -> impl Future<Output = Result<mpsc::Receiver<Result<LogRecord, Refused>>, Refused>> + Send;
}

/// A pod as a path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPath {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Name,
    /// If given, a pod of this name with another uid is not the one.
    pub uid: Option<String>,
}

/// A container as a path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPath {
    /// The pod.
    pub pod: PodPath,
    /// The container in it.
    pub container: ContainerName,
}

/// What can be read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// `/pods`: a list of the pods of this node.
    Pods,
    /// `/runningpods`: those of them that run, with little more than their names.
    RunningPods,
    /// `/stats/summary`.
    StatsSummary {
        /// Nothing else was asked for.
        only_cpu_and_memory: bool,
    },
    /// `/metrics`: of the agent itself.
    Metrics,
    /// `/metrics/resource`: for metrics-server.
    MetricsResource,
    /// `/metrics/cadvisor`: for dashboards.
    MetricsCadvisor,
    /// `/metrics/probes`.
    MetricsProbes,
    /// `/metrics/billing`.
    MetricsBilling,
    /// `/configz`.
    Configuration,
}

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments; at least one.
    pub command: Vec<String>,
    /// Gives it a standard input.
    pub stdin: bool,
    /// Gives it a terminal, whose size follows.
    pub tty: bool,
}

/// How to join a container's streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachRequest {
    /// Joins its standard input.
    pub stdin: bool,
    /// The client has a terminal.
    pub tty: bool,
}

/// Bytes from a process.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// Bytes to a process; dropping it ends its input.
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;
/// A connection to a port.
pub type PortStream = tokio::net::TcpStream;

/// A live exec or attach. Dropping it ends an exec's process and leaves an attached container
/// alone.
pub struct Session {
    /// To its standard input, if asked for.
    pub stdin: Option<Writer>,
    /// From its standard output, or its terminal.
    pub stdout: Option<Reader>,
    /// From its standard error.
    pub stderr: Option<Reader>,
    /// The sizes of the client's terminal.
    pub sizes: mpsc::Sender<TerminalSize>,
    /// Its exit code, when it has ended: 128 + signal if a signal ended it.
    pub exit: Pin<Box<dyn Future<Output = Result<i32, Refused>> + Send>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// Which part of a log is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Goes on until the container's run ends.
    pub follow: bool,
    /// The run before the current one.
    pub previous: bool,
    /// Only the last lines.
    pub tail_lines: Option<u64>,
    /// Only from then on.
    pub since: Option<Since>,
    /// Only one of the streams.
    pub stream: Option<LogStream>,
}

/// From when on a log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// This many seconds before now.
    Seconds(u64),
    /// This time.
    Time(WallTime),
}

/// One of a container's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The text, with its newline if the line ends here.
    pub text: Vec<u8>,
}
