//! Turning what a plan names outside the launcher's reach into descriptors.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::ClientError;
use crate::plan::{CgroupEntry, ContainerPlan, GroupPlan, MemoryFile, MountSource, Outside};
use crate::protocol::FDS_MAX;
use crate::sys::memfile;
use crate::tree::open_tree;

/// The descriptors of one message.
#[derive(Default)]
pub(super) struct Table(Vec<OwnedFd>);

impl Table {
    /// Opens what a group's plan names.
    pub(super) fn group(plan: &mut GroupPlan) -> Result<Vec<OwnedFd>, ClientError> {
        let mut table = Self::default();
        if let Some(entry) = &mut plan.cgroup {
            table.entry(entry)?;
        }
        table.done()
    }

    /// Opens what a container's plan names.
    pub(super) fn container(plan: &mut ContainerPlan) -> Result<Vec<OwnedFd>, ClientError> {
        let mut table = Self::default();
        if let Some(cgroup) = &mut plan.cgroup {
            table.entry(&mut cgroup.entry)?;
            if let Some(procs) = &mut cgroup.procs {
                table.pass(procs, open_read)?;
            }
            for shown in &mut cgroup.shown {
                table.pass(&mut shown.directory, |path| open_tree(path, None))?;
            }
        }
        for read in &mut plan.final_reads {
            table.pass(&mut read.file, open_read)?;
        }
        if let Some(program) = &mut plan.seccomp {
            table.pass(program, open_read)?;
        }
        for mount in &mut plan.mounts {
            match &mut mount.source {
                MountSource::Tree { root, sub_path, .. } => {
                    let sub_path = sub_path.take();
                    table.pass(root, |path| open_tree(path, sub_path.as_deref()))?;
                }
                MountSource::Device { node, .. } => {
                    table.pass(node, |path| open_tree(path, None))?;
                }
                // The launcher sees the layers where the caller does.
                MountSource::Layers { .. } | MountSource::LastWords => {}
                MountSource::Memory { files, .. } => table.files(files)?,
            }
        }
        table.done()
    }

    /// Opens what a memory volume's files hold.
    pub(super) fn memory(volume: &mut MountSource) -> Result<Vec<OwnedFd>, ClientError> {
        let mut table = Self::default();
        if let MountSource::Memory { files, .. } = volume {
            table.files(files)?;
        }
        table.done()
    }

    /// Passes a descriptor that is there already. Gives its position.
    pub(super) fn add(&mut self, fd: OwnedFd) -> u32 {
        self.0.push(fd);
        // The position is below FDS_MAX in every message that is sent.
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// All of them, if one message can carry them.
    pub(super) fn done(self) -> Result<Vec<OwnedFd>, ClientError> {
        let len = self.0.len();
        if len > FDS_MAX {
            Err(ClientError::TooManyOutside(len))
        } else {
            Ok(self.0)
        }
    }

    fn files(&mut self, files: &mut [MemoryFile]) -> Result<(), ClientError> {
        let mut files = files.iter_mut();
        files.try_for_each(|file| self.pass(&mut file.content, open_read))
    }

    fn entry(&mut self, entry: &mut CgroupEntry) -> Result<(), ClientError> {
        match entry {
            CgroupEntry::BornIn(dir) => self.pass(dir, open_read),
            CgroupEntry::Tasks(files) => files
                .iter_mut()
                .try_for_each(|file| self.pass(file, |path| Ok(open_write(path)?.into()))),
        }
    }

    fn pass(
        &mut self,
        outside: &mut Outside,
        open: impl FnOnce(&Path) -> io::Result<OwnedFd>,
    ) -> Result<(), ClientError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ClientError::Outside { path, source }
        };
        let fd = match &*outside {
            Outside::Path(path) => open(path).map_err(failed(path))?,
            Outside::Bytes(bytes) => memfile::sealed("burstlet", bytes)
                .map_err(failed(Path::new("an anonymous file")))?,
            Outside::Passed(_) => return Ok(()),
        };
        *outside = Outside::Passed(self.add(fd));
        Ok(())
    }
}

/// Whether opening what a plan names may wait for a slow file system.
pub(super) fn may_block(plan: &ContainerPlan) -> bool {
    plan.mounts
        .iter()
        .any(|mount| matches!(mount.source, MountSource::Tree { .. }))
}

fn open_read(path: &Path) -> io::Result<OwnedFd> {
    File::open(path).map(OwnedFd::from)
}

fn open_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_opened_and_numbered() {
        let mut entry = CgroupEntry::Tasks(vec![
            Outside::Path("/dev/null".into()),
            Outside::Path("/dev/zero".into()),
        ]);
        let mut table = Table::default();
        table.entry(&mut entry).unwrap();
        assert_eq!(
            entry,
            CgroupEntry::Tasks(vec![Outside::Passed(0), Outside::Passed(1)])
        );
        let mut missing = Outside::Path("/nonexistent".into());
        let error = table.pass(&mut missing, open_read).unwrap_err();
        assert_eq!(error.kind(), burstlet_model::ErrorKind::FailedPrecondition);
        assert_eq!(table.done().unwrap().len(), 2);
    }
}
