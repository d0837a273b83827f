//! The launcher's mount namespace: the little that keepers need, and nothing else of the host.
//!
//! ```text
//! /            an empty file system, read-only
//! ├ proc, sys  the host's, without what is mounted below them, so that a group's user namespace
//! │            may mount its own
//! ├ sys/fs/cgroup   nothing: libcontainer finds no cgroup to wait for or to kill
//! ├ dev        the host's devices
//! ├ stage      where each keeper mounts its own
//! └ the run and state directories, at their usual paths
//! ```
//!
//! Host mounts are neither copied nor pinned by a group, and the time of a start does not grow
//! with their number.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root};

use super::{Options, StartError, step};
use crate::keeper::STAGE;

const NOTHING: Option<&str> = None;

/// Moves this process into a mount namespace of its own.
pub(super) fn enter(options: &Options) -> Result<(), StartError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(step("make a mount namespace"))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NOTHING, "/", NOTHING, private, NOTHING).map_err(step("keep mounts to the launcher"))?;
    let root = options.run_dir.join("root");
    fs::create_dir_all(&root).map_err(step("make the new root's mount point"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("launcher"),
        &root,
        Some("tmpfs"),
        flags,
        Some("mode=0755,size=64k"),
    )
    .map_err(step("mount the new root"))?;
    let kernel = ["/proc", "/sys", "/dev"].map(|path| (Path::new(path), false));
    // The new root is inside the run directory, which must not show it inside itself.
    let mut ours = [
        (options.run_dir.as_path(), false),
        (options.state_dir.as_path(), true),
    ];
    // One may lie in the other, and would be hidden if it came first.
    ours.sort_by_key(|(path, _)| path.components().count());
    for (path, deep) in kernel.into_iter().chain(ours) {
        bind(path, &in_root(&root, path), deep)
            .map_err(step(format!("bind {}", path.display())))?;
    }
    hide_cgroups(&root).map_err(step("hide the cgroups"))?;
    fs::create_dir(in_root(&root, Path::new(STAGE))).map_err(step("make the stage"))?;
    pivot(&root).map_err(step("change the root"))
}

fn in_root(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn bind(from: &Path, to: &Path, deep: bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut flags = MsFlags::MS_BIND;
    flags.set(MsFlags::MS_REC, deep);
    Ok(mount(Some(from), to, NOTHING, flags, NOTHING)?)
}

fn hide_cgroups(root: &Path) -> io::Result<()> {
    let target = in_root(root, Path::new("/sys/fs/cgroup"));
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    Ok(mount(
        Some("nothing"),
        &target,
        Some("tmpfs"),
        flags,
        Some("size=4k,mode=0555"),
    )?)
}

fn pivot(root: &Path) -> io::Result<()> {
    chdir(root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    let flags = flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    Ok(mount(NOTHING, "/", NOTHING, flags, NOTHING)?)
}
