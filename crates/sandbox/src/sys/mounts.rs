//! Mounts as descriptors: they can be changed before anybody sees them, and passed on to a
//! process in another mount namespace.
#![allow(unsafe_code, reason = "the mount calls have no wrapper in nix")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A detached copy of the mount at `path` with all mounts below it.
pub(crate) fn clone_tree(path: &Path) -> io::Result<OwnedFd> {
    open_tree(libc::AT_FDCWD, path, libc::AT_RECURSIVE as libc::c_uint)
}

/// A detached copy of what an open descriptor shows, with all mounts below it.
pub(crate) fn clone_tree_at(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = (libc::AT_RECURSIVE | libc::AT_EMPTY_PATH) as libc::c_uint;
    open_tree(fd.as_raw_fd(), Path::new(""), flags)
}

fn open_tree(dir: RawFd, path: &Path, flags: libc::c_uint) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | flags;
    // SAFETY: the path is a terminated string that lives through the call.
    let result = unsafe { libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags) };
    let fd = RawFd::try_from(check(result)?).map_err(io::Error::other)?;
    // SAFETY: the call has just made this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a detached mount at `target`.
#[cfg(feature = "launcher")]
pub(crate) fn attach(tree: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
    let target = CString::new(target.as_os_str().as_bytes())?;
    // SAFETY: both paths are terminated strings that live through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    check(result).map(drop)
}

/// Makes a detached mount and those below it show ids as `user_namespace` maps them.
#[cfg(feature = "launcher")]
pub(crate) fn map_ids(tree: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(user_namespace.as_raw_fd()).map_err(io::Error::other)?,
    };
    // SAFETY: the attributes are a whole `mount_attr` that lives through the call, and their size
    // is given with them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            (libc::AT_EMPTY_PATH | libc::AT_RECURSIVE) as libc::c_uint,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    check(result).map(drop)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
