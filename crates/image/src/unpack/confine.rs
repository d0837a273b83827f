//! How the unpacker shuts itself in. Afterwards it can read the blob and the socket that it was
//! given and write below one directory, and that is all:
//!
//! 1. Namespaces of its own for user, pid, mount, network, ipc, uts and cgroup. Its ids are mapped
//!    one to one, since layers keep their real ids on disk; so the walls are the next ones.
//! 2. The directory becomes its root; nothing else is mounted.
//! 3. Capabilities over the files of that root, and no others; no new ones by any exec.
//! 4. Landlock, where the kernel has it: files and directories below the root, no network.
//! 5. seccomp, installed last by the caller.

use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, Scope,
};
use nix::sched::CloneFlags;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::CapabilitySet;

use super::fault::LayerFault;

/// Writable private memory: the zstd window, buffers, and what is remembered of directories.
const DATA_BYTES_MAX: u64 = 512 << 20;
/// Address space; the allocator reserves more than it uses.
const ADDRESS_BYTES_MAX: u64 = 2 << 30;
/// Open descriptors.
const DESCRIPTORS_MAX: u64 = 64;

/// What writing a tree with other owners needs, within the user namespace.
const CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETFCAP);

/// Leaves all namespaces. The ids of the new user namespace wait to be mapped by the agent, and
/// the next process to be started is the first of the new pid namespace.
pub(crate) fn leave_namespaces() -> nix::Result<()> {
    nix::sched::unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWCGROUP,
    )
}

/// Makes the working directory the root of a world of its own and gives up all that is not needed
/// there. Returns the root.
pub(crate) fn shut_in(file_bytes_max: u64) -> Result<OwnedFd, LayerFault> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| failed("tie the unpacker to its starter", errno))?;
    nix::unistd::setgroups(&[]).map_err(|errno| failed("drop the groups", errno))?;
    rustix::process::umask(Mode::empty());
    limit(file_bytes_max).map_err(|errno| failed("set the resource limits", errno))?;
    pivot().map_err(|errno| failed("make the directory the root", errno))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty())
        .map_err(|errno| failed("open the root", errno))?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| failed("renounce new privileges", errno))?;
    drop_capabilities().map_err(|errno| failed("drop the capabilities", errno))?;
    restrict(&root).map_err(|error| failed("restrict the files in reach", error))?;
    Ok(root)
}

pub(crate) fn failed(step: &str, error: impl Display) -> LayerFault {
    LayerFault::Confine {
        step: step.to_owned(),
        detail: error.to_string(),
    }
}

fn limit(file_bytes_max: u64) -> Result<(), Errno> {
    for (resource, max) in [
        (Resource::Core, 0),
        (Resource::Data, DATA_BYTES_MAX),
        (Resource::As, ADDRESS_BYTES_MAX),
        (Resource::Nofile, DESCRIPTORS_MAX),
        (Resource::Fsize, file_bytes_max),
    ] {
        let max = rustix::process::getrlimit(resource)
            .maximum
            .map_or(max, |now| now.min(max));
        rustix::process::setrlimit(
            resource,
            Rlimit {
                current: Some(max),
                maximum: Some(max),
            },
        )?;
    }
    Ok(())
}

/// The old root ends up mounted over the new one, at `.`, and is taken off.
fn pivot() -> Result<(), Errno> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let directory = rustix::mount::open_tree(CWD, ".", flags)?;
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(&directory, "", CWD, ".", empty)?;
    rustix::process::fchdir(&directory)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}

fn drop_capabilities() -> Result<(), Errno> {
    for capability in CapabilitySet::all().iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // A capability that this kernel does not know yet.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    let sets = rustix::thread::CapabilitySets {
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)
}

/// Landlock, as far as the kernel goes; the root and the namespaces hold without it.
fn restrict(root: &OwnedFd) -> Result<(), landlock::RulesetError> {
    let abi = ABI::V6;
    let needed: BitFlags<AccessFs> = AccessFs::ReadFile
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::ReadDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::MakeFifo
        | AccessFs::MakeChar
        | AccessFs::Refer;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rule(PathBeneath::new(root.as_fd(), needed))?
        .restrict_self()?;
    Ok(())
}
