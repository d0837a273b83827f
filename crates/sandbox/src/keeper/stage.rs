//! The keeper's mounts: layers, root file systems and volumes, where only its containers see them.
//!
//! Everything is mounted below the stage, a small file system in the keeper's own mount namespace,
//! so no mount can outlive the keeper, and nobody else's mounts make ours slower. Sources that lie
//! elsewhere arrive as detached mounts.
//!
//! ```text
//! /stage/l/<n>            a layer, with ids mapped for the group; mounted once per group
//!       /l/none           an empty directory
//!       /i/<n>            an image as a volume, read-only; mounted once per group
//!       /v/<n>            a volume in memory
//!       /c/<id>/root      a container's root file system
//!       /c/<id>/m<n>      its further mounts, to be bound into it
//!       /c/<id>/bundle    its OCI bundle
//! ```

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use burstlet_model::DeviceNumber;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{STAGE, memory};
use crate::device;
use crate::plan::{IdRange, MountPlan, MountSource, RootfsPlan};
use crate::protocol::{Failure, FailureClass};
use crate::sys::mounts;
use crate::tree::{open_existing_tree, open_tree};

/// How much the stage may hold: OCI bundles and empty directories.
const STAGE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The most bytes that the kernel takes as mount options.
const MOUNT_OPTIONS_BYTES_MAX: usize = 4095;

/// What holds for the mount of a device's node; the device can be read and written all the same.
const NODE: u64 = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;

/// The keeper's stage.
pub(super) struct Stage {
    user: Option<(OwnedFd, IdRange)>,
    layers: HashMap<PathBuf, PathBuf>,
    memories: HashMap<String, PathBuf>,
    images: HashMap<Vec<PathBuf>, PathBuf>,
}

/// What came along for one further mount.
pub(super) enum Brought {
    /// A detached mount.
    Tree(OwnedFd),
    /// The contents of a memory volume's files.
    Files(Vec<OwnedFd>),
    /// Nothing: the keeper finds it.
    Nothing,
}

/// Says which step failed, in an answer's terms.
pub(super) fn failed<E: std::fmt::Display>(step: String) -> impl FnOnce(E) -> Failure {
    move |error| Failure::new(FailureClass::Internal, format!("{step}: {error}"))
}

impl Stage {
    /// Sets the stage up in this process's mount namespace. `user` is the user namespace that
    /// layers are mapped by.
    pub(super) fn set_up(user: Option<(OwnedFd, IdRange)>) -> io::Result<Self> {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let options = format!("mode=0755,size={STAGE_BYTES_MAX}");
        mount(
            Some("stage"),
            STAGE,
            Some("tmpfs"),
            flags,
            Some(options.as_str()),
        )?;
        for dir in ["l", "l/none", "i", "v", "c", "s"] {
            fs::create_dir_all(Path::new(STAGE).join(dir))?;
        }
        Ok(Self {
            user,
            layers: HashMap::new(),
            memories: HashMap::new(),
            images: HashMap::new(),
        })
    }

    /// The directory of one start of a container.
    pub(super) fn dir(id: &str) -> PathBuf {
        Path::new(STAGE).join("c").join(id)
    }

    /// Mounts a root file system for the container `id`.
    pub(super) fn mount_root(&mut self, id: &str, plan: &RootfsPlan) -> Result<PathBuf, Failure> {
        let mut options = format!("volatile,xino=off,lowerdir={}", self.lowers(&plan.lowers)?);
        for (key, path) in [("upperdir", &plan.upper), ("workdir", &plan.work)] {
            let text = path
                .to_str()
                .filter(|text| !text.contains([',', ':', '\\']));
            let text = text.ok_or_else(|| {
                let message = format!("{} cannot be a {key}", path.display());
                Failure::new(FailureClass::Invalid, message)
            })?;
            let _ = write!(options, ",{key}={text}");
        }
        check_length(&options)?;
        forget_earlier_mount(&plan.work);
        let target = Self::dir(id).join("root");
        fs::create_dir_all(&target).map_err(failed("make the root's mount point".into()))?;
        mount(
            Some("overlay"),
            &target,
            Some("overlay"),
            MsFlags::MS_NODEV,
            Some(options.as_str()),
        )
        .map_err(failed(format!(
            "mount the root file system over {}",
            plan.upper.display()
        )))?;
        check_real_directories(&target)?;
        Ok(target)
    }

    /// Layers as overlayfs takes them, top first.
    fn lowers(&mut self, layers: &[PathBuf]) -> Result<String, Failure> {
        let mut text = String::new();
        for (index, layer) in layers.iter().enumerate() {
            let layer = self.layer(layer)?;
            let separator = if index == 0 { "" } else { ":" };
            let _ = write!(text, "{separator}{}", layer.display());
        }
        Ok(text)
    }

    /// A layer with its ids mapped for the group; the same one is mounted once.
    fn layer(&mut self, path: &Path) -> Result<&Path, Failure> {
        if !self.layers.contains_key(path) {
            let step = || failed::<io::Error>(format!("mount layer {}", path.display()));
            let target = Path::new(STAGE)
                .join("l")
                .join(self.layers.len().to_string());
            // An earlier try may have left it.
            fs::create_dir_all(&target).map_err(step())?;
            let tree = mounts::clone_tree(path).map_err(step())?;
            self.attach(&tree, true, &target).map_err(step())?;
            self.layers.insert(path.to_owned(), target);
        }
        self.layers
            .get(path)
            .map(PathBuf::as_path)
            .ok_or_else(|| Failure::new(FailureClass::Internal, "a mounted layer is missing"))
    }

    fn attach(&self, tree: &OwnedFd, idmap: bool, target: &Path) -> io::Result<()> {
        if let Some((user, _)) = self.user.as_ref().filter(|_| idmap) {
            mounts::map_ids(tree.as_fd(), user.as_fd()).map_err(|error| {
                let text = format!("map ids, which its file system may not be able to: {error}");
                io::Error::new(error.kind(), text)
            })?;
        }
        mounts::attach(tree.as_fd(), target)
    }

    /// Stages one further mount of the container `id`.
    pub(super) fn stage(
        &mut self,
        id: &str,
        index: usize,
        plan: &MountPlan,
        brought: &Brought,
    ) -> Result<PathBuf, Failure> {
        let step = || failed::<io::Error>(format!("mount {}", plan.destination.display()));
        let target = Self::dir(id).join(format!("m{index}"));
        let (tree, idmap) = match (&plan.source, brought) {
            (MountSource::Layers { lowers, sub_path }, Brought::Nothing) => {
                let image = self.image(lowers)?;
                (
                    &open_existing_tree(&image, sub_path.as_deref()).map_err(step())?,
                    false,
                )
            }
            (MountSource::Tree { idmap, .. }, Brought::Tree(tree)) => (tree, *idmap),
            (MountSource::Device { number, .. }, Brought::Tree(node)) => {
                (restrict_node(node, *number).map_err(step())?, false)
            }
            (MountSource::LastWords, Brought::Nothing) => {
                return memory::last_words(&target, self.owner()).map_err(step());
            }
            (
                MountSource::Memory {
                    volume, sub_path, ..
                },
                Brought::Files(files),
            ) => {
                let volume = self.memory(volume, &plan.source, files)?;
                let Some(sub_path) = sub_path else {
                    return Ok(volume);
                };
                (&open_tree(&volume, Some(sub_path)).map_err(step())?, false)
            }
            _ => return Err(did_not_come(plan)),
        };
        make_like(tree, &target).map_err(step())?;
        self.attach(tree, idmap, &target).map_err(step())?;
        Ok(target)
    }

    /// What these layers show together, mounted if this is its first use. Without an upper layer
    /// nobody can make the mount writable, whatever they may do in the group. An empty layer at
    /// the bottom lets overlayfs take an image of a single one.
    fn image(&mut self, layers: &[PathBuf]) -> Result<PathBuf, Failure> {
        if let Some(path) = self.images.get(layers) {
            return Ok(path.clone());
        }
        let target = Path::new(STAGE)
            .join("i")
            .join(self.images.len().to_string());
        let options = format!("xino=off,lowerdir={}:{STAGE}/l/none", self.lowers(layers)?);
        check_length(&options)?;
        let step = || format!("mount an image of {} layers", layers.len());
        fs::create_dir_all(&target).map_err(failed(step()))?;
        let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV;
        mount(
            Some("overlay"),
            &target,
            Some("overlay"),
            flags,
            Some(options.as_str()),
        )
        .map_err(failed(step()))?;
        self.images.insert(layers.to_owned(), target.clone());
        Ok(target)
    }

    /// The memory volume of this name, made if this is its first use.
    fn memory(
        &mut self,
        name: &str,
        plan: &MountSource,
        contents: &[OwnedFd],
    ) -> Result<PathBuf, Failure> {
        if let Some(path) = self.memories.get(name) {
            return Ok(path.clone());
        }
        let target = Path::new(STAGE)
            .join("v")
            .join(self.memories.len().to_string());
        memory::make(&target, plan, contents, self.owner())
            .map_err(failed(format!("make the memory volume {name:?}")))?;
        self.memories.insert(name.to_owned(), target.clone());
        Ok(target)
    }

    /// Gives a memory volume these files instead of those that it has; it is made if no container
    /// has mounted it yet, so that the one that does finds them.
    pub(super) fn renew(
        &mut self,
        plan: &MountSource,
        contents: &[OwnedFd],
    ) -> Result<(), Failure> {
        let MountSource::Memory { volume, .. } = plan else {
            let message = "only a memory volume is given files";
            return Err(Failure::new(FailureClass::Invalid, message));
        };
        match self.memories.get(volume) {
            Some(path) => memory::renew(path, plan, contents, self.owner())
                .map_err(failed(format!("write the memory volume {volume:?}"))),
            None => self.memory(volume, plan, contents).map(drop),
        }
    }

    /// The host id of the group's id 0.
    fn owner(&self) -> u32 {
        self.user.as_ref().map_or(0, |(_, range)| range.host_base)
    }

    /// Takes down all that was mounted for the container `id`. What is still in use goes when it
    /// no longer is.
    pub(super) fn strike(id: &str) {
        let dir = Self::dir(id);
        let mounted = fs::read_dir(&dir).into_iter().flatten().flatten();
        for entry in mounted.filter(|entry| entry.file_name() != "bundle") {
            let _ = umount2(&entry.path(), MntFlags::MNT_DETACH);
        }
        let _ = fs::remove_dir_all(&dir);
        let _ = fs::remove_dir_all(Path::new(STAGE).join("s").join(id));
    }
}

fn did_not_come(plan: &MountPlan) -> Failure {
    let place = plan.destination.display();
    let message = format!("what is to be mounted at {place} did not come");
    Failure::new(FailureClass::Invalid, message)
}

fn check_length(options: &str) -> Result<(), Failure> {
    if options.len() > MOUNT_OPTIONS_BYTES_MAX {
        return Err(Failure::new(
            FailureClass::Limit,
            "the image has too many layers",
        ));
    }
    Ok(())
}

/// A volatile overlay leaves a mark, so that nobody trusts its upper layer after a crash of the
/// host. That layer serves one start only, so the mark of a start that failed means nothing.
fn forget_earlier_mount(work: &Path) {
    let _ = fs::remove_dir_all(work.join("work"));
}

/// A mount point is made of the kind of what will be mounted there.
fn make_like(tree: &OwnedFd, target: &Path) -> io::Result<()> {
    let stat = nix::sys::stat::fstat(tree)?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        fs::create_dir_all(target)
    } else {
        fs::File::create(target).map(drop)
    }
}

/// Whoever may use a device must not give it away: its node is the host's.
fn restrict_node(node: &OwnedFd, wanted: DeviceNumber) -> io::Result<&OwnedFd> {
    let found = device::number(node.as_fd())?;
    if found != Some(wanted) {
        let found = found.map_or_else(|| "no device".to_owned(), |found| found.to_string());
        let text = format!("it is {found} by now, and was {wanted}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    mounts::restrict(node.as_fd(), NODE)?;
    Ok(node)
}

/// An image may not put links where the runtime is about to mount: the top layer sees to that, and
/// this makes sure that there was one.
fn check_real_directories(root: &Path) -> Result<(), Failure> {
    for name in ["dev", "proc", "sys"] {
        let path = root.join(name);
        let real = path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir());
        if !real {
            let message = format!("/{name} of the root file system is not a directory");
            return Err(Failure::new(FailureClass::Verification, message));
        }
    }
    Ok(())
}
