//! The capabilities of a container's processes.

use std::collections::BTreeSet;
use std::str::FromStr;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};

use crate::{BundleError, Inputs};

/// What a container has if nobody says otherwise: what common images need to set up and drop to
/// their own user, over their own files and processes. Nothing that makes raw packets, device
/// nodes or a root of one's own.
pub const DEFAULT_CAPABILITIES: [&str; 9] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETPCAP",
    "SETUID",
];

const ALL: &str = "ALL";

/// Every capability of Linux, in the order of the kernel's numbers.
const EVERY: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// The sets of a container's processes. Inheritable and ambient are empty: what is in them would
/// pass to programs that an unprivileged user starts.
pub(crate) fn sets(inputs: &Inputs<'_>) -> Result<LinuxCapabilities, BundleError> {
    let allowed = allowed(inputs)?;
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(allowed.clone()))
        .set_effective(Some(allowed.clone()))
        .set_permitted(Some(allowed))
        .set_inheritable(Some(Capabilities::new()))
        .set_ambient(Some(Capabilities::new()));
    Ok(sets)
}

/// What the container may have, by Kubernetes' order: `ALL` first, added, then dropped ones.
fn allowed(inputs: &Inputs<'_>) -> Result<Capabilities, BundleError> {
    let security = &inputs.container.security;
    if security.privileged {
        return Ok(every(inputs));
    }
    let named = |names: &BTreeSet<String>, field: &str| -> Result<Capabilities, BundleError> {
        let names = names.iter().filter(|name| *name != ALL);
        names
            .map(|name| {
                parse(name).ok_or_else(|| BundleError::Capability {
                    path: inputs.path(&format!("securityContext.capabilities.{field}")),
                    name: name.clone(),
                })
            })
            .collect()
    };
    let added = named(&security.capabilities.add, "add")?;
    let dropped = named(&security.capabilities.drop, "drop")?;
    let mut allowed: Capabilities = if security.capabilities.drop.contains(ALL) {
        Capabilities::new()
    } else if security.capabilities.add.contains(ALL) {
        every(inputs)
    } else {
        DEFAULT_CAPABILITIES.into_iter().filter_map(parse).collect()
    };
    allowed.extend(added);
    allowed.retain(|capability| !dropped.contains(capability));
    // In a user namespace the kernel makes no device; without one, `/dev` would be a place for it.
    let makes_devices = allowed.contains(&Capability::Mknod) && !inputs.group.user_namespace;
    if makes_devices && !inputs.facts.devices_listed {
        let path = inputs.path("securityContext.capabilities.add");
        return Err(BundleError::Devices { path });
    }
    Ok(allowed)
}

/// All that there are. In a user namespace of its own a container has every one; of the host's it cannot
/// have what the host has given up itself.
fn every(inputs: &Inputs<'_>) -> Capabilities {
    let all = EVERY.into_iter().enumerate();
    let to_give = all.filter(|(number, _)| {
        inputs.group.user_namespace || inputs.facts.capabilities >> number & 1 == 1
    });
    to_give.map(|(_, capability)| capability).collect()
}

fn parse(name: &str) -> Option<Capability> {
    Capability::from_str(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Fixture;

    #[test]
    fn of_the_host_there_is_only_what_it_has() {
        let mut fixture = Fixture::new();
        let sys_resource = 24;
        fixture.facts.capabilities = !(1 << sys_resource);
        fixture.container_mut().security.privileged = true;
        let has = |fixture: &Fixture| {
            let sets = sets(&fixture.inputs()).unwrap();
            let bounding = sets.bounding().clone().unwrap();
            (bounding.len(), bounding.contains(&Capability::SysResource))
        };
        assert_eq!(has(&fixture), (41, true));
        fixture.group.user_namespace = false;
        assert_eq!(has(&fixture), (40, false));
    }

    #[test]
    fn every_capability_is_in_the_list_once() {
        let names: BTreeSet<String> = EVERY.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 41);
        assert!(names.iter().all(|name| parse(name).is_some()));
        assert!(
            DEFAULT_CAPABILITIES
                .iter()
                .all(|name| names.contains(*name))
        );
    }
}
