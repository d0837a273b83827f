//! What a group has in memory: volumes with the files that they begin with, secrets among them, so
//! nothing of those may reach a disk or a message; and a place for each container's last words.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use crate::files;
use crate::plan::{
    LAST_WORDS_BYTES_MAX, MEMORY_FILE_BYTES_MAX, MEMORY_FILES_MAX, MemoryFile, MountSource,
};
use crate::sys::memfile;
use crate::sys::mounts::{self, NewFs};

/// The file for last words, and the directory that it is in.
const LAST_WORDS_INODES: u32 = 2;

/// Makes the volume of `plan` at `target`. `owner` is the host id of the group's id 0. Nobody else
/// sees the volume before this returns.
pub(super) fn make(
    target: &Path,
    plan: &MountSource,
    contents: &[OwnedFd],
    owner: u32,
) -> io::Result<()> {
    let MountSource::Memory {
        size_bytes,
        mode,
        gid,
        files,
        ..
    } = plan
    else {
        return Err(not_memory());
    };
    let group = owner.saturating_add(gid.unwrap_or(0));
    mount_memory(
        target,
        &format!("mode={mode:o},size={size_bytes},uid={owner},gid={group}"),
    )?;
    // An empty volume is its containers' own.
    if files.is_empty() {
        return Ok(());
    }
    write(target, files, contents, owner)
}

/// Gives the volume at `target` the files of `plan` instead of those that it has.
pub(super) fn renew(
    target: &Path,
    plan: &MountSource,
    contents: &[OwnedFd],
    owner: u32,
) -> io::Result<()> {
    let MountSource::Memory {
        size_bytes, files, ..
    } = plan
    else {
        return Err(not_memory());
    };
    let size = format!("size={size_bytes}");
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        None::<&str>,
        target,
        None::<&str>,
        flags,
        Some(size.as_str()),
    )?;
    write(target, files, contents, owner)
}

fn not_memory() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a memory volume")
}

/// Makes the file for one container's last words, which anybody in the group may write, in a small
/// file system of its own at `target`.
pub(super) fn last_words(target: &Path, owner: u32) -> io::Result<PathBuf> {
    mount_memory(
        target,
        &format!(
            "mode=0755,size={LAST_WORDS_BYTES_MAX},nr_inodes={LAST_WORDS_INODES},uid={owner},gid={owner}"
        ),
    )?;
    let path = target.join("last-words");
    let file = File::create_new(&path)?;
    chown(&path, Some(owner), Some(owner))?;
    file.set_permissions(Permissions::from_mode(0o666))?;
    Ok(path)
}

fn mount_memory(target: &Path, options: &str) -> io::Result<()> {
    fs::create_dir(target)?;
    // Kernels from 6.4 on can keep it out of swap; those before have no such option.
    let made = memory_fs(options, true).or_else(|_| memory_fs(options, false))?;
    mounts::attach(made.as_fd(), target)
}

/// A file system in memory, mounted nowhere yet. Made by descriptor, since the kernel tells the
/// descriptor of an option that it does not know, and the host's log of one in `mount(2)`.
fn memory_fs(options: &str, out_of_swap: bool) -> io::Result<OwnedFd> {
    let mut named = Vec::new();
    for option in options.split(',') {
        let (name, value) = option.split_once('=').ok_or_else(not_memory)?;
        named.push((CString::new(name)?, Some(CString::new(value)?)));
    }
    named.extend(out_of_swap.then(|| (c"noswap".to_owned(), None)));
    NewFs {
        kind: c"tmpfs".to_owned(),
        source: c"memory".to_owned(),
        options: named,
        attributes: libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
    }
    .make()
}

fn write(target: &Path, plans: &[MemoryFile], contents: &[OwnedFd], owner: u32) -> io::Result<()> {
    if plans.len() > MEMORY_FILES_MAX {
        let text = format!("more than {MEMORY_FILES_MAX} files");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let read = |content: &OwnedFd| {
        let source = File::from(content.try_clone()?);
        memfile::read_whole(&source, MEMORY_FILE_BYTES_MAX)
    };
    let data: Vec<Vec<u8>> = contents.iter().map(read).collect::<io::Result<_>>()?;
    let whole: Vec<files::File<'_>> = plans
        .iter()
        .zip(&data)
        .map(|(plan, data)| files::File {
            path: &plan.path,
            mode: plan.mode,
            data,
        })
        .collect();
    // All files of a volume have one group.
    let gid = plans.iter().find_map(|plan| plan.gid).unwrap_or(0);
    let owner = files::Owner {
        uid: owner,
        gid: owner.saturating_add(gid),
    };
    files::replace(target, &whole, owner)
}
