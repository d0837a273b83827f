//! Pipes between the agent and a process in a group.

use std::io;
use std::os::fd::OwnedFd;

use burstlet_supervisor::stream::{Reader, Writer};
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid, fchown, pipe2};
use tokio::net::unix::pipe;

/// Who opens the process's end again, by `/dev/stdout` or `/proc/self/fd/1`: host ids.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A pipe that the process writes: our end and its.
pub(super) fn output(owner: Owner) -> io::Result<(Reader, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    give(&write, owner)?;
    Ok((Box::new(pipe::Receiver::from_owned_fd(read)?), write))
}

/// A pipe that the process reads: our end and its.
pub(super) fn input(owner: Owner) -> io::Result<(Writer, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    give(&read, owner)?;
    Ok((Box::new(pipe::Sender::from_owned_fd(write)?), read))
}

fn give(fd: &OwnedFd, owner: Owner) -> io::Result<()> {
    Ok(fchown(
        fd,
        Some(Uid::from_raw(owner.uid)),
        Some(Gid::from_raw(owner.gid)),
    )?)
}
