//! Mounts as descriptors: they can be changed before anybody sees them, and passed on to a
//! process in another mount namespace.
#![allow(unsafe_code, reason = "the mount calls have no wrapper in nix")]

#[cfg(feature = "launcher")]
use std::ffi::CStr;
use std::ffi::CString;
use std::io;
#[cfg(feature = "launcher")]
use std::os::fd::AsFd;
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
    descriptor(unsafe { libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags) })
}

/// Attaches a detached mount at `target`.
#[cfg(feature = "launcher")]
pub(crate) fn attach(tree: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    let target = CString::new(target.as_os_str().as_bytes())?;
    move_mount(tree, libc::AT_FDCWD, &target, MOVE_MOUNT_F_EMPTY_PATH)
}

/// Attaches a detached mount over what is open as `target`.
#[cfg(feature = "launcher")]
pub(crate) fn attach_over(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, target.as_raw_fd(), c"", flags)
}

#[cfg(feature = "launcher")]
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x04;
#[cfg(feature = "launcher")]
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;

#[cfg(feature = "launcher")]
fn move_mount(
    tree: BorrowedFd<'_>,
    dir: RawFd,
    target: &CStr,
    flags: libc::c_uint,
) -> io::Result<()> {
    // SAFETY: both paths are terminated strings that live through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            dir,
            target.as_ptr(),
            flags,
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
    set_attributes(tree, &attributes, libc::AT_RECURSIVE as libc::c_uint)
}

/// Gives a mount, but not those below it, more attributes (`MOUNT_ATTR_…`).
#[cfg(feature = "launcher")]
pub(crate) fn restrict(mount: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    set_attributes(mount, &attributes, 0)
}

/// Gives a detached mount more attributes, and parts it from the mount that it is a copy of: what is
/// mounted below either is not seen below the other.
#[cfg(feature = "launcher")]
pub(crate) fn seal(mount: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    set_attributes(mount, &attributes, 0)
}

#[cfg(feature = "launcher")]
fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: &libc::mount_attr,
    flags: libc::c_uint,
) -> io::Result<()> {
    // SAFETY: the attributes are a whole `mount_attr` that lives through the call, and their size
    // is given with them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH as libc::c_uint | flags,
            std::ptr::from_ref(attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    check(result).map(drop)
}

/// A new file system that is mounted nowhere yet.
#[cfg(feature = "launcher")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NewFs {
    /// What the kernel calls its kind.
    pub(crate) kind: CString,
    /// What the mount table shows as its source.
    pub(crate) source: CString,
    /// Its own options, with their values.
    pub(crate) options: Vec<(CString, Option<CString>)>,
    /// What holds for the mount (`MOUNT_ATTR_…`).
    pub(crate) attributes: u64,
}

#[cfg(feature = "launcher")]
impl NewFs {
    /// Makes it, as a detached mount.
    pub(crate) fn make(&self) -> io::Result<OwnedFd> {
        let context = open_context(&self.kind)?;
        let context = context.as_fd();
        configure(context, SET_STRING, c"source", Some(&self.source))?;
        for (name, value) in &self.options {
            let command = value.as_ref().map_or(SET_FLAG, |_| SET_STRING);
            configure(context, command, name, value.as_deref())?;
        }
        // SAFETY: the call takes integers, and null for the two strings that it does not use.
        check(unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                context.as_raw_fd(),
                CREATE,
                std::ptr::null::<libc::c_char>(),
                std::ptr::null::<libc::c_char>(),
                0,
            )
        })?;
        // SAFETY: the call takes integers.
        descriptor(unsafe {
            libc::syscall(
                libc::SYS_fsmount,
                context.as_raw_fd(),
                FSMOUNT_CLOEXEC,
                self.attributes,
            )
        })
    }
}

#[cfg(feature = "launcher")]
const SET_FLAG: libc::c_uint = 0;
#[cfg(feature = "launcher")]
const SET_STRING: libc::c_uint = 1;
#[cfg(feature = "launcher")]
const CREATE: libc::c_uint = 6;
#[cfg(feature = "launcher")]
const FSOPEN_CLOEXEC: libc::c_uint = 1;
#[cfg(feature = "launcher")]
const FSMOUNT_CLOEXEC: libc::c_uint = 1;

#[cfg(feature = "launcher")]
fn open_context(kind: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name is a terminated string that lives through the call.
    descriptor(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
}

#[cfg(feature = "launcher")]
fn configure(
    context: BorrowedFd<'_>,
    command: libc::c_uint,
    name: &CStr,
    value: Option<&CStr>,
) -> io::Result<()> {
    let value = value.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: name and value are terminated strings that live through the call; a flag has no
    // value, for which the kernel takes null.
    check(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            command,
            name.as_ptr(),
            value,
            0,
        )
    })
    .map(drop)
}

/// The descriptor that a system call has just made.
fn descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(check(result)?).map_err(io::Error::other)?;
    // SAFETY: the caller passes the result of a call that makes a descriptor and hands it over.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
