//! The cgroups of one agent.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burstlet_model::{ContainerName, GroupUid, MilliCpu};

use crate::hierarchy::Interface;
use crate::{Capabilities, Cgroup, CgroupError, CgroupRoot, Hierarchy, Limits, apply};

/// The leaf of a group's keeper on v2, where a cgroup with children holds no processes. A name
/// with `_` is never a container's.
pub(crate) const KEEPER_LEAF: &str = "_keeper";

/// The cgroups below one root. Cheap to clone; holds no state but names.
#[derive(Clone, Debug)]
pub struct Cgroups {
    hierarchy: Arc<Hierarchy>,
    root: CgroupRoot,
    capabilities: Capabilities,
}

impl Cgroups {
    /// Makes the root if it does not exist and gives it the controllers.
    ///
    /// # Errors
    /// The root cannot be made, or a controller that we need cannot be given to it.
    pub fn open(mut hierarchy: Hierarchy, root: CgroupRoot) -> Result<Self, CgroupError> {
        for mount in hierarchy.mount_points() {
            make_root(mount, &root, hierarchy.is_v2())?;
        }
        let processors = hierarchy.processors();
        if processors.is_some_and(|mount| make_processors(mount, &root).is_err()) {
            // Nothing is limited there: [`Capabilities::processors`] says what is lacking.
            hierarchy = hierarchy.without_processors();
        }
        let capabilities = Capabilities::probe(&hierarchy, root.as_path());
        Ok(Self {
            hierarchy: Arc::new(hierarchy),
            root,
            capabilities,
        })
    }

    /// Gives all groups together their share of the processors beside what else the host runs, in
    /// the measure that groups have among themselves.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn share(&self, request: MilliCpu) -> Result<(), CgroupError> {
        apply::share(&self.cgroup(self.root.as_path().to_owned()), request)
    }

    /// What this host's cgroups can do.
    #[must_use]
    pub const fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The interface in use.
    #[must_use]
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    pub(crate) const fn root(&self) -> &CgroupRoot {
        &self.root
    }

    /// The cgroup of a group, whether or not it exists.
    #[must_use]
    pub fn group(&self, uid: &GroupUid) -> Cgroup {
        self.cgroup(self.root.as_path().join(uid.as_str()))
    }

    /// The cgroup of a container, whether or not it exists.
    #[must_use]
    pub fn container(&self, uid: &GroupUid, name: &ContainerName) -> Cgroup {
        self.cgroup(self.root.as_path().join(uid.as_str()).join(name.as_str()))
    }

    /// The cgroup that a group's keeper belongs in.
    #[must_use]
    pub fn keeper(&self, uid: &GroupUid) -> Cgroup {
        let group = self.root.as_path().join(uid.as_str());
        self.cgroup(if self.hierarchy.is_v2() {
            group.join(KEEPER_LEAF)
        } else {
            group
        })
    }

    /// Makes a group's cgroup, and the keeper's leaf where it has one. If that fails, nothing of
    /// it is left.
    ///
    /// # Errors
    /// [`CgroupError::Exists`] if it is there already: counters must start at zero, so what an
    /// earlier life left has to be removed first. Else what the kernel says.
    pub fn create_group(&self, uid: &GroupUid, limits: &Limits) -> Result<Cgroup, CgroupError> {
        let group = self.group(uid);
        group.make(limits)?;
        if let Interface::V2 { mount } = self.hierarchy.interface() {
            let keeper = mount.join(self.keeper(uid).path());
            let made = enable_controllers(&mount.join(group.path()))
                .and_then(|()| make_directory(&keeper));
            if let Err(error) = made {
                group.unmake();
                return Err(error);
            }
        }
        Ok(group)
    }

    /// Makes a container's leaf in its group's cgroup. If that fails, nothing of it is left.
    ///
    /// # Errors
    /// As [`Self::create_group`].
    pub fn create_container(
        &self,
        uid: &GroupUid,
        name: &ContainerName,
        limits: &Limits,
    ) -> Result<Cgroup, CgroupError> {
        let container = self.container(uid, name);
        container.make(limits)?;
        Ok(container)
    }

    /// A cgroup of our own beside the groups', for a daemon that must not be charged to anyone.
    /// It is made if it does not exist, and has no limits.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn daemon(&self, name: &ContainerName) -> Result<Cgroup, CgroupError> {
        let daemon = self.cgroup(self.root.as_path().join(format!("_{name}")));
        for dir in self.hierarchy.directories(daemon.path()) {
            make_if_absent(&dir)?;
        }
        Ok(daemon)
    }

    /// What a daemon whose processes start containers enters besides its own cgroup: the one that
    /// all groups share, in v1's tree of processors.
    #[must_use]
    pub fn processors_root(&self) -> Option<PathBuf> {
        let mount = self.hierarchy.processors()?;
        Some(mount.join(self.root.as_path()))
    }

    /// The groups that have a cgroup, or a part of one, whoever left it. In order of name.
    ///
    /// # Errors
    /// The root cannot be read.
    pub fn list(&self) -> Result<Vec<GroupUid>, CgroupError> {
        let mut found = BTreeSet::new();
        for dir in self.hierarchy.directories(self.root.as_path()) {
            for name in subdirectories(&dir)? {
                found.extend(GroupUid::new(name.to_string_lossy()).ok());
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Removes the root itself, for an uninstallation. All groups must be gone.
    ///
    /// # Errors
    /// There are groups or processes left.
    pub fn remove_root(&self, patience: std::time::Duration) -> Result<(), CgroupError> {
        if let Some(uid) = self.list()?.first() {
            let group = self.group(uid);
            return Err(CgroupError::Busy {
                processes: group.processes()?.len(),
                path: group.path().to_owned(),
            });
        }
        let root = self.cgroup(self.root.as_path().to_owned());
        let processors = [self.processors_root(), self.own_processors_root()];
        for tree in processors.iter().flatten() {
            root.remove_tree(tree, std::time::Instant::now() + patience)?;
        }
        root.remove(patience)
    }

    fn cgroup(&self, path: PathBuf) -> Cgroup {
        Cgroup::new(Arc::clone(&self.hierarchy), self.capabilities, path)
    }
}

/// Makes the root below `mount`, part by part. On v2 each part must pass the controllers on; on
/// old v1 kernels the first must count for its children.
fn make_root(mount: &Path, root: &CgroupRoot, v2: bool) -> Result<(), CgroupError> {
    let mut dir = mount.to_owned();
    for part in root.as_path() {
        if v2 {
            enable_controllers(&dir)?;
        }
        dir.push(part);
        make_if_absent(&dir)?;
    }
    if v2 {
        return enable_controllers(&dir);
    }
    let hierarchical = dir.join("memory.use_hierarchy");
    match fs::read_to_string(&hierarchical) {
        Ok(value) if value.trim() == "0" => {
            fs::write(&hierarchical, "1").map_err(|e| CgroupError::write(hierarchical, "1", e))
        }
        _ => Ok(()),
    }
}

/// Makes the root below v1's tree of processors. A process can enter it only when it has processors
/// and memory, so each part is given all that the one above it has.
fn make_processors(mount: &Path, root: &CgroupRoot) -> Result<(), CgroupError> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|e| CgroupError::read(path, e));
    let mut dir = mount.to_owned();
    for part in root.as_path() {
        let above = dir.clone();
        dir.push(part);
        make_if_absent(&dir)?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let path = dir.join(file);
            if read(&path)?.trim().is_empty() {
                let all = read(&above.join(file))?;
                fs::write(&path, all.trim()).map_err(|e| CgroupError::write(path, all, e))?;
            }
        }
    }
    Ok(())
}

/// Passes the controllers that we use on to the children of `dir`. Input and output are only
/// counted, so their lack is no error.
fn enable_controllers(dir: &Path) -> Result<(), CgroupError> {
    for (controller, required) in [
        ("cpu", true),
        ("memory", true),
        ("pids", true),
        ("io", false),
    ] {
        match enable_controller(controller, dir) {
            Err(error) if required => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Passes one controller on to the children of `dir`.
pub(crate) fn enable_controller(controller: &'static str, dir: &Path) -> Result<(), CgroupError> {
    let path = dir.join("cgroup.subtree_control");
    let written = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| io::Write::write_all(&mut file, format!("+{controller}").as_bytes()));
    written.map_err(|source| CgroupError::Enable {
        controller,
        path,
        source,
    })
}

pub(crate) fn make_directory(dir: &Path) -> Result<(), CgroupError> {
    fs::create_dir(dir).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CgroupError::Exists(dir.to_owned()),
        _ => CgroupError::Make {
            path: dir.to_owned(),
            source,
        },
    })
}

pub(crate) fn make_if_absent(dir: &Path) -> Result<(), CgroupError> {
    match make_directory(dir) {
        Err(CgroupError::Exists(_)) => Ok(()),
        made => made,
    }
}

/// The names of the child cgroups of `dir`; none if it does not exist.
pub(crate) fn subdirectories(dir: &Path) -> Result<Vec<std::ffi::OsString>, CgroupError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CgroupError::read(dir, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| CgroupError::read(dir, e))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.push(entry.file_name());
        }
    }
    Ok(names)
}
