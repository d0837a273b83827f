//! The writing side: one process, one thread, whatever the container does.
//!
//! ```text
//!                    ┌────────── fits ───────────┐
//! push ► records ► buffer ► would pass bytes_max ► rename, remove the oldest, new file ► write
//!                              │ any step fails: what is in the buffer is counted as dropped
//! ```

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use burstlet_model::WallTime;

use super::clock_text::TimeWriter;
use super::files::{CURRENT, Directory};
use super::record::{RECORD_LINE_BYTES_MAX, RecordWriter, Stream};

/// The smallest size at which a file is rotated: several of the largest records fit.
pub const FILE_BYTES_MIN: u64 = 4 * RECORD_LINE_BYTES_MAX as u64;

/// How much is gathered for one write.
const WRITE_BYTES: usize = 128 * 1024;

/// Where a log is written and how large it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPlan {
    /// The log's own directory; it is made if it does not exist, its parent is not.
    pub dir: PathBuf,
    /// No file gets larger. Less than [`FILE_BYTES_MIN`] counts as that.
    pub bytes_max: u64,
    /// How many files are kept, the one being written included; at least one.
    pub files_max: u32,
}

/// What could not be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Bytes of the log, not of the output.
    pub bytes: u64,
    /// How many writes failed.
    pub writes: u64,
}

/// Writes the log of one start of a container.
#[derive(Debug)]
pub struct LogWriter {
    directory: Directory,
    file: File,
    /// The length of `file` up to the last whole record.
    len: u64,
    /// Part of a record is behind `len` and could not be cut off.
    torn: bool,
    bytes_max: u64,
    /// The rotated files that are kept, oldest first.
    rotated: VecDeque<String>,
    rotated_max: usize,
    records: RecordWriter,
    buffer: Vec<u8>,
    dropped: Dropped,
    /// The last time written. Times in a file never go back, whatever the clock does.
    last: WallTime,
    last_rotation: WallTime,
}

impl LogWriter {
    /// Opens the log, to append to it if it exists.
    ///
    /// # Errors
    /// The directory or file cannot be made, or a link is in their place.
    pub fn open(plan: &LogPlan) -> io::Result<Self> {
        let directory = Directory::make(&plan.dir)?;
        let file = directory.append(false)?;
        let len = file.metadata()?.len();
        Ok(Self {
            rotated: directory.rotated()?.into(),
            rotated_max: usize::try_from(plan.files_max.saturating_sub(1)).unwrap_or(usize::MAX),
            bytes_max: plan.bytes_max.max(FILE_BYTES_MIN),
            // What an earlier writer may have left unfinished must not swallow the first record.
            torn: len > 0,
            directory,
            file,
            len,
            records: RecordWriter::default(),
            buffer: Vec::new(),
            dropped: Dropped::default(),
            last: WallTime(i64::MIN),
            last_rotation: WallTime(i64::MIN),
        })
    }

    /// Writes what the container wrote to `stream`, read at `now`. A begun line is kept until its
    /// end comes. Call it with as much as there is: each call makes one write, or one for each
    /// 128 KiB.
    ///
    /// # Errors
    /// A write failed, a full disk for one: that part of the output is lost and counted (see
    /// [`Self::dropped`]), the rest is written if it can be, and the log stays readable. The writer
    /// can be used as before, and should be: the container must not stop for its log.
    pub fn push(&mut self, stream: Stream, bytes: &[u8], now: WallTime) -> io::Result<()> {
        let now = self.forward(now);
        let enough = WRITE_BYTES.min(usize::try_from(self.bytes_max / 2).unwrap_or(usize::MAX));
        let mut left = bytes;
        let mut result = Ok(());
        while !left.is_empty() {
            self.records
                .fill(stream, &mut left, now, &mut self.buffer, enough);
            result = result.and(self.flush(now));
        }
        result
    }

    /// Writes the begun lines: the container has ended.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(&mut self, now: WallTime) -> io::Result<()> {
        let now = self.forward(now);
        self.records.finish(now, &mut self.buffer);
        self.flush(now)
    }

    /// Gives back the memory that the last output needed. For a container that has been silent
    /// for a while.
    pub fn shrink(&mut self) {
        self.buffer = Vec::new();
        self.records.shrink();
    }

    /// What could not be written so far.
    #[must_use]
    pub const fn dropped(&self) -> Dropped {
        self.dropped
    }

    fn forward(&mut self, now: WallTime) -> WallTime {
        self.last = self.last.max(now);
        self.last
    }

    fn flush(&mut self, now: WallTime) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.write_buffer(now);
        if written.is_err() {
            self.dropped.writes += 1;
            self.dropped.bytes += self.buffer.len() as u64;
        }
        self.buffer.clear();
        written
    }

    fn write_buffer(&mut self, now: WallTime) -> io::Result<()> {
        let wanted = self.buffer.len() as u64 + u64::from(self.torn);
        if self.len > 0 && self.len + wanted > self.bytes_max {
            self.rotate(now)?;
        }
        if self.torn {
            self.file.write_all(b"\n")?;
            self.len += 1;
            self.torn = false;
        }
        match self.file.write_all(&self.buffer) {
            Ok(()) => {
                self.len += self.buffer.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Records that were half written are taken back; failing that, the next write
                // begins with a newline, and readers skip what is no record.
                self.torn = self.file.set_len(self.len).is_err();
                Err(error)
            }
        }
    }

    /// Makes room first, so that there are never more files than allowed.
    fn rotate(&mut self, now: WallTime) -> io::Result<()> {
        while self.rotated.len() >= self.rotated_max.max(1) {
            if let Some(oldest) = self.rotated.front() {
                self.directory.remove(oldest)?;
            }
            self.rotated.pop_front();
        }
        if self.rotated_max == 0 {
            self.file.set_len(0)?;
        } else {
            let at = now.max(WallTime(self.last_rotation.0.saturating_add(1)));
            let name = Directory::rotated_name(&TimeWriter::default().file_text(at));
            self.directory.rename(CURRENT, &name)?;
            match self.directory.append(true) {
                Ok(file) => self.file = file,
                Err(error) => {
                    self.directory.rename(&name, CURRENT)?;
                    return Err(error);
                }
            }
            self.rotated.push_back(name);
            self.last_rotation = at;
        }
        self.len = 0;
        self.torn = false;
        self.last = now;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::fs;

    fn writer(dir: &tempfile::TempDir, files_max: u32) -> LogWriter {
        LogWriter::open(&LogPlan {
            dir: dir.path().join("log"),
            bytes_max: FILE_BYTES_MIN,
            files_max,
        })
        .unwrap()
    }

    fn current(dir: &tempfile::TempDir) -> String {
        fs::read_to_string(dir.path().join("log").join(CURRENT)).unwrap()
    }

    #[test]
    fn the_format_is_the_one_that_collectors_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(&dir, 2);
        log.push(Stream::Stdout, b"one\ntw", WallTime(1)).unwrap();
        log.push(Stream::Stderr, b"err\n", WallTime(2)).unwrap();
        log.push(Stream::Stdout, b"o\n\nend", WallTime(3)).unwrap();
        log.finish(WallTime(4)).unwrap();
        assert_eq!(
            current(&dir),
            "1970-01-01T00:00:00.000000001Z stdout F one\n\
             1970-01-01T00:00:00.000000002Z stderr F err\n\
             1970-01-01T00:00:00.000000003Z stdout F two\n\
             1970-01-01T00:00:00.000000003Z stdout F \n\
             1970-01-01T00:00:00.000000004Z stdout P end\n"
        );
    }

    #[test]
    fn time_does_not_go_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(&dir, 2);
        log.push(Stream::Stdout, b"a\n", WallTime(9)).unwrap();
        log.push(Stream::Stdout, b"b\n", WallTime(4)).unwrap();
        assert_eq!(current(&dir).matches("00.000000009Z").count(), 2);
    }

    #[test]
    fn disk_use_is_bounded_in_size_and_number() {
        for files_max in [0, 1, 2, 5] {
            let dir = tempfile::tempdir().unwrap();
            let mut log = writer(&dir, files_max);
            for turn in 0..40 {
                log.push(Stream::Stdout, &[b'x'; 30_000], WallTime(turn))
                    .unwrap();
            }
            let sizes: Vec<u64> = fs::read_dir(dir.path().join("log"))
                .unwrap()
                .map(|entry| entry.unwrap().metadata().unwrap().len())
                .collect();
            assert_eq!(sizes.len(), files_max.max(1) as usize, "{sizes:?}");
            assert!(sizes.iter().all(|len| *len <= FILE_BYTES_MIN), "{sizes:?}");
        }
    }

    #[test]
    fn a_full_disk_drops_and_counts() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(&dir, 2);
        log.push(Stream::Stdout, b"before\n", WallTime(1)).unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let disk = std::mem::replace(&mut log.file, full);
        let error = log
            .push(Stream::Stdout, b"lost\n", WallTime(2))
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        assert_eq!(
            log.dropped(),
            Dropped {
                bytes: 45,
                writes: 1
            }
        );
        log.file = disk;
        log.push(Stream::Stdout, b"after\n", WallTime(3)).unwrap();
        let text = current(&dir);
        assert!(
            text.contains("F before\n\n") && text.ends_with("F after\n"),
            "{text}"
        );
        assert!(!text.contains("lost"));
    }

    #[test]
    fn links_are_not_followed_and_modes_are_tight() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        fs::create_dir(dir.path().join("log")).unwrap();
        symlink(&target, dir.path().join("log").join(CURRENT)).unwrap();
        let plan = LogPlan {
            dir: dir.path().join("log"),
            bytes_max: 0,
            files_max: 1,
        };
        assert!(LogWriter::open(&plan).is_err());
        assert!(!target.exists());
        symlink(dir.path().join("log"), dir.path().join("alias")).unwrap();
        let alias = LogPlan {
            dir: dir.path().join("alias"),
            ..plan.clone()
        };
        assert!(LogWriter::open(&alias).is_err());

        let fresh = LogPlan {
            dir: dir.path().join("fresh"),
            ..plan
        };
        LogWriter::open(&fresh).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(fresh.dir.clone()), 0o700);
        assert_eq!(mode(fresh.dir.join(CURRENT)), 0o600);
    }
}
