//! Which devices a cgroup's processes may open, on v1. (On v2 this needs a BPF program; without
//! one, `nodev` mounts and the lack of `CAP_MKNOD` are what keeps devices out of reach.)

use std::fmt::Display;
use std::path::Path;

use burstlet_model::{DeviceKind, DeviceNumber};
use cgroups_rs::fs::devices::{DevicePermissions, DeviceType, DevicesController};

use crate::error::CgroupError;

/// The devices that a cgroup may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Devices {
    /// What the parent cgroup may use when this one is made; nothing is written.
    #[default]
    Inherit,
    /// The OCI runtime specification's default devices and pseudo terminals, and these, of which the
    /// parent cgroup may use each; nothing else.
    Listed(Vec<DeviceNumber>),
}

const ANY: i64 = -1;

/// A device as the kernel's device list writes it: major, minor, and whether it may be opened or
/// only made.
struct Rule {
    kind: DeviceType,
    major: i64,
    minor: i64,
    open: bool,
}

const fn open(major: i64, minor: i64) -> Rule {
    Rule {
        kind: DeviceType::Char,
        major,
        minor,
        open: true,
    }
}

const fn make(kind: DeviceType) -> Rule {
    Rule {
        kind,
        major: ANY,
        minor: ANY,
        open: false,
    }
}

/// Nodes of any device may be made by who has the capability, for a node that cannot be opened
/// does no harm and overlay whiteouts are such nodes.
const DEFAULT: [Rule; 10] = [
    make(DeviceType::Char),
    make(DeviceType::Block),
    open(1, 3),     // null
    open(1, 5),     // zero
    open(1, 7),     // full
    open(1, 8),     // random
    open(1, 9),     // urandom
    open(5, 0),     // tty
    open(5, 2),     // ptmx
    open(136, ANY), // pts
];

/// Writes the list of `devices` to the v1 cgroup at `dir`.
pub(crate) fn apply(dir: &Path, devices: &Devices) -> Result<(), CgroupError> {
    let Devices::Listed(own) = devices else {
        return Ok(());
    };
    let controller = DevicesController::new(dir.to_owned(), dir.to_owned());
    controller
        .deny_device(DeviceType::All, ANY, ANY, &DevicePermissions::all())
        .map_err(|e| crate::apply::write_error(&dir.join("devices.deny"), &"a", &e))?;
    for rule in &DEFAULT {
        allow(dir, rule, &"a default device")?;
    }
    extend(dir, own)
}

/// Lets the v1 cgroup at `dir` use these devices too. Its processes have the others all the while.
pub(crate) fn extend(dir: &Path, own: &[DeviceNumber]) -> Result<(), CgroupError> {
    let mut own = own.iter();
    own.try_for_each(|number| allow(dir, &rule(*number), number))
}

fn rule(number: DeviceNumber) -> Rule {
    Rule {
        kind: match number.kind {
            DeviceKind::Char => DeviceType::Char,
            DeviceKind::Block => DeviceType::Block,
        },
        major: number.major.into(),
        minor: number.minor.into(),
        open: true,
    }
}

fn allow(dir: &Path, rule: &Rule, what: &dyn Display) -> Result<(), CgroupError> {
    let permissions = if rule.open {
        &DevicePermissions::all()[..]
    } else {
        &[DevicePermissions::MkNod]
    };
    let controller = DevicesController::new(dir.to_owned(), dir.to_owned());
    controller
        .allow_device(rule.kind, rule.major, rule.minor, permissions)
        .map_err(|e| crate::apply::write_error(&dir.join("devices.allow"), what, &e))
}
