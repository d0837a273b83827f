//! What a container is shown of its own cgroup: trees that came along with its plan, where its spec
//! has a mount of kind `cgroup`.
//!
//! ```text
//! v2   /sys/fs/cgroup               the container's cgroup
//!
//! v1   /sys/fs/cgroup               a small file system, and in it
//!       ├ memory, pids, cpu,cpuacct   the container's cgroup in each tree
//!       └ cpu, cpuacct                links, where controllers share a tree
//! ```
//!
//! The trees stay detached until they are in the container. On the stage libcontainer would find
//! them, take them for the host's, and look there for a cgroup to enter and for processes to kill;
//! and what it makes itself of such a mount is writable on v1.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Pid, symlinkat};
use oci_spec::runtime::Mount;

use super::stage::failed;
use crate::plan::ShownCgroup;
use crate::protocol::{Failure, FailureClass};
use crate::sys::mounts::{self, NewFs};

/// The kind of the mount in a spec.
const KIND: &str = "cgroup";
/// What holds for each tree.
const ALWAYS: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;

/// What a spec's mount of cgroups asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Where, as the container sees it.
    pub(super) destination: PathBuf,
    /// Whether nothing there can be written.
    pub(super) read_only: bool,
}

/// A detached mount, and where it goes.
pub(super) struct Shown {
    destination: PathBuf,
    tree: OwnedFd,
}

impl Wish {
    /// Takes the wish out of a spec's mounts, if it is there. Pure.
    ///
    /// # Errors
    /// There are several, or one says what is not known here.
    pub(super) fn take(mounts: &mut Vec<Mount>) -> Result<Option<Self>, Failure> {
        let is_of_cgroups = |mount: &mut Mount| mount.typ().as_deref() == Some(KIND);
        let taken: Vec<Mount> = mounts.extract_if(.., is_of_cgroups).collect();
        match taken.as_slice() {
            [] => Ok(None),
            [one] => Self::read(one).map(Some),
            _ => Err(invalid("cgroups are mounted once")),
        }
    }

    fn read(mount: &Mount) -> Result<Self, Failure> {
        let mut read_only = false;
        for option in mount.options().iter().flatten() {
            match option.as_str() {
                "ro" => read_only = true,
                // The first is said by saying nothing, the others hold anyway.
                "rw" | "nosuid" | "nodev" | "noexec" | "relatime" => {}
                other => return Err(invalid(&format!("{other:?} is no option of cgroups"))),
            }
        }
        Ok(Self {
            destination: mount.destination().clone(),
            read_only,
        })
    }
}

/// What is to be mounted for a wish, each after what it lies in.
///
/// # Errors
/// What came along does not fit together, or a mount cannot be made or changed.
pub(super) fn prepare(
    wish: Option<&Wish>,
    came: Vec<(ShownCgroup, OwnedFd)>,
) -> Result<Vec<Shown>, Failure> {
    let Some(wish) = wish else {
        return Ok(Vec::new());
    };
    let step = || failed::<io::Error>("prepare what is shown of the cgroup".into());
    let alone = matches!(came.as_slice(), [(only, _)] if only.name.is_none());
    let mut all = Vec::with_capacity(came.len() + 1);
    if !alone {
        check_names(&came)?;
        all.push(Shown {
            destination: wish.destination.clone(),
            tree: make_top(&came, wish).map_err(step())?,
        });
    }
    for (shown, tree) in came {
        let read_only = wish.read_only || shown.read_only;
        mounts::seal(tree.as_fd(), attributes(read_only)).map_err(step())?;
        let destination = match shown.name {
            Some(name) => wish.destination.join(name),
            None => wish.destination.clone(),
        };
        all.push(Shown { destination, tree });
    }
    Ok(all)
}

/// Attaches them below `root`, where their places are real directories.
pub(super) fn attach(all: &[Shown], root: &OwnedFd) -> Result<(), Failure> {
    for shown in all {
        let place = shown.destination.display();
        attach_one(shown, root).map_err(failed(format!("show the cgroup at {place}")))?;
    }
    Ok(())
}

/// Attaches them in the mount namespace of the process `pid`, which waits, and comes back.
pub(super) fn attach_in(all: &[Shown], pid: Pid) -> Result<(), Failure> {
    if all.is_empty() {
        return Ok(());
    }
    let step = || failed("show the cgroup in the container".into());
    let own = File::open("/proc/self/ns/mnt").map_err(step())?;
    let theirs = File::open(format!("/proc/{pid}/ns/mnt")).map_err(step())?;
    let join = |namespace: &File| {
        setns(namespace, CloneFlags::CLONE_NEWNS)
            .map_err(io::Error::from)
            .map_err(step())
    };
    join(&theirs)?;
    let attached = File::open("/")
        .map_err(step())
        .and_then(|root| attach(all, &root.into()));
    join(&own)?;
    attached
}

fn invalid(what: &str) -> Failure {
    Failure::new(
        FailureClass::Invalid,
        format!("the plan is refused: {what}"),
    )
}

const fn attributes(read_only: bool) -> u64 {
    if read_only {
        ALWAYS | libc::MOUNT_ATTR_RDONLY
    } else {
        ALWAYS
    }
}

/// Each is to be a directory or link in the small file system.
fn check_names(came: &[(ShownCgroup, OwnedFd)]) -> Result<(), Failure> {
    if came.is_empty() {
        return Err(invalid("no cgroup came along that could be shown"));
    }
    for (shown, _) in came {
        let name = shown.name.as_ref();
        let name = name.ok_or_else(|| invalid("one of several trees of a cgroup has no name"))?;
        let plain = |name: &String| {
            let mut parts = Path::new(name).components();
            matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none()
        };
        if ![name].into_iter().chain(&shown.links).all(plain) {
            return Err(invalid(&format!(
                "{name:?} and its links are not all names"
            )));
        }
    }
    Ok(())
}

/// The file system that the trees lie in.
fn make_top(came: &[(ShownCgroup, OwnedFd)], wish: &Wish) -> io::Result<OwnedFd> {
    let option =
        |name: &std::ffi::CStr, value: &std::ffi::CStr| (name.to_owned(), Some(value.to_owned()));
    let top = NewFs {
        kind: c"tmpfs".to_owned(),
        source: c"tmpfs".to_owned(),
        options: vec![option(c"mode", c"755"), option(c"size", c"4k")],
        attributes: ALWAYS,
    }
    .make()?;
    for (shown, _) in came {
        let name = shown.name.as_deref().unwrap_or_default();
        mkdirat(&top, name, Mode::from_bits_truncate(0o755))?;
        for link in &shown.links {
            symlinkat(name, &top, link.as_str())?;
        }
    }
    mounts::seal(top.as_fd(), attributes(wish.read_only))?;
    Ok(top)
}

fn attach_one(shown: &Shown, root: &OwnedFd) -> io::Result<()> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let place = openat2(root, &shown.destination, how)?;
    mounts::attach_over(shown.tree.as_fd(), place.as_fd())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use oci_spec::runtime::MountBuilder;

    use super::*;
    use crate::plan::Outside;

    fn mount(kind: &str, options: &[&str]) -> Mount {
        MountBuilder::default()
            .destination("/sys/fs/cgroup")
            .typ(kind)
            .source(kind)
            .options(options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
            .build()
            .unwrap()
    }

    #[test]
    fn a_wish_is_taken_out_of_the_mounts() {
        let mut mounts = vec![
            mount("sysfs", &["ro"]),
            mount("cgroup", &["nosuid", "nodev", "noexec", "ro"]),
        ];
        let wish = Wish::take(&mut mounts).unwrap().unwrap();
        assert_eq!(wish.destination, Path::new("/sys/fs/cgroup"));
        assert!(wish.read_only);
        assert_eq!(mounts, [mount("sysfs", &["ro"])]);
        assert_eq!(Wish::take(&mut mounts).unwrap(), None);
        let writable = Wish::take(&mut vec![mount("cgroup", &["rw"])]).unwrap();
        assert!(!writable.unwrap().read_only);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for mut mounts in [
            vec![mount("cgroup", &["ro", "suid"])],
            vec![mount("cgroup", &["ro"]), mount("cgroup", &["ro"])],
        ] {
            let failure = Wish::take(&mut mounts).unwrap_err();
            assert_eq!(failure.class, FailureClass::Invalid);
        }
    }

    #[test]
    fn trees_must_fit_together() {
        let tree = |name: Option<&str>, link: &str| {
            let shown = ShownCgroup {
                name: name.map(str::to_owned),
                links: vec![link.to_owned()],
                read_only: false,
                directory: Outside::Passed(0),
            };
            (shown, OwnedFd::from(File::open("/").unwrap()))
        };
        assert!(
            check_names(&[tree(Some("cpu,cpuacct"), "cpu"), tree(Some("memory"), "m")]).is_ok()
        );
        for came in [
            vec![],
            vec![tree(Some("memory"), "m"), tree(None, "n")],
            vec![tree(Some(".."), "up")],
            vec![tree(Some("a/b"), "c")],
            vec![tree(Some("a"), "/b")],
            vec![tree(Some(""), "b")],
        ] {
            assert!(check_names(&came).is_err());
        }
    }
}
