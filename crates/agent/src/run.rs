//! The agent's life: what is brought up in which order, and taken down again.
//!
//! ```text
//! lock ─► directories ─► launcher, images, cgroups ─► ledger ─► records ─► network
//!                                                                            │
//!      serve ◄─ reconcile ◄─ adopt every group ◄─────────────────────────────┘
//!        │
//!        ▼  SIGTERM or SIGINT
//!      stop serving ─► last records ─► end; groups go on
//! ```

mod doors;
mod lock;
mod open;
mod serve;
mod supervised;
mod upkeep;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use burstlet_access::Trail;
use burstlet_failpoint::{Point, pass};
use burstlet_metering::recent::Recent;
use burstlet_model::GroupUid;
use burstlet_model::spec::ResourceList;
use burstlet_supervisor::{Capacity, Groups};
use burstlet_telemetry::{Health, Readiness, Registry};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::host::RealHost;
use crate::kubernetes::{self, Of};
use crate::machine::Machine;
use crate::otlp::{self, Outlet, Subject, Way};
use crate::policy::Rules;
use crate::{access, billing, devices};

pub(crate) use lock::lock;
pub(crate) use open::host;

/// Sandboxes of an earlier agent taken over at the same time: enough that a container that is
/// just being launched in some of them keeps the others waiting for nothing.
const ADOPTIONS_MAX: usize = 32;
/// Sandboxes and containers set up at the same time on the whole node.
const LAUNCHES_MAX: usize = 16;
/// Probes under way at the same time on the whole node.
const PROBES_MAX: usize = 64;
/// Groups that may exist at the same time.
const GROUPS_MAX: usize = 100_000;
/// Changes kept for watchers that lag.
const HISTORY_MAX: usize = 4096;

/// Runs the agent until it is told to end.
///
/// # Errors
/// Something that it needs is not there, or another agent uses the same directories.
pub(crate) async fn run(config: Config, outlet: Outlet) -> anyhow::Result<()> {
    keep_memory_private()?;
    let shutdown = CancellationToken::new();
    end_on_signal(shutdown.clone())?;
    let way = Way::open(&config.otlp, outlet)?;
    let _lock = lock(&config)?;
    pass(Point::StartLocked)?;
    let agent = Agent::start(config, way.as_ref().and_then(Way::recent), shutdown).await?;
    Box::pin(agent.live(way)).await
}

/// What is there once groups are under way.
struct Agent {
    config: Arc<Config>,
    machine: Machine,
    rules: Rules,
    host: Arc<RealHost>,
    groups: Groups<RealHost>,
    /// Who did what.
    trail: Trail,
    /// Groups that an earlier agent has left.
    known: usize,
    /// Ends everything but the groups.
    shutdown: CancellationToken,
}

impl Agent {
    /// Brings up what groups stand on, and begins to take over those that are there.
    async fn start(
        config: Config,
        recent: Option<Recent>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Agent> {
        let books = billing::books(&config.billing)?;
        let trail = access::trail(&config);
        let trail = Trail::open(trail).context("begin the audit trail")?;
        let config = Arc::new(config);
        let devices = devices::offered(&config.devices).context("find the devices to give away")?;
        let machine = Machine::read(devices).context("read what this machine has")?;
        let rules = Rules::new(&config, &machine);
        let (host, records) = open::open(&config, &rules, recent).await?;
        host.metering.end_when_poisoned(shutdown.clone());
        host.metering.install_books(books).await?;
        close_orphans(&host).await?;
        // Before anybody may ask for a group.
        host.metering.look_at_budgets();
        let known = records.len();
        let bounds = supervisor_config(&config, &machine);
        let groups = Groups::start(Arc::clone(&host), bounds, records, shutdown.clone());
        Ok(Agent {
            config,
            machine,
            rules,
            host,
            groups,
            trail,
            known,
            shutdown,
        })
    }

    /// Serves until it is told to end or something fails, then sees the last records written.
    async fn live(self, way: Option<Way>) -> anyhow::Result<()> {
        let readiness = Readiness::new();
        let starting = readiness.latch("groups");
        let health = Health::default();
        let (registry, metrics) = serve::metrics(&self.groups).context("set up the metrics")?;
        let served = serve::serve(serve::Serve {
            config: Arc::clone(&self.config),
            rules: self.rules.clone(),
            machine: self.machine.clone(),
            groups: self.groups.clone(),
            readiness,
            health: health.clone(),
            registry: registry.clone(),
            metrics,
            trail: self.trail.clone(),
            shutdown: self.shutdown.clone(),
        });
        let begun = async {
            tokio::select! {
                () = self.groups.adopted() => {}
                // What is not taken over by now is left to the next agent.
                () = self.shutdown.cancelled() => return Ok(()),
            }
            drop(starting);
            self.ready(&registry, &health).await
        };
        let subject = Subject {
            config: &self.config,
            groups: &self.groups,
            registry: &registry,
            trail: &self.trail,
        };
        let telling = otlp::tell(way, subject, self.shutdown.clone());
        let (served, begun, told) = tokio::join!(served, begun, telling);
        self.shutdown.cancel();
        supervised::stopping();
        self.groups.stopped().await;
        let closed = close(&self.host).await;
        tracing::info!("ended; groups go on");
        served.and(begun).and(told).and(closed)
    }

    /// What goes on once every group that was there is taken over.
    async fn ready(&self, registry: &Registry, health: &Health) -> anyhow::Result<()> {
        supervised::ready();
        tracing::info!(groups = self.known, "ready");
        let upkeep = upkeep::run(&self.host, &self.config, health, self.shutdown.clone());
        let of = Of {
            config: &self.config,
            rules: &self.rules,
            machine: &self.machine,
            registry,
            trail: &self.trail,
        };
        let node = kubernetes::run(of, self.groups.clone(), self.shutdown.clone());
        tokio::join!(upkeep, node).1
    }
}

/// Secrets of groups are in this process's memory: no core of it is written, and nobody else of its
/// user looks into it.
fn keep_memory_private() -> anyhow::Result<()> {
    burstlet_sandbox::cores::forbid().context("forbid cores of this process")?;
    nix::sys::prctl::set_dumpable(false).context("keep this process's memory to itself")
}

/// Writes what is not on the disk yet.
async fn close(host: &RealHost) -> anyhow::Result<()> {
    if let Err(error) = host.images.sync().await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot write the images' layers to the disk");
    }
    let is_sound = host.metering.is_sound();
    host.metering.close().await;
    anyhow::ensure!(is_sound, "the ledger's disk has failed");
    Ok(())
}

/// Closes the sessions of groups that are gone. One whose record cannot be read is not.
async fn close_orphans(host: &RealHost) -> anyhow::Result<()> {
    let known: BTreeSet<GroupUid> = host.records.uids().into_iter().collect();
    let closed = host.metering.close_orphans(&known).await;
    closed.context("close the sessions of groups that are gone")
}

fn end_on_signal(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending");
        shutdown.cancel();
    });
    Ok(())
}

fn supervisor_config(config: &Config, machine: &Machine) -> burstlet_supervisor::Config {
    let given = &config.capacity;
    burstlet_supervisor::Config {
        capacity: Capacity {
            machine: machine.total(),
            reserved: ResourceList {
                cpu: Some(given.reserved_cpu),
                memory: Some(given.reserved_memory),
                ..ResourceList::default()
            },
            overcommit_percent: given.overcommit_percent,
            default_request: ResourceList::default(),
            devices: machine.devices.clone(),
            waiting_max: given.queue_max as usize,
        },
        groups_max: GROUPS_MAX,
        quotas: access::quotas(config),
        history_max: HISTORY_MAX,
        adoptions_in_flight_max: ADOPTIONS_MAX,
        launches_in_flight_max: LAUNCHES_MAX,
        probes_in_flight_max: PROBES_MAX,
    }
}
