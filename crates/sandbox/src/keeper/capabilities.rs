//! The capabilities of a process: from its OCI form, and onto the calling process.

use caps::{CapSet, CapsHashSet};
use libcontainer::capabilities::CapabilityExt;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, LinuxCapabilitiesBuilder};

use crate::verify::CapabilitySets;

/// The sets as the kernel's masks. No section at all means none of them.
pub(super) fn masks(capabilities: Option<&LinuxCapabilities>) -> CapabilitySets {
    let Some(capabilities) = capabilities else {
        return CapabilitySets::default();
    };
    CapabilitySets {
        ambient: mask(capabilities.ambient().as_ref()),
        bounding: mask(capabilities.bounding().as_ref()),
        effective: mask(capabilities.effective().as_ref()),
        inheritable: mask(capabilities.inheritable().as_ref()),
        permitted: mask(capabilities.permitted().as_ref()),
    }
}

fn mask(set: Option<&Capabilities>) -> u64 {
    set.into_iter()
        .flatten()
        .fold(0, |mask, capability| mask | capability.to_cap().bitmask())
}

/// The sets with those added that loading a seccomp program takes where the process may gain
/// privileges: the program is then loaded before the last drop, which [`apply`] does.
pub(super) fn with_room_for_seccomp(wanted: &LinuxCapabilities) -> LinuxCapabilities {
    let more = |set: &Option<Capabilities>| -> Capabilities {
        let needed = [Capability::SysAdmin, Capability::Setpcap];
        set.iter().flatten().copied().chain(needed).collect()
    };
    let mut wider = wanted.clone();
    wider
        .set_bounding(Some(more(wanted.bounding())))
        .set_effective(Some(more(wanted.effective())))
        .set_permitted(Some(more(wanted.permitted())))
        .set_ambient(None);
    wider
}

/// No capabilities at all.
pub(super) fn none() -> LinuxCapabilities {
    let empty = || Capabilities::new();
    let built = LinuxCapabilitiesBuilder::default()
        .ambient(empty())
        .bounding(empty())
        .effective(empty())
        .inheritable(empty())
        .permitted(empty())
        .build();
    built.unwrap_or_default()
}

/// Why a capability set could not be changed.
#[derive(Debug, thiserror::Error)]
#[error("set the {set} capabilities")]
pub(super) struct ApplyError {
    set: &'static str,
    source: caps::errors::CapsError,
}

/// Gives the calling process exactly these sets. It must have them, and the right to give them up.
pub(super) fn apply(wanted: CapabilitySets) -> Result<(), ApplyError> {
    let step = |set: &'static str, result: Result<(), caps::errors::CapsError>| {
        result.map_err(|source| ApplyError { set, source })
    };
    let have = step_read(CapSet::Bounding)?;
    for capability in have.iter().filter(|c| wanted.bounding & c.bitmask() == 0) {
        step("bounding", caps::drop(None, CapSet::Bounding, *capability))?;
    }
    step("ambient", caps::clear(None, CapSet::Ambient))?;
    step(
        "effective",
        caps::set(None, CapSet::Effective, &subset(wanted.effective)),
    )?;
    step(
        "permitted",
        caps::set(None, CapSet::Permitted, &subset(wanted.permitted)),
    )?;
    step(
        "inheritable",
        caps::set(None, CapSet::Inheritable, &subset(wanted.inheritable)),
    )?;
    if wanted.ambient != 0 {
        step(
            "ambient",
            caps::set(None, CapSet::Ambient, &subset(wanted.ambient)),
        )?;
    }
    Ok(())
}

fn step_read(set: CapSet) -> Result<CapsHashSet, ApplyError> {
    caps::read(None, set).map_err(|source| ApplyError {
        set: "bounding",
        source,
    })
}

fn subset(mask: u64) -> CapsHashSet {
    caps::all()
        .into_iter()
        .filter(|capability| mask & capability.bitmask() != 0)
        .collect()
}
