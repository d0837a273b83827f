//! The log's lines: output into records and back. Pure.

use burstlet_model::WallTime;
use memchr::memchr;

use super::clock_text::{TIME_BYTES, TimeReader, TimeWriter};

/// The most text of one record; a longer line is split into parts.
pub const RECORD_BYTES_MAX: usize = 16 * 1024;

/// A record with all that is before and after its text.
pub(super) const RECORD_LINE_BYTES_MAX: usize = RECORD_BYTES_MAX + HEADER_BYTES + 1;

/// `<time> stdout F `.
const HEADER_BYTES: usize = TIME_BYTES + 10;
const TAG_PLACE: usize = HEADER_BYTES - 2;

/// One of a container's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output; all output of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line, or a part of a long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'l> {
    /// When it was read from the container.
    pub at: WallTime,
    /// Which stream it came by.
    pub stream: Stream,
    /// The text; with its newline if the line ends here.
    pub text: &'l [u8],
}

/// Makes records of what a container writes. Holds back the begun line of each stream, so that a
/// line which comes in pieces is one record.
#[derive(Debug, Default)]
pub(super) struct RecordWriter {
    time: TimeWriter,
    begun: [Vec<u8>; 2],
}

impl Stream {
    const fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }

    const fn label(self) -> [u8; 6] {
        match self {
            Self::Stdout => *b"stdout",
            Self::Stderr => *b"stderr",
        }
    }
}

impl RecordWriter {
    /// Appends records of `bytes` to `out` until `out` has `enough` or the bytes are used up; what
    /// is left stays in `bytes`. `out` grows beyond `enough` by less than a record.
    pub(super) fn fill(
        &mut self,
        stream: Stream,
        bytes: &mut &[u8],
        now: WallTime,
        out: &mut Vec<u8>,
        enough: usize,
    ) {
        let header = header(&mut self.time, stream, now);
        let Some(begun) = self.begun.get_mut(stream.index()) else {
            return;
        };
        while !bytes.is_empty() && out.len() < enough {
            let room = RECORD_BYTES_MAX.saturating_sub(begun.len());
            let (within, beyond) = bytes.split_at(room.min(bytes.len()));
            if let Some(end) = memchr(b'\n', within) {
                let (text, rest) = bytes.split_at(end);
                append(out, &header, b'F', begun, text);
                *bytes = rest.get(1..).unwrap_or_default();
            } else if within.len() == room {
                append(out, &header, b'P', begun, within);
                *bytes = beyond;
            } else {
                begun.extend_from_slice(within);
                *bytes = beyond;
            }
        }
    }

    /// Appends the begun lines as parts: there will be no more.
    pub(super) fn finish(&mut self, now: WallTime, out: &mut Vec<u8>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let header = header(&mut self.time, stream, now);
            if let Some(begun) = self.begun.get_mut(stream.index())
                && !begun.is_empty()
            {
                append(out, &header, b'P', begun, &[]);
            }
        }
    }

    /// Gives back memory that nothing is held in.
    pub(super) fn shrink(&mut self) {
        self.begun.iter_mut().for_each(Vec::shrink_to_fit);
    }
}

fn header(time: &mut TimeWriter, stream: Stream, now: WallTime) -> [u8; HEADER_BYTES] {
    let mut header = [b' '; HEADER_BYTES];
    let (at, rest) = header.split_at_mut(TIME_BYTES);
    at.copy_from_slice(&time.text(now));
    if let Some(label) = rest.get_mut(1..7) {
        label.copy_from_slice(&stream.label());
    }
    header
}

fn append(
    out: &mut Vec<u8>,
    header: &[u8; HEADER_BYTES],
    tag: u8,
    begun: &mut Vec<u8>,
    text: &[u8],
) {
    let mut header = *header;
    if let Some(place) = header.get_mut(TAG_PLACE) {
        *place = tag;
    }
    out.reserve(HEADER_BYTES + begun.len() + text.len() + 1);
    out.extend_from_slice(&header);
    out.extend_from_slice(begun);
    out.extend_from_slice(text);
    out.push(b'\n');
    begun.clear();
}

/// Reads one line of a log file, given with its newline. `None` if it is no record: a disk that
/// was full can leave the beginning of one.
pub(super) fn parse<'l>(time: &mut TimeReader, line: &'l [u8]) -> Option<Record<'l>> {
    let (at, rest) = line.split_first_chunk::<TIME_BYTES>()?;
    let at = time.time(at)?;
    let (stream, rest) = if let Some(rest) = rest.strip_prefix(b" stdout ") {
        (Stream::Stdout, rest)
    } else {
        (Stream::Stderr, rest.strip_prefix(b" stderr ")?)
    };
    let text = match rest.split_first_chunk::<2>()? {
        (b"F ", text) => text,
        (b"P ", text) => text.strip_suffix(b"\n")?,
        _ => return None,
    };
    Some(Record { at, stream, text })
}
