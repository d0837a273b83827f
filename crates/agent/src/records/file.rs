//! Files that are there as a whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use burstlet_failpoint::{Point, pass};

/// Writes `bytes` to `name` in `dir` so that a crash leaves the old contents or the new ones:
/// temporary file, fsync, rename, fsync of the directory. Makes the directory if it is not there.
///
/// # Errors
/// The system's; the old file then still stands.
pub(crate) fn replace_durably(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    replace_in_two_steps(dir, name, bytes, || {})
}

/// The same, and says when the new contents are written: from then on they outlive this process,
/// beside the old ones under the name [`pending`], though not yet the machine.
///
/// # Errors
/// The system's; the old file then still stands.
pub(super) fn replace_in_two_steps(
    dir: &Path,
    name: &str,
    bytes: &[u8],
    written: impl FnOnce(),
) -> io::Result<()> {
    pass(Point::RecordBegun)?;
    let is_new = !dir.is_dir();
    if is_new {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(dir.join(pending(name)))?;
    file.write_all(bytes)?;
    written();
    pass(Point::RecordWritten)?;
    settle(dir, name, &file)?;
    match is_new {
        true => sync_parent(dir),
        false => Ok(()),
    }
}

/// Writes `bytes` to `name` in `dir`, which is there, so that an agent that is killed leaves the old
/// contents or the new ones. The machine's end may lose them.
///
/// # Errors
/// The system's; the old file then still stands.
pub(crate) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join(pending(name));
    fs::write(&new, bytes)?;
    fs::rename(new, dir.join(name))
}

/// Makes the file `name` in `dir`, and that it is there, durable.
///
/// # Errors
/// The system's.
pub(crate) fn make_durable(dir: &Path, name: &str) -> io::Result<()> {
    File::open(dir.join(name))?.sync_all()?;
    File::open(dir)?.sync_all()
}

/// The name under which the new contents of the file `name` wait to become durable.
pub(super) fn pending(name: &str) -> String {
    format!(".{name}.new")
}

/// Goes on where another process ended that had written new contents of `name`: makes them durable,
/// and `dir` too.
pub(super) fn finish(dir: &Path, name: &str) -> io::Result<()> {
    settle(dir, name, &File::open(dir.join(pending(name)))?)?;
    sync_parent(dir)
}

/// Makes the new contents of `name` durable and puts them in the place of the old ones.
fn settle(dir: &Path, name: &str, new: &File) -> io::Result<()> {
    new.sync_all()?;
    fs::rename(dir.join(pending(name)), dir.join(name))?;
    pass(Point::RecordRenamed)?;
    File::open(dir)?.sync_all()
}

fn sync_parent(dir: &Path) -> io::Result<()> {
    match dir.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
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
    pass(Point::RemovalBegun)?;
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
    pass(Point::RemovalEmptied)?;
    match fs::remove_file(dir.join(last)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    pass(Point::RemovalLast)?;
    fs::remove_dir(dir)
}
