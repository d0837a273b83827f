//! Whether a trail is as it was written. An agent may write to it meanwhile: a line that is not
//! finished is not there yet.
//!
//! What cannot be seen by the lines alone is that the last ones are gone, or that all were written anew
//! from one on: that takes a head that was kept elsewhere. The first lines may be gone because files
//! beyond the configured number go; the number of the first that is left says so.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::TrailError;
use super::chain::{Hash, Head, Place, hash, place};
use super::file::paths;

/// Faults that are told; a trail that was replaced has one in each line.
const FAULTS_MAX: usize = 100;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Lines that are tied to each other.
    pub tied: u64,
    /// The number of the first of them; nothing if there is none.
    pub first: Option<u64>,
    /// The last of them.
    pub head: Head,
    /// Lines that an agent's end has cut.
    pub torn: u64,
    /// Lines before the first that is tied, by agents that did not tie lines together.
    pub untied: u64,
    /// What is not as it was written, the first hundred.
    pub faults: Vec<Fault>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name, and the line's number in it; nothing for the trail as a whole.
    pub at: Option<(String, u64)>,
    /// What it is.
    pub wrong: Wrong,
}

/// What can be wrong with a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The line before this one is not the one that was there when it was written.
    #[error("the line before this one was changed, or lines between the two are gone")]
    Before,
    /// Numbers do not follow each other.
    #[error("line {0} was expected")]
    Number(u64),
    /// It says nothing of its place, though lines before it do.
    #[error("the line has no place in the trail")]
    Untied,
    /// Another line than the one that was published.
    #[error("line {} is not the one whose head was kept", .0.seq)]
    Other(Head),
    /// The trail does not reach so far.
    #[error("the trail does not reach line {}, whose head was kept", .0.seq)]
    Ended(Head),
    /// The trail does not begin so early.
    #[error("line {}, whose head was kept, is not there any more", .0.seq)]
    Gone(Head),
}

impl Verified {
    /// Whether nothing was changed as far as can be told.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((file, line)) = &self.at {
            write!(f, "{file}:{line}: ")?;
        }
        self.wrong.fmt(f)
    }
}

/// Looks at a trail of so many files at most. It must have passed through `heads`. Blocks.
///
/// # Errors
/// A file cannot be read.
pub fn verify(dir: &Path, files_max: u8, heads: &[Head]) -> Result<Verified, TrailError> {
    let mut walk = Walk::new(heads);
    for (path, mut file) in open_all(dir, files_max)? {
        let mut text = Vec::new();
        file.read_to_end(&mut text)
            .map_err(|source| TrailError::Read {
                path: path.clone(),
                source,
            })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let finished = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        let lines = text[..finished].split(|byte| *byte == b'\n');
        for (number, line) in (1..).zip(lines).filter(|(_, line)| !line.is_empty()) {
            walk.step(line, &name, number);
        }
    }
    Ok(walk.end())
}

/// The files, the oldest first. The newest is opened first: should the agent turn to the next file
/// meanwhile, one is seen twice and none is missed.
pub(super) fn open_all(dir: &Path, files_max: u8) -> Result<Vec<(PathBuf, File)>, TrailError> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for path in paths(dir, files_max) {
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.ino(), file)));
        match opened {
            Ok((inode, file)) if seen.insert(inode) => found.push((path, file)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(TrailError::Read { path, source }),
        }
    }
    found.reverse();
    Ok(found)
}

/// Goes over the lines in their order.
struct Walk<'a> {
    heads: &'a [Head],
    found: Verified,
    /// The hash of the line before, whatever it said.
    last: Option<Hash>,
}

impl<'a> Walk<'a> {
    fn new(heads: &'a [Head]) -> Self {
        Self {
            heads,
            found: Verified::default(),
            last: None,
        }
    }

    fn step(&mut self, line: &[u8], file: &str, number: u64) {
        let own = hash(line);
        let at = || Some((file.to_owned(), number));
        match place(line) {
            Place::Tied { seq, prev } => {
                for wrong in self.wrongs(seq, prev, own) {
                    self.tell(Fault { at: at(), wrong });
                }
                self.found.tied += 1;
                self.found.first.get_or_insert(seq);
                self.found.head = Head { seq, hash: own };
            }
            Place::Untied if self.found.tied == 0 => self.found.untied += 1,
            Place::Untied => self.tell(Fault {
                at: at(),
                wrong: Wrong::Untied,
            }),
            Place::Torn => self.found.torn += 1,
        }
        self.last = Some(own);
    }

    /// What is wrong with a line that says that it has this number and comes after this one.
    fn wrongs(&self, seq: u64, prev: Hash, own: Hash) -> Vec<Wrong> {
        let mut wrongs = Vec::new();
        let is_first = self.found.first.is_none();
        // What comes before the very first line is nothing; before the first that is left, anything.
        let expected = match (self.last, seq) {
            (Some(last), _) => Some(last),
            (None, 1) => Some(Hash::default()),
            (None, _) => None,
        };
        if expected.is_some_and(|expected| expected != prev) {
            wrongs.push(Wrong::Before);
        }
        let next = self.found.head.seq.saturating_add(1);
        if !is_first && seq != next {
            wrongs.push(Wrong::Number(next));
        }
        let kept = self.heads.iter().find(|head| head.seq == seq);
        wrongs.extend(
            kept.filter(|head| head.hash != own)
                .map(|head| Wrong::Other(*head)),
        );
        wrongs
    }

    fn end(mut self) -> Verified {
        let (first, last) = (self.found.first.unwrap_or(1), self.found.head.seq);
        for head in self.heads {
            let wrong = match head.seq {
                seq if seq > last => Wrong::Ended(*head),
                seq if seq < first => Wrong::Gone(*head),
                _ => continue,
            };
            self.tell(Fault { at: None, wrong });
        }
        self.found
    }

    fn tell(&mut self, fault: Fault) {
        if self.found.faults.len() < FAULTS_MAX {
            self.found.faults.push(fault);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
