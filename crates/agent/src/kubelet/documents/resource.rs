//! `/metrics/resource`: what metrics-server reads, and through it `kubectl top` and autoscalers.
//! Each number has the time at which it was read: a reader makes rates of two of them.

use burstlet_model::{Usage, WallTime};

use super::exposition::{Kind, Page, Seconds};
use super::sample::{ContainerUse, PodUse, Sample};

const NODE_CPU: &str = "node_cpu_usage_seconds_total";
const NODE_MEMORY: &str = "node_memory_working_set_bytes";
const CPU: &str = "container_cpu_usage_seconds_total";
const MEMORY: &str = "container_memory_working_set_bytes";
const STARTED: &str = "container_start_time_seconds";
const POD_CPU: &str = "pod_cpu_usage_seconds_total";
const POD_MEMORY: &str = "pod_memory_working_set_bytes";

/// The page.
pub(super) fn page(sample: &Sample) -> String {
    let mut page = Page::default();
    let at = Some(sample.at.wall);
    page.family(NODE_CPU, Kind::Counter, "Processor time used on the node.");
    page.sample(NODE_CPU, &[], Seconds(sample.machine.cpu_ns), at);
    page.family(NODE_MEMORY, Kind::Gauge, "Working set of the node.");
    page.sample(NODE_MEMORY, &[], sample.machine.working_set_bytes, at);
    containers(&mut page, sample);
    pods(&mut page, sample);
    for name in ["resource_scrape_error", "scrape_error"] {
        page.family(name, Kind::Gauge, "1 if the numbers could not be read.");
        page.sample(name, &[], 0, None);
    }
    page.text()
}

fn containers(page: &mut Page, sample: &Sample) {
    let all = || {
        let pods = sample.pods.iter();
        pods.flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)))
    };
    let at = |usage: &Usage| Some(sample.wall(usage.at));
    page.family(CPU, Kind::Counter, "Processor time used by the container.");
    for (pod, container) in all() {
        let usage = &container.usage;
        page.sample(
            CPU,
            &labels(pod, container),
            Seconds(usage.cpu_ns),
            at(usage),
        );
    }
    page.family(MEMORY, Kind::Gauge, "Working set of the container.");
    for (pod, container) in all() {
        let usage = &container.usage;
        let bytes = usage.memory_working_set.0;
        page.sample(MEMORY, &labels(pod, container), bytes, at(usage));
    }
    page.family(STARTED, Kind::Gauge, "When the container was started.");
    for (pod, container) in all() {
        let since = since_epoch(container.started);
        page.sample(STARTED, &labels(pod, container), since, None);
    }
}

fn pods(page: &mut Page, sample: &Sample) {
    let at = |usage: &Usage| Some(sample.wall(usage.at));
    page.family(POD_CPU, Kind::Counter, "Processor time used by the pod.");
    for pod in &sample.pods {
        let usage = &pod.usage;
        page.sample(POD_CPU, &pod_labels(pod), Seconds(usage.cpu_ns), at(usage));
    }
    page.family(POD_MEMORY, Kind::Gauge, "Working set of the pod.");
    for pod in &sample.pods {
        let usage = &pod.usage;
        let bytes = usage.memory_working_set.0;
        page.sample(POD_MEMORY, &pod_labels(pod), bytes, at(usage));
    }
}

/// A time of day as seconds.
pub(super) fn since_epoch(at: WallTime) -> Seconds {
    Seconds(u64::try_from(at.0).unwrap_or(0))
}

fn labels<'s>(pod: &'s PodUse, container: &'s ContainerUse) -> [(&'static str, &'s str); 3] {
    let [namespace, name] = pod_labels(pod);
    [("container", &container.name), namespace, name]
}

fn pod_labels(pod: &PodUse) -> [(&'static str, &str); 2] {
    [
        ("namespace", pod.name.namespace.as_str()),
        ("pod", pod.name.name.as_str()),
    ]
}
