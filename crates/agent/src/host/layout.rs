//! Where a group's files are, below its own directory.
//!
//! ```text
//! groups/<uid>/record.json                what survives the agent
//!              id-range                   which host ids it has
//!              sandbox                    in which boot it has a keeper
//!              sandbox-complete           that its sandbox was made to the end
//!              runs/<container>.json      what each container's latest run runs
//!              exits/                     how its containers ended, written by the keeper
//!              files/                     hosts, hostname, resolv.conf
//!              volumes/<index>/           emptyDir and config volumes
//!              rootfs/<container>.<n>/    upper and work of one run
//!              logs/<container>/<n>/      log files of one run
//! ```

use std::path::{Path, PathBuf};

use burstlet_model::ContainerName;

/// A group's own directory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    dir: PathBuf,
}

/// One run of one container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) container: &'a ContainerName,
    pub(super) attempt: u32,
}

impl Layout {
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.files().join(name)
    }

    pub(super) fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    pub(super) fn volume(&self, index: usize) -> PathBuf {
        self.dir.join("volumes").join(index.to_string())
    }

    pub(super) fn rootfs(&self, run: Run<'_>) -> PathBuf {
        self.rootfs_all()
            .join(format!("{}.{}", run.container, run.attempt))
    }

    pub(super) fn rootfs_all(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    pub(super) fn logs(&self, run: Run<'_>) -> PathBuf {
        self.logs_all(run.container).join(run.attempt.to_string())
    }

    pub(super) fn logs_all(&self, container: &ContainerName) -> PathBuf {
        self.dir.join("logs").join(container.as_str())
    }
}
