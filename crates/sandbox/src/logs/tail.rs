//! Where the last lines of a log begin.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::{memrchr, memrchr_iter};

const BLOCK_BYTES: usize = 64 * 1024;

/// The end of the last whole line within the first `len` bytes.
pub(super) fn whole_lines(file: &File, len: u64) -> io::Result<u64> {
    let mut end = None;
    backwards(file, len, |from, block| {
        end = memrchr(b'\n', block).map(|place| from + place as u64 + 1);
        end.is_none()
    })?;
    Ok(end.unwrap_or(0))
}

/// Looks for the place where the last `lines` lines of the first `len` bytes begin; these must end
/// with a newline, if there are any. If there are fewer lines, gives how many.
pub(super) fn last_lines(file: &File, len: u64, lines: u64) -> io::Result<Result<u64, u64>> {
    if lines == 0 {
        return Ok(Ok(len));
    }
    let mut newlines = 0;
    let mut start = None;
    backwards(file, len, |from, block| {
        for place in memrchr_iter(b'\n', block) {
            if newlines == lines {
                start = Some(from + place as u64 + 1);
                return false;
            }
            newlines += 1;
        }
        true
    })?;
    // The lines begin behind the newline before them, or at the very beginning.
    Ok(match start {
        Some(start) => Ok(start),
        None if newlines == lines => Ok(0),
        None => Err(newlines),
    })
}

/// Gives the first `len` bytes to `visit` in blocks from the end, each with its place, until it
/// says that it has enough.
fn backwards(file: &File, len: u64, mut visit: impl FnMut(u64, &[u8]) -> bool) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut end = len;
    while end > 0 {
        let from = end.saturating_sub(BLOCK_BYTES as u64);
        let block_len = usize::try_from(end - from).unwrap_or(BLOCK_BYTES);
        let block = buffer.get_mut(..block_len).unwrap_or_default();
        file.read_exact_at(block, from)?;
        if !visit(from, block) {
            break;
        }
        end = from;
    }
    Ok(())
}
