//! The groups' cgroups: create, limit, kill, read, remove.
//!
//! The agent makes one cgroup for each group below a root of its own, and one leaf in it for each
//! container; whoever starts a process puts it there (see [`JoinPaths`]). Nothing here moves a
//! process but [`Processors::join_shared`], when an agent starts: a write to `cgroup.procs` waits for a
//! grace period of the kernel.
//!
//! ```text
//! <mount>/<root>/<group uid>/<container>     limits of the container, its processes
//! <mount>/<root>/<group uid>/_keeper         v2 only: a cgroup with children holds no processes
//! <mount>/<root>/<group uid>                 limits of the group; on v1 the keeper lives here
//! <mount>/<root>/_<name>                     the daemons' own cgroups
//! <cpuset>/<root>                            v1 only: shared by the daemons and all groups
//! <cpuset>/<root>+own/<group uid>            v1 only: of a group with processors of its own
//! ```
//!
//! Both versions of the interface are served behind the same calls; on v1 each of the above is a
//! directory in every hierarchy that we use. [`Capabilities`] says what a host cannot do.
//!
//! Limits, devices and freezing go through `cgroups-rs`' controllers, given an explicit path each.
//! Its `Cgroup` is not used: on a hybrid host it can make plain directories and report success, it
//! joins by `cgroup.procs`, cannot kill on v1, sleeps 151 ms before it says that a cgroup is busy,
//! and its readers panic on some device numbers. Finding, making, killing, reading and removing
//! are therefore ours.
//!
//! All calls block, most for microseconds; [`Cgroup::kill_all`], [`Cgroup::last_usage`] and
//! [`Cgroup::remove`] up to the patience given. None of them knows a runtime.

mod apply;
mod capability;
mod cgroups;
mod devices;
mod error;
mod gauges;
mod handle;
mod hierarchy;
mod join;
mod kill;
mod last;
mod limits;
mod parse;
mod processors;
mod remove;
mod root;
mod shown;
mod usage;
mod watch;

pub use capability::{Capabilities, Warning};
pub use cgroups::Cgroups;
pub use devices::Devices;
pub use error::CgroupError;
pub use gauges::{Gauges, Reading};
pub use handle::Cgroup;
pub use hierarchy::Hierarchy;
pub use join::{FinalRead, FinalUsage, IoUsage, JoinPaths};
pub use limits::Limits;
pub use processors::{Processors, Shared};
pub use root::CgroupRoot;
pub use shown::ShownTree;
