use std::collections::VecDeque;
use std::future::pending;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use crate::backend::Writer;

/// Bytes of input that wait for a process, before its client is read no more.
pub(super) const STDIN_BYTES_MAX: usize = 256 << 10;

/// Pieces of it, as each may hold more memory than its bytes.
const PIECES_MAX: usize = 256;

/// The input of a process, and what it has not read yet.
pub(super) struct Stdin {
    /// Nothing when it is closed, by either side.
    writer: Option<Writer>,
    waiting: VecDeque<Bytes>,
    bytes: usize,
    unflushed: bool,
    ended: bool,
}

impl Stdin {
    pub(super) fn new(writer: Option<Writer>) -> Self {
        Self {
            writer,
            waiting: VecDeque::new(),
            bytes: 0,
            unflushed: false,
            ended: false,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes < STDIN_BYTES_MAX && self.waiting.len() < PIECES_MAX
    }

    pub(super) fn has_work(&self) -> bool {
        self.writer.is_some() && (self.unflushed || !self.waiting.is_empty())
    }

    /// Goes nowhere when the process reads no more.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.writer.is_some() && !self.ended {
            self.bytes += bytes.len();
            self.waiting.push_back(bytes);
        }
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
        self.close_when_written();
    }

    /// Writes something of what waits. Cancel-safe: what was written is taken off at once.
    pub(super) async fn write(&mut self) {
        let Some(writer) = &mut self.writer else {
            return pending().await;
        };
        let is_good = match self.waiting.front_mut() {
            Some(first) => {
                let written = writer.write_buf(first).await.unwrap_or(0);
                self.unflushed = true;
                self.bytes -= written;
                if first.is_empty() {
                    self.waiting.pop_front();
                }
                written > 0
            }
            None => {
                let flushed = writer.flush().await;
                self.unflushed = false;
                flushed.is_ok()
            }
        };
        if !is_good {
            // The process has closed it.
            self.writer = None;
            self.waiting = VecDeque::new();
            self.bytes = 0;
        }
        self.close_when_written();
    }

    fn close_when_written(&mut self) {
        if self.ended && self.waiting.is_empty() && !self.unflushed {
            self.writer = None;
        }
    }
}
