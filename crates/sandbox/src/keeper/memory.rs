//! What a group has in memory: volumes with the files that they begin with, secrets among them, so
//! nothing of those may reach a disk or a message; and a place for each container's last words.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};

use nix::mount::{MsFlags, mount};

use crate::plan::{
    LAST_WORDS_BYTES_MAX, MEMORY_FILE_BYTES_MAX, MEMORY_FILES_MAX, MemoryFile, MountSource,
};
use crate::sys::memfile;

/// The file for last words, and the directory that it is in.
const LAST_WORDS_INODES: u32 = 2;

/// Makes the volume of `plan` at `target`. `owner` is the host id of the group's id 0. Nobody else
/// sees the volume before this returns, so paths in it are what we made them.
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
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a memory volume",
        ));
    };
    if files.len() > MEMORY_FILES_MAX {
        let text = format!("more than {MEMORY_FILES_MAX} files");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let group = owner.saturating_add(gid.unwrap_or(0));
    mount_memory(
        target,
        &format!("mode={mode:o},size={size_bytes},uid={owner},gid={group}"),
    )?;
    files
        .iter()
        .zip(contents)
        .try_for_each(|(file, content)| write(target, file, content, owner))
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
    let kept = format!("{options},noswap");
    let with = |options: &str| {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("memory"), target, Some("tmpfs"), flags, Some(options))
    };
    Ok(with(&kept).or_else(|_| with(options))?)
}

fn write(root: &Path, plan: &MemoryFile, content: &OwnedFd, owner: u32) -> io::Result<()> {
    let mut at = root.to_owned();
    let mut parts = plan.path.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a path below the volume",
            ));
        };
        at.push(name);
        if parts.peek().is_some() && !at.exists() {
            DirBuilder::new().mode(0o755).create(&at)?;
            chown(&at, Some(owner), Some(owner))?;
        }
    }
    let source = File::from(content.try_clone()?);
    let bytes = memfile::read_whole(&source, MEMORY_FILE_BYTES_MAX)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&at)?;
    file.write_all(&bytes)?;
    let group = owner.saturating_add(plan.gid.unwrap_or(0));
    chown(&at, Some(owner), Some(group))?;
    file.set_permissions(Permissions::from_mode(plan.mode))
}
