//! Entries become files. Everything is reached by directory descriptors that were resolved for
//! this one entry; the last entry of a name wins, and what it replaces is removed, not followed.
//!
//! | entry | what the name becomes |
//! |---|---|
//! | file, directory, symbolic link, fifo | itself, with owner, mode, time and attributes |
//! | hard link | another name of a file of this layer |
//! | whiteout, device node | a whiteout, unless this layer has the name as well |
//! | opaque marker | its directory is listed for the agent to mark |

mod attributes;
mod directories;
mod metadata;
mod place;

use std::io::BufRead;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use self::directories::Directories;
use self::metadata::{clear_attributes, describe, describe_unopened, times};
use self::place::Place;
use super::fault::{EntryRule, LayerFault};
use super::limits::Budget;
use super::name::{EntryName, Meaning, PATH_BYTES_MAX};
use super::protocol::Marks;
use super::tar::{Entry, EntryKind, Reader, Timestamp};
use super::{DevicePolicy, ID_MAX, Unpacked};
use crate::tree::{IMPLICIT_MODE, Made, ParentError, Tree, is_whiteout, kind, stat};

/// Turns the entries of one layer into a tree.
pub(crate) struct Applier {
    tree: Tree,
    budget: Budget,
    devices: DevicePolicy,
    directories: Directories,
    bare_root: bool,
    unpacked: Unpacked,
}

impl Applier {
    pub(crate) fn new(root: OwnedFd, budget: Budget, devices: DevicePolicy) -> Self {
        let directories = Directories::default();
        let unpacked = Unpacked::default();
        Self {
            tree: Tree::new(root),
            budget,
            devices,
            directories,
            bare_root: true,
            unpacked,
        }
    }

    /// Unpacks the whole stream; returns what the agent is to mark as well.
    pub(crate) fn run<R: BufRead>(
        mut self,
        reader: &mut Reader<R>,
    ) -> Result<(Unpacked, Marks), LayerFault> {
        self.describe_root()?;
        while let Some(entry) = reader.next(&mut self.budget)? {
            self.entry(&entry, reader)?;
        }
        self.unpacked.entries = self.budget.entries;
        self.unpacked.logical_bytes = self.budget.logical_bytes;
        self.unpacked.disk_bytes = self.budget.disk_bytes;
        let opaque = self.directories.finish(&self.tree)?;
        Ok((
            self.unpacked,
            Marks {
                opaque,
                bare_root: self.bare_root,
            },
        ))
    }

    fn entry<R: BufRead>(
        &mut self,
        entry: &Entry,
        reader: &mut Reader<R>,
    ) -> Result<(), LayerFault> {
        let refused = |rule| LayerFault::name(&entry.name, rule);
        let name = EntryName::parse(&entry.name, self.budget.limits().depth).map_err(refused)?;
        let meaning = name.meaning().map_err(refused)?;
        if entry.uid > u64::from(ID_MAX) || entry.gid > u64::from(ID_MAX) {
            return Err(LayerFault::entry(&entry.name, EntryRule::OwnerBeyondRange));
        }
        self.budget.inode()?;
        match meaning {
            Meaning::Bookkeeping => Ok(()),
            Meaning::Root => self.root(entry),
            Meaning::Opaque => self.opaque_marker(&name),
            Meaning::Whiteout(hidden) => self.whiteout(&name, hidden),
            Meaning::Plain => {
                let place = Place::new(&name, self.parent_made(&name)?);
                match entry.kind {
                    EntryKind::File => self.file(&place, entry, reader),
                    EntryKind::Directory => self.directory(&place, entry),
                    EntryKind::Symlink => self.symlink(&place, entry),
                    EntryKind::HardLink => self.hard_link(&place, entry),
                    EntryKind::Fifo => self.fifo(&place, entry),
                    EntryKind::Device => self.device(&place),
                }
            }
        }
    }

    /// The root as it is unless an entry says otherwise.
    fn describe_root(&mut self) -> Result<(), LayerFault> {
        let root = self.open(b"")?;
        rustix::fs::fchmod(&root, Mode::from_raw_mode(IMPLICIT_MODE))
            .map_err(|errno| LayerFault::store(b"", "set the root's mode", errno))?;
        self.directories.time(b"", &root, Timestamp::default())
    }

    fn root(&mut self, entry: &Entry) -> Result<(), LayerFault> {
        if entry.kind != EntryKind::Directory {
            return Err(LayerFault::entry(&entry.name, EntryRule::RootNotADirectory));
        }
        self.bare_root = false;
        let root = self.open(b"")?;
        self.unpacked.attributes_left_out += describe(root.as_fd(), entry)?;
        self.directories.time(b"", &root, entry.mtime)
    }

    fn file<R: BufRead>(
        &mut self,
        place: &Place<'_>,
        entry: &Entry,
        reader: &mut Reader<R>,
    ) -> Result<(), LayerFault> {
        self.budget.file(entry.size(), entry.stored)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let create = || rustix::fs::openat(place.parent(), place.leaf(), flags, mode);
        let file = place.create(&mut self.directories, "create the file", create)?;
        match &entry.sparse {
            None => place.write(&file, reader, entry.stored)?,
            Some(map) => {
                for piece in &map.pieces {
                    rustix::fs::seek(&file, SeekFrom::Start(piece.offset))
                        .map_err(|errno| place.fault("seek in the file", errno))?;
                    place.write(&file, reader, piece.bytes)?;
                }
                rustix::fs::ftruncate(&file, map.size)
                    .map_err(|errno| place.fault("set the file's size", errno))?;
            }
        }
        self.unpacked.attributes_left_out += describe(file.as_fd(), entry)?;
        rustix::fs::futimens(&file, &times(entry.mtime))
            .map_err(|errno| place.fault("set the file's time", errno))
    }

    fn directory(&mut self, place: &Place<'_>, entry: &Entry) -> Result<(), LayerFault> {
        let path = place.name().path();
        let found = match rustix::fs::mkdirat(place.parent(), place.leaf(), Mode::RWXU) {
            Ok(()) => None,
            Err(Errno::EXIST) => place.found()?,
            Err(errno) => return Err(place.fault("make the directory", errno)),
        };
        let kept = found
            .as_ref()
            .is_some_and(|found| kind(found) == FileType::Directory);
        if found.is_some() && !kept {
            place.create(&mut self.directories, "make the directory", || {
                rustix::fs::mkdirat(place.parent(), place.leaf(), Mode::RWXU)
            })?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(place.parent(), place.leaf(), flags, Mode::empty())
            .map_err(|errno| place.fault("open the directory", errno))?;
        if kept {
            clear_attributes(&directory, path)?;
        }
        if found.as_ref().is_some_and(is_whiteout) {
            self.directories.hide_below(path, &directory)?;
        }
        self.unpacked.attributes_left_out += describe(directory.as_fd(), entry)?;
        self.directories.time(path, &directory, entry.mtime)
    }

    fn symlink(&mut self, place: &Place<'_>, entry: &Entry) -> Result<(), LayerFault> {
        let target = entry.link.as_slice();
        if target.is_empty() || target.len() > PATH_BYTES_MAX || target.contains(&0) {
            return Err(LayerFault::entry(&entry.name, EntryRule::LinkTarget));
        }
        place.create(&mut self.directories, "make the symbolic link", || {
            rustix::fs::symlinkat(target, place.parent(), place.leaf())
        })?;
        self.unpacked.attributes_left_out += entry.attributes.len() as u64;
        describe_unopened(place, entry)
    }

    fn fifo(&mut self, place: &Place<'_>, entry: &Entry) -> Result<(), LayerFault> {
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        place.create(&mut self.directories, "make the fifo", || {
            rustix::fs::mknodat(place.parent(), place.leaf(), FileType::Fifo, mode, 0)
        })?;
        self.unpacked.attributes_left_out += entry.attributes.len() as u64;
        describe_unopened(place, entry)
    }

    fn hard_link(&mut self, place: &Place<'_>, entry: &Entry) -> Result<(), LayerFault> {
        let refused = |rule| LayerFault::entry(&entry.name, rule);
        let missing = || refused(EntryRule::LinkSourceMissing);
        let source = EntryName::parse(&entry.link, self.budget.limits().depth)
            .map_err(|rule| LayerFault::name(&entry.link, rule))?;
        if source.leaf().is_empty() {
            return Err(refused(EntryRule::LinkSourceIsDirectory));
        }
        let source_parent = self.tree.parent(source.parent()).map_err(|_| missing())?;
        let found = stat(source_parent.as_fd(), source.leaf())
            .map_err(|errno| place.fault("look at the hard link's source", errno))?
            .filter(|found| !is_whiteout(found))
            .ok_or_else(missing)?;
        if kind(&found) == FileType::Directory {
            return Err(refused(EntryRule::LinkSourceIsDirectory));
        }
        if place.found()?.is_some_and(|here| same_inode(&here, &found)) {
            return Ok(());
        }
        let (from, to, flags) = (&source_parent, place.parent(), AtFlags::empty());
        let link = || rustix::fs::linkat(from, source.leaf(), to, place.leaf(), flags);
        match place.create(&mut self.directories, "make the hard link", link) {
            // What had the name held the source.
            Err(LayerFault::Store { errno, .. }) if errno == Errno::NOENT.raw_os_error() => {
                Err(missing())
            }
            done => done,
        }
    }

    fn device(&mut self, place: &Place<'_>) -> Result<(), LayerFault> {
        if self.devices == DevicePolicy::Refuse {
            return Err(LayerFault::entry(place.name().path(), EntryRule::Device));
        }
        self.unpacked.devices_left_out += 1;
        place.create(&mut self.directories, "leave out the device node", || {
            place.make_whiteout(place.leaf())
        })
    }

    /// A whiteout speaks of the layers below only. What this layer has of the name stays, in
    /// whatever order the two come; a directory then hides those below.
    fn whiteout(&mut self, name: &EntryName, hidden: &[u8]) -> Result<(), LayerFault> {
        let place = Place::new(name, self.parent_made(name)?);
        match place.found_as(hidden)? {
            None => place
                .make_whiteout(hidden)
                .map_err(|errno| place.fault("make the whiteout", errno)),
            Some(found) if kind(&found) == FileType::Directory => {
                let path = joined(name.parent(), hidden);
                let directory = self.open(&path)?;
                self.directories.hide_below(&path, &directory)
            }
            Some(_) => Ok(()),
        }
    }

    fn opaque_marker(&mut self, name: &EntryName) -> Result<(), LayerFault> {
        drop(self.parent_made(name)?);
        let directory = self.open(name.parent())?;
        self.directories.hide_below(name.parent(), &directory)
    }

    /// The directory of a name. Directories that no entry has described yet get the mode 0755,
    /// root as owner and 1970 as time, so that the tree depends on nothing but the layer.
    fn parent_made(&mut self, name: &EntryName) -> Result<OwnedFd, LayerFault> {
        let made = self.tree.parent_made(name.parent());
        let (parent, made) = made.map_err(|error| match error {
            ParentError::Rule(rule) => LayerFault::entry(name.path(), rule),
            ParentError::Errno(errno) => LayerFault::store(name.path(), "make the way", errno),
        })?;
        for Made { path, was_whiteout } in made {
            self.budget.inode()?;
            self.budget.header(path.len() as u64)?;
            let directory = self.open(&path)?;
            if was_whiteout {
                self.directories.hide_below(&path, &directory)?;
            }
            self.directories
                .time(&path, &directory, Timestamp::default())?;
        }
        Ok(parent)
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd, LayerFault> {
        let opened = self.tree.open_directory(path);
        opened.map_err(|errno| LayerFault::store(path, "open the directory", errno))
    }
}

fn same_inode(a: &Stat, b: &Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

fn joined(parent: &[u8], leaf: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        leaf.to_vec()
    } else {
        [parent, b"/", leaf].concat()
    }
}
