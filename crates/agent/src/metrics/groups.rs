//! The groups as they are, looked up at each scrape.

use burstlet_model::spec::ResourceList;
use burstlet_model::status::Phase;
use burstlet_supervisor::Groups;
use burstlet_supervisor::host::Host;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Opts};

pub(super) struct GroupsNow<H> {
    groups: Groups<H>,
    phases: IntGaugeVec,
    queue: IntGauge,
    cpu: GaugeVec,
    memory: GaugeVec,
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
        })
    }

    fn metrics(&self) -> [&dyn Collector; 4] {
        [&self.phases, &self.queue, &self.cpu, &self.memory]
    }

    fn set_room(&self, kind: &str, list: ResourceList) {
        let cores = list.cpu.map_or(0.0, |cpu| cpu.0 as f64 / 1000.0);
        let bytes = list.memory.map_or(0.0, |memory| memory.0 as f64);
        self.cpu.with_label_values(&[kind]).set(cores);
        self.memory.with_label_values(&[kind]).set(bytes);
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
