//! Terminals inside a container.
#![allow(unsafe_code, reason = "the terminal's ioctls have no wrapper in nix")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat, major, minor};
use nix::sys::statfs::fstatfs;

/// The magic number of devpts, whose type differs between C libraries.
const DEVPTS_MAGIC: i64 = 0x1cd1;
const PTMX: (u64, u64) = (5, 2);

nix::ioctl_write_ptr_bad!(set_window_size, libc::TIOCSWINSZ, libc::winsize);
nix::ioctl_write_int_bad!(set_controlling_terminal, libc::TIOCSCTTY);
nix::ioctl_write_int_bad!(open_peer, libc::TIOCGPTPEER);
nix::ioctl_write_ptr_bad!(set_lock, libc::TIOCSPTLCK, libc::c_int);

/// Opens a terminal of the devpts that this process sees, as (master, slave).
///
/// The container may have put anything at these paths, so the master is only used if it really is
/// the multiplexer of a devpts, and the slave is asked of the master and not opened by name.
pub(crate) fn open_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let master = open(Path::new("/dev/pts/ptmx"), flags, Mode::empty())?;
    let stat = fstat(&master)?;
    let device = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR
        && (major(stat.st_rdev), minor(stat.st_rdev)) == PTMX;
    #[allow(
        clippy::unnecessary_cast,
        reason = "the type differs between C libraries"
    )]
    let on_devpts = fstatfs(&master)?.filesystem_type().0 as i64 == DEVPTS_MAGIC;
    if !device || !on_devpts {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "/dev/pts/ptmx is not a devpts",
        ));
    }
    let unlocked = 0;
    // SAFETY: the master is a terminal multiplexer, and the pointer is to an int that lives
    // through the call.
    unsafe { set_lock(master.as_raw_fd(), &raw const unlocked) }?;
    // SAFETY: the master is a terminal multiplexer; the argument is a set of open flags.
    let slave = unsafe { open_peer(master.as_raw_fd(), (OFlag::O_RDWR | OFlag::O_NOCTTY).bits()) }?;
    // SAFETY: the call has just made this descriptor.
    let slave = unsafe { OwnedFd::from_raw_fd(slave) };
    Ok((master, slave))
}

/// Makes `terminal` the controlling terminal of this process's session.
pub(crate) fn take_control(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the argument is an integer: do not steal the terminal from another session.
    unsafe { set_controlling_terminal(terminal.as_raw_fd(), 0) }?;
    Ok(())
}

/// Sets a terminal's size.
pub(crate) fn resize(terminal: impl AsFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the pointer is to a whole window size that lives through the call.
    unsafe { set_window_size(terminal.as_fd().as_raw_fd(), &raw const size) }?;
    Ok(())
}
