//! What `ps` shows for a process that was forked and not exec'd.
#![allow(
    unsafe_code,
    reason = "the arguments of a process are plain memory that nobody owns"
)]

use std::fs;

/// Writes `title` over the arguments that this process was executed with. Best effort: without
/// room, or if the kernel tells no address, the old title stays.
pub(crate) fn set(title: &str) {
    let Some((start, end)) = argument_area() else {
        return;
    };
    let Some(room) = end.checked_sub(start).filter(|room| *room > 1) else {
        return;
    };
    let len = title.len().min(room - 1);
    let area = start as *mut u8;
    // SAFETY: the kernel placed the arguments on this process's stack, mapped and writable for the
    // process's life, at the addresses that it tells. The C library and Rust keep pointers into
    // them only to read strings, and the launcher has copied its arguments before.
    unsafe {
        std::ptr::write_bytes(area, 0, room);
        std::ptr::copy_nonoverlapping(title.as_ptr(), area, len);
    }
}

/// The bounds of the arguments in memory: fields 48 and 49 of `/proc/self/stat`.
fn argument_area() -> Option<(usize, usize)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_ascii_whitespace().skip(45);
    let start = fields.next()?.parse().ok()?;
    let end = fields.next()?.parse().ok()?;
    Some((start, end))
}
