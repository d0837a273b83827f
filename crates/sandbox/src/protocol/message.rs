//! The messages.

use std::fmt;
use std::net::SocketAddr;

use burstlet_model::{ContainerName, ErrorKind, GroupUid, Stamp};
use serde::{Deserialize, Serialize};

use super::text;
use crate::plan::{ContainerPlan, ExecPlan, GroupPlan, MountSource};

/// A request with its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The version that the sender speaks.
    pub v: u32,
    /// The number that the answer carries.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// What a client may ask. Descriptors are named by their position in the message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Launcher: fork a keeper for this group and hand this connection on to it.
    CreateGroup {
        /// The group.
        plan: Box<GroupPlan>,
    },
    /// Launcher: end it. Keepers go on.
    Quit,
    /// Answer, and nothing else.
    Ping,
    /// Tell all that the keeper knows, with the network namespace beside it.
    Snapshot,
    /// Create a container and, if its plan says so, start it.
    Run {
        /// The container.
        plan: Box<ContainerPlan>,
    },
    /// Start a created container.
    Start {
        /// Which.
        #[serde(with = "text")]
        container: ContainerName,
    },
    /// Run a process in a container. Without a terminal, its streams come with the message.
    Exec {
        /// The process.
        plan: Box<ExecPlan>,
        /// What it reads; nothing if absent.
        #[serde(default)]
        stdin: Option<u32>,
        /// Where its output goes; nowhere if absent.
        #[serde(default)]
        stdout: Option<u32>,
        /// Where its errors go; nowhere if absent.
        #[serde(default)]
        stderr: Option<u32>,
    },
    /// Copy a container's output from now on, and feed its input.
    Attach {
        /// Which.
        #[serde(with = "text")]
        container: ContainerName,
        /// Read and given to the container as input.
        #[serde(default)]
        stdin: Option<u32>,
        /// Gets a copy of the output, or of the terminal's.
        #[serde(default)]
        stdout: Option<u32>,
        /// Gets a copy of the errors.
        #[serde(default)]
        stderr: Option<u32>,
    },
    /// Set the size of a container's terminal.
    Resize {
        /// Which.
        #[serde(with = "text")]
        container: ContainerName,
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Send a signal to a container's first process.
    Signal {
        /// Which.
        #[serde(with = "text")]
        container: ContainerName,
        /// The signal's number.
        signo: i32,
    },
    /// Send a signal to a process started by `Exec`.
    SignalExec {
        /// Its caller's name for it.
        exec: String,
        /// The signal's number.
        signo: i32,
    },
    /// Kill all processes of a container.
    Kill {
        /// Which.
        #[serde(with = "text")]
        container: ContainerName,
    },
    /// Give a memory volume other files.
    Renew {
        /// The volume, of the kind `Memory`.
        volume: Box<MountSource>,
    },
    /// Connect to an address from inside the group's network; the connection comes back.
    Dial {
        /// Where to.
        address: SocketAddr,
    },
    /// Kill everything, answer when it is gone, and end the keeper.
    Shutdown,
}

/// What a keeper or the launcher sends.
#[derive(Clone, Debug, PartialEq)]
pub enum FromKeeper {
    /// To a request.
    Answer(Answer),
    /// Of its own accord.
    Event(Event),
    /// Something that this version does not know.
    Unknown,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The request's number.
    pub id: u64,
    /// How it went.
    pub result: Result<Reply, Failure>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Reply {
    /// Nothing but that it was done. With `Dial`, the connection comes along.
    Done,
    /// The group is there. The descriptor of its network namespace comes along, if it has its own.
    Ready {
        /// The keeper's process.
        pid: i32,
    },
    /// The keeper's knowledge.
    Snapshot(Snapshot),
    /// A container was created, or created and started.
    Started(Started),
    /// A process runs. Its terminal comes along, if it has one.
    Executing {
        /// The process, in the host's numbering.
        pid: i32,
    },
    /// An attachment is in place.
    Attached {
        /// Its number, which its end's event carries.
        attachment: u32,
    },
}

/// How a container's start went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The container's first process, in the host's numbering.
    pub pid: i32,
    /// When everything but the program was in place.
    #[serde(with = "text::stamp")]
    pub created: Stamp,
    /// When the program ran; absent while the container waits for its `Start`.
    #[serde(default, with = "text::stamp::option")]
    pub started: Option<Stamp>,
    /// What could not be given though it was asked for, and does not weaken isolation.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What a keeper tells of its own accord.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A container has ended; its exit record is on disk.
    Exited {
        /// Which.
        #[serde(with = "text")]
        container: ContainerName,
        /// Which start of it.
        attempt: u32,
        /// How.
        exit: Exit,
    },
    /// A process started by `Exec` has ended.
    ExecExited {
        /// Its caller's name for it.
        exec: String,
        /// Its exit code, if it ended by itself.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// An attachment was ended by this side.
    Detached {
        /// Its number.
        attachment: u32,
        /// Why.
        end: AttachmentEnd,
    },
}

/// Why an attachment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentEnd {
    /// The container's output ended.
    Finished,
    /// The client read too slowly: output was lost for it (never for the log).
    TooSlow,
    /// The client closed its end.
    Closed,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code, if the process ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// When its program began to run.
    #[serde(with = "text::stamp")]
    pub started: Stamp,
    /// When it ended.
    #[serde(with = "text::stamp")]
    pub finished: Stamp,
    /// The contents of the plan's `final_reads`.
    #[serde(default)]
    pub finals: Vec<FinalValue>,
}

/// What a file held at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalValue {
    /// The key from the plan.
    pub key: String,
    /// The content; absent if it could not be read.
    pub content: Option<String>,
}

/// All that a keeper knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The group.
    #[serde(with = "text")]
    pub uid: GroupUid,
    /// The keeper's process.
    pub pid: i32,
    /// When the keeper began.
    #[serde(with = "text::stamp")]
    pub since: Stamp,
    /// The containers, the last start of each.
    pub containers: Vec<ContainerView>,
    /// The processes started by `Exec` that run.
    #[serde(default)]
    pub execs: Vec<ExecView>,
}

/// One container as its keeper sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerView {
    /// Its name.
    #[serde(with = "text")]
    pub name: ContainerName,
    /// Which start of it.
    pub attempt: u32,
    /// How far it is.
    pub phase: ContainerPhase,
    /// Its first process, while there is one.
    pub pid: Option<i32>,
    /// When it was created.
    #[serde(default, with = "text::stamp::option")]
    pub created: Option<Stamp>,
    /// When its program began to run.
    #[serde(default, with = "text::stamp::option")]
    pub started: Option<Stamp>,
    /// How it ended.
    #[serde(default)]
    pub exit: Option<Exit>,
}

/// How far a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerPhase {
    /// Being created.
    Creating,
    /// Everything is in place; it waits for `Start`.
    Created,
    /// Its program runs.
    Running,
    /// Its first process has ended; its last output is being written.
    Ending,
    /// It has ended and its exit record is on disk.
    Exited,
}

/// A process started by `Exec`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecView {
    /// Its caller's name for it.
    pub id: String,
    /// The container it runs in.
    #[serde(with = "text")]
    pub container: ContainerName,
    /// The process.
    pub pid: Option<i32>,
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What class of failure it is.
    pub class: FailureClass,
    /// What was being done, to what, and why it failed.
    pub message: String,
}

impl Failure {
    /// A failure of a class with what to say about it.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
        }
    }
}

macro_rules! failure_classes {
    ($($(#[$doc:meta])* $name:ident = $text:literal => $kind:ident),* $(,)?) => {
        /// What class of failure it is, more finely than [`ErrorKind`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum FailureClass {
            $($(#[$doc])* $name,)*
        }

        impl FailureClass {
            /// Its word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its class at an edge.
            #[must_use]
            pub const fn kind(self) -> ErrorKind {
                match self { $(Self::$name => ErrorKind::$kind,)* }
            }

            fn from_text(text: &str) -> Self {
                match text { $($text => Self::$name,)* _ => Self::Internal }
            }
        }
    };
}

failure_classes! {
    /// The request itself is wrong.
    Invalid = "invalid" => Invalid,
    /// There is no such container or process.
    NotFound = "not_found" => NotFound,
    /// There is one of this name already.
    Exists = "exists" => AlreadyExists,
    /// It is not in a state that allows this.
    WrongState = "wrong_state" => FailedPrecondition,
    /// The program to run does not exist in the container: exit code 127 by convention.
    CommandNotFound = "command_not_found" => Invalid,
    /// The program to run cannot be executed: exit code 126 by convention.
    CommandNotExecutable = "command_not_executable" => Invalid,
    /// The container did not come out as asked, and was killed before it ran.
    Verification = "verification" => Internal,
    /// A named bound was reached.
    Limit = "limit" => ResourceExhausted,
    /// It took too long.
    Deadline = "deadline" => DeadlineExceeded,
    /// The other end refused or cannot be reached.
    Unreachable = "unreachable" => Unavailable,
    /// This version, or this kernel, cannot do it.
    Unsupported = "unsupported" => Unsupported,
    /// The group is ending.
    Ending = "ending" => FailedPrecondition,
    /// The kernel refused a step, or this is a defect.
    Internal = "internal" => Internal,
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for FailureClass {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for FailureClass {
    /// A class that a newer keeper knows and this version does not is an internal failure.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self::from_text(&String::deserialize(from)?))
    }
}
