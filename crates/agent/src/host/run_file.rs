//! What the agent must know of a container's run while it lasts and cannot ask the keeper for:
//! `runs/<container>.json` in the group's directory, written before the run begins.
//!
//! It outlives the agent, not the machine's next start, so it is not synced.

use std::io;
use std::path::{Path, PathBuf};

use burstlet_model::ContainerName;
use oci_spec::runtime::Process;
use serde::{Deserialize, Serialize};

/// One run of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RunFile {
    /// Which run.
    pub(super) attempt: u32,
    /// Its process; what is run in it by exec differs in arguments and terminal only.
    pub(super) process: Process,
    /// What asks it to end.
    pub(super) stop_signal: u8,
    /// Where it leaves its last words.
    pub(super) termination: Termination,
}

/// Where a run leaves its last words, and whether its log stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Termination {
    /// The file only.
    File,
    /// The log's tail when the file is empty and the run failed.
    FileOrLog,
}

fn path(group_dir: &Path, container: &ContainerName) -> PathBuf {
    group_dir.join("runs").join(format!("{container}.json"))
}

impl RunFile {
    /// Writes it. Blocks.
    pub(super) fn write(&self, group_dir: &Path, container: &ContainerName) -> io::Result<()> {
        let path = path(group_dir, container);
        let new = path.with_extension("new");
        super::sandbox::make_dir(&group_dir.join("runs"))?;
        std::fs::write(&new, serde_json::to_vec(self)?)?;
        std::fs::rename(new, path)
    }

    /// Reads it. Blocks.
    pub(super) fn read(group_dir: &Path, container: &ContainerName) -> io::Result<Self> {
        let bytes = std::fs::read(path(group_dir, container))?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    }
}
