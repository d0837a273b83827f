//! What groups use.

use burstlet_model::{NetworkUsage, Usage};
use burstlet_proto::v1;
use burstlet_supervisor::Snapshot;
use burstlet_supervisor::host::GroupUsage;

use super::group_ref;

/// What one group uses.
pub(crate) fn group_stats(snapshot: &Snapshot, usage: &GroupUsage) -> v1::GroupStats {
    let containers = usage
        .containers
        .iter()
        .map(|(name, usage)| v1::ContainerStats {
            name: name.to_string(),
            usage: Some(self::usage(usage)),
        });
    v1::GroupStats {
        group: Some(group_ref(snapshot)),
        usage: Some(self::usage(&usage.group)),
        containers: containers.collect(),
        network: usage.network.as_ref().map(network),
    }
}

const fn usage(usage: &Usage) -> v1::Usage {
    v1::Usage {
        at_boot_ns: usage.at.0,
        cpu_ns: usage.cpu_ns,
        memory_working_set_bytes: usage.memory_working_set.0,
        memory_bytes: usage.memory.0,
        memory_peak_bytes: match usage.memory_peak {
            Some(peak) => Some(peak.0),
            None => None,
        },
        oom_kills: usage.oom_kills,
        pids: usage.pids,
        io_read_bytes: usage.io_read.0,
        io_written_bytes: usage.io_written.0,
    }
}

const fn network(usage: &NetworkUsage) -> v1::NetworkUsage {
    v1::NetworkUsage {
        received_bytes: usage.received.0,
        sent_bytes: usage.sent.0,
        received_packets: usage.received_packets,
        sent_packets: usage.sent_packets,
    }
}
