//! The groups as they are, looked up at each scrape.

use std::collections::BTreeMap;

use burstlet_model::ExtendedResource;
use burstlet_model::spec::ResourceList;
use burstlet_model::status::Phase;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::{DeviceUse, Groups};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Opts};

pub(super) struct GroupsNow<H> {
    groups: Groups<H>,
    phases: IntGaugeVec,
    queue: IntGauge,
    cpu: GaugeVec,
    memory: GaugeVec,
    devices: IntGaugeVec,
}

impl<H> GroupsNow<H> {
    pub(super) fn new(groups: Groups<H>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            groups,
            phases: IntGaugeVec::new(
                Opts::new("burstlet_groups", "Container groups, by phase."),
                &["phase"],
            )?,
            queue: IntGauge::new(
                "burstlet_queue_length",
                "Container groups that wait for room.",
            )?,
            cpu: GaugeVec::new(
                Opts::new(
                    "burstlet_room_cpu_cores",
                    "Processors that groups can be given, and that admitted groups asked for.",
                ),
                &["kind"],
            )?,
            memory: GaugeVec::new(
                Opts::new(
                    "burstlet_room_memory_bytes",
                    "Memory that groups can be given, and that admitted groups asked for.",
                ),
                &["kind"],
            )?,
            devices: IntGaugeVec::new(
                Opts::new(
                    "burstlet_room_devices",
                    "Devices that groups can be given, and that admitted groups have, by resource.",
                ),
                &["resource", "kind"],
            )?,
        })
    }

    fn metrics(&self) -> [&dyn Collector; 5] {
        let (phases, queue) = (&self.phases, &self.queue);
        [phases, queue, &self.cpu, &self.memory, &self.devices]
    }

    fn set_room(&self, kind: &str, list: ResourceList) {
        let cores = list.cpu.map_or(0.0, |cpu| cpu.0 as f64 / 1000.0);
        let bytes = list.memory.map_or(0.0, |memory| memory.0 as f64);
        self.cpu.with_label_values(&[kind]).set(cores);
        self.memory.with_label_values(&[kind]).set(bytes);
    }

    fn set_devices(&self, of_each: &BTreeMap<ExtendedResource, DeviceUse>) {
        // What somebody still had whose resource the operator has taken away is gone with him.
        self.devices.reset();
        for (resource, of_it) in of_each {
            for (kind, count) in [
                ("allocatable", of_it.allocatable),
                ("requested", of_it.requested),
            ] {
                let gauge = self.devices.with_label_values(&[resource.as_str(), kind]);
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }
}

impl<H: Host> GroupsNow<H> {
    fn update(&self) {
        let all = self.groups.list().groups;
        for phase in Phase::ALL {
            let count = all.iter().filter(|group| group.status.phase == phase);
            let gauge = self.phases.with_label_values(&[phase.as_str()]);
            gauge.set(i64::try_from(count.count()).unwrap_or(i64::MAX));
        }
        let room = self.groups.room();
        self.queue
            .set(i64::try_from(room.waiting).unwrap_or(i64::MAX));
        self.set_room("allocatable", room.allocatable);
        self.set_room("requested", room.requested);
        self.set_devices(&room.devices);
    }
}

impl<H: Host> Collector for GroupsNow<H> {
    fn desc(&self) -> Vec<&Desc> {
        let metrics = self.metrics().into_iter();
        metrics.flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.update();
        let metrics = self.metrics().into_iter();
        metrics.flat_map(Collector::collect).collect()
    }
}
