//! The trail's files: the one that is written, and those that it has left behind.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::TrailConfig;
use super::chain::{Head, Place, hash, place};

const NAME: &str = "audit.log";

/// A file that is followed by the next before it is too large.
#[derive(Debug)]
pub(super) struct TrailFile {
    config: TrailConfig,
    /// `None` after an error, until it can be opened again.
    open: Option<Open>,
    /// The last line that is written, as far as this file knows.
    head: Head,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
    /// The line that the next is tied to.
    head: Head,
}

impl TrailFile {
    pub(super) fn open(config: TrailConfig) -> io::Result<Self> {
        let open = open(&config)?;
        Ok(Self {
            config,
            head: open.head,
            open: Some(open),
        })
    }

    /// The last line that is written.
    pub(super) const fn head(&self) -> Head {
        self.head
    }

    /// Writes a JSON object as a line, into the next file if it does not fit this one.
    pub(super) fn write(&mut self, object: &[u8]) -> io::Result<()> {
        let now = match self.open.take() {
            Some(now) => now,
            None => open(&self.config)?,
        };
        let (line, head) = now.head.tie(object);
        let length = line.len() as u64;
        let mut now = match now.bytes > 0 && now.bytes + length > self.config.bytes_max {
            true => {
                self.turn()?;
                tracing::info!(head = %now.head, "a file of the audit trail is full");
                open(&self.config)?
            }
            false => now,
        };
        now.file.write_all(&line)?;
        now.bytes += length;
        now.head = head;
        self.head = head;
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

/// The trail's files, the newest first, whether they are there or not.
pub(super) fn paths(dir: &Path, files_max: u8) -> impl Iterator<Item = PathBuf> {
    let older = (1..files_max).map(|number| numbered(dir, number));
    std::iter::once(dir.join(NAME)).chain(older)
}

fn numbered(dir: &Path, number: u8) -> PathBuf {
    dir.join(format!("{NAME}.{number}"))
}

/// The line that the next is tied to, by what is on disk.
fn head(config: &TrailConfig) -> io::Result<Head> {
    let (mut last, mut head) = (None, Head::default());
    for path in paths(&config.dir, config.files_max) {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text?,
        };
        let lines = text.rsplit(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            head.hash = *last.get_or_insert_with(|| hash(line));
            match place(line) {
                Place::Tied { seq, .. } => {
                    head.seq = seq;
                    return Ok(head);
                }
                Place::Untied => return Ok(head),
                // The one before it has a number.
                Place::Torn => {}
            }
        }
    }
    Ok(head)
}

/// Opens the file to write on at its end, after a line that an agent's end has cut if there is one.
fn open(config: &TrailConfig) -> io::Result<Open> {
    let dir = &config.dir;
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
    let head = head(config)?;
    Ok(Open { file, bytes, head })
}
