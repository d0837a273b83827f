//! The container's root, from inside its user and mount namespaces.
//!
//! Nothing is found by a path that the image could bend: what is mounted over is opened below the
//! root, by a look-up that takes the root for `/`, and is then mounted over by its descriptor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs};
use nix::unistd::{chdir, fchdir, pivot_root, symlinkat};

use super::steps::{Step, What};
use crate::keeper::cgroups::{self, Shown};
use crate::keeper::stage::failed;
use crate::protocol::Failure;
use crate::sys::mounts::{self, NewFs};

/// The devices that every container has.
const DEVICES: [&str; 6] = ["null", "zero", "full", "tty", "urandom", "random"];
/// Links in `/dev` that programs expect: name and target.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// What can be read and not be written.
const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY
    | libc::MOUNT_ATTR_NOSUID
    | libc::MOUNT_ATTR_NODEV
    | libc::MOUNT_ATTR_NOEXEC;

/// What the root is to be.
#[derive(Debug)]
pub(super) struct Root {
    /// Where the keeper has mounted the root file system.
    pub(super) path: PathBuf,
    /// Whether it cannot be written to.
    pub(super) read_only: bool,
    /// What is mounted in it, in this order.
    pub(super) steps: Vec<Step>,
    /// What is hidden, if it is there.
    pub(super) masked: Vec<PathBuf>,
    /// What can be read only, if it is there.
    pub(super) guarded: Vec<PathBuf>,
}

impl Root {
    /// Makes it the root of the calling process, which is in a new mount namespace, and shows it
    /// these trees of its cgroup.
    pub(super) fn enter(&self, shown: &[Shown]) -> Result<(), Failure> {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
            .map_err(failed("keep mounts to the container".into()))?;
        let root = self.open()?;
        for step in &self.steps {
            step.take(&root)
                .map_err(failed(format!("mount {}", step.destination.display())))?;
        }
        cgroups::attach(shown, &root)?;
        fill_devices(&root)?;
        for path in &self.guarded {
            guard(&root, path).map_err(failed(format!("guard {}", path.display())))?;
        }
        for path in &self.masked {
            mask(&root, path).map_err(failed(format!("mask {}", path.display())))?;
        }
        if self.read_only {
            mounts::restrict(root.as_fd(), libc::MOUNT_ATTR_RDONLY)
                .map_err(failed("make the root read-only".into()))?;
        }
        change_to(&root).map_err(failed("change the root".into()))
    }

    /// A mount of its own of the root file system: the keeper's cannot be changed from inside.
    fn open(&self) -> Result<OwnedFd, Failure> {
        let step = || failed::<io::Error>("bind the root file system".into());
        let tree = mounts::clone_tree(&self.path).map_err(step())?;
        mounts::attach(tree.as_fd(), &self.path).map_err(step())?;
        Ok(tree)
    }
}

impl Step {
    fn take(&self, root: &OwnedFd) -> io::Result<()> {
        let (tree, more) = match &self.what {
            What::Fs(new) => (new.make()?, 0),
            What::Bind { source, attributes } => (mounts::clone_tree(source)?, *attributes),
        };
        if more != 0 {
            mounts::restrict(tree.as_fd(), more)?;
        }
        let is_dir = is_dir(&tree)?;
        let target = open_or_make(root, &self.destination, is_dir)?;
        if matches!(self.what, What::Bind { .. }) {
            refuse_kernel_files(&target)?;
        }
        mounts::attach_over(tree.as_fd(), target.as_fd())
    }
}

/// A volume, or a link in one, could otherwise show its own files as the kernel's.
fn refuse_kernel_files(target: &OwnedFd) -> io::Result<()> {
    let kind = fstatfs(target)?.filesystem_type();
    if kind == PROC_SUPER_MAGIC || kind == SYSFS_MAGIC {
        let message = "it would cover files of the kernel in /proc or /sys";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

fn is_dir(file: &OwnedFd) -> io::Result<bool> {
    Ok(fstat(file)?.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Opens a path as the container would, whatever links are on the way. What is missing of it is
/// made: directories, and at its end a file unless it `is_dir`.
fn open_or_make(root: &OwnedFd, path: &Path, is_dir: bool) -> io::Result<OwnedFd> {
    match open_in(root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let names: Vec<&Path> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(Path::new(name)),
            _ => None,
        })
        .collect();
    let mut dir = root.try_clone()?;
    let mut whole = PathBuf::new();
    for (index, name) in names.iter().enumerate() {
        whole.push(name);
        let is_last = index + 1 == names.len();
        dir = match open_in(root, &whole) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(&dir, name, is_dir || !is_last)?;
                open_in(root, &whole)?
            }
            opened => opened?,
        };
    }
    Ok(dir)
}

fn open_in(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    Ok(openat2(root, path, how)?)
}

fn make(dir: &OwnedFd, name: &Path, is_dir: bool) -> io::Result<()> {
    let made = if is_dir {
        mkdirat(dir, name, Mode::from_bits_truncate(0o755))
    } else {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(dir, name, flags, Mode::from_bits_truncate(0o644)).map(drop)
    };
    match made {
        Err(Errno::EEXIST) => Ok(()),
        made => Ok(made?),
    }
}

/// `/dev` is the container's own by now. Devices cannot be made in a user namespace, so the host's
/// are shown.
fn fill_devices(root: &OwnedFd) -> Result<(), Failure> {
    let step = |name: &str| failed::<io::Error>(format!("make /dev/{name}"));
    let dev = open_in(root, Path::new("/dev")).map_err(step(""))?;
    for name in DEVICES {
        show_device(&dev, name).map_err(step(name))?;
    }
    let kernel_memory = if_there(root, Path::new("/proc/kcore")).map_err(step("core"))?;
    let core = kernel_memory.map(|_| ("core", "/proc/kcore"));
    for (name, target) in LINKS.into_iter().chain(core) {
        match symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(step(name)(errno.into())),
        }
    }
    Ok(())
}

fn show_device(dev: &OwnedFd, name: &str) -> io::Result<()> {
    let device = mounts::clone_tree(&Path::new("/dev").join(name))?;
    make(dev, Path::new(name), false)?;
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let target = openat(dev, name, flags, Mode::empty())?;
    mounts::attach_over(device.as_fd(), target.as_fd())
}

/// Lets what is at `path` be read and not be written.
fn guard(root: &OwnedFd, path: &Path) -> io::Result<()> {
    let Some(target) = if_there(root, path)? else {
        return Ok(());
    };
    let tree = mounts::clone_tree_at(target.as_fd())?;
    mounts::restrict(tree.as_fd(), READ_ONLY)?;
    mounts::attach_over(tree.as_fd(), target.as_fd())
}

/// Puts nothing where `path` is.
fn mask(root: &OwnedFd, path: &Path) -> io::Result<()> {
    let Some(target) = if_there(root, path)? else {
        return Ok(());
    };
    let nothing = if is_dir(&target)? {
        NewFs {
            kind: c"tmpfs".to_owned(),
            source: c"tmpfs".to_owned(),
            options: vec![(c"ro".to_owned(), None)],
            attributes: libc::MOUNT_ATTR_RDONLY,
        }
        .make()?
    } else {
        mounts::clone_tree(Path::new("/dev/null"))?
    };
    mounts::attach_over(nothing.as_fd(), target.as_fd())
}

fn if_there(root: &OwnedFd, path: &Path) -> io::Result<Option<OwnedFd>> {
    match open_in(root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// From here on nothing of the keeper's file systems can be reached.
fn change_to(root: &OwnedFd) -> io::Result<()> {
    fchdir(root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(chdir("/")?)
}
