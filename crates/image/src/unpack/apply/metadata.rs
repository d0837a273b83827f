//! Owner, mode, times and attributes, always of a descriptor or of a name that is not followed.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use super::attributes::kept;
use super::place::Place;
use crate::unpack::ID_MAX;
use crate::unpack::fault::LayerFault;
use crate::unpack::tar::{Entry, Timestamp};

/// The kernel's bound on a list of attribute names.
const ATTRIBUTE_LIST_BYTES_MAX: usize = 64 << 10;

/// Gives an open file its owner, mode and attributes, and returns how many attributes were left
/// out. The owner first: a change of owner takes the setuid bit and the capabilities away.
pub(super) fn describe(file: BorrowedFd<'_>, entry: &Entry) -> Result<u64, LayerFault> {
    let fault = |step| move |errno| LayerFault::store(&entry.name, step, errno);
    let (owner, group) = owner(entry);
    rustix::fs::fchown(file, Some(owner), Some(group)).map_err(fault("set the owner"))?;
    let mode = Mode::from_raw_mode(entry.mode);
    rustix::fs::fchmod(file, mode).map_err(fault("set the mode"))?;
    let mut left_out = 0;
    for (name, value) in &entry.attributes {
        if kept(name, value, entry.attributes.len())? {
            rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty())
                .map_err(fault("set an attribute"))?;
        } else {
            left_out += 1;
        }
    }
    Ok(left_out)
}

/// Gives a link or a fifo, which cannot be opened, its owner and time. Nobody else works in this
/// tree, so the name in its open directory is the one that was just made.
pub(super) fn describe_unopened(place: &Place<'_>, entry: &Entry) -> Result<(), LayerFault> {
    let (owner, group) = owner(entry);
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let (parent, leaf) = (place.parent(), place.leaf());
    rustix::fs::chownat(parent, leaf, Some(owner), Some(group), flags)
        .map_err(|errno| place.fault("set the owner", errno))?;
    rustix::fs::utimensat(parent, leaf, &times(entry.mtime), flags)
        .map_err(|errno| place.fault("set the time", errno))
}

/// Takes away what an earlier entry of the same directory had set.
pub(super) fn clear_attributes(directory: impl AsFd, name: &[u8]) -> Result<(), LayerFault> {
    let fault = |errno| LayerFault::store(name, "clear the attributes", errno);
    let mut list = Vec::with_capacity(ATTRIBUTE_LIST_BYTES_MAX);
    let found = rustix::fs::flistxattr(&directory, rustix::buffer::spare_capacity(&mut list));
    found.map_err(fault)?;
    for attribute in list
        .split(|byte| *byte == 0)
        .filter(|it| it.starts_with(b"user."))
    {
        rustix::fs::fremovexattr(&directory, attribute).map_err(fault)?;
    }
    Ok(())
}

/// The time of an entry; tar knows one, and a tree that is the same every time has no other.
pub(super) fn times(mtime: Timestamp) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.seconds,
        tv_nsec: mtime.nanos,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Ids were held against [`ID_MAX`] before.
fn owner(entry: &Entry) -> (Uid, Gid) {
    let id = |id: u64| u32::try_from(id).unwrap_or(ID_MAX);
    (Uid::from_raw(id(entry.uid)), Gid::from_raw(id(entry.gid)))
}
