//! The descriptors that came with a request, each taken once.

use std::fs::File;
use std::os::fd::OwnedFd;

use super::starter::Entry;
use crate::plan::{CgroupEntry, MemoryFile, Outside};
use crate::protocol::{Failure, FailureClass};
use crate::sys::memfile;
use crate::sys::process::Filter;

/// The longest seccomp program, in bytes: the kernel's bound on instructions.
const FILTER_BYTES_MAX: usize = 8 * libc::BPF_MAXINSNS as usize;

/// Descriptors by their position in the message.
pub(super) struct Passed(Vec<Option<OwnedFd>>);

impl Passed {
    /// Those of one message.
    pub(super) fn new(fds: Vec<OwnedFd>) -> Self {
        Self(fds.into_iter().map(Some).collect())
    }

    /// Takes the one at `position`.
    pub(super) fn at(&mut self, position: u32) -> Result<OwnedFd, Failure> {
        let slot = usize::try_from(position)
            .ok()
            .and_then(|index| self.0.get_mut(index));
        slot.and_then(Option::take).ok_or_else(|| {
            Failure::new(
                FailureClass::Invalid,
                format!("descriptor {position} did not come along"),
            )
        })
    }

    /// Takes the one at `position`, if there is a position.
    fn maybe(&mut self, position: Option<u32>) -> Result<Option<OwnedFd>, Failure> {
        position.map(|position| self.at(position)).transpose()
    }

    /// Takes the standard streams that have a position.
    pub(super) fn streams(
        &mut self,
        positions: [Option<u32>; 3],
    ) -> Result<[Option<OwnedFd>; 3], Failure> {
        let [stdin, stdout, stderr] = positions;
        Ok([self.maybe(stdin)?, self.maybe(stdout)?, self.maybe(stderr)?])
    }

    /// Takes what stands for something outside.
    pub(super) fn outside(&mut self, outside: &Outside) -> Result<OwnedFd, Failure> {
        match outside {
            Outside::Passed(position) => self.at(*position),
            Outside::Path(_) | Outside::Bytes(_) => {
                let message = "something outside must come as a descriptor";
                Err(Failure::new(FailureClass::Invalid, message))
            }
        }
    }

    /// Takes what the files of a memory volume hold.
    pub(super) fn files(&mut self, files: &[MemoryFile]) -> Result<Vec<OwnedFd>, Failure> {
        files
            .iter()
            .map(|file| self.outside(&file.content))
            .collect()
    }

    /// Takes the way into a cgroup.
    pub(super) fn entry(&mut self, entry: Option<&CgroupEntry>) -> Result<Entry, Failure> {
        Ok(match entry {
            None => Entry::None,
            Some(CgroupEntry::BornIn(dir)) => Entry::BornIn(self.outside(dir)?),
            Some(CgroupEntry::Tasks(files)) => Entry::Tasks(
                files
                    .iter()
                    .map(|f| self.outside(f))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }

    /// Takes a seccomp program.
    pub(super) fn filter(&mut self, program: &Outside) -> Result<Filter, Failure> {
        let file = File::from(self.outside(program)?);
        let bytes = memfile::read_whole(&file, FILTER_BYTES_MAX).map_err(|e| {
            Failure::new(
                FailureClass::Invalid,
                format!("read the seccomp program: {e}"),
            )
        })?;
        Filter::from_bytes(&bytes).ok_or_else(|| {
            Failure::new(
                FailureClass::Invalid,
                "the seccomp program is no array of instructions",
            )
        })
    }
}
