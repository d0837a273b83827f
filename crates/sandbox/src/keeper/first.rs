//! The first process of a process namespace that the containers of a group share.
//!
//! It does nothing but reap. It is forked from the keeper before any container's plan has arrived,
//! so there is no secret in its memory; it sees no file (its root is an empty, read-only file
//! system), has no capability, no descriptor, and cannot be traced from inside: its memory belongs
//! to the host's user namespace and is not dumpable.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{chdir, pivot_root, setsid};

use super::{STAGE, capabilities};
use crate::sys::{process, title};
use crate::verify::CapabilitySets;

/// Runs as the first process, for ever.
pub(super) fn run() -> ! {
    let error = match shed_everything().and_then(|()| reap()) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    eprintln!("be the first process of a group: {error}");
    std::process::exit(1)
}

fn shed_everything() -> io::Result<()> {
    prctl::set_dumpable(false)?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    title::set("burstlet-init");
    let _ = prctl::set_name(c"burstlet-init");
    setsid()?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let root = Path::new(STAGE);
    mount(
        Some("empty"),
        root,
        Some("tmpfs"),
        flags,
        Some("size=4k,nr_inodes=2,mode=0555"),
    )?;
    chdir(root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    prctl::set_no_new_privs()?;
    capabilities::apply(CapabilitySets::default()).map_err(io::Error::other)?;
    process::close_fds(0, u32::MAX, false)
}

fn reap() -> io::Result<Infallible> {
    let signals = SigSet::all();
    signals.thread_set_mask()?;
    loop {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
        signals.wait()?;
    }
}
