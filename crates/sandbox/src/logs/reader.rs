//! The reading side.
//!
//! ```text
//! open ► [rotated ► … ► current]  held open, so that a rotation takes nothing away
//!            │ read to the length they had
//!            ├── not following ► End
//!            └── following: read on ─┬► nothing new, same file ► CaughtUp
//!                                    └► it was rotated: read what is left, go on with the next
//! ```

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use burstlet_model::{ErrorKind, WallTime};
use memchr::memchr;

use super::clock_text::TimeReader;
use super::files::{CURRENT, Directory};
use super::record::{RECORD_LINE_BYTES_MAX, Record, Stream, parse};
use super::tail::{last_lines, whole_lines};

const READ_BYTES: usize = 128 * 1024;
/// How often the list of files is read anew because it changed meanwhile.
const LIST_TRIES_MAX: usize = 8;

/// Which part of a log is wanted. The filters apply to the lines that `tail_lines` leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Goes on with what is written from now on.
    pub follow: bool,
    /// Only the last lines of the file; a part of a long line counts as one.
    pub tail_lines: Option<u64>,
    /// Only from this time on.
    pub since: Option<WallTime>,
    /// Only before this time.
    pub until: Option<WallTime>,
    /// Only one of the streams.
    pub stream: Option<Stream>,
    /// Ends after this many bytes of text, within a line if need be.
    pub limit_bytes: Option<u64>,
}

/// How far a reader has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more; read on.
    More,
    /// Following, and all that is there has been read.
    CaughtUp,
    /// There will be no more.
    End,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read the log in {dir}")]
pub struct LogError {
    dir: PathBuf,
    source: io::Error,
}

/// Reads a log from the oldest file kept to the one being written.
#[derive(Debug)]
pub struct LogReader {
    directory: Directory,
    path: PathBuf,
    query: LogQuery,
    /// What is still to be read of what was there at first.
    files: VecDeque<Part>,
    /// The file being read and its inode; kept when it is read, to see that it is rotated.
    open: Option<Part>,
    buffer: Vec<u8>,
    lines: Lines,
    time: TimeReader,
    budget: u64,
    ended: bool,
}

/// A part of a file that is to be read.
#[derive(Debug)]
struct Part {
    file: File,
    inode: u64,
    from: u64,
    /// `None`: to wherever its end is by then.
    to: Option<u64>,
}

/// Cuts a sequence of bytes into lines; holds back the begun one.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    /// The begun line is longer than any record, so it is none and is passed over.
    overlong: bool,
}

impl LogError {
    /// The class of this failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.source.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Internal,
        }
    }
}

impl LogReader {
    /// Opens the log in the directory `dir`. What is written later is read only when following.
    ///
    /// # Errors
    /// The log does not exist (kind `NotFound`) or cannot be read.
    pub fn open(dir: impl AsRef<Path>, query: LogQuery) -> Result<Self, LogError> {
        let path = dir.as_ref().to_owned();
        let fail = |source| LogError {
            dir: path.clone(),
            source,
        };
        let directory = Directory::open(&path).map_err(fail)?;
        let mut files = snapshot(&directory).map_err(fail)?;
        if let Some(lines) = query.tail_lines {
            keep_last_lines(&mut files, lines).map_err(fail)?;
        }
        if let (true, Some(last)) = (query.follow, files.back_mut()) {
            last.to = None;
        }
        Ok(Self {
            directory,
            path,
            budget: query.limit_bytes.unwrap_or(u64::MAX),
            query,
            files,
            open: None,
            buffer: vec![0; READ_BYTES],
            lines: Lines::default(),
            time: TimeReader::default(),
            ended: false,
        })
    }

    /// Reads a piece and gives its records to `sink`. Blocks for the disk only, never for the
    /// container.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(&mut self, mut sink: impl FnMut(Record<'_>)) -> Result<Progress, LogError> {
        self.step(&mut sink).map_err(|source| LogError {
            dir: self.path.clone(),
            source,
        })
    }

    fn step(&mut self, sink: &mut dyn FnMut(Record<'_>)) -> io::Result<Progress> {
        if self.ended || self.budget == 0 {
            return Ok(Progress::End);
        }
        let Some(part) = &mut self.open else {
            return self.next_part();
        };
        let wanted = part
            .to
            .map_or(READ_BYTES as u64, |to| to.saturating_sub(part.from));
        let wanted = usize::try_from(wanted)
            .unwrap_or(READ_BYTES)
            .min(READ_BYTES);
        let buffer = self.buffer.get_mut(..wanted).unwrap_or_default();
        let len = part.file.read_at(buffer, part.from)?;
        part.from += len as u64;
        if len == 0 {
            return self.part_is_read();
        }
        let bytes = self.buffer.get(..len).unwrap_or_default();
        let mut filter = Filter {
            query: &self.query,
            budget: &mut self.budget,
            ended: &mut self.ended,
            sink,
        };
        self.lines.split(bytes, |line| {
            if let Some(record) = parse(&mut self.time, line) {
                filter.pass(record);
            }
        });
        Ok(Progress::More)
    }

    fn part_is_read(&mut self) -> io::Result<Progress> {
        let follows = self.query.follow && self.files.is_empty();
        let Some(part) = self.open.as_ref().filter(|_| follows) else {
            self.lines = Lines::default();
            return self.next_part();
        };
        match self.directory.inode(CURRENT)? {
            Some(inode) if inode != part.inode => self.next_after_rotation(part.inode),
            // Between the two steps of a rotation there is no current file for an instant.
            _ => Ok(Progress::CaughtUp),
        }
    }

    fn next_part(&mut self) -> io::Result<Progress> {
        if let Some(part) = self.files.pop_front() {
            self.open = Some(part);
            return Ok(Progress::More);
        }
        if !self.query.follow {
            self.ended = true;
            return Ok(Progress::End);
        }
        // Nothing was there yet.
        match self.directory.read(CURRENT)? {
            Some(file) => {
                self.open = Some(Part::new(file)?);
                Ok(Progress::More)
            }
            None => Ok(Progress::CaughtUp),
        }
    }

    /// The file of this inode is not the current one any more, so it has its final length; goes on
    /// with the one after it once all of it is read.
    fn next_after_rotation(&mut self, inode: u64) -> io::Result<Progress> {
        if let Some(part) = &self.open
            && part.file.metadata()?.len() > part.from
        {
            return Ok(Progress::More);
        }
        for _ in 0..LIST_TRIES_MAX {
            let names = self.directory.rotated()?;
            let mut inodes = Vec::with_capacity(names.len());
            for name in &names {
                inodes.push(self.directory.inode(name)?);
            }
            // If it was removed meanwhile, so was what came before the oldest that is left.
            let ours = inodes.iter().position(|known| *known == Some(inode));
            let next = names.get(ours.map_or(0, |place| place + 1));
            if let Some(file) = self.directory.read(next.map_or(CURRENT, String::as_str))? {
                self.open = Some(Part::new(file)?);
                self.lines = Lines::default();
                return Ok(Progress::More);
            }
        }
        Ok(Progress::CaughtUp)
    }
}

impl Part {
    fn new(file: File) -> io::Result<Self> {
        Ok(Self {
            inode: file.metadata()?.ino(),
            file,
            from: 0,
            to: None,
        })
    }
}

/// Opens what is there, oldest first, each up to its last whole line. The current file is opened
/// before the list is read: if it is in the list, it was rotated in between and is the last of
/// what is wanted.
fn snapshot(directory: &Directory) -> io::Result<VecDeque<Part>> {
    let current = directory.read(CURRENT)?.map(Part::new).transpose()?;
    let mut parts = VecDeque::new();
    for name in directory.rotated()? {
        let Some(part) = directory.read(&name)?.map(Part::new).transpose()? else {
            continue;
        };
        if current
            .as_ref()
            .is_some_and(|current| current.inode == part.inode)
        {
            break;
        }
        parts.push_back(part);
    }
    parts.extend(current);
    for part in &mut parts {
        part.to = Some(whole_lines(&part.file, part.file.metadata()?.len())?);
    }
    Ok(parts)
}

fn keep_last_lines(parts: &mut VecDeque<Part>, mut lines: u64) -> io::Result<()> {
    for index in (0..parts.len()).rev() {
        let Some(part) = parts.get_mut(index) else {
            break;
        };
        match last_lines(&part.file, part.to.unwrap_or(0), lines)? {
            Ok(from) => {
                part.from = from;
                parts.drain(..index);
                break;
            }
            Err(fewer) => lines -= fewer,
        }
    }
    Ok(())
}

/// Decides about each record.
struct Filter<'r> {
    query: &'r LogQuery,
    budget: &'r mut u64,
    ended: &'r mut bool,
    sink: &'r mut dyn FnMut(Record<'_>),
}

impl Filter<'_> {
    fn pass(&mut self, record: Record<'_>) {
        if self.query.until.is_some_and(|until| record.at >= until) {
            *self.ended = true;
        }
        let wanted = !*self.ended
            && *self.budget > 0
            && self.query.since.is_none_or(|since| record.at >= since)
            && self
                .query
                .stream
                .is_none_or(|stream| record.stream == stream);
        if wanted {
            let most = usize::try_from(*self.budget).unwrap_or(usize::MAX);
            let text = record.text.get(..most).unwrap_or(record.text);
            *self.budget -= text.len() as u64;
            (self.sink)(Record { text, ..record });
        }
    }
}

impl Lines {
    /// Gives each line that ends in `bytes` to `line`, with its newline.
    fn split(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (first, rest) = bytes.split_at(end + 1);
            if self.overlong {
                self.overlong = false;
            } else if self.begun.is_empty() {
                line(first);
            } else {
                self.begun.extend_from_slice(first);
                line(&self.begun);
                self.begun.clear();
            }
            bytes = rest;
        }
        if self.begun.len() + bytes.len() > RECORD_LINE_BYTES_MAX {
            self.begun.clear();
            self.overlong = true;
        } else if !self.overlong {
            self.begun.extend_from_slice(bytes);
        }
    }
}
