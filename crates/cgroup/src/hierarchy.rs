//! Where the cgroup interfaces are mounted, and which of them holds the controllers.

use std::path::{Path, PathBuf};

use crate::CgroupError;

/// The controllers that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    Cpu,
    CpuAcct,
    Memory,
    Pids,
    Freezer,
    Devices,
    BlkIo,
}

/// The cgroup interface of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy(Interface);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    /// One tree with all controllers.
    V2 { mount: PathBuf },
    /// A tree for each controller, or for a few together. A v2 tree without controllers may stand
    /// beside them; then the host is called hybrid, and to us it is v1.
    V1 {
        mounts: Vec<V1Mount>,
        /// The tree that assigns processors. Groups share one cgroup of it but for those that have
        /// processors alone.
        processors: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct V1Mount {
    pub(crate) point: PathBuf,
    pub(crate) controllers: Vec<Controller>,
}

impl Controller {
    const V1: [(Self, &'static str); 7] = [
        (Self::Cpu, "cpu"),
        (Self::CpuAcct, "cpuacct"),
        (Self::Memory, "memory"),
        (Self::Pids, "pids"),
        (Self::Freezer, "freezer"),
        (Self::Devices, "devices"),
        (Self::BlkIo, "blkio"),
    ];

    /// Without these there are no limits, no counts or no way to end a group. The others only
    /// narrow [`crate::Capabilities`].
    const V1_REQUIRED: [Self; 5] = [
        Self::Cpu,
        Self::CpuAcct,
        Self::Memory,
        Self::Pids,
        Self::Freezer,
    ];

    pub(crate) fn v1_name(self) -> &'static str {
        let entry = Self::V1.iter().find(|(controller, _)| *controller == self);
        entry.map_or("", |(_, name)| name)
    }
}

impl Hierarchy {
    /// Finds the interface of this host.
    ///
    /// # Errors
    /// `/proc` cannot be read, or what Burstlet needs is not mounted.
    pub fn detect() -> Result<Self, CgroupError> {
        let path = "/proc/self/mountinfo";
        let text = std::fs::read_to_string(path).map_err(|e| CgroupError::read(path, e))?;
        Self::from_mountinfo(&text)
    }

    /// Reads the interface out of `/proc/<pid>/mountinfo`.
    ///
    /// # Errors
    /// [`CgroupError::Missing`] if what Burstlet needs is not mounted.
    pub fn from_mountinfo(text: &str) -> Result<Self, CgroupError> {
        let mounts: Vec<Mount> = text.lines().filter_map(Mount::parse).collect();
        let v1 = v1_mounts(&mounts);
        if v1.is_empty() {
            let unified = first(&mounts, |mount| mount.kind == "cgroup2");
            let mount =
                unified.ok_or_else(|| CgroupError::Missing(vec!["cpu", "memory", "pids"]))?;
            return Ok(Self::v2(&mount.point));
        }
        let missing: Vec<&'static str> = Controller::V1_REQUIRED
            .iter()
            .filter(|wanted| !v1.iter().any(|mount| mount.controllers.contains(wanted)))
            .map(|wanted| wanted.v1_name())
            .collect();
        if missing.is_empty() {
            Ok(Self(Interface::V1 {
                mounts: v1,
                processors: first(&mounts, |mount| mount.has("cpuset"))
                    .map(|mount| mount.point.clone()),
            }))
        } else {
            Err(CgroupError::Missing(missing))
        }
    }

    /// The unified interface mounted at `mount`.
    #[must_use]
    pub fn v2(mount: impl Into<PathBuf>) -> Self {
        Self(Interface::V2 {
            mount: mount.into(),
        })
    }

    /// Whether this is the unified interface.
    #[must_use]
    pub const fn is_v2(&self) -> bool {
        matches!(self.0, Interface::V2 { .. })
    }

    /// Whether cgroups can say which devices their processes may open: on v1, where that tree is mounted.
    #[must_use]
    pub fn lists_devices(&self) -> bool {
        match &self.0 {
            Interface::V2 { .. } => false,
            Interface::V1 { mounts, .. } => mounts
                .iter()
                .any(|mount| mount.controllers.contains(&Controller::Devices)),
        }
    }

    /// Where the trees that we use are mounted: one for v2, one for each v1 hierarchy.
    pub fn mount_points(&self) -> impl Iterator<Item = &Path> {
        let (one, many) = match &self.0 {
            Interface::V2 { mount } => (Some(mount.as_path()), [].as_slice()),
            Interface::V1 { mounts, .. } => (None, mounts.as_slice()),
        };
        one.into_iter()
            .chain(many.iter().map(|mount| mount.point.as_path()))
    }

    /// Where v1's tree of processors is mounted, if it is.
    pub(crate) fn processors(&self) -> Option<&Path> {
        match &self.0 {
            Interface::V2 { .. } => None,
            Interface::V1 { processors, .. } => processors.as_deref(),
        }
    }

    /// Goes on as if the tree of processors were not mounted.
    pub(crate) fn without_processors(self) -> Self {
        match self.0 {
            Interface::V1 { mounts, .. } => Self(Interface::V1 {
                mounts,
                processors: None,
            }),
            v2 @ Interface::V2 { .. } => Self(v2),
        }
    }

    pub(crate) const fn interface(&self) -> &Interface {
        &self.0
    }

    /// The directories of the cgroup `path`, one for each tree.
    pub(crate) fn directories(&self, path: &Path) -> impl Iterator<Item = PathBuf> {
        self.mount_points().map(move |mount| mount.join(path))
    }

    /// The directory of the cgroup `path` in the tree that has `controller`.
    pub(crate) fn directory(&self, controller: Controller, path: &Path) -> Option<PathBuf> {
        match &self.0 {
            Interface::V2 { mount } => Some(mount.join(path)),
            Interface::V1 { mounts, .. } => mounts
                .iter()
                .find(|mount| mount.controllers.contains(&controller))
                .map(|mount| mount.point.join(path)),
        }
    }
}

/// A line of mountinfo, as far as it matters here.
struct Mount {
    point: PathBuf,
    kind: String,
    options: Vec<String>,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?;
        let mut right = right.split(' ');
        let kind = right.next()?;
        let options = right.nth(1)?;
        kind.starts_with("cgroup").then(|| Self {
            point: PathBuf::from(unescape(point)),
            kind: kind.to_owned(),
            options: options.split(',').map(str::to_owned).collect(),
        })
    }

    /// Whether this is a tree of v1 that has the controller.
    fn has(&self, controller: &str) -> bool {
        self.kind == "cgroup" && self.options.iter().any(|option| option == controller)
    }
}

/// The kernel writes blank, tab, newline and backslash in paths as three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = text.to_owned();
    for (escape, character) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        plain = plain.replace(escape, character);
    }
    plain
}

/// The mount to use of several of the same tree: container runtimes bind cgroup trees elsewhere,
/// so the customary place goes first.
fn first(mounts: &[Mount], matches: impl Fn(&Mount) -> bool) -> Option<&Mount> {
    let candidates = || mounts.iter().filter(|mount| matches(mount));
    candidates()
        .find(|mount| mount.point.starts_with("/sys/fs/cgroup"))
        .or_else(|| candidates().next())
}

/// The v1 mounts, each once however many of our controllers it has.
fn v1_mounts(mounts: &[Mount]) -> Vec<V1Mount> {
    let mut found: Vec<V1Mount> = Vec::new();
    for (controller, name) in Controller::V1 {
        let Some(mount) = first(mounts, |mount| mount.has(name)) else {
            continue;
        };
        match found.iter_mut().find(|known| known.point == mount.point) {
            Some(known) => known.controllers.push(controller),
            None => found.push(V1Mount {
                point: mount.point.clone(),
                controllers: vec![controller],
            }),
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const SYSTEMD_HYBRID: &str = "\
25 30 0:23 / /sys rw,nosuid - sysfs sysfs rw
34 25 0:28 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
35 25 0:29 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd
38 25 0:32 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct
39 25 0:33 / /sys/fs/cgroup/memory rw shared:12 - cgroup cgroup rw,memory
40 25 0:34 / /sys/fs/cgroup/pids rw shared:13 - cgroup cgroup rw,pids
41 25 0:35 / /sys/fs/cgroup/freezer rw shared:14 - cgroup cgroup rw,freezer
90 25 0:33 / /run/c/sys\\040fs/memory rw - cgroup cgroup rw,memory
";

    #[test]
    fn co_mounted_controllers_are_one_tree() {
        let hierarchy = Hierarchy::from_mountinfo(SYSTEMD_HYBRID).unwrap();
        assert!(!hierarchy.is_v2());
        let points: Vec<_> = hierarchy.mount_points().collect();
        assert_eq!(
            points,
            ["cpu,cpuacct", "memory", "pids", "freezer"]
                .map(|name| Path::new("/sys/fs/cgroup").join(name))
        );
        let of = |controller| hierarchy.directory(controller, Path::new("b/g"));
        let cpu = PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/b/g");
        assert_eq!(of(Controller::Cpu), Some(cpu.clone()));
        assert_eq!(of(Controller::CpuAcct), Some(cpu));
        assert_eq!(of(Controller::Devices), None);
        assert!(!hierarchy.lists_devices());
        let tree = "42 25 0:36 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n";
        let with_devices = Hierarchy::from_mountinfo(&format!("{SYSTEMD_HYBRID}{tree}"));
        assert!(with_devices.unwrap().lists_devices());
    }

    #[test]
    fn unified_alone_is_v2() {
        let text =
            "34 25 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let hierarchy = Hierarchy::from_mountinfo(text).unwrap();
        assert_eq!(hierarchy, Hierarchy::v2("/sys/fs/cgroup"));
        assert!(!hierarchy.lists_devices());
    }

    #[test]
    fn what_is_missing_is_named() {
        let without_memory: String = SYSTEMD_HYBRID
            .lines()
            .filter(|line| !line.ends_with("memory"))
            .map(|line| format!("{line}\n"))
            .collect();
        let error = Hierarchy::from_mountinfo(&without_memory).unwrap_err();
        assert!(
            matches!(&error, CgroupError::Missing(names) if names == &["memory"]),
            "{error}"
        );
        assert!(matches!(
            Hierarchy::from_mountinfo("garbage\n - \n"),
            Err(CgroupError::Missing(_))
        ));
    }

    #[test]
    fn the_customary_place_wins_and_escapes_are_read() {
        let reversed: String = SYSTEMD_HYBRID
            .lines()
            .rev()
            .map(|l| format!("{l}\n"))
            .collect();
        let of = |text: &str| {
            Hierarchy::from_mountinfo(text)
                .unwrap()
                .directory(Controller::Memory, Path::new("x"))
                .unwrap()
        };
        assert_eq!(of(&reversed), Path::new("/sys/fs/cgroup/memory/x"));
        let only_bound = SYSTEMD_HYBRID
            .replace("39 25 0:33", "39")
            .replace("12 - cgroup", "");
        assert_eq!(of(&only_bound), Path::new("/run/c/sys fs/memory/x"));
    }
}
