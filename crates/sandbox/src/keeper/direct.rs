//! Our own way to make a container of the common shape: its own user, process and mount
//! namespaces, file systems, devices, masked paths and streams, and nothing special. It does what
//! libcontainer does for such a spec, with one fork and a thousand system calls fewer. Whatever is
//! not known here goes libcontainer's way; both end in the same last steps and the same
//! verification, and the suite compares what a program sees after either.
//!
//! ```text
//! keeper ── fork ──► maker   in the container's cgroup; limits; the group's namespaces
//!                      └─ fork ──► process  (the keeper's child, first of its process namespace)
//!                                  root, streams, ids, last steps
//! ```

mod root;
mod steps;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, setsid};
use oci_spec::runtime::{Linux, Process, Spec};

use self::root::Root;
use super::bundle::Bundle;
use super::cgroups::Shown;
use super::finish::{Finish, Word};
use super::join::{self, Identity};
use super::stage::failed;
use super::starter::{Entry, Streams, settle};
use crate::protocol::{Failure, FailureClass};
use crate::sys::process::{Fork, ForkOptions, fork};

/// One container to make.
pub(super) struct Job<'a> {
    /// Its root, by [`plan`].
    pub(super) plan: Plan,
    /// The group's namespaces, the user namespace first.
    pub(super) namespaces: Vec<(BorrowedFd<'a>, CloneFlags)>,
    /// What it is shown of its cgroup.
    pub(super) shown: Vec<Shown>,
    /// The container's end of its streams.
    pub(super) streams: Streams,
    /// The last steps.
    pub(super) finish: Finish,
}

/// What is made, if it is of the common shape.
pub(super) struct Plan {
    root: Root,
    process: Process,
    oom_score_adj: Option<i32>,
}

/// What a bundle asks for, or `None` if any of it is not known here. Pure.
pub(super) fn plan(bundle: &Bundle) -> Option<Plan> {
    let Bundle {
        spec,
        process,
        oom_score_adj,
        cgroups: _,
    } = bundle;
    let linux = spec.linux().as_ref()?;
    if !is_plain(spec) || !is_plain_linux(linux) || !is_plain_process(process) {
        return None;
    }
    let root = spec.root().as_ref()?;
    let mounts = spec.mounts().iter().flatten();
    let paths = |list: &Option<Vec<String>>| list.iter().flatten().map(PathBuf::from).collect();
    Some(Plan {
        root: Root {
            path: root.path().clone(),
            read_only: root.readonly() == Some(true),
            steps: mounts.map(steps::step).collect::<Option<_>>()?,
            masked: paths(linux.masked_paths()),
            guarded: paths(linux.readonly_paths()),
        },
        process: process.clone(),
        oom_score_adj: *oom_score_adj,
    })
}

fn is_plain(spec: &Spec) -> bool {
    spec.hooks().is_none()
        && spec.hostname().is_none()
        && spec.domainname().is_none()
        && spec.solaris().is_none()
        && spec.windows().is_none()
        && spec.vm().is_none()
}

fn is_plain_linux(linux: &Linux) -> bool {
    linux.resources().is_none()
        && linux.seccomp().is_none()
        && linux.cgroups_path().is_none()
        && linux.sysctl().is_none()
        && linux.uid_mappings().is_none()
        && linux.gid_mappings().is_none()
        && linux.devices().as_ref().is_none_or(Vec::is_empty)
        && linux.net_devices().is_none()
        && linux.mount_label().is_none()
        && linux.intel_rdt().is_none()
        && linux.memory_policy().is_none()
        && linux.personality().is_none()
        && linux.time_offsets().is_none()
        && matches!(
            linux.rootfs_propagation().as_deref(),
            None | Some("private")
        )
}

fn is_plain_process(process: &Process) -> bool {
    process.terminal() != Some(true)
        && process.apparmor_profile().is_none()
        && process.selinux_label().is_none()
        && process.io_priority().is_none()
        && process.scheduler().is_none()
        && process.exec_cpu_affinity().is_none()
        && process.command_line().is_none()
}

/// Forks the maker of a container.
///
/// # Errors
/// The fork failed. Anything later is said on the channel.
pub(super) fn start(job: &Job<'_>, entry: &Entry) -> io::Result<Pid> {
    match fork(&entry.fork_options())? {
        Fork::Parent(pid) => Ok(pid),
        Fork::Child => {
            if let Err(failure) = make(job, entry) {
                job.finish.channel.say(&Word::Failed(failure));
            }
            std::process::exit(0)
        }
    }
}

fn make(job: &Job<'_>, entry: &Entry) -> Result<(), Failure> {
    // From here on processes of the group could reach for this one, whose memory is the keeper's.
    prctl::set_dumpable(false).map_err(failed("hide from the group".into()))?;
    settle(entry, &job.finish, job.plan.oom_score_adj)?;
    join::set_limits(&job.plan.process)?;
    for (namespace, kind) in &job.namespaces {
        setns(namespace, *kind).map_err(failed(format!("join {kind:?} of the group")))?;
    }
    let new = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP;
    let options = ForkOptions {
        namespaces: new.bits(),
        sibling: true,
        ..ForkOptions::default()
    };
    match fork(&options).map_err(failed("fork in the group".into()))? {
        Fork::Parent(_) => Ok(()),
        Fork::Child => {
            let failure = match become_container(job) {
                Ok(()) => job.finish.run(&job.plan.process),
                Err(failure) => {
                    job.finish.channel.say(&Word::Failed(failure.clone()));
                    failure
                }
            };
            let missing = failure.class == FailureClass::CommandNotFound;
            std::process::exit(if missing { 127 } else { 126 })
        }
    }
}

fn become_container(job: &Job<'_>) -> Result<(), Failure> {
    setsid().map_err(failed("begin a session".into()))?;
    join::become_root_inside()?;
    umask(Mode::from_bits_truncate(0o022));
    job.plan.root.enter(&job.shown)?;
    let identity = Identity {
        process: &job.plan.process,
        streams: &job.streams,
        finish: &job.finish,
    };
    identity.take()
}
