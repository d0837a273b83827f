//! The agent's side: start the unpacker, map its ids, hear its report.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, XattrFlags};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::error::UnpackError;
use super::protocol::{
    GO, HELLO, JOB_BYTES_MAX, Job, Marks, Outcome, PROTOCOL_VERSION, REPORT_BYTES_MAX, Report,
    line, parse,
};
use super::{ID_MAX, LayerBlob, Unpacked, UnpackerConfig};
use crate::tree::Tree;

/// Bytes of the unpacker's standard error that an error message shows.
const SAID_BYTES_MAX: u64 = 2048;
/// The attribute by which overlayfs knows an opaque directory.
pub(crate) const OPAQUE_ATTRIBUTE: &str = "trusted.overlay.opaque";
/// The attribute of a layer that does not say how the image's root looks.
pub(crate) const BARE_ROOT_ATTRIBUTE: &str = "trusted.burstlet.bare-root";

/// Unpacks layers, each in a process of its own.
#[derive(Clone, Debug)]
pub struct Unpacker {
    config: Arc<UnpackerConfig>,
}

impl Unpacker {
    /// An unpacker; nothing is started yet.
    #[must_use]
    pub fn new(config: UnpackerConfig) -> Self {
        Self {
            config: Arc::new(config),
        }
    }

    /// Unpacks `layer` into the directory `target`, which must be empty and is the caller's own.
    ///
    /// When this returns an error the unpacker has ended, and the caller removes what `target`
    /// holds. When the future is dropped the unpacker is killed, but may still be ending.
    ///
    /// # Errors
    /// The layer is refused, the host does not let us confine or write, or the deadline passed.
    pub async fn unpack(&self, layer: LayerBlob, target: &Path) -> Result<Unpacked, UnpackError> {
        let root = open_target(target)?;
        let job = Job {
            version: PROTOCOL_VERSION,
            packing: layer.packing,
            diff_id: layer.diff_id.to_string(),
            limits: self.config.limits,
            devices: self.config.devices,
        };
        let mut process = Process::start(&self.config.program, layer.file, &root)?;
        let deadline = self.config.deadline;
        let report = match tokio::time::timeout(deadline, process.talk(&job)).await {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => return Err(process.explain(error).await),
            Err(_) => {
                process.kill().await;
                return Err(UnpackError::Deadline { deadline });
            }
        };
        process.kill().await;
        match report.outcome {
            Outcome::Refused(fault) => Err(UnpackError::Layer(fault)),
            Outcome::Done { unpacked, marks } => {
                mark(root, marks).await?;
                Ok(unpacked)
            }
        }
    }
}

/// A running unpacker.
struct Process {
    child: Child,
    channel: BufReader<UnixStream>,
}

impl Process {
    fn start(program: &Path, blob: File, root: &OwnedFd) -> Result<Self, UnpackError> {
        let failed = |source| UnpackError::Start {
            program: program.to_owned(),
            source,
        };
        let (ours, theirs) = StdUnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let channel = UnixStream::from_std(ours).map_err(failed)?;
        let child = Command::new(program)
            .env_clear()
            .current_dir(format!("/proc/self/fd/{}", root.as_raw_fd()))
            .stdin(Stdio::from(blob))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        Ok(Self {
            child,
            channel: BufReader::new(channel),
        })
    }

    /// The conversation, as the module's diagram has it.
    async fn talk(&mut self, job: &Job) -> Result<Report, UnpackError> {
        let channel = |source| UnpackError::Channel { source };
        let hello = self.line(HELLO.len() as u64).await?;
        if hello != HELLO {
            let detail = format!("its hello is {}", hello.escape_ascii());
            return Err(UnpackError::Report { detail });
        }
        if let Some(pid) = self.child.id() {
            map_ids(pid)
                .await
                .map_err(|source| UnpackError::IdMap { source })?;
        }
        let mut message = vec![GO];
        message.extend(line(job).map_err(channel)?);
        debug_assert!(message.len() as u64 <= JOB_BYTES_MAX);
        self.channel.write_all(&message).await.map_err(channel)?;
        let answer = self.line(REPORT_BYTES_MAX).await?;
        let report: Report = parse(&answer).map_err(|detail| UnpackError::Report { detail })?;
        if report.version != PROTOCOL_VERSION {
            let detail = format!("it speaks version {}", report.version);
            return Err(UnpackError::Report { detail });
        }
        Ok(report)
    }

    /// The next line with its end, or what comes before the channel's end or `max` bytes.
    async fn line(&mut self, max: u64) -> Result<Vec<u8>, UnpackError> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.channel).take(max);
        bounded
            .read_until(b'\n', &mut line)
            .await
            .map_err(|source| UnpackError::Channel { source })?;
        Ok(line)
    }

    /// Replaces a broken conversation by how the unpacker ended, if it has.
    async fn explain(&mut self, error: UnpackError) -> UnpackError {
        if !matches!(
            error,
            UnpackError::Channel { .. } | UnpackError::Report { .. }
        ) {
            self.kill().await;
            return error;
        }
        let ended = self.child.try_wait().ok().flatten();
        let status = match ended {
            Some(status) => Some(status),
            None if self.at_end().await => self.child.wait().await.ok(),
            None => None,
        };
        self.kill().await;
        match status {
            Some(status) => UnpackError::Died {
                status,
                said: self.said().await,
            },
            None => error,
        }
    }

    /// Whether the unpacker has closed its side, which it does by ending.
    async fn at_end(&mut self) -> bool {
        matches!(self.channel.fill_buf().await, Ok(rest) if rest.is_empty())
    }

    /// Ends the unpacker and waits until neither of its two processes writes any more: each holds
    /// the channel until it is gone.
    async fn kill(&mut self) {
        let _already_gone = self.child.kill().await;
        while !matches!(self.channel.fill_buf().await, Ok([]) | Err(_)) {
            let unread = self.channel.buffer().len();
            self.channel.consume(unread);
        }
    }

    async fn said(&mut self) -> String {
        let mut said = Vec::new();
        if let Some(stderr) = self.child.stderr.as_mut() {
            let _whatever_came = stderr.take(SAID_BYTES_MAX).read_to_end(&mut said).await;
        }
        said.escape_ascii().to_string()
    }
}

fn open_target(target: &Path) -> Result<OwnedFd, UnpackError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(target, flags, Mode::empty()).map_err(|errno| UnpackError::Target {
        path: target.to_owned(),
        source: errno.into(),
    })
}

/// Maps the ids of the namespace one to one. `pid` is our unreaped child's, so it is nobody else's.
async fn map_ids(pid: u32) -> io::Result<()> {
    let map = format!("0 0 {}\n", ID_MAX + 1);
    tokio::fs::write(format!("/proc/{pid}/uid_map"), &map).await?;
    tokio::fs::write(format!("/proc/{pid}/gid_map"), &map).await
}

/// Sets what only the initial user namespace may set. The paths come from the unpacker, so they
/// are resolved within the layer's root like any other name; a lie can only hide the layers below.
async fn mark(root: OwnedFd, marks: Marks) -> Result<(), UnpackError> {
    let marking = tokio::task::spawn_blocking(move || {
        let tree = Tree::new(root);
        if marks.bare_root {
            set(&tree, b"", BARE_ROOT_ATTRIBUTE)?;
        }
        marks
            .opaque
            .iter()
            .try_for_each(|path| set(&tree, &path.0, OPAQUE_ATTRIBUTE))
    });
    marking.await.map_err(|error| UnpackError::Channel {
        source: io::Error::other(error),
    })?
}

fn set(tree: &Tree, path: &[u8], attribute: &'static str) -> Result<(), UnpackError> {
    let marked = tree.open_directory(path).and_then(|directory| {
        rustix::fs::fsetxattr(directory.as_fd(), attribute, b"y", XattrFlags::empty())
    });
    marked.map_err(|errno| UnpackError::Mark {
        path: path.escape_ascii().to_string(),
        attribute,
        source: errno.into(),
    })
}
