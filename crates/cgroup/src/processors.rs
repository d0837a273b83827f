//! Processors that a group has alone, and those that all others share, in the kernel's cpusets.
//!
//! ```text
//! v1   <cpuset>/<root>            what is shared: launcher, keepers and all that comes of them
//!      <cpuset>/<root>+own/<uid>  what a group has alone: its keeper is put there
//! v2   <mount>/<root>/<uid>       either; empty is all that there is
//!      <mount>/<root>/<uid>/_keeper   the same once more if the group has it alone
//! ```
//!
//! What the kernel holds is the only record of it: it comes and goes with the group's processes, and the
//! next agent reads there who has what. On v2 every group has a set, so the keeper's leaf tells the two
//! kinds apart.
//!
//! Nothing is moved: v1's processes are born where they belong, and v2's are in their group anyway.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burstlet_model::{ErrorKind, GroupUid, ProcessorSet};

use crate::cgroups::{KEEPER_LEAF, enable_controller, make_if_absent, subdirectories};
use crate::hierarchy::Interface;
use crate::{CgroupError, Cgroups};

const CPUS: &str = "cpuset.cpus";
/// No process can be put where there is no memory.
const MEMS: &str = "cpuset.mems";
/// The kernel's word for the controller.
const CONTROLLER: &str = "cpuset";
/// No root of an agent can end like this.
const OWN_SUFFIX: &str = "+own";

/// Who runs where, below one root. Cheap to clone; holds no state but names.
#[derive(Clone, Debug)]
pub struct Processors {
    cgroups: Cgroups,
    tree: Tree,
}

#[derive(Clone, Debug)]
enum Tree {
    V1 { shared: PathBuf, own: PathBuf },
    V2 { root: PathBuf },
}

impl Cgroups {
    /// Sees to it that processors can be given out.
    ///
    /// # Errors
    /// The host has no controller for it, or it cannot be given to our root.
    pub fn processors(&self) -> Result<Processors, CgroupError> {
        let tree = self
            .processor_tree()
            .ok_or_else(|| CgroupError::Missing(vec![CONTROLLER]))?;
        match &tree {
            Tree::V1 { shared, own } => {
                make_if_absent(own)?;
                for file in [CPUS, MEMS] {
                    copy_once(&shared.join(file), &own.join(file))?;
                }
            }
            Tree::V2 { root } => {
                let parts = self.root().as_path().components().count();
                let path: Vec<&Path> = root.ancestors().take(parts + 1).collect();
                for dir in path.into_iter().rev() {
                    enable_controller(CONTROLLER, dir)?;
                }
            }
        }
        let cgroups = self.clone();
        Ok(Processors { cgroups, tree })
    }

    /// The same if an earlier agent has done so: somebody may have processors alone.
    #[must_use]
    pub fn processors_left(&self) -> Option<Processors> {
        let tree = self.processor_tree()?;
        let is_left = match &tree {
            Tree::V1 { own, .. } => read(&own.join(CPUS)).is_ok_and(|all| !all.is_empty()),
            Tree::V2 { root } => {
                let passed_on = fs::read_to_string(root.join("cgroup.subtree_control"));
                let passed_on = passed_on.unwrap_or_default();
                passed_on.split_whitespace().any(|name| name == CONTROLLER)
            }
        };
        let cgroups = self.clone();
        is_left.then_some(Processors { cgroups, tree })
    }

    /// Where v1 has those that groups have alone.
    pub(crate) fn own_processors_root(&self) -> Option<PathBuf> {
        match self.processor_tree()? {
            Tree::V1 { own, .. } => Some(own),
            Tree::V2 { .. } => None,
        }
    }

    /// Where v1 has what the group of the container at `path` has alone, if it has any.
    pub(crate) fn own_processors(&self, path: &Path) -> Option<PathBuf> {
        let group = path.parent()?.file_name()?;
        let own = self.own_processors_root()?.join(group);
        own.exists().then_some(own)
    }

    fn processor_tree(&self) -> Option<Tree> {
        let root = self.root().as_path();
        match self.hierarchy().interface() {
            Interface::V2 { mount } => Some(Tree::V2 {
                root: mount.join(root),
            }),
            Interface::V1 { processors, .. } => {
                let shared = processors.as_ref()?.join(root);
                let mut own = shared.clone().into_os_string();
                own.push(OWN_SUFFIX);
                let own = own.into();
                Some(Tree::V1 { shared, own })
            }
        }
    }
}

impl Processors {
    /// All that our root had when processors were first given out.
    ///
    /// # Errors
    /// A control file cannot be read.
    pub fn all(&self) -> Result<ProcessorSet, CgroupError> {
        match &self.tree {
            Tree::V1 { own, .. } => {
                read(&own.join("cpuset.effective_cpus")).or_else(|_| read(&own.join(CPUS)))
            }
            Tree::V2 { root } => read(&root.join("cpuset.cpus.effective")),
        }
    }

    /// The groups that have processors alone. Those of v1 that have no other cgroup any more are gone,
    /// but for a directory.
    ///
    /// # Errors
    /// A control file cannot be read.
    pub fn owners(&self) -> Result<BTreeMap<GroupUid, ProcessorSet>, CgroupError> {
        let (dir, leaf) = match &self.tree {
            Tree::V1 { own, .. } => (own, ""),
            Tree::V2 { root } => (root, KEEPER_LEAF),
        };
        let mut owners = BTreeMap::new();
        for (uid, dir) in groups(dir)? {
            let own = read_if_present(&dir.join(leaf).join(CPUS))?;
            if !own.is_empty() {
                owners.insert(uid, own);
            }
        }
        Ok(owners)
    }

    /// Gives a group, whose cgroup must exist, these alone. They must be nobody else's.
    ///
    /// # Errors
    /// What the kernel says; then the group may have a part of it, until [`Self::take_back`].
    pub fn give(&self, uid: &GroupUid, own: &ProcessorSet) -> Result<(), CgroupError> {
        match &self.tree {
            Tree::V1 { own: all, .. } => {
                let dir = all.join(uid.as_str());
                make_if_absent(&dir)?;
                copy_once(&all.join(MEMS), &dir.join(MEMS))?;
                write(&dir.join(CPUS), &own.to_string())
            }
            Tree::V2 { root } => {
                let dir = root.join(uid.as_str());
                enable_controller(CONTROLLER, &dir)?;
                write(&dir.join(KEEPER_LEAF).join(CPUS), &own.to_string())?;
                write(&dir.join(CPUS), &own.to_string())
            }
        }
    }

    /// Takes from a group that is gone what it had alone. Waits up to `patience` for processes that
    /// are ending; what there is not is taken already.
    ///
    /// # Errors
    /// Processes are left. It is safe to ask again.
    pub fn take_back(&self, uid: &GroupUid, patience: Duration) -> Result<(), CgroupError> {
        let Tree::V1 { own, .. } = &self.tree else {
            // It went with the group's cgroup.
            return Ok(());
        };
        let group = self.cgroups.group(uid);
        group.remove_tree(&own.join(uid.as_str()), Instant::now() + patience)
    }

    /// Lets all who have nothing alone run on these, which is everybody but `owners`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn share<'o>(
        &self,
        shared: &Shared,
        owners: impl Iterator<Item = &'o GroupUid>,
    ) -> Result<(), CgroupError> {
        let dir = match &self.tree {
            Tree::V1 { shared: dir, .. } => return write(&dir.join(CPUS), &shared.all.to_string()),
            Tree::V2 { root } => root,
        };
        let owners: Vec<&str> = owners.map(GroupUid::as_str).collect();
        for name in subdirectories(dir)? {
            let path = dir.join(&name).join(CPUS);
            // Who was never told of any runs on all; who was cannot be told of none again.
            let runs_anywhere = !shared.is_less && read_if_present(&path)?.is_empty();
            if !runs_anywhere && !owners.iter().any(|owner| name == *owner) {
                gone_is_fine(write(&path, &shared.all.to_string()))?;
            }
        }
        Ok(())
    }

    /// Lets a new group run on what is shared.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn share_with(&self, uid: &GroupUid, shared: &Shared) -> Result<(), CgroupError> {
        match &self.tree {
            Tree::V2 { root } if shared.is_less => {
                write(&root.join(uid.as_str()).join(CPUS), &shared.all.to_string())
            }
            // It is born of the launcher, and where that is.
            _ => Ok(()),
        }
    }

    /// What the process that a group's others come from joins beside its cgroup, if the group has
    /// processors alone.
    #[must_use]
    pub fn tasks(&self, uid: &GroupUid) -> Option<PathBuf> {
        let Tree::V1 { own, .. } = &self.tree else {
            return None;
        };
        let dir = own.join(uid.as_str());
        dir.exists().then(|| dir.join("tasks"))
    }

    /// Puts this process, with all its threads, where what is shared is, if that is a place of its own.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn join_shared(&self) -> Result<(), CgroupError> {
        match &self.tree {
            Tree::V1 { shared, .. } => write(&shared.join("cgroup.procs"), "0"),
            Tree::V2 { .. } => Ok(()),
        }
    }
}

/// What is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    all: ProcessorSet,
    is_less: bool,
}

impl Shared {
    /// These, of `all` that there are.
    #[must_use]
    pub fn new(these: ProcessorSet, all: &ProcessorSet) -> Self {
        let is_less = these != *all;
        Self {
            all: these,
            is_less,
        }
    }
}

/// The groups that have a directory in `dir`.
fn groups(dir: &Path) -> Result<Vec<(GroupUid, PathBuf)>, CgroupError> {
    let names = subdirectories(dir)?.into_iter();
    let groups = names.filter_map(|name| {
        let uid = GroupUid::new(name.to_string_lossy()).ok()?;
        Some((uid, dir.join(name)))
    });
    Ok(groups.collect())
}

fn read(path: &Path) -> Result<ProcessorSet, CgroupError> {
    let text = fs::read_to_string(path).map_err(|e| CgroupError::read(path, e))?;
    text.parse().map_err(|_| CgroupError::Content {
        path: path.to_owned(),
        field: "list of processors",
    })
}

fn read_if_present(path: &Path) -> Result<ProcessorSet, CgroupError> {
    match read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(ProcessorSet::default()),
        read => read,
    }
}

/// Gives what has nothing yet what another has.
fn copy_once(from: &Path, to: &Path) -> Result<(), CgroupError> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|e| CgroupError::read(path, e));
    match read(to) {
        Ok(there) if !there.trim().is_empty() => Ok(()),
        _ => write(to, read(from)?.trim()),
    }
}

/// Writes a line: the kernel is not told of a write of nothing.
fn write(path: &Path, line: &str) -> Result<(), CgroupError> {
    fs::write(path, format!("{line}\n")).map_err(|e| CgroupError::write(path, line, e))
}

/// Groups end at any time.
fn gone_is_fine(done: Result<(), CgroupError>) -> Result<(), CgroupError> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
