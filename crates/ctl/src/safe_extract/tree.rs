//! A directory that is written to by file descriptor, beneath which every path stays.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RawMode, ResolveFlags, Timespec, Timestamps, fchmod, futimens,
    linkat, mkdirat, openat, openat2, symlinkat, unlinkat,
};
use rustix::io::Errno;

/// The directory.
pub(super) struct Tree {
    root: OwnedFd,
    /// Modes of directories, set last: one of them may forbid writing.
    modes: Vec<(PathBuf, u32)>,
}

impl Tree {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self {
            root: openat(CWD, path, flags, Mode::empty())?,
            modes: Vec::new(),
        })
    }

    /// Sees to it that a directory is there.
    pub(super) fn directory(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        self.make_directories(path)?;
        self.modes.push((path.to_owned(), mode));
        Ok(())
    }

    /// Writes a file in place of whatever else has its name.
    pub(super) fn file(
        &self,
        path: &Path,
        mode: u32,
        modified: u64,
        content: &mut impl Read,
    ) -> io::Result<()> {
        let (parent, name) = self.place_for(path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(&parent, &name, flags, Mode::from_raw_mode(0o600))?;
        let mut file = File::from(file);
        io::copy(content, &mut file)?;
        fchmod(&file, Mode::from_raw_mode(mode as RawMode))?;
        let seconds = i64::try_from(modified).unwrap_or_default();
        let at = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        Ok(futimens(
            &file,
            &Timestamps {
                last_access: at,
                last_modification: at,
            },
        )?)
    }

    /// Writes a link; nothing is ever written through it.
    pub(super) fn symlink(&self, path: &Path, to: &Path) -> io::Result<()> {
        let (parent, name) = self.place_for(path)?;
        Ok(symlinkat(to, &parent, &name)?)
    }

    /// Gives a file that was written a second name.
    pub(super) fn hard_link(&self, path: &Path, to: &Path) -> io::Result<()> {
        let (old_parent, old_name) = (self.parent(to)?, name(to)?);
        let (parent, name) = self.place_for(path)?;
        Ok(linkat(
            &old_parent,
            &old_name,
            &parent,
            &name,
            AtFlags::empty(),
        )?)
    }

    /// Sets the modes of directories, the deepest first.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.modes.sort();
        for (path, mode) in self.modes.iter().rev() {
            fchmod(self.beneath(path)?, Mode::from_raw_mode(*mode as RawMode))?;
        }
        Ok(())
    }

    /// A parent and a name in it that is free.
    fn place_for(&self, path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
        if let Some(parent) = path.parent() {
            self.make_directories(parent)?;
        }
        let (parent, name) = (self.parent(path)?, name(path)?);
        match unlinkat(&parent, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok((parent, name)),
            Err(fault) => Err(fault.into()),
        }
    }

    fn make_directories(&self, path: &Path) -> io::Result<()> {
        let mut so_far = PathBuf::new();
        for part in path.components() {
            let parent = self.beneath(&so_far)?;
            so_far.push(part);
            match mkdirat(&parent, part.as_os_str(), Mode::from_raw_mode(0o700)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        // What was there already must be a directory, and not a link to one.
        self.beneath(path).map(drop)
    }

    fn parent(&self, path: &Path) -> io::Result<OwnedFd> {
        self.beneath(path.parent().unwrap_or(Path::new("")))
    }

    /// A directory below the root, reached through no link.
    fn beneath(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Ok(openat2(&self.root, path, flags, Mode::empty(), resolve)?)
    }
}

fn name(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().map(PathBuf::from);
    name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path without a name"))
}
