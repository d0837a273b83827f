//! The memory of another process, by each way that there is to read it.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::report::{outcome, saw};

/// Tries to read a byte at an address, in decimal, of a process.
pub(crate) fn peek(process: &str, address: &str) -> io::Result<()> {
    let wrong = |_| io::Error::other(format!("{process:?} and {address:?} name no byte"));
    let pid: i32 = process.parse().map_err(wrong)?;
    let at: u64 = address.parse().map_err(wrong)?;
    saw("memory", "file", outcome(by_file(pid, at)));
    saw("memory", "call", outcome(by_call(pid, at)));
    Ok(())
}

fn by_file(pid: i32, at: u64) -> io::Result<()> {
    File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut [0], at)
}

fn by_call(pid: i32, at: u64) -> io::Result<()> {
    let mut byte = [0];
    let there = RemoteIoVec {
        base: usize::try_from(at).map_err(io::Error::other)?,
        len: byte.len(),
    };
    let here = &mut [IoSliceMut::new(&mut byte)];
    match process_vm_readv(Pid::from_raw(pid), here, &[there])? {
        1 => Ok(()),
        count => Err(io::Error::other(format!("{count} bytes"))),
    }
}
