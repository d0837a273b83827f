//! The record of a container's end: on disk before anybody is told, so that an agent that was not
//! there learns of it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burstlet_model::{ContainerName, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::protocol::{Exit, text};

/// The version of the records that this build writes.
const VERSION: u32 = 1;
/// The longest record that is read.
const RECORD_BYTES_MAX: u64 = 256 * 1024;

/// One container's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    version: u32,
    /// Which container.
    #[serde(with = "text")]
    pub container: ContainerName,
    /// Which start of it.
    pub attempt: u32,
    /// The boot during which it ran: stamps can be compared within one boot only.
    pub boot_id: String,
    /// How it ended.
    pub exit: Exit,
}

/// Why a record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file system failed.
    #[error("{doing} the exit record {path}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is there but is no record. It must not be taken for absent.
    #[error("parse the exit record {path}")]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl RecordError {
    /// The class of this failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

impl ExitRecord {
    /// A record of this boot.
    #[must_use]
    pub fn new(container: ContainerName, attempt: u32, exit: Exit) -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id = boot_id.trim().to_owned();
        Self {
            version: VERSION,
            container,
            attempt,
            boot_id,
            exit,
        }
    }

    /// Where the record of one start of a container is, below the group's directory.
    #[must_use]
    pub fn path(group_dir: &Path, container: &ContainerName, attempt: u32) -> PathBuf {
        group_dir
            .join("exits")
            .join(format!("{container}.{attempt}.json"))
    }

    /// Writes the record so that after this it survives a power cut: a temporary file, flushed,
    /// renamed, its directory flushed.
    ///
    /// # Errors
    /// The file system failed; there may be a temporary file, never half a record.
    pub fn write(&self, group_dir: &Path) -> Result<(), RecordError> {
        let path = Self::path(group_dir, &self.container, self.attempt);
        let temporary = path.with_extension("tmp");
        let written = || -> io::Result<()> {
            let dir = group_dir.join("exits");
            fs::create_dir_all(&dir)?;
            let mut file = File::create(&temporary)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&dir)?.sync_all()
        };
        written().map_err(|source| RecordError::Io {
            doing: "write",
            path: path.clone(),
            source,
        })
    }

    /// Reads the record of one start of a container; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is corrupt.
    pub fn read(
        group_dir: &Path,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<Option<Self>, RecordError> {
        let path = Self::path(group_dir, container, attempt);
        let failed = |source| RecordError::Io {
            doing: "read",
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let bounded = io::Read::take(file, RECORD_BYTES_MAX);
        let content = io::read_to_string(bounded).map_err(failed)?;
        serde_json::from_str(&content)
            .map(Some)
            .map_err(|source| RecordError::Corrupt { path, source })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_model::Stamp;

    use super::*;

    #[test]
    fn records_come_back_and_corrupt_ones_are_no_absence() {
        let dir = tempfile::tempdir().unwrap();
        let name = ContainerName::new("web").unwrap();
        assert!(ExitRecord::read(dir.path(), &name, 3).unwrap().is_none());
        let exit = Exit {
            code: Some(7),
            signal: None,
            started: Stamp::default(),
            finished: Stamp::default(),
            finals: Vec::new(),
        };
        let record = ExitRecord::new(name.clone(), 3, exit);
        assert_eq!(record.boot_id.len(), 36);
        record.write(dir.path()).unwrap();
        assert_eq!(
            ExitRecord::read(dir.path(), &name, 3).unwrap().unwrap(),
            record
        );
        fs::write(ExitRecord::path(dir.path(), &name, 3), "{").unwrap();
        assert!(matches!(
            ExitRecord::read(dir.path(), &name, 3),
            Err(RecordError::Corrupt { .. })
        ));
    }
}
