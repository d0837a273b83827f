//! Where a container's output is kept: the log writer, as a plan describes it.

use std::io;

use burstlet_model::WallTime;

use crate::logs::{LogPlan, LogWriter, Stream};
use crate::plan::LogTarget;

/// The log of one start of a container.
pub(super) struct Journal(LogWriter);

impl Journal {
    /// Opens the log that a plan asks for.
    pub(super) fn open(target: &LogTarget) -> io::Result<Self> {
        let LogTarget {
            dir,
            bytes_max,
            files_max,
        } = target.clone();
        LogWriter::open(&LogPlan {
            dir,
            bytes_max,
            files_max,
        })
        .map(Self)
    }

    /// Writes what was read. A full disk loses log lines, which the writer counts; it must never
    /// stop the container.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8], now: WallTime) {
        let _ = self.0.push(stream, bytes, now);
    }

    /// Gives memory back that a burst took.
    pub(super) fn rest(&mut self) {
        self.0.shrink();
    }

    /// Completes the log.
    pub(super) fn finish(&mut self, now: WallTime) {
        let _ = self.0.finish(now);
    }
}
