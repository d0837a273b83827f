//! How far a collector has heard the ledger, kept over the agent's end: moved on only once the
//! collector has what lies behind.

use std::path::{Path, PathBuf};
use std::{fs, io};

use burstlet_metering::Hex;
use burstlet_metering::chain::LedgerId;

use crate::records::replace_durably;

/// The directory in the state directory, and the file in it.
pub(super) const DIRECTORY: &str = "otlp";
const FILE: &str = "cursor";

/// A place in a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    directory: PathBuf,
    ledger: LedgerId,
    seq: u64,
}

impl Cursor {
    /// The place as it was left; the beginning for a ledger of which nobody has heard.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(state_dir: &Path, ledger: LedgerId) -> io::Result<Self> {
        let directory = state_dir.join(DIRECTORY);
        let seq = match fs::read_to_string(directory.join(FILE)) {
            Ok(text) => parse(&text, ledger),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(0),
            Err(error) => return Err(error),
        };
        if seq.is_none() {
            tracing::warn!(
                directory = %directory.display(),
                "how far the collector has heard is of another ledger, or cannot be read; it is told all again"
            );
        }
        Ok(Self {
            directory,
            ledger,
            seq: seq.unwrap_or(0),
        })
    }

    /// The last record of which the collector has heard.
    pub(super) const fn seq(&self) -> u64 {
        self.seq
    }

    /// The collector has what comes up to here. Nothing of it matters to who begins anew.
    pub(super) const fn pass(&mut self, seq: u64) {
        self.seq = seq;
    }

    /// Keeps the place.
    ///
    /// # Errors
    /// It cannot be written; the one before stands.
    pub(super) fn keep(&self) -> io::Result<()> {
        let text = format!("{} {}\n", Hex(&self.ledger.0), self.seq);
        replace_durably(&self.directory, FILE, text.as_bytes())
    }
}

fn parse(text: &str, ledger: LedgerId) -> Option<u64> {
    let (of, seq) = text.strip_suffix('\n')?.split_once(' ')?;
    let is_of = of == Hex(&ledger.0).to_string();
    is_of.then(|| seq.parse().ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_for_its_ledger() {
        let state = tempfile::tempdir().unwrap();
        let (ours, other) = (LedgerId([1; 16]), LedgerId([2; 16]));
        let mut cursor = Cursor::open(state.path(), ours).unwrap();
        assert_eq!(cursor.seq(), 0);
        cursor.pass(7);
        cursor.keep().unwrap();
        assert_eq!(Cursor::open(state.path(), ours).unwrap(), cursor);
        assert_eq!(Cursor::open(state.path(), other).unwrap().seq(), 0);
        let file = state.path().join("otlp/cursor");
        for text in ["", "0", "\n", &format!("{} x\n", "01".repeat(16))] {
            fs::write(&file, text).unwrap();
            let cursor = Cursor::open(state.path(), ours).unwrap();
            assert_eq!(cursor.seq(), 0, "{text:?}");
        }
    }
}
