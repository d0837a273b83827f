//! The last steps of a process before it becomes the container's program, the same for a
//! container's first process and for one run in it later.
//!
//! ```text
//! process                                     keeper
//!   keyring, find the program, seccomp, capabilities
//!   ── Ready ─────────────────────────────────► reads /proc/<pid>, verifies
//!   waits                                        (waits for `start`, if the plan says so)
//!   ◄──────────────────────────────────── go ──
//!   execve ── closes the channel ─────────────► running
//! ```
//!
//! The seccomp program is in force before `Ready`, so the keeper sees it; that is why a program
//! must allow `read`, `write` and `execve`. The channel is closed by `execve` alone: a failure
//! says so first, and a death without a word is noticed by the wait.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{self, AccessFlags};
use oci_spec::runtime::Process;

use super::capabilities;
use crate::protocol::{Failure, FailureClass};
use crate::sys::process::{self, Filter};

/// Where a program without a slash is looked for when its environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a starting process tells its keeper.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Everything is in place.
    Ready,
    /// It cannot go on.
    Failed(Failure),
    /// A terminal's master comes along.
    Console,
    /// Something harmless could not be done.
    Warning(String),
}

impl Word {
    /// The datagram.
    pub(super) fn encode(&self) -> Vec<u8> {
        let tagged = |tag: u8, rest: &[u8]| [&[tag], rest].concat();
        match self {
            Self::Ready => tagged(b'R', b""),
            Self::Console => tagged(b'C', b""),
            Self::Warning(text) => tagged(b'W', text.as_bytes()),
            Self::Failed(failure) => tagged(b'F', &serde_json::to_vec(failure).unwrap_or_default()),
        }
    }

    /// Reads a datagram; anything else than a word is a failure.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let garbled = || Failure::new(FailureClass::Internal, "a starting process is garbled");
        match bytes.split_first() {
            Some((b'R', [])) => Self::Ready,
            Some((b'C', [])) => Self::Console,
            Some((b'W', text)) => Self::Warning(String::from_utf8_lossy(text).into_owned()),
            Some((b'F', json)) => {
                Self::Failed(serde_json::from_slice(json).unwrap_or_else(|_| garbled()))
            }
            _ => Self::Failed(garbled()),
        }
    }
}

/// The process's end of the channel, shared over its forks and closed by `execve`.
#[derive(Clone)]
pub(super) struct Channel(Rc<OwnedFd>);

impl Channel {
    /// Takes the end.
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self(Rc::new(fd))
    }

    /// Says a word. If the keeper is gone there is nobody to tell, and the next wait ends us.
    pub(super) fn say(&self, word: &Word) {
        let _ = unistd::write(&*self.0, &word.encode());
    }

    /// The descriptor.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn wait_for_go(&self) -> bool {
        loop {
            match unistd::read(&*self.0, &mut [0_u8; 1]) {
                Err(Errno::EINTR) => {}
                Ok(1) => return true,
                _ => return false,
            }
        }
    }
}

/// What the last steps need besides the process's description.
#[derive(Clone)]
pub(super) struct Finish {
    /// How the keeper is told.
    pub(super) channel: Channel,
    /// The seccomp program.
    pub(super) filter: Option<Filter>,
}

impl Finish {
    /// Takes the last steps. Returns only what went wrong, after it was told.
    pub(super) fn run(&self, process: &Process) -> Failure {
        let failure = match self.steps(process) {
            Ok(never) => match never {},
            Err(failure) => failure,
        };
        self.channel.say(&Word::Failed(failure.clone()));
        failure
    }

    fn steps(&self, process: &Process) -> Result<Infallible, Failure> {
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| internal("tie to the keeper", &e))?;
        process::join_new_keyring().map_err(|e| internal("join a new session keyring", &e))?;
        let dir = unistd::getcwd().map_err(|e| internal("find the working directory", &e))?;
        if !dir.is_absolute() {
            return Err(Failure::new(
                FailureClass::Verification,
                "the working directory is outside the container",
            ));
        }
        let program = Program::of(process)?;
        self.restrict(process)?;
        self.channel.say(&Word::Ready);
        if !self.channel.wait_for_go() {
            return Err(Failure::new(FailureClass::Ending, "the keeper ended"));
        }
        Err(program.execute())
    }

    /// Loading a program takes either the promise never to gain privileges, or a capability that
    /// is dropped right after.
    fn restrict(&self, process: &Process) -> Result<(), Failure> {
        let wanted = capabilities::masks(process.capabilities().as_ref());
        let drop = || capabilities::apply(wanted).map_err(|e| internal("drop capabilities", &e));
        let promised = process.no_new_privileges() == Some(true);
        if promised {
            drop()?;
        }
        if let Some(filter) = &self.filter {
            filter
                .load()
                .map_err(|e| internal("load the seccomp program", &e))?;
        }
        if promised { Ok(()) } else { drop() }
    }
}

fn internal(what: &str, error: &dyn std::error::Error) -> Failure {
    let mut message = format!("{what}: {error}");
    if let Some(source) = error.source() {
        message = format!("{message}: {source}");
    }
    Failure::new(FailureClass::Internal, message)
}

/// A program that was found, with its arguments and environment.
struct Program {
    name: String,
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    fn of(process: &Process) -> Result<Self, Failure> {
        let args = process.args().as_deref().unwrap_or_default();
        let env = process.env().as_deref().unwrap_or_default();
        let name = args
            .first()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| {
                Failure::new(FailureClass::CommandNotFound, "exec: no program is given")
            })?;
        let strings = |list: &[String]| -> Result<Vec<CString>, Failure> {
            let convert = |text: &String| CString::new(text.as_bytes());
            list.iter()
                .map(convert)
                .collect::<Result<_, _>>()
                .map_err(|_| {
                    Failure::new(
                        FailureClass::Invalid,
                        "an argument or variable contains a zero byte",
                    )
                })
        };
        let search = env
            .iter()
            .rev()
            .find_map(|entry| entry.strip_prefix("PATH="));
        let path = find(name, search.unwrap_or(DEFAULT_PATH))?;
        let path = CString::new(path.into_os_string().into_encoded_bytes())
            .map_err(|e| internal("name the program", &e))?;
        Ok(Self {
            name: name.clone(),
            path,
            args: strings(args)?,
            env: strings(env)?,
        })
    }

    /// Becomes the program. Returns why it could not.
    fn execute(&self) -> Failure {
        match unistd::execve(&self.path, &self.args, &self.env) {
            Ok(never) => match never {},
            Err(errno) => refused(&self.name, errno),
        }
    }
}

/// Finds a program as the shell does: a name with a slash is a path, another is looked for.
fn find(name: &str, search: &str) -> Result<PathBuf, Failure> {
    if name.contains('/') {
        return executable(Path::new(name))
            .map(|()| name.into())
            .map_err(|errno| refused(name, errno));
    }
    let mut denied = false;
    for dir in search.split(':') {
        let candidate = Path::new(if dir.is_empty() { "." } else { dir }).join(name);
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(errno) => denied |= errno == Errno::EACCES,
        }
    }
    if denied {
        return Err(refused(name, Errno::EACCES));
    }
    let message = format!("exec: {name:?}: executable file not found in $PATH");
    Err(Failure::new(FailureClass::CommandNotFound, message))
}

fn executable(path: &Path) -> Result<(), Errno> {
    unistd::access(path, AccessFlags::X_OK)?;
    let is_dir = path.metadata().is_ok_and(|metadata| metadata.is_dir());
    if is_dir { Err(Errno::EACCES) } else { Ok(()) }
}

/// A shell's exit code for this is 127 if there is no such program, and 126 if there is one.
fn refused(name: &str, errno: Errno) -> Failure {
    let class = match errno {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG => {
            FailureClass::CommandNotFound
        }
        _ => FailureClass::CommandNotExecutable,
    };
    let reason = io::Error::from(errno);
    Failure::new(class, format!("exec: {name:?}: {}", lower_reason(&reason)))
}

fn lower_reason(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => errno.desc().to_lowercase(),
        None => error.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were() {
        for word in [
            Word::Ready,
            Word::Console,
            Word::Warning("w".into()),
            Word::Failed(Failure::new(FailureClass::CommandNotFound, "x")),
        ] {
            assert_eq!(Word::decode(&word.encode()), word);
        }
        for garbled in [&b""[..], b"R1", b"F", b"F{", b"x"] {
            assert!(
                matches!(Word::decode(garbled), Word::Failed(_)),
                "{garbled:?}"
            );
        }
    }

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        assert_eq!(
            find("sh", "/nonexistent:/bin").unwrap(),
            Path::new("/bin/sh")
        );
        assert_eq!(find("/bin/sh", "").unwrap(), Path::new("/bin/sh"));
        let class = |name: &str, search: &str| find(name, search).unwrap_err().class;
        assert_eq!(
            class("no-such-program", "/bin:/usr/bin"),
            FailureClass::CommandNotFound
        );
        assert_eq!(
            class("/no/such/program", "/bin"),
            FailureClass::CommandNotFound
        );
        assert_eq!(class("/etc/passwd", ""), FailureClass::CommandNotExecutable);
        assert_eq!(class("passwd", "/etc"), FailureClass::CommandNotExecutable);
        assert_eq!(class("/etc", ""), FailureClass::CommandNotExecutable);
    }
}
