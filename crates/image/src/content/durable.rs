//! Files that are replaced as a whole. Durable means: temporary file, fsync, rename, fsync of the
//! directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use burstlet_failpoint::{Point, pass};

use super::{ContentError, io_error};

/// Temporary files begin so; one that is found at start was left by a crash.
const TEMPORARY_PREFIX: &str = ".new-";

/// Replaces `path` by a file of `bytes`, wholly or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), ContentError> {
    replace(path, bytes, File::sync_all)?;
    pass(Point::FileRenamed).map_err(io_error("sync", path))?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The same, but a power cut may lose the new file or leave it damaged: for what is made anew when
/// it cannot be read.
pub(crate) fn write_soon(path: &Path, bytes: &[u8]) -> Result<(), ContentError> {
    replace(path, bytes, |_| Ok(()))
}

fn replace(
    path: &Path,
    bytes: &[u8],
    settle: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), ContentError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .tempfile_in(dir)
        .map_err(io_error("create a temporary file in", dir))?;
    file.write_all(bytes)
        .and_then(|()| pass(Point::FileWritten))
        .and_then(|()| settle(file.as_file()))
        .map_err(io_error("write", path))?;
    file.persist(path)
        .map_err(|error| io_error("rename a new file to", path)(error.error))?;
    Ok(())
}

/// Makes the names within `dir` survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), ContentError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(io_error("sync", dir))
}

/// Makes `path` and its parents, closed to everybody else.
pub(crate) fn create_dir(path: &Path) -> Result<(), ContentError> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(io_error("create the directory", path))
}

/// Removes a file; one that is not there is as good.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), ContentError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// The names in `dir` that are UTF-8, without temporary files.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, ContentError> {
    let entries = fs::read_dir(dir).map_err(io_error("read the directory", dir))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry
            .map_err(io_error("read the directory", dir))?
            .file_name();
        match name.into_string() {
            Ok(name) if !name.starts_with(TEMPORARY_PREFIX) => names.push(name),
            _ => {}
        }
    }
    Ok(names)
}

/// Removes the temporary files that a crash left in `dir`.
pub(crate) fn remove_temporary(dir: &Path) -> Result<(), ContentError> {
    let entries = fs::read_dir(dir).map_err(io_error("read the directory", dir))?;
    for entry in entries {
        let entry = entry.map_err(io_error("read the directory", dir))?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(TEMPORARY_PREFIX)
        {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}
