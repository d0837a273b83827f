//! The trail's files: the one that is written, and those that it has left behind.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::TrailConfig;

const NAME: &str = "audit.log";

/// A file that is followed by the next before it is too large.
#[derive(Debug)]
pub(super) struct TrailFile {
    config: TrailConfig,
    /// `None` after an error, until it can be opened again.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

impl TrailFile {
    pub(super) fn open(config: TrailConfig) -> io::Result<Self> {
        let open = Some(open(&config.dir)?);
        Ok(Self { config, open })
    }

    /// Writes a line, into the next file if it does not fit this one.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let now = match self.open.take() {
            Some(now) => now,
            None => open(&self.config.dir)?,
        };
        let length = line.len() as u64;
        let mut now = match now.bytes > 0 && now.bytes + length > self.config.bytes_max {
            true => {
                self.turn()?;
                open(&self.config.dir)?
            }
            false => now,
        };
        now.file.write_all(line)?;
        now.bytes += length;
        self.open = Some(now);
        Ok(())
    }

    /// Moves each file one further; the oldest goes.
    fn turn(&self) -> io::Result<()> {
        let dir = &self.config.dir;
        for number in (1..self.config.files_max).rev() {
            let newer = match number {
                1 => dir.join(NAME),
                number => numbered(dir, number - 1),
            };
            match fs::rename(newer, numbered(dir, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.config.files_max <= 1 {
            fs::remove_file(dir.join(NAME))?;
        }
        Ok(())
    }
}

fn numbered(dir: &Path, number: u8) -> PathBuf {
    dir.join(format!("{NAME}.{number}"))
}

/// Opens the file to write on at its end, after a line that an agent's end has cut if there is one.
fn open(dir: &Path) -> io::Result<Open> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(dir.join(NAME))?;
    let mut bytes = file.metadata()?.len();
    if bytes > 0 {
        let mut last = [0];
        file.seek(SeekFrom::Start(bytes - 1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            bytes += 1;
        }
    }
    Ok(Open { file, bytes })
}
