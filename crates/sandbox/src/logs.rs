//! The log of one start of a container: written by its keeper, read by the agent.
//!
//! A log is a directory of its own with the file being written and the ones rotated away, each in
//! the format that Kubernetes' log readers and collectors know (CRI):
//!
//! ```text
//! output.log.20261121-120000.000000001   rotated, named by the time, so names sort by age
//! output.log                             2026-11-21T12:00:01.000000002Z stdout F a whole line
//!                                        2026-11-21T12:00:01.000000003Z stderr P a part of a line
//! ```
//!
//! What a stream wrote is got back byte for byte by joining its records: `F` ends with a newline
//! that was there, `P` does not. Output that ends without a newline is a last `P`.
//!
//! [`LogWriter`] is for a process with one thread and little memory: it knows no runtime, makes
//! one write of each buffer it is given, and a failing disk only makes it count what it drops.
//! [`LogReader`] reads the whole set in order and follows it over rotations; [`LogStream`] is the
//! same for tokio. The records' text never passes through a path or a format that it could
//! influence, and no link is followed.

mod clock_text;
mod files;
mod reader;
mod record;
mod stream;
mod tail;
mod writer;

pub use files::CURRENT as CURRENT_FILE;
pub use reader::{LogError, LogQuery, LogReader, Progress};
pub use record::{RECORD_BYTES_MAX, Record, Stream};
pub use stream::{LogStream, OwnedRecord};
pub use writer::{Dropped, FILE_BYTES_MIN, LogPlan, LogWriter};

#[cfg(test)]
mod tests;
