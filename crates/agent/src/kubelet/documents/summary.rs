//! `/stats/summary`: the node's and the pods' numbers as one document.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use burstlet_model::{BootTime, Usage, WallTime};
use serde_json::{Value, json};

use super::sample::{DiskUse, Sample};

/// Two readings that are closer than this make no rate. Nanoseconds.
const RATE_NS_MIN: u128 = 100_000_000;

/// How fast processor time is used, from one document to the next.
#[derive(Debug, Default)]
pub(in crate::kubelet) struct Rates(Mutex<HashMap<String, Reading>>);

/// Nanoseconds of processor time per second, by whose they are.
pub(super) type RatesNow = HashMap<String, u64>;

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: BootTime,
    cpu_ns: u64,
    /// The rate that was found with it, if there was another before.
    rate: Option<u64>,
}

impl Rates {
    /// The rates since the sample before; there are none of what is new.
    pub(super) fn since_last(&self, sample: &Sample) -> RatesNow {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now: HashMap<String, Reading> = readings(sample)
            .into_iter()
            .map(|(key, at, cpu_ns)| {
                let reading = next(last.get(&key).copied(), at, cpu_ns);
                (key, reading)
            })
            .collect();
        let rates = now.iter();
        let rates = rates.filter_map(|(key, reading)| Some((key.clone(), reading.rate?)));
        let rates = rates.collect();
        *last = now;
        rates
    }
}

/// The document.
pub(super) fn summary(sample: &Sample, rates: &RatesNow, only_cpu_and_memory: bool) -> Value {
    let machine = &sample.machine;
    let now = time(sample.at.wall);
    let mut node = json!({
        "nodeName": sample.node,
        "cpu": cpu(&now, machine.cpu_ns, rates.get("")),
        "memory": {
            "time": now,
            "availableBytes": machine.memory_available_bytes,
            "usageBytes": machine.memory_bytes,
            "workingSetBytes": machine.working_set_bytes,
        },
    });
    if !only_cpu_and_memory {
        node["fs"] = disk(&now, &machine.disk);
        node["runtime"] = json!({"imageFs": disk(&now, &machine.disk)});
    }
    let pods = sample.pods.iter();
    let pods: Vec<Value> = pods
        .map(|of| pod(sample, of, rates, only_cpu_and_memory))
        .collect();
    json!({"node": node, "pods": pods})
}

fn pod(
    sample: &Sample,
    of: &super::sample::PodUse,
    rates: &RatesNow,
    only_cpu_and_memory: bool,
) -> Value {
    let uid = of.uid.as_str();
    let containers = of.containers.iter().map(|container| {
        let rate = rates.get(&key(uid, &container.name));
        let mut shown = numbers(sample, &container.usage, rate);
        shown["name"] = container.name.clone().into();
        shown["startTime"] = time(container.started).into();
        shown
    });
    let containers: Vec<Value> = containers.collect();
    let mut shown = numbers(sample, &of.usage, rates.get(&key(uid, "")));
    shown["podRef"] = json!({
        "name": of.name.name.as_str(),
        "namespace": of.name.namespace.as_str(),
        "uid": uid,
    });
    shown["startTime"] = time(of.created).into();
    shown["containers"] = containers.into();
    if only_cpu_and_memory {
        return shown;
    }
    shown["process_stats"] = json!({"process_count": of.usage.pids});
    if let Some(network) = &of.network {
        shown["network"] = json!({
            "time": time(sample.wall(of.usage.at)),
            "name": "eth0",
            "rxBytes": network.received.0,
            "txBytes": network.sent.0,
        });
    }
    shown
}

fn numbers(sample: &Sample, usage: &Usage, rate: Option<&u64>) -> Value {
    let at = time(sample.wall(usage.at));
    json!({
        "cpu": cpu(&at, usage.cpu_ns, rate),
        "memory": {
            "time": at,
            "usageBytes": usage.memory.0,
            "workingSetBytes": usage.memory_working_set.0,
        },
    })
}

fn cpu(at: &str, cpu_ns: u64, rate: Option<&u64>) -> Value {
    let mut shown = json!({"time": at, "usageCoreNanoSeconds": cpu_ns});
    if let Some(rate) = rate {
        shown["usageNanoCores"] = (*rate).into();
    }
    shown
}

fn disk(at: &str, disk: &DiskUse) -> Value {
    json!({
        "time": at,
        "capacityBytes": disk.capacity_bytes,
        "availableBytes": disk.available_bytes,
        "usedBytes": disk.capacity_bytes.saturating_sub(disk.available_bytes),
        "inodes": disk.inodes,
        "inodesFree": disk.inodes_free,
        "inodesUsed": disk.inodes.saturating_sub(disk.inodes_free),
    })
}

/// The counters of a sample, by whose they are; the node has no name.
fn readings(sample: &Sample) -> Vec<(String, BootTime, u64)> {
    let mut all = vec![(String::new(), sample.at.boot, sample.machine.cpu_ns)];
    for pod in &sample.pods {
        let uid = pod.uid.as_str();
        all.push((key(uid, ""), pod.usage.at, pod.usage.cpu_ns));
        for container in &pod.containers {
            let usage = &container.usage;
            all.push((key(uid, &container.name), usage.at, usage.cpu_ns));
        }
    }
    all
}

fn key(uid: &str, container: &str) -> String {
    format!("{uid}/{container}")
}

/// A reading with its rate since the one before. One that comes too soon is not taken.
fn next(last: Option<Reading>, at: BootTime, cpu_ns: u64) -> Reading {
    let Some(last) = last else {
        let rate = None;
        return Reading { at, cpu_ns, rate };
    };
    let passed = at.since(last.at).as_nanos();
    if passed < RATE_NS_MIN {
        return last;
    }
    let used = u128::from(cpu_ns.saturating_sub(last.cpu_ns));
    let rate = u64::try_from(used * 1_000_000_000 / passed).ok();
    Reading { at, cpu_ns, rate }
}

/// RFC 3339, in whole seconds as Kubernetes has times.
fn time(at: WallTime) -> String {
    let time = jiff::Timestamp::from_second(at.unix_s()).unwrap_or_default();
    time.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_readings_with_time_between() {
        let first = next(None, BootTime(0), 100);
        assert_eq!(first.rate, None);
        let soon = next(Some(first), BootTime(1000), 200);
        assert_eq!((soon.at, soon.rate), (BootTime(0), None), "too soon");
        let second = next(Some(first), BootTime(2_000_000_000), 1_000_000_100);
        assert_eq!(second.rate, Some(500_000_000));
        let anew = next(Some(second), BootTime(3_000_000_000), 0);
        assert_eq!(anew.rate, Some(0), "started again");
    }
}
