//! How far a collector has heard the audit trail, kept over the agent's end: a line's number and hash,
//! as the trail's heads are written.

use std::path::{Path, PathBuf};
use std::{fs, io};

use burstlet_access::Head;

use crate::otlp::cursor::DIRECTORY;
use crate::records::replace_durably;

/// The file beside the ledger's cursor.
const FILE: &str = "audit";

/// The last line of which the collector has heard.
pub(super) struct Place {
    directory: PathBuf,
    head: Head,
}

impl Place {
    /// The place as it was left; before the first line if nobody has heard of any.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        let directory = state_dir.join(DIRECTORY);
        let head = match fs::read_to_string(directory.join(FILE)) {
            Ok(text) => text.trim_end().parse().unwrap_or_else(|_| {
                tracing::warn!(
                    directory = %directory.display(),
                    "how far the collector has heard the audit trail is not understood; it is told all again"
                );
                Head::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Head::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { directory, head })
    }

    pub(super) const fn head(&self) -> Head {
        self.head
    }

    /// Moves the place and keeps it.
    ///
    /// # Errors
    /// It cannot be written; the one before stands.
    pub(super) fn keep(&mut self, head: Head) -> io::Result<()> {
        replace_durably(&self.directory, FILE, format!("{head}\n").as_bytes())?;
        self.head = head;
        Ok(())
    }
}
