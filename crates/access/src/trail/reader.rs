//! The trail for who reads it while it is written: its lines in their order, from any place on, over
//! the ends of files.
//!
//! A file is held open until its end is read, so that it is read to its end though its name is
//! another's by then. Lines that have gone with the oldest file are not there; the numbers of those
//! that are left say so.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use super::chain::{Head, Place, hash, place};
use super::verify::open_all;
use super::{TrailConfig, TrailError};

/// Bytes that are read at once. A line that is longer is none of the trail's.
const CHUNK_BYTES: usize = 1 << 20;

/// A line of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number and hash.
    pub head: Head,
    /// What it says: a JSON object.
    pub text: Vec<u8>,
}

/// Reads on from where it was.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    files_max: u8,
    /// The number of the last line that was read.
    last: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    inode: u64,
    /// Where the next line begins.
    offset: u64,
}

impl Reader {
    /// Reads what comes after a line's number, 0 for all.
    #[must_use]
    pub fn after(trail: &TrailConfig, seq: u64) -> Self {
        Self {
            dir: trail.dir.clone(),
            files_max: trail.files_max,
            last: seq,
            open: None,
        }
    }

    /// Reads what comes after a line that was read before, also if that one is gone by now. `None` if
    /// the trail has never had that line: it is another. Blocks.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn behind(trail: &TrailConfig, kept: Head) -> Result<Option<Self>, TrailError> {
        let Some(before) = kept.seq.checked_sub(1) else {
            return Ok(Some(Self::after(trail, 0)));
        };
        let mut reader = Self::after(trail, before);
        let next = reader.read(1)?.pop().map(|line| line.head);
        Ok(match next {
            Some(head) if head == kept => Some(reader),
            Some(head) if head.seq > kept.seq => Some(Self::after(trail, kept.seq)),
            _ => None,
        })
    }

    /// The number of the last line that was read.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The next lines, at most so many; none if there are no more yet. Blocks.
    ///
    /// # Errors
    /// A file cannot be read. Nothing is passed over: reading goes on where it was.
    pub fn read(&mut self, lines_max: usize) -> Result<Vec<Line>, TrailError> {
        if let Some(mut open) = self.open.take() {
            let lines = open.lines(self.last, lines_max)?;
            self.open = Some(open);
            if !lines.is_empty() {
                return Ok(self.pass(lines));
            }
        }
        for mut open in self.candidates()? {
            let lines = open.lines(self.last, lines_max)?;
            if !lines.is_empty() {
                self.open = Some(open);
                return Ok(self.pass(lines));
            }
        }
        Ok(Vec::new())
    }

    fn pass(&mut self, lines: Vec<Line>) -> Vec<Line> {
        self.last = lines.last().map_or(self.last, |line| line.head.seq);
        lines
    }

    /// The files in which the next line may be, the oldest first: all from the last one on that begins
    /// before it, but for the one that was read to its end.
    fn candidates(&self) -> Result<Vec<Open>, TrailError> {
        let mut files = Vec::new();
        for (path, file) in open_all(&self.dir, self.files_max)? {
            files.push(Open::new(path, file)?);
        }
        let mut begins = Vec::with_capacity(files.len());
        for open in &mut files {
            begins.push(open.first()?.is_some_and(|seq| seq <= self.last + 1));
        }
        let from = begins.iter().rposition(|is_before| *is_before).unwrap_or(0);
        let read = self.open.as_ref().map(|open| open.inode);
        let files = files.into_iter().skip(from);
        Ok(files.filter(|open| Some(open.inode) != read).collect())
    }
}

impl Open {
    fn new(path: PathBuf, file: File) -> Result<Self, TrailError> {
        let inode = match file.metadata() {
            Ok(metadata) => metadata.ino(),
            Err(source) => return Err(TrailError::Read { path, source }),
        };
        Ok(Self {
            path,
            file,
            inode,
            offset: 0,
        })
    }

    /// The number of the file's first line that has one; the place does not move.
    fn first(&mut self) -> Result<Option<u64>, TrailError> {
        let first = self.lines(0, 1)?.pop();
        self.offset = 0;
        Ok(first.map(|line| line.head.seq))
    }

    /// The next lines whose numbers are greater than `last`, if there are any in what is left.
    fn lines(&mut self, last: u64, lines_max: usize) -> Result<Vec<Line>, TrailError> {
        let mut lines = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        while lines.is_empty() {
            let length = self.fill(&mut chunk)?;
            let mut taken = 0;
            for piece in chunk[..length].split_inclusive(|byte| *byte == b'\n') {
                let Some(text) = piece.strip_suffix(b"\n") else {
                    break;
                };
                if lines.len() == lines_max {
                    break;
                }
                taken += piece.len();
                lines.extend(line(text).filter(|line| line.head.seq > last));
            }
            // What has no end in so many bytes is passed over.
            if taken == 0 && length == CHUNK_BYTES {
                taken = length;
            }
            self.offset += taken as u64;
            if taken == 0 {
                break;
            }
        }
        Ok(lines)
    }

    /// Reads at the place until the chunk is full or the file ends.
    fn fill(&self, chunk: &mut [u8]) -> Result<usize, TrailError> {
        let mut length = 0;
        while length < chunk.len() {
            let at = self.offset + length as u64;
            match self.file.read_at(&mut chunk[length..], at) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(source) if source.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let path = self.path.clone();
                    return Err(TrailError::Read { path, source });
                }
            }
        }
        Ok(length)
    }
}

/// A line that has a place in the trail.
fn line(text: &[u8]) -> Option<Line> {
    let Place::Tied { seq, .. } = place(text) else {
        return None;
    };
    let head = Head {
        seq,
        hash: hash(text),
    };
    let text = text.to_vec();
    Some(Line { head, text })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
