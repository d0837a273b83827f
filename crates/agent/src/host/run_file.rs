//! What the agent must know of a container's run while it lasts and cannot ask the keeper for:
//! `runs/<container>.json` in the group's directory, written before the run begins.
//!
//! It outlives the agent, not the machine's next start, so it is not synced. The process has the
//! container's variables, which may be secrets, and is sealed.

use std::io;
use std::path::{Path, PathBuf};

use burstlet_failpoint::Point;
use burstlet_model::ContainerName;
use oci_spec::runtime::Process;
use serde::{Deserialize, Serialize};

use crate::vault::Vault;

/// One run of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RunFile {
    /// Which run.
    pub(super) attempt: u32,
    process: Kept,
    /// What asks it to end.
    pub(super) stop_signal: u8,
    /// Where it leaves its last words.
    pub(super) termination: Termination,
}

/// How a process is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Sealed(String),
    /// By the version before.
    Plain(Box<Process>),
}

/// Where a run leaves its last words, and whether its log stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Termination {
    /// The file only.
    File,
    /// The log's tail when the file is empty and the run failed.
    FileOrLog,
}

/// What a run is besides its process.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) attempt: u32,
    pub(super) stop_signal: u8,
    pub(super) termination: Termination,
}

fn path(group_dir: &Path, container: &ContainerName) -> PathBuf {
    group_dir.join("runs").join(format!("{container}.json"))
}

/// A process is told from others by the place where it is kept.
fn sealed_about(group_dir: &Path, container: &ContainerName) -> String {
    let group = group_dir.file_name().unwrap_or_default();
    format!("process of {}/{container}", group.display())
}

impl RunFile {
    /// Writes it. What is run in the container by exec differs from `process` in arguments and
    /// terminal only. Blocks.
    pub(super) fn write(
        vault: &Vault,
        (group_dir, container): (&Path, &ContainerName),
        process: &Process,
        about: About,
    ) -> io::Result<()> {
        let plain = serde_json::to_vec(process)?;
        let sealed = vault.seal(&sealed_about(group_dir, container), &plain);
        let file = Self {
            attempt: about.attempt,
            process: Kept::Sealed(sealed.map_err(io::Error::other)?),
            stop_signal: about.stop_signal,
            termination: about.termination,
        };
        let path = path(group_dir, container);
        let new = path.with_extension("new");
        super::sandbox::make_dir(&group_dir.join("runs"))?;
        std::fs::write(&new, serde_json::to_vec(&file)?)?;
        burstlet_failpoint::pass(Point::RunFileWritten)?;
        std::fs::rename(new, path)
    }

    /// Reads it. Blocks.
    pub(super) fn read(group_dir: &Path, container: &ContainerName) -> io::Result<Self> {
        let bytes = std::fs::read(path(group_dir, container))?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    }

    /// The process that runs.
    pub(super) fn process(
        self,
        vault: &Vault,
        (group_dir, container): (&Path, &ContainerName),
    ) -> io::Result<Process> {
        let sealed = match self.process {
            Kept::Sealed(sealed) => sealed,
            Kept::Plain(process) => return Ok(*process),
        };
        let opened = vault.unseal(&sealed_about(group_dir, container), &sealed);
        let opened = opened.map_err(io::Error::other)?;
        serde_json::from_slice(&opened).map_err(io::Error::other)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_sealed_and_that_of_the_version_before_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (vault, name) = (
            Vault::throwaway().unwrap(),
            ContainerName::new("web").unwrap(),
        );
        let place = (dir.path(), &name);
        let mut process = Process::default();
        process.set_env(Some(vec!["TOKEN=canary".to_owned()]));
        let about = About {
            attempt: 3,
            stop_signal: 15,
            termination: Termination::File,
        };
        RunFile::write(&vault, place, &process, about).unwrap();
        let file = path(dir.path(), &name);
        assert!(!std::fs::read_to_string(&file).unwrap().contains("canary"));
        let read = RunFile::read(dir.path(), &name).unwrap();
        assert_eq!((read.attempt, read.stop_signal), (3, 15));
        assert_eq!(read.process(&vault, place).unwrap(), process);

        let mut old = serde_json::to_value(RunFile::read(dir.path(), &name).unwrap()).unwrap();
        old["process"] = serde_json::to_value(&process).unwrap();
        std::fs::write(&file, old.to_string()).unwrap();
        let read = RunFile::read(dir.path(), &name).unwrap();
        assert_eq!(read.process(&vault, place).unwrap(), process);
    }
}
