//! Making processes, and the last steps of one before it becomes somebody else's program.
#![allow(
    unsafe_code,
    reason = "clone3, keyctl and seccomp have no wrapper in nix"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::Pid;

/// The longest form of the kernel's `sigaction`: handler, flags, restorer, mask.
const KERNEL_SIGACTION_WORDS: usize = 4;
/// The highest signal number.
const SIGNO_MAX: libc::c_int = 64;
/// libc has this flag in a type too small for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a fork this is.
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The old one, with the new one's number.
    Parent(Pid),
}

/// How a process is made.
#[derive(Default)]
pub(crate) struct ForkOptions<'a> {
    /// The version 2 cgroup that it is born in.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// Namespaces that it gets of its own (`CLONE_NEW…`).
    pub(crate) namespaces: libc::c_int,
    /// Whether it becomes the caller's sibling and not its child.
    pub(crate) sibling: bool,
}

/// Makes a process as a copy of this one, which must be single-threaded.
///
/// # Errors
/// The kernel refused; no process was made.
pub(crate) fn fork(options: &ForkOptions<'_>) -> io::Result<Fork> {
    // SAFETY: all fields of `clone_args` are integers, for which zero says "not used".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(options.namespaces.cast_unsigned());
    if options.sibling {
        arguments.flags |= libc::CLONE_PARENT as u64;
    } else {
        arguments.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(cgroup) = options.cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: without CLONE_VM and without a stack of its own the child goes on with a copy of
    // everything, as after fork(2). Launcher and keepers are single-threaded, so no lock of another
    // thread is held in the copy.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            size_of::<libc::clone_args>(),
        )
    };
    match result {
        0 => Ok(Fork::Child),
        pid if pid > 0 => Ok(Fork::Parent(Pid::from_raw(
            i32::try_from(pid).map_err(io::Error::other)?,
        ))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A descriptor of a process. The caller must know that the number is still that process's, as the
/// parent of an unreaped child does, or find out afterwards whether it is.
pub(crate) fn open_pid(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the call has just made this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Kills the process that a descriptor is of, and no other.
pub(crate) fn kill_held(process: &OwnedFd) -> io::Result<()> {
    let (fd, no_details, no_flags) = (process.as_raw_fd(), std::ptr::null::<u8>(), 0_u32);
    // SAFETY: the descriptor is open while it is borrowed; a null pointer asks for the details that
    // `kill` gives.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd,
            libc::SIGKILL,
            no_details,
            no_flags,
        )
    };
    check(sent).map(drop)
}

/// Closes or, with `on_exec`, marks for closing all descriptors from `first` to `last`.
pub(crate) fn close_fds(first: u32, last: u32, on_exec: bool) -> io::Result<()> {
    let flags = if on_exec {
        libc::CLOSE_RANGE_CLOEXEC
    } else {
        0
    };
    // SAFETY: the callers close descriptors at a process's birth or end, where no owner of them
    // runs any more.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

/// Gives the calling process the signal state that a program expects to be born with: nothing
/// blocked and nothing ignored, whatever the launcher was started from.
pub(crate) fn reset_signals() -> io::Result<()> {
    let default = [0_u64; KERNEL_SIGACTION_WORDS];
    let mask_bytes = size_of::<u64>();
    for signo in 1..=SIGNO_MAX {
        // SAFETY: the array is at least as long as the kernel's `sigaction`, in which zeros say the
        // default action, which runs no code of ours; nothing is written back. The C library's call
        // would leave out the signals that it keeps to itself. The two signals whose action cannot
        // be changed are refused without harm.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signo,
                default.as_ptr(),
                0_usize,
                mask_bytes,
            )
        };
    }
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Lets a write to a closed pipe be an error and not the end.
pub(crate) fn ignore_sigpipe() -> io::Result<()> {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { sigaction(Signal::SIGPIPE, &action) }?;
    Ok(())
}

/// Sends a signal, a real-time one too. The caller must know that the number is still the
/// process's, as the parent of an unreaped child does.
pub(crate) fn send_signal(pid: Pid, signo: i32) -> io::Result<()> {
    // SAFETY: the call takes two integers.
    if unsafe { libc::kill(pid.as_raw(), signo) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Leaves the session keyring behind for a new, empty one.
pub(crate) fn join_new_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for an anonymous keyring.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous) })
        .map(drop)
}

/// A seccomp program as the kernel reads it.
#[derive(Clone)]
pub(crate) struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// Takes the bytes of an array of `sock_filter`; `None` if they are not one.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (instructions, rest) = bytes.as_chunks::<8>();
        let fits =
            rest.is_empty() && (1..=libc::BPF_MAXINSNS as usize).contains(&instructions.len());
        fits.then(|| {
            let read = |i: &[u8; 8]| libc::sock_filter {
                code: u16::from_ne_bytes([i[0], i[1]]),
                jt: i[2],
                jf: i[3],
                k: u32::from_ne_bytes([i[4], i[5], i[6], i[7]]),
            };
            Self(instructions.iter().map(read).collect())
        })
    }

    /// Puts the calling process under this program for good.
    pub(crate) fn load(&self) -> io::Result<()> {
        let program = libc::sock_fprog {
            len: u16::try_from(self.0.len()).map_err(io::Error::other)?,
            filter: self.0.as_ptr().cast_mut(),
        };
        // SAFETY: the program points to as many instructions as it says, which live through the
        // call; the kernel only reads them.
        check(unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const program,
            )
        })
        .map(drop)
    }
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn filters_are_whole_arrays_of_instructions() {
        let filter = Filter::from_bytes(&[6, 0, 1, 2, 0, 0, 0xff, 0x7f]).unwrap();
        assert_eq!(filter.0.len(), 1);
        assert_eq!(
            (filter.0[0].code, filter.0[0].jt, filter.0[0].jf),
            (6, 1, 2)
        );
        assert_eq!(filter.0[0].k, u32::from_ne_bytes([0, 0, 0xff, 0x7f]));
        for bad in [0, 7, 9, 8 * (libc::BPF_MAXINSNS as usize + 1)] {
            assert!(Filter::from_bytes(&vec![0; bad]).is_none(), "{bad} bytes");
        }
    }
}
