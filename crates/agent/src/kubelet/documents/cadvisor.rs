//! `/metrics/cadvisor`: the numbers that dashboards for Kubernetes are made of, under the names that
//! they know. What our cgroups do not tell is left out.

use burstlet_model::NetworkUsage;

use super::exposition::{Kind, Page, Seconds};
use super::resource::since_epoch;
use super::sample::{ContainerUse, PodUse, Sample};
use Kind::{Counter, Gauge};

/// A family of numbers, one for each container.
type OfContainer = (&'static str, Kind, &'static str, fn(&ContainerUse) -> u64);
/// A family of numbers, one for each pod's interface.
type OfNetwork = (&'static str, &'static str, fn(&NetworkUsage) -> u64);

const CPU: &str = "container_cpu_usage_seconds_total";
const STARTED: &str = "container_start_time_seconds";
const SEEN: &str = "container_last_seen";
/// What the interface of a pod is called inside of it.
const INTERFACE: &str = "eth0";

const CONTAINERS: &[OfContainer] = &[
    (
        "container_memory_usage_bytes",
        Gauge,
        "All memory charged.",
        |of| of.usage.memory.0,
    ),
    (
        "container_memory_working_set_bytes",
        Gauge,
        "Memory that cannot be reclaimed at once.",
        |of| of.usage.memory_working_set.0,
    ),
    (
        "container_memory_max_usage_bytes",
        Gauge,
        "The most memory charged so far.",
        |of| of.usage.memory_peak.unwrap_or(of.usage.memory).0,
    ),
    (
        "container_oom_events_total",
        Counter,
        "Processes that were killed for want of memory.",
        |of| of.usage.oom_kills,
    ),
    ("container_threads", Gauge, "Processes and threads.", |of| {
        of.usage.pids
    }),
    (
        "container_fs_reads_bytes_total",
        Counter,
        "Bytes read from disks.",
        |of| of.usage.io_read.0,
    ),
    (
        "container_fs_writes_bytes_total",
        Counter,
        "Bytes written to disks.",
        |of| of.usage.io_written.0,
    ),
    (
        "container_spec_memory_limit_bytes",
        Gauge,
        "The most memory that may be charged; 0 for any.",
        |of| of.limits.memory.map_or(0, |memory| memory.0),
    ),
];

const NETWORKS: &[OfNetwork] = &[
    (
        "container_network_receive_bytes_total",
        "Bytes received.",
        |network| network.received.0,
    ),
    (
        "container_network_transmit_bytes_total",
        "Bytes sent.",
        |network| network.sent.0,
    ),
    (
        "container_network_receive_packets_total",
        "Packets received.",
        |network| network.received_packets,
    ),
    (
        "container_network_transmit_packets_total",
        "Packets sent.",
        |network| network.sent_packets,
    ),
];

/// The page.
pub(super) fn page(sample: &Sample) -> String {
    let mut page = Page::default();
    containers(&mut page, sample);
    for (name, help, number) in NETWORKS {
        page.family(name, Counter, help);
        for pod in &sample.pods {
            if let Some(network) = &pod.network {
                let labels = network_labels(pod);
                let at = Some(sample.wall(pod.usage.at));
                page.sample(name, &labels, number(network), at);
            }
        }
    }
    page.text()
}

fn containers(page: &mut Page, sample: &Sample) {
    let all = || {
        let pods = sample.pods.iter();
        pods.flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)))
    };
    let at = |of: &ContainerUse| Some(sample.wall(of.usage.at));
    page.family(CPU, Counter, "Processor time used.");
    for (pod, of) in all() {
        let own = labels(pod, of);
        let labels = [&own[..1], &[("cpu", "total")], &own[1..]].concat();
        page.sample(CPU, &labels, Seconds(of.usage.cpu_ns), at(of));
    }
    for (name, kind, help, number) in CONTAINERS {
        page.family(name, *kind, help);
        for (pod, of) in all() {
            page.sample(name, &labels(pod, of), number(of), at(of));
        }
    }
    page.family(STARTED, Gauge, "When the container was started.");
    for (pod, of) in all() {
        page.sample(STARTED, &labels(pod, of), since_epoch(of.started), at(of));
    }
    page.family(SEEN, Gauge, "When the container was last seen.");
    for (pod, of) in all() {
        let seen = sample.at.wall.unix_s();
        page.sample(SEEN, &labels(pod, of), seen, at(of));
    }
}

/// In the order of the alphabet. A container has one name to us: what is its identity there is its
/// name, too.
fn labels<'s>(pod: &'s PodUse, of: &'s ContainerUse) -> [(&'static str, &'s str); 6] {
    [
        ("container", &of.name),
        ("id", &of.id),
        ("image", &of.image),
        ("name", &of.id),
        ("namespace", pod.name.namespace.as_str()),
        ("pod", pod.name.name.as_str()),
    ]
}

fn network_labels(pod: &PodUse) -> [(&'static str, &str); 5] {
    [
        ("id", pod.uid.as_str()),
        ("interface", INTERFACE),
        ("name", pod.uid.as_str()),
        ("namespace", pod.name.namespace.as_str()),
        ("pod", pod.name.name.as_str()),
    ]
}
