//! The lines that the suite reads.

use std::fmt::{Debug, Display};
use std::io;

use nix::errno::Errno;

/// Says what was tried for a row, and what was seen.
pub(crate) fn saw(row: &str, tried: &str, seen: impl Display) {
    println!("{row}\t{tried}\t{seen}");
}

/// How a call ended: `done`, or the name of its error.
pub(crate) fn outcome<T, E: Named>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => error.name(),
    }
}

/// Some words as one, `none` if there are none.
pub(crate) fn list<T: AsRef<str>>(words: &[T]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.join(" ") {
        none if none.is_empty() => "none".to_owned(),
        some => some,
    }
}

/// An error with a name that is the same on every C library.
pub(crate) trait Named: Debug {
    /// As `EPERM`.
    fn name(&self) -> String;
}

impl Named for Errno {
    fn name(&self) -> String {
        format!("{self:?}")
    }
}

impl Named for io::Error {
    fn name(&self) -> String {
        match self.raw_os_error() {
            Some(number) => Errno::from_raw(number).name(),
            None => format!("{:?}", self.kind()),
        }
    }
}
