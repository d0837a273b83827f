//! Files that are there as a whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Writes `bytes` to `name` in `dir` so that a crash leaves the old contents or the new ones:
/// temporary file, fsync, rename, fsync of the directory. Makes the directory if it is not there.
///
/// # Errors
/// The system's; the old file then still stands.
pub(crate) fn replace_durably(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    if !dir.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        if let Some(parent) = dir.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    let temporary = dir.join(format!(".{name}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// Reads a whole file of at most `bytes_max`.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(bytes_max + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("is larger than {bytes_max} bytes"),
        ));
    }
    Ok(bytes)
}

/// Removes everything in `dir`, then the file `last`, then the directory: whoever finds `last`
/// knows that there is more to remove. A directory that is not there is removed already.
pub(super) fn remove_all_but_last(dir: &Path, last: &str) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name() == last {
            continue;
        }
        // Containers made what is in there: nothing may be followed, however deep it goes.
        if entry.file_type()?.is_dir() {
            burstlet_image::remove_tree(&entry.path()).map_err(io::Error::other)?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    match fs::remove_file(dir.join(last)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::remove_dir(dir)
}
