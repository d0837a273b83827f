//! The verbs of `Node`.

use std::collections::BTreeMap;

use burstlet_manifest::matrix::rows;
use burstlet_model::spec::ResourceList;
use burstlet_proto::v1;
use burstlet_supervisor::DeviceUse;
use burstlet_supervisor::host::Host;

use crate::access::Asked;
use crate::machine::Machine;

/// What the machine is. Where its parts are concerns only those who see all of it.
pub(crate) async fn info<H: Host, M: Machine>(api: &Asked<H, M>) -> v1::NodeInfo {
    let info = api.machine().info().await;
    match api.tenant() {
        None => info,
        Some(_) => v1::NodeInfo {
            subnet: String::new(),
            state_dir: String::new(),
            run_dir: String::new(),
            ..info
        },
    }
}

/// The field matrix and what the operator allows.
pub(crate) fn capabilities<H: Host, M: Machine>(api: &Asked<H, M>) -> v1::CapabilitiesResponse {
    let fields = rows().into_iter().map(|row| v1::FieldSupport {
        path: row.path,
        support: row.field.support.as_str().to_owned(),
        note: match row.field.way_out {
            "" => row.field.note.to_owned(),
            way_out => format!("{} ({way_out})", row.field.note),
        },
    });
    v1::CapabilitiesResponse {
        fields: fields.collect(),
        policy: api.settings().policy.sentences(),
    }
}

/// What the machine has, and what is taken of it.
pub(crate) fn capacity<H: Host, M: Machine>(api: &Asked<H, M>) -> v1::CapacityResponse {
    let settings = api.settings();
    let room = api.groups().room();
    let devices = |of_it: fn(&DeviceUse) -> u64| -> BTreeMap<String, u64> {
        let all = room.devices.iter();
        all.map(|(resource, used)| (resource.to_string(), of_it(used)))
            .collect()
    };
    let there = devices(|used| used.allocatable);
    v1::CapacityResponse {
        total: Some(amounts(settings.total, there.clone())),
        reserved: Some(amounts(settings.reserved, BTreeMap::new())),
        requested: Some(amounts(room.requested, devices(|used| used.requested))),
        allocatable: Some(amounts(room.allocatable, there)),
        groups_running: count(room.admitted),
        groups_queued: count(room.waiting),
        queue_max: settings.queue_max,
    }
}

fn amounts(list: ResourceList, devices: BTreeMap<String, u64>) -> v1::Amounts {
    v1::Amounts {
        cpu_milli: list.cpu.map_or(0, |cpu| cpu.0),
        memory_bytes: list.memory.map_or(0, |bytes| bytes.0),
        ephemeral_storage_bytes: list.ephemeral_storage.map_or(0, |bytes| bytes.0),
        devices,
    }
}

fn count(groups: usize) -> u32 {
    u32::try_from(groups).unwrap_or(u32::MAX)
}
