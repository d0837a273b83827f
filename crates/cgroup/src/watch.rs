//! Waiting until a cgroup has no processes.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::hierarchy::Interface;
use crate::{Cgroup, CgroupError};

const POLL_STEP_MIN: Duration = Duration::from_millis(1);
const POLL_STEP_MAX: Duration = Duration::from_millis(16);

/// Waits until nothing is left in `cgroup`, at most until `deadline`. Returns whether it is empty.
///
/// v2 tells when the last process is gone. v1 has no such event (its release agent is a program
/// run by the kernel), so there the lists are read again and again, at growing distance.
pub(crate) fn wait_empty(cgroup: &Cgroup, deadline: Instant) -> Result<bool, CgroupError> {
    match cgroup.hierarchy.interface() {
        Interface::V2 { mount } => {
            let path = mount.join(cgroup.path()).join("cgroup.events");
            match File::open(&path) {
                Ok(events) => wait_event(events, deadline).map_err(|e| CgroupError::read(path, e)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
                Err(error) => Err(CgroupError::read(path, error)),
            }
        }
        Interface::V1 { .. } => wait_polling(cgroup, deadline),
    }
}

fn wait_event(mut events: File, deadline: Instant) -> std::io::Result<bool> {
    let mut text = String::new();
    loop {
        text.clear();
        events.rewind()?;
        match events.read_to_string(&mut text) {
            // The cgroup itself went away while we looked.
            Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => return Ok(true),
            read => read?,
        };
        if crate::parse::keyed(&text, "populated") == Some(0) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let mut watched = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut watched, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn wait_polling(cgroup: &Cgroup, deadline: Instant) -> Result<bool, CgroupError> {
    let mut step = POLL_STEP_MIN;
    while !cgroup.processes()?.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(step.min(left));
        step = (step * 2).min(POLL_STEP_MAX);
    }
    Ok(true)
}
