//! What a container is shown of its own cgroup. Programs read their limits there: the runtimes of
//! Java, Go and .NET size their heaps and pools by them.

use std::path::PathBuf;

use crate::hierarchy::{Interface, V1Mount};
use crate::{Cgroup, Cgroups};

/// One tree of a cgroup, as it lies below `/sys/fs/cgroup` on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownTree {
    /// Its name there, which is that of its controllers. `None` on v2, whose only tree is what is
    /// mounted.
    pub name: Option<String>,
    /// Its controllers one by one, where it has several: there are links of these names.
    pub links: Vec<String>,
    /// Whether others are in it too, so that nobody may change it.
    pub shared: bool,
    /// The directory.
    pub directory: PathBuf,
}

impl Cgroups {
    /// The trees by which a container's cgroup is shown to the processes in it.
    #[must_use]
    pub fn shown(&self, container: &Cgroup) -> Vec<ShownTree> {
        match self.hierarchy().interface() {
            Interface::V2 { mount } => vec![ShownTree {
                name: None,
                links: Vec::new(),
                shared: false,
                directory: mount.join(container.path()),
            }],
            Interface::V1 { mounts, .. } => {
                let own = mounts.iter().map(|mount| own_tree(mount, container));
                own.chain(self.shown_processors(container)).collect()
            }
        }
    }

    /// What the group has alone, if it has any, else what it shares: no container is limited by itself. A
    /// Java runtime that finds no tree of processors takes the host's memory for its own.
    fn shown_processors(&self, container: &Cgroup) -> Option<ShownTree> {
        Some(ShownTree {
            name: Some("cpuset".to_owned()),
            links: Vec::new(),
            shared: true,
            directory: self
                .own_processors(container.path())
                .or_else(|| self.processors_root())?,
        })
    }
}

fn own_tree(mount: &V1Mount, container: &Cgroup) -> ShownTree {
    let controllers = mount.controllers.iter();
    let names: Vec<String> = controllers.map(|it| it.v1_name().to_owned()).collect();
    ShownTree {
        name: Some(names.join(",")),
        links: if names.len() > 1 { names } else { Vec::new() },
        shared: false,
        directory: mount.point.join(container.path()),
    }
}
