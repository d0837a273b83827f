//! The starter: a child of the keeper, in the container's cgroup, that makes a container and ends.
//!
//! libcontainer changes its caller (working directory, score, dumpable flag), so it gets a process
//! of its own. The container's processes become the keeper's children, not the starter's.
//!
//! libcontainer never sees a cgroup: the launcher's mount namespace shows none, the starter is in
//! the right one already, and so libcontainer neither waits for one nor kills what is in it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::notify_socket::{NOTIFY_FILE, NotifySocket};
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_spec::runtime::{Process, Spec};

use super::bundle::Bundle;
use super::cgroups::{self, Shown};
use super::finish::{Finish, Word};
use super::stage::Stage;
use super::{STAGE, first_line};
use crate::protocol::{Failure, FailureClass};
use crate::sys::passing;
use crate::sys::process::{self, Fork, ForkOptions, fork};

/// How processes get into a container's cgroup, with descriptors opened by the client.
pub(super) enum Entry {
    /// No cgroup was asked for.
    None,
    /// Version 1: `tasks` files.
    Tasks(Vec<OwnedFd>),
    /// Version 2: the directory.
    BornIn(OwnedFd),
}

impl Entry {
    /// How to fork so that the child is in this cgroup, as far as the fork can see to it.
    pub(super) fn fork_options(&self) -> ForkOptions<'_> {
        match self {
            Self::BornIn(dir) => ForkOptions {
                cgroup: Some(dir.as_fd()),
                ..ForkOptions::default()
            },
            _ => ForkOptions::default(),
        }
    }

    /// Enters the cgroup, if the fork has not. Only a single-threaded process may write `0` to
    /// `tasks`, and it alone then spares the kernel's grace period.
    pub(super) fn enter(&self) -> io::Result<()> {
        if let Self::Tasks(files) = self {
            for file in files {
                nix::unistd::write(file, b"0")?;
            }
        }
        Ok(())
    }
}

/// The standard streams of a process; a terminal makes its own.
pub(super) enum Streams {
    /// Standard input, output, errors.
    Pipes([OwnedFd; 3]),
    /// A new terminal in the container.
    Terminal,
}

/// Something that gives nothing and takes everything.
pub(super) fn null() -> io::Result<OwnedFd> {
    Ok(fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?
        .into())
}

/// One container to make.
pub(super) struct Job {
    /// Names the directories on the stage.
    pub(super) id: String,
    /// The spec and what was taken out of it.
    pub(super) bundle: Bundle,
    /// What it is shown of its cgroup.
    pub(super) shown: Vec<Shown>,
    /// The container's end of its streams.
    pub(super) streams: Streams,
    /// The last steps.
    pub(super) finish: Finish,
}

/// Forks the starter of a container.
///
/// # Errors
/// The fork failed. Anything later is said on the channel.
pub(super) fn start(job: Job, entry: &Entry) -> io::Result<Pid> {
    match fork(&entry.fork_options())? {
        Fork::Parent(pid) => Ok(pid),
        Fork::Child => {
            let channel = job.finish.channel.clone();
            let made = make(job, entry);
            if let Err(failure) = made {
                channel.say(&Word::Failed(failure));
            }
            std::process::exit(0)
        }
    }
}

/// What every child of the keeper does first.
pub(super) fn settle(entry: &Entry, finish: &Finish, score: Option<i32>) -> Result<(), Failure> {
    let internal = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(FailureClass::Internal, format!("{what}: {error}"))
    };
    process::reset_signals().map_err(|e| internal("reset signals", &e))?;
    entry
        .enter()
        .map_err(|e| internal("enter the container's cgroup", &e))?;
    if let Some(score) = score
        && let Err(error) = fs::write("/proc/self/oom_score_adj", score.to_string())
    {
        let warning = format!("set oom_score_adj to {score}: {error}");
        finish.channel.say(&Word::Warning(warning));
    }
    Ok(())
}

fn make(job: Job, entry: &Entry) -> Result<(), Failure> {
    settle(entry, &job.finish, job.bundle.oom_score_adj)?;
    let states = Path::new(STAGE).join("s");
    let dir = Stage::dir(&job.id).join("bundle");
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(FailureClass::Internal, format!("{what}: {error}"))
    };
    write_bundle(&dir, &job.bundle.spec).map_err(|e| failed("write the bundle", &e))?;
    let executor = LastSteps {
        finish: job.finish.clone(),
        process: job.bundle.process,
    };
    let builder = ContainerBuilder::new(job.id.clone(), SyscallType::default())
        .with_executor(executor)
        .with_root_path(&states)
        .map_err(|e| failed("choose the state directory", &e))?;
    let (builder, console) = match job.streams {
        Streams::Pipes([stdin, stdout, stderr]) => (
            builder
                .with_stdin(stdin)
                .with_stdout(stdout)
                .with_stderr(stderr),
            None,
        ),
        Streams::Terminal => {
            let path = dir.join("console");
            let listener = UnixListener::bind(&path).map_err(|e| failed("make a console", &e))?;
            (builder.with_console_socket(Some(path)), Some(listener))
        }
    };
    let made = builder
        .as_init(&dir)
        .with_systemd(false)
        .with_detach(true)
        .as_sibling(true)
        .build();
    let made = made.map_err(|error| failed("create the container", &describe(&error)))?;
    show_cgroups(&job.shown, made.pid().map(|pid| pid.as_raw()))?;
    if let Some(listener) = console {
        hand_on_console(&listener, &job.finish).map_err(|e| failed("take the terminal", &e))?;
    }
    let notify: PathBuf = states.join(&job.id).join(NOTIFY_FILE);
    NotifySocket::new(notify)
        .notify_container_start()
        .map_err(|error| failed("let the container go on", &error))
}

/// The container's process waits, and nobody else knows it yet.
fn show_cgroups(shown: &[Shown], pid: Option<i32>) -> Result<(), Failure> {
    let unknown = || Failure::new(FailureClass::Internal, "the container has no process");
    let pid = Pid::from_raw(pid.ok_or_else(unknown)?);
    cgroups::attach_in(shown, pid).inspect_err(|_| {
        // That it is gone already is as good.
        let _ = kill(pid, Signal::SIGKILL);
    })
}

fn write_bundle(dir: &Path, spec: &Spec) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let file = io::BufWriter::new(fs::File::create(dir.join("config.json"))?);
    serde_json::to_writer(file, spec).map_err(io::Error::other)
}

/// libcontainer's errors often say the reason only in their source.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    first_line(&text)
}

fn hand_on_console(listener: &UnixListener, finish: &Finish) -> io::Result<()> {
    let (connection, _) = listener.accept()?;
    let packet = passing::receive(connection.as_fd())?.unwrap_or_default();
    let master = packet.fds.first().ok_or(io::ErrorKind::UnexpectedEof)?;
    passing::send_datagram(
        finish.channel.fd(),
        &Word::Console.encode(),
        &[master.as_fd()],
    )
}

/// Our end of libcontainer's work: it calls [`Executor::exec`] when all but the program is done.
#[derive(Clone)]
struct LastSteps {
    finish: Finish,
    process: Process,
}

impl Executor for LastSteps {
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let failure = self.finish.run(&self.process);
        Err(ExecutorError::Other(failure.message))
    }

    /// The program is looked for in [`Finish::run`], where a failure can be told in full.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }

    /// The program gets its environment with `execve`, in the order it was given.
    fn setup_envs(
        &self,
        _: std::collections::HashMap<String, String>,
    ) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}
