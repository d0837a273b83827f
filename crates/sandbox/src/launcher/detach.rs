//! Leaving behind whatever the launcher was started from.

use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, execveat, setgroups, setsid};

use super::{Options, StartError, step};
use crate::sys::listening::Listening;
use crate::sys::process::{self, Fork, ForkOptions, fork};
use crate::sys::{memfile, passing};
use crate::{cores, protocol};

/// How many connections may wait.
const BACKLOG: i32 = 128;
/// The first argument of the running launcher: room for the titles of keepers, since a process can
/// only write over the arguments that it was executed with.
const TITLE_ROOM: usize = 96;

/// What the launcher listens with.
pub(super) struct Sockets {
    /// The socket that clients connect to.
    pub(super) listener: Listening,
    /// Its path.
    pub(super) path: PathBuf,
    /// Says that a launcher serves this run directory, for as long as it is held.
    #[allow(dead_code, reason = "held, not read")]
    pub(super) lock: Flock<File>,
}

/// Which side of the detaching fork this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that was started, whose end says that the launcher listens.
    Starter,
    /// The launcher.
    Launcher,
}

/// Executes the launcher from an anonymous file that nobody can change: a container that gets hold
/// of a running keeper's executable cannot overwrite the host's.
pub(super) fn become_sealed_copy(arguments: &[OsString]) -> Result<(), StartError> {
    let own = Path::new("/proc/self/exe");
    let link = fs::read_link(own).map_err(step("find the own executable"))?;
    if link.as_os_str().as_bytes().starts_with(b"/memfd:") {
        return Ok(());
    }
    let copy = sealed_copy(own).map_err(step("copy the own executable"))?;
    let name = format!("{:<TITLE_ROOM$}", "burstlet-launcher");
    let mut strings = vec![OsString::from(name)];
    strings.extend(arguments.iter().cloned());
    let strings: Result<Vec<CString>, _> =
        strings.iter().map(|s| CString::new(s.as_bytes())).collect();
    let strings = strings.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e));
    let strings = strings.map_err(step("pass the arguments on"))?;
    let empty: [CString; 0] = [];
    match execveat(&copy, c"", &strings, &empty, AtFlags::AT_EMPTY_PATH) {
        Ok(never) => match never {},
        Err(errno) => Err(step("execute the own copy")(errno)),
    }
}

fn sealed_copy(path: &Path) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut copy = File::from(memfd_create("burstlet-launcher", flags)?);
    io::copy(&mut File::open(path)?, &mut copy)?;
    memfile::seal(&copy)?;
    Ok(copy.into())
}

/// Drops what was inherited: descriptors, groups, masks, and that cores are written: keepers, which
/// are copies of the launcher, hold what groups must have in secret. The environment is empty since
/// the execution of the sealed copy.
pub(super) fn shed_inheritance() -> Result<(), StartError> {
    process::close_fds(3, u32::MAX, false).map_err(step("close inherited descriptors"))?;
    process::reset_signals().map_err(step("reset signals"))?;
    cores::forbid().map_err(step("forbid cores"))?;
    umask(Mode::from_bits_truncate(0o022));
    setgroups(&[]).map_err(step("drop supplementary groups"))?;
    chdir("/").map_err(step("leave the working directory"))
}

/// Enters the launcher's own cgroup, so that nothing that ends the agent's ends it.
pub(super) fn enter_cgroup(files: &[PathBuf]) -> Result<(), StartError> {
    for file in files {
        fs::write(file, "0").map_err(step(format!("enter the cgroup of {}", file.display())))?;
    }
    Ok(())
}

/// Makes the directories, takes the lock and listens.
pub(super) fn claim(options: &Options) -> Result<Sockets, StartError> {
    let keepers = options.run_dir.join("keepers");
    for dir in [&options.run_dir, &options.state_dir, &keepers] {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(step(format!("make {}", dir.display())))?;
    }
    let lock_path = options.run_dir.join("launcher.lock");
    let file = File::create(&lock_path).map_err(step(format!("open {}", lock_path.display())))?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        if errno == Errno::EWOULDBLOCK {
            StartError::Running(options.run_dir.display().to_string())
        } else {
            step("take the launcher's lock")(errno)
        }
    })?;
    let path = protocol::launcher_socket(&options.run_dir);
    // Whatever is there belongs to a launcher that is gone, since we have the lock.
    if let Err(error) = fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(step("remove the old socket")(error));
    }
    let listener = passing::listen(&path, BACKLOG).map_err(step("listen"))?;
    Ok(Sockets {
        listener: Listening::new(listener),
        path,
        lock,
    })
}

/// Forks into a session of its own, with nothing of the starter's left.
pub(super) fn into_background(options: &Options) -> Result<Side, StartError> {
    match fork(&ForkOptions::default()).map_err(step("detach"))? {
        Fork::Parent(_) => return Ok(Side::Starter),
        Fork::Child => {}
    }
    setsid().map_err(step("begin a session"))?;
    let null = File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(step("open /dev/null"))?;
    let log_path = options.run_dir.join("launcher.log");
    let log = File::options().create(true).append(true).open(&log_path);
    let log = log.map_err(step(format!("open {}", log_path.display())))?;
    dup2_stdin(null.as_fd()).map_err(step("detach from the input"))?;
    dup2_stdout(null.as_fd()).map_err(step("detach from the output"))?;
    dup2_stderr(log.as_fd()).map_err(step("detach from the errors"))?;
    Ok(Side::Launcher)
}
