use burstlet_model::spec::ResourceList;
use burstlet_model::{BootTime, Bytes, GroupName, NetworkUsage, Stamp, Usage, WallTime};

use super::sample::{ContainerUse, DiskUse, MachineUse, PodUse};
use super::*;

const NOW: Stamp = Stamp {
    boot: BootTime(100_000_000_000),
    wall: WallTime(1_700_000_000_000_000_000),
};

fn usage(cpu_ns: u64) -> Usage {
    Usage {
        // Read a second before the page is made.
        at: BootTime(99_000_000_000),
        cpu_ns,
        memory_working_set: Bytes(20 << 20),
        memory: Bytes(30 << 20),
        memory_peak: Some(Bytes(40 << 20)),
        pids: 3,
        io_read: Bytes(4096),
        ..Usage::default()
    }
}

/// A node with one pod of one container.
fn sample() -> Sample {
    let container = ContainerUse {
        name: "main".to_owned(),
        image: "docker.io/library/web:1".to_owned(),
        id: "u-1_main_0".to_owned(),
        started: WallTime(1_699_999_000_000_000_000),
        limits: ResourceList {
            memory: Some(Bytes(64 << 20)),
            ..ResourceList::default()
        },
        usage: usage(1_500_000_000),
    };
    let pod = PodUse {
        uid: "u-1".parse().unwrap(),
        name: GroupName {
            namespace: "shop".parse().unwrap(),
            name: "web".parse().unwrap(),
        },
        created: WallTime(1_699_998_000_000_000_000),
        usage: usage(1_600_000_000),
        network: Some(NetworkUsage {
            received: Bytes(1000),
            sent: Bytes(2000),
            received_packets: 10,
            sent_packets: 20,
        }),
        containers: vec![container],
    };
    Sample {
        at: NOW,
        node: "edge-1".to_owned(),
        machine: MachineUse {
            cpu_ns: 12_345_678_901_234,
            memory_bytes: 3 << 30,
            memory_available_bytes: 5 << 30,
            working_set_bytes: 2 << 30,
            disk: DiskUse {
                capacity_bytes: 100 << 30,
                available_bytes: 60 << 30,
                inodes: 1000,
                inodes_free: 400,
            },
        },
        pods: vec![pod],
    }
}

#[test]
fn metrics_server_reads_this() {
    insta::assert_snapshot!(resource::page(&sample()));
}

#[test]
fn dashboards_read_this() {
    insta::assert_snapshot!(cadvisor::page(&sample()));
}

#[test]
fn the_summary() {
    let rates = Rates::default();
    let none = rates.since_last(&sample());
    assert!(none.is_empty(), "there was no sample before");
    let mut later = sample();
    later.at.boot = BootTime(102_000_000_000);
    later.machine.cpu_ns += 1_000_000_000;
    let usage = &mut later.pods[0].containers[0].usage;
    usage.at = BootTime(101_000_000_000);
    usage.cpu_ns += 500_000_000;
    let now = rates.since_last(&later);
    insta::assert_snapshot!(format!("{:#}", summary::summary(&later, &now, false)));
    let little = summary::summary(&later, &now, true);
    assert!(little["node"]["fs"].is_null() && little["pods"][0]["network"].is_null());
}

#[test]
fn the_configuration() {
    let shown = configuration::show(&Config::default());
    insta::assert_snapshot!(format!("{shown:#}"));
}
