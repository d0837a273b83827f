//! What happens in the lives of groups: launches, restarts, ends for want of memory.
//!
//! Each change of a group is compared with what was seen of it last. A group that is there when
//! the agent begins was counted by the agent before; what is told when this one falls behind and
//! has to look at all groups again is counted then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::status::{ContainerState, ContainerStatus, LaunchTimeline};
use burstlet_model::{GroupUid, Stamp};
use burstlet_supervisor::host::Host;
use burstlet_supervisor::{Change, ChangeKind, Groups, Listing, Snapshot};
use burstlet_telemetry::Registry;
use prometheus::{HistogramOpts, HistogramVec, IntCounter};

use crate::following::{Follower, follow};

/// Upper bounds in seconds: from a cached image on an idle machine to a large one on a slow line.
const STAGE_BUCKETS_S: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
/// The reason of an exit for want of memory.
const OOM_KILLED: &str = "OOMKilled";

pub(super) struct Lives {
    known: HashMap<GroupUid, Arc<Snapshot>>,
    stages: HistogramVec,
    restarts: IntCounter,
    oom_kills: IntCounter,
    pulled_bytes: IntCounter,
}

impl Lives {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help| {
            let counter = IntCounter::new(name, help)?;
            registry.register(counter.clone())?;
            Ok::<_, prometheus::Error>(counter)
        };
        let options = HistogramOpts::new(
            "burstlet_launch_stage_seconds",
            "How long each stage of a launch took; unpacked is a part of pulled.",
        );
        let stages = HistogramVec::new(options.buckets(STAGE_BUCKETS_S.to_vec()), &["stage"])?;
        registry.register(stages.clone())?;
        Ok(Self {
            known: HashMap::new(),
            stages,
            restarts: counter(
                "burstlet_container_restarts_total",
                "Containers that were started again.",
            )?,
            oom_kills: counter(
                "burstlet_container_oom_kills_total",
                "Containers that the kernel ended for want of memory.",
            )?,
            pulled_bytes: counter(
                "burstlet_image_pulled_bytes_total",
                "Bytes that came over the network for launches.",
            )?,
        })
    }

    /// Follows the groups until the agent goes down.
    pub(super) async fn follow<H: Host>(mut self, groups: &Groups<H>) {
        let listing = groups.list();
        self.know(&listing);
        follow(groups, &listing, &mut self).await;
    }

    fn know(&mut self, listing: &Listing) {
        let all = listing.groups.iter();
        self.known = all.map(|s| (s.uid.clone(), Arc::clone(s))).collect();
    }

    fn compare(&self, now: &Snapshot) {
        let before = self.known.get(&now.uid).map(|snapshot| &snapshot.status);
        self.launches(before.map(|status| &status.timeline), &now.status.timeline);
        for container in now.status.all_containers() {
            let before = before.and_then(|status| status.container(container.name.as_str()));
            let restarts = before.map_or(0, |before| before.restart_count);
            let more = container.restart_count.saturating_sub(restarts);
            self.restarts.inc_by(more.into());
            if let Some(at) = oom_killed(container)
                && before.and_then(oom_killed) != Some(at)
            {
                self.oom_kills.inc();
            }
        }
    }

    fn launches(&self, before: Option<&LaunchTimeline>, now: &LaunchTimeline) {
        let same = before.filter(|before| before.accepted == now.accepted);
        let told = stages(same.unwrap_or(&LaunchTimeline::default()));
        for ((stage, took), (_, told)) in stages(now).into_iter().zip(told) {
            if let (Some(took), None) = (took, told) {
                let histogram = self.stages.with_label_values(&[stage]);
                histogram.observe(took.as_secs_f64());
            }
        }
        let known = same.map_or(0, |before| before.pulls.len());
        let news = now.pulls.iter().skip(known);
        self.pulled_bytes.inc_by(news.map(|pull| pull.bytes).sum());
    }
}

impl Follower for Lives {
    fn see(&mut self, change: &Change) {
        self.compare(&change.snapshot);
        match change.kind {
            ChangeKind::Deleted => self.known.remove(&change.snapshot.uid),
            ChangeKind::Added | ChangeKind::Modified => self
                .known
                .insert(change.snapshot.uid.clone(), Arc::clone(&change.snapshot)),
        };
    }

    fn catch_up(&mut self, listing: &Listing) {
        for snapshot in &listing.groups {
            self.compare(snapshot);
        }
        self.know(listing);
    }
}

/// When a container was ended for want of memory, if its latest end was that.
fn oom_killed(container: &ContainerStatus) -> Option<Stamp> {
    let exit = match &container.state {
        ContainerState::Terminated(exit) => Some(exit),
        ContainerState::Waiting { .. } | ContainerState::Running { .. } => {
            container.last_exit.as_ref()
        }
    };
    exit.filter(|exit| exit.reason == OOM_KILLED)
        .map(|exit| exit.finished_at)
}

/// What each stage of a launch took, as far as it has come.
fn stages(launch: &LaunchTimeline) -> [(&'static str, Option<Duration>); 8] {
    let span = |from: Option<Stamp>, to: Option<Stamp>| Some(to?.since(from?));
    let prepared = launch.pulled.max(launch.network_ready);
    let unpack = launch.pulls.iter().map(|pull| pull.unpack).sum();
    [
        ("queued", span(launch.accepted, launch.admitted)),
        ("pulled", span(launch.admitted, launch.pulled)),
        ("unpacked", launch.pulled.map(|_| unpack)),
        ("sandbox", span(launch.admitted, launch.sandbox_created)),
        (
            "network",
            span(launch.sandbox_created, launch.network_ready),
        ),
        ("created", span(prepared, launch.container_created)),
        ("started", span(launch.container_created, launch.started)),
        ("ready", span(launch.started, launch.ready)),
    ]
}
