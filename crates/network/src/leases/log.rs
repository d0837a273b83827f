//! The lease log's file: append and sync, cut what a crash tore, write anew when it has grown.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use burstlet_failpoint::{Point, pass};
use tracing::warn;

use super::record::Record;
use crate::NetworkError;

/// The open log.
#[derive(Debug)]
pub(crate) struct Log {
    dir: PathBuf,
    path: PathBuf,
    file: File,
    length: u64,
    records: usize,
    poisoned: bool,
}

const FILE_NAME: &str = "leases.log";

/// Largest log that is read; far beyond what compaction lets it grow to.
const LOG_BYTES_MAX: u64 = 256 << 20;

impl Log {
    /// Opens or makes the log in `dir` and reads it.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Vec<Record>), NetworkError> {
        let path = dir.join(FILE_NAME);
        std::fs::create_dir_all(dir).map_err(NetworkError::file("make directory", dir))?;
        let (file, bytes) = read(&path).map_err(NetworkError::file("read lease log", &path))?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let records = decode(bytes.get(..whole).unwrap_or_default()).map_err(|line| {
            NetworkError::LeasesCorrupt {
                path: path.clone(),
                line,
            }
        })?;
        let torn = bytes.len() - whole;
        let mut log = Self {
            dir: dir.to_owned(),
            path,
            file,
            length: whole as u64,
            records: records.len(),
            poisoned: false,
        };
        if torn > 0 {
            warn!(path = %log.path.display(), bytes = torn, "cut an unfinished record off the lease log");
        }
        log.cut()
            .map_err(NetworkError::file("cut lease log", &log.path))?;
        sync_dir(&log.dir)?;
        Ok((log, records))
    }

    pub(crate) const fn records(&self) -> usize {
        self.records
    }

    /// Adds a record; it is on disk on return. After an error the log is as it was before.
    pub(crate) fn append(&mut self, record: &Record) -> Result<(), NetworkError> {
        if self.poisoned {
            return Err(NetworkError::LeasesPoisoned {
                path: self.path.clone(),
            });
        }
        let line = record.encode();
        let written = pass(Point::LeaseLog)
            .and_then(|()| self.file.write_all(line.as_bytes()))
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.length += line.len() as u64;
                self.records += 1;
                Ok(())
            }
            Err(error) => {
                self.poisoned = self.cut().is_err();
                Err(NetworkError::file("write lease log", &self.path)(error))
            }
        }
    }

    /// Replaces the whole log: either the old or the new one is there after a crash.
    pub(crate) fn rewrite(&mut self, records: &[Record]) -> Result<(), NetworkError> {
        let text: String = records.iter().map(Record::encode).collect();
        let temporary = self.path.with_extension("new");
        let write = || {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, &self.path)?;
            Ok(file)
        };
        let file = write().map_err(NetworkError::file("rewrite lease log", &self.path))?;
        (self.file, self.length, self.records) = (file, text.len() as u64, records.len());
        sync_dir(&self.dir)
    }

    /// The error for a record that contradicts those before it.
    pub(crate) fn corrupt(&self, line: usize) -> NetworkError {
        NetworkError::LeasesCorrupt {
            path: self.path.clone(),
            line,
        }
    }

    /// Puts the end of the file where the last whole record ends.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.sync_all()
    }
}

/// Opens or makes the file, and reads all of it.
fn read(path: &Path) -> io::Result<(File, Vec<u8>)> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    if file.metadata()?.len() > LOG_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((file, bytes))
}

/// The records, or the number of the first damaged line.
fn decode(bytes: &[u8]) -> Result<Vec<Record>, usize> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| {
            std::str::from_utf8(line)
                .ok()
                .and_then(|line| Record::decode(line.strip_suffix('\n')?))
                .ok_or(index + 1)
        })
        .collect()
}

fn sync_dir(dir: &Path) -> Result<(), NetworkError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(NetworkError::file("sync directory", dir))
}
