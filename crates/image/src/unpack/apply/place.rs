//! One name of the tree: what stands there, and how it is replaced.

use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, Stat};
use rustix::io::Errno;

use super::directories::Directories;
use crate::tree::{remove_at, stat};
use crate::unpack::fault::{LayerFault, NameRule};
use crate::unpack::name::EntryName;
use crate::unpack::tar::Reader;

/// A name and the directory that it lies in, resolved for one entry.
pub(super) struct Place<'a> {
    name: &'a EntryName,
    parent: OwnedFd,
}

impl<'a> Place<'a> {
    pub(super) fn new(name: &'a EntryName, parent: OwnedFd) -> Self {
        Self { name, parent }
    }

    pub(super) fn name(&self) -> &EntryName {
        self.name
    }

    pub(super) fn leaf(&self) -> &[u8] {
        self.name.leaf()
    }

    pub(super) fn parent(&self) -> BorrowedFd<'_> {
        self.parent.as_fd()
    }

    /// What has the name now.
    pub(super) fn found(&self) -> Result<Option<Stat>, LayerFault> {
        self.found_as(self.leaf())
    }

    /// What is called `leaf` in the same directory.
    pub(super) fn found_as(&self, leaf: &[u8]) -> Result<Option<Stat>, LayerFault> {
        stat(self.parent(), leaf).map_err(|errno| self.fault("look at the name", errno))
    }

    /// Makes something of the name, in the place of whatever has it; `directories` learns which
    /// of them went with that.
    pub(super) fn create<T>(
        &self,
        directories: &mut Directories,
        step: &str,
        make: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, LayerFault> {
        match make() {
            Err(Errno::EXIST) => {
                let mut gone = |inode| directories.removed(inode);
                remove_at(self.parent(), self.leaf(), &mut gone)
                    .map_err(|errno| self.fault("remove what had the name", errno))?;
                make().map_err(|errno| self.fault(step, errno))
            }
            made => made.map_err(|errno| self.fault(step, errno)),
        }
    }

    /// A character device 0:0, the one device that needs no capability.
    pub(super) fn make_whiteout(&self, leaf: &[u8]) -> Result<(), Errno> {
        rustix::fs::mknodat(
            self.parent(),
            leaf,
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        )
    }

    /// Writes the entry's next `bytes` to the file.
    pub(super) fn write<R: BufRead>(
        &self,
        file: &OwnedFd,
        reader: &mut Reader<R>,
        bytes: u64,
    ) -> Result<(), LayerFault> {
        let mut rest = bytes;
        while rest > 0 {
            rest -= reader.data(rest, |run| self.write_all(file, run))?;
        }
        Ok(())
    }

    pub(super) fn fault(&self, step: &str, errno: Errno) -> LayerFault {
        match errno {
            Errno::NAMETOOLONG => LayerFault::name(self.name.path(), NameRule::ComponentTooLong),
            errno => LayerFault::store(self.name.path(), step, errno),
        }
    }

    fn write_all(&self, file: &OwnedFd, mut run: &[u8]) -> Result<(), LayerFault> {
        while !run.is_empty() {
            match rustix::io::write(file, run) {
                Ok(written) => run = run.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.fault("write the file", errno)),
            }
        }
        Ok(())
    }
}
