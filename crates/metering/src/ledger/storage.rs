//! The few things that a ledger asks of a directory, so that a test can lose power in between.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::OpenError;

/// Bytes that are written at once when a file is filled with zeros.
const FILL_BYTES: usize = 1 << 20;
/// The file whose lock says that the ledger is taken.
const LOCK: &str = "lock";
/// What a file's name ends with until it is complete.
const UNFINISHED: &str = ".new";
/// Where files are that were retired.
const ARCHIVE: &str = "archive";

/// A flat directory of files of fixed size, to be read.
pub trait Files {
    /// The names of all complete files.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// All bytes of a file.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
}

/// The same, to be written to.
pub trait Storage: Files + Send + 'static {
    /// Makes a file that begins with `head` and is filled up with zeros to `bytes`. When this
    /// returns it survives a power cut; if it fails there is no such file.
    ///
    /// # Errors
    /// There is no room, or the disk failed.
    fn create(&mut self, name: &str, head: &[u8], bytes: u64) -> io::Result<()>;

    /// Overwrites bytes of a file. A power cut may lose any of them until [`Storage::sync`].
    ///
    /// # Errors
    /// The disk failed; what the bytes are now is not known.
    fn write(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// When this returns, everything written to the file survives a power cut.
    ///
    /// # Errors
    /// The disk failed; what was written may be lost, whatever a later call says.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Gives a file another name, at once and for good.
    ///
    /// # Errors
    /// It cannot be renamed.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Puts a file among the archived ones, or removes it, at once and for good.
    ///
    /// # Errors
    /// It stays where it is.
    fn retire(&mut self, name: &str, archive: bool) -> io::Result<()>;
}

/// A directory of this machine, locked for one process.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    itself: File,
    open: HashMap<String, File>,
    /// Held as long as this lives.
    _lock: File,
}

impl Directory {
    /// Opens a directory, making it if there is none, and locks it.
    ///
    /// # Errors
    /// It cannot be opened, or another process has it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |what: &'static str| {
            let path = path.display().to_string();
            move |source| OpenError::Storage { what, path, source }
        };
        std::fs::create_dir_all(path).map_err(failed("make the directory"))?;
        let itself = File::open(path).map_err(failed("open the directory"))?;
        let lock = options().create(true).open(path.join(LOCK));
        let lock = lock.map_err(failed("open the lock in"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Taken(path.display().to_string()));
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        let directory = Self {
            path: path.to_owned(),
            itself,
            open: HashMap::new(),
            _lock: lock,
        };
        directory
            .remove_unfinished()
            .map_err(failed("tidy up in"))?;
        Ok(directory)
    }

    fn remove_unfinished(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.open.contains_key(name) {
            let file = options().open(self.path.join(name))?;
            self.open.insert(name.to_owned(), file);
        }
        self.open
            .get(name)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Files for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        list(&self.path)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.path.join(name))
    }
}

impl Storage for Directory {
    fn create(&mut self, name: &str, head: &[u8], bytes: u64) -> io::Result<()> {
        let unfinished = self.path.join(format!("{name}{UNFINISHED}"));
        let result = fill(&unfinished, head, bytes)
            .and_then(|()| std::fs::rename(&unfinished, self.path.join(name)))
            .and_then(|()| self.itself.sync_all());
        if result.is_err() {
            // If it cannot be removed either, the next start tries again.
            let _ = std::fs::remove_file(&unfinished);
        }
        result
    }

    fn write(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(bytes, at)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open.remove(from);
        std::fs::rename(self.path.join(from), self.path.join(to))?;
        self.itself.sync_all()
    }

    fn retire(&mut self, name: &str, archive: bool) -> io::Result<()> {
        self.open.remove(name);
        let from = self.path.join(name);
        if archive {
            let to = self.path.join(ARCHIVE);
            DirBuilder::new().recursive(true).mode(0o700).create(&to)?;
            std::fs::rename(from, to.join(name))?;
            // The name must be there for good before it is gone here for good.
            File::open(to)?.sync_all()?;
        } else {
            std::fs::remove_file(from)?;
        }
        self.itself.sync_all()
    }
}

/// A directory that is only read, beside whoever writes to it.
#[derive(Clone, Debug)]
pub struct Inspected(PathBuf);

impl Inspected {
    /// Looks at a directory.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Files for Inspected {
    fn list(&self) -> io::Result<Vec<String>> {
        list(&self.0)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(name))
    }
}

fn list(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        match name.to_str() {
            Some(name) if name != LOCK && !name.ends_with(UNFINISHED) => {
                names.push(name.to_owned());
            }
            _ => {}
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Zeros are written, not only promised: an append then changes no metadata, and needs no room.
fn fill(path: &Path, head: &[u8], bytes: u64) -> io::Result<()> {
    let file = options().create(true).truncate(true).open(path)?;
    let zeros = vec![0; FILL_BYTES];
    let mut at = 0;
    while at < bytes {
        let count = FILL_BYTES.min(usize::try_from(bytes - at).unwrap_or(FILL_BYTES));
        file.write_all_at(zeros.get(..count).unwrap_or_default(), at)?;
        at += count as u64;
    }
    file.write_all_at(head, 0)?;
    file.sync_all()
}
