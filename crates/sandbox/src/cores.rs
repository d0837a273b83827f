//! No cores of processes that hold secrets: what a core shows outlives its process, on a disk or with
//! whatever program the kernel hands it to.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Bytes that a core may have. No file with a core is so small. Where the kernel pipes cores to a
/// program it passes over a limit of none, and takes this one for a program that must not be dumped.
const CORE_BYTES_MAX: u64 = 1;

/// Forbids cores of this process, and of those that it starts unless they are given another limit.
///
/// # Errors
/// The kernel refused.
pub fn forbid() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    let limit = hard.min(CORE_BYTES_MAX);
    Ok(setrlimit(Resource::RLIMIT_CORE, limit, limit)?)
}
