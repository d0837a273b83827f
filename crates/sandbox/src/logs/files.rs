//! The files of a log: their names, their order, and how they are opened.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// The file being written.
pub const CURRENT: &str = "output.log";
const ROTATED_PREFIX: &str = "output.log.";

/// A log's directory, held open: what it holds cannot be exchanged by renaming a parent.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl Directory {
    /// Opens the directory, making it if need be; its parent must exist.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Self::open(path),
        }
    }

    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Opens the current file to append to it; `new` makes it and fails if it is there.
    pub(super) fn append(&self, new: bool) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT;
        let exclusive = if new { OFlag::O_EXCL } else { OFlag::empty() };
        self.open_file(CURRENT, flags | exclusive)
    }

    /// Opens a file to read it; `None` if it is not there.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<File>> {
        match self.open_file(name, OFlag::O_RDONLY) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The inode that a name stands for now.
    pub(super) fn inode(&self, name: &str) -> io::Result<Option<u64>> {
        match fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.st_ino)),
            Err(nix::errno::Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The names of the rotated files, oldest first.
    pub(super) fn rotated(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let here = openat(
            &self.0,
            ".",
            OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        for entry in Dir::from_fd(here)?.iter() {
            let entry = entry?;
            if let Ok(name) = entry.file_name().to_str()
                && name.starts_with(ROTATED_PREFIX)
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn rotated_name(time_text: &str) -> String {
        format!("{ROTATED_PREFIX}{time_text}")
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn open_file(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        Ok(File::from(openat(self.0.as_fd(), name, flags, mode)?))
    }
}
