//! Volumes in memory, with the files that they begin with: secrets among them, so nothing here may
//! reach a disk or a message.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Component, Path};

use nix::mount::{MsFlags, mount};

use crate::plan::{MEMORY_FILE_BYTES_MAX, MEMORY_FILES_MAX, MemoryFile, MountSource};
use crate::sys::memfile;

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
    fs::create_dir(target)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let options = format!("mode={mode:o},size={size_bytes},uid={owner},gid={owner}");
    // Kernels from 6.4 on can keep it out of swap; those before have no such option.
    let kept = format!("{options},noswap");
    let mounted = mount(
        Some("memory"),
        target,
        Some("tmpfs"),
        flags,
        Some(kept.as_str()),
    );
    if mounted.is_err() {
        mount(
            Some("memory"),
            target,
            Some("tmpfs"),
            flags,
            Some(options.as_str()),
        )?;
    }
    files
        .iter()
        .zip(contents)
        .try_for_each(|(file, content)| write(target, file, content, owner))
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
