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
mod serve;
mod supervised;
mod upkeep;

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use burstlet_bundle::seccomp::{Arch, KernelVersion, Profile, Profiles};
use burstlet_cgroup::{CgroupRoot, Cgroups, Hierarchy, JoinPaths};
use burstlet_failpoint::{Point, pass, reach};
use burstlet_image::snapshot::Snapshotter;
use burstlet_metering::recent::Recent;
use burstlet_model::spec::ResourceList;
use burstlet_model::{ContainerName, GroupUid};
use burstlet_sandbox::client::{Launcher, LauncherConfig};
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::GroupRecord;
use burstlet_supervisor::{Capacity, Groups};
use burstlet_telemetry::{Health, Readiness};
use nix::fcntl::{Flock, FlockArg};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Isolation};
use crate::host::{HostFacts, Parts, RealHost};
use crate::id_ranges::IdRanges;
use crate::kubernetes::{self, Of};
use crate::machine::{self, Machine};
use crate::metering::Metering;
use crate::otlp::{self, Outlet, Subject, Way};
use crate::policy::Rules;
use crate::records::{Loaded, Records};
use crate::{access, billing, images, network};

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
    let readiness = Readiness::new();
    let starting = readiness.latch("groups");
    let books = billing::books(&config.billing)?;
    let way = Way::open(&config.otlp, outlet)?;
    let _lock = lock(&config)?;
    pass(Point::StartLocked)?;
    let config = Arc::new(config);
    let machine = Machine::read().context("read what this machine has")?;
    let rules = Rules::new(&config, &machine);
    let (host, records) = open(&config, &rules, way.as_ref().and_then(Way::recent)).await?;
    host.metering.end_when_poisoned(shutdown.clone());
    host.metering.install_books(books).await?;
    close_orphans(&host).await?;
    // Before anybody may ask for a group.
    host.metering.look_at_budgets();
    let known = records.len();
    let bounds = supervisor_config(&config, &machine);
    let groups = Groups::start(Arc::clone(&host), bounds, records, shutdown.clone());
    let health = Health::default();
    let node_rules = rules.clone();
    let (registry, metrics) = serve::metrics(&groups).context("set up the metrics")?;
    let served = serve::serve(serve::Serve {
        config: Arc::clone(&config),
        rules,
        machine,
        groups: groups.clone(),
        readiness,
        health: health.clone(),
        registry: registry.clone(),
        metrics,
        shutdown: shutdown.clone(),
    });
    let begin = async {
        tokio::select! {
            () = groups.adopted() => {}
            // What is not taken over by now is left to the next agent.
            () = shutdown.cancelled() => return Ok(()),
        }
        drop(starting);
        supervised::ready();
        tracing::info!(groups = known, "ready");
        let upkeep = upkeep::run(&host, &config, &health, shutdown.clone());
        let of = Of {
            config: &config,
            rules: &node_rules,
            machine: &machine,
            registry: &registry,
        };
        let node = kubernetes::run(of, groups.clone(), shutdown.clone());
        tokio::join!(upkeep, node).1
    };
    let subject = Subject {
        config: &config,
        groups: &groups,
        registry: &registry,
    };
    let telling = otlp::tell(way, subject, shutdown.clone());
    let (served, node, told) = tokio::join!(served, begin, telling);
    shutdown.cancel();
    supervised::stopping();
    groups.stopped().await;
    let closed = close(&host).await;
    tracing::info!("ended; groups go on");
    served.and(node).and(told).and(closed)
}

/// Secrets of groups are in this process's memory: no core of it is written, and nobody else of its
/// user looks into it.
fn keep_memory_private() -> anyhow::Result<()> {
    burstlet_sandbox::cores::forbid().context("forbid cores of this process")?;
    nix::sys::prctl::set_dumpable(false).context("keep this process's memory to itself")
}

/// Brings up what groups stand on, and agrees with what an earlier agent has left.
async fn open(
    config: &Arc<Config>,
    rules: &Rules,
    recent: Option<Recent>,
) -> anyhow::Result<(Arc<RealHost>, Vec<GroupRecord>)> {
    let records = Records::open(&config.state_dir)?;
    let loaded = load(&records, rules)?;
    reach(Point::StartLoaded);
    let host = Arc::new(host(config, records, recent).await?);
    reach(Point::StartNetwork);
    settle(&host, &loaded).await?;
    reach(Point::StartSettled);
    host.renew_leases(&loaded.records).await;
    reach(Point::StartLeases);
    Ok((host, loaded.records))
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

/// Makes the agent's directories and takes them for itself.
///
/// # Errors
/// They cannot be made, or another agent has them.
pub(crate) fn lock(config: &Config) -> anyhow::Result<Flock<File>> {
    let groups = config.state_dir.join("groups");
    for dir in [&*config.state_dir, &*config.run_dir, &groups] {
        private_dir(dir).with_context(|| format!("make the directory {}", dir.display()))?;
    }
    // The first record's directory survives a power cut only if the one that holds it does.
    let synced = File::open(&*config.state_dir).and_then(|dir| dir.sync_all());
    synced.with_context(|| format!("sync {}", config.state_dir.display()))?;
    let path = config.state_dir.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = file.with_context(|| format!("open {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => bail!(
            "another agent uses {}: end it first, or give this one a state_dir of its own",
            config.state_dir.display()
        ),
        Err((_, errno)) => Err(errno).with_context(|| format!("lock {}", path.display())),
    }
}

/// Makes a directory that only root may enter, or makes it so: layers hold other people's setuid
/// programs, and groups their secrets.
fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700))
}

fn load(records: &Records, rules: &Rules) -> anyhow::Result<Loaded> {
    let loaded = records.load(rules).context("read the groups' records")?;
    for (path, problem) in &loaded.corrupt {
        tracing::error!(path = %path.display(), problem, "a group's record cannot be read and was set aside");
    }
    Ok(loaded)
}

/// Brings up what the host is made of; `recent` is told of the ledger's records.
///
/// # Errors
/// A part cannot be brought up.
pub(crate) async fn host(
    config: &Arc<Config>,
    records: Records,
    recent: Option<Recent>,
) -> anyhow::Result<RealHost> {
    let hierarchy = Hierarchy::detect().context("find the cgroup hierarchies")?;
    let root = CgroupRoot::new(&*config.cgroup_root).context("cgroup_root")?;
    let cgroups = Cgroups::open(hierarchy, root).context("make the cgroup root")?;
    for warning in cgroups.capabilities().warnings() {
        tracing::warn!("{warning}");
    }
    let launcher = launcher(config, &cgroups)?;
    pass(Point::StartLauncher)?;
    launcher.ensure().await.context("start the launcher")?;
    reach(Point::StartLaunched);
    let snapshots = config.state_dir.join("init-layers");
    let metering = Metering::open(&config.state_dir, &config.billing, recent);
    let metering = metering.context("open the ledger")?;
    reach(Point::StartLedger);
    Ok(RealHost::new(Parts {
        records,
        ids: IdRanges::new(config.sandbox),
        images: images::open(config).await?,
        snapshotter: Snapshotter::open(&snapshots).context("open the snapshots")?,
        network: network::open(config).await?,
        open_network: config.network.isolation == Isolation::Open,
        cgroups,
        launcher,
        profiles: profiles(config)?,
        logs: config.logs.clone(),
        policy: config.policy.clone(),
        facts: HostFacts::read(config).context("look at this host")?,
        boot_id: machine::boot_id().context("read the boot id")?,
        metering,
    }))
}

/// The shipped profile, and those that the operator registered.
///
/// # Errors
/// A profile cannot be read, or is not valid.
fn profiles(config: &Config) -> anyhow::Result<Profiles> {
    let arch = Arch::native().context("this processor's architecture has no seccomp profile")?;
    let kernel = KernelVersion::parse(&machine::kernel())
        .context("the kernel's version is not understood")?;
    let mut profiles = Profiles::new(arch, kernel).context("compile the seccomp profile")?;
    for (name, path) in crate::policy::profile_files(&config.policy.seccomp_profiles) {
        let place = || format!("the seccomp profile {}", path.display());
        let text = std::fs::read_to_string(&path).with_context(place)?;
        profiles = profiles.with(name, Profile::parse(&text).with_context(place)?);
    }
    Ok(profiles)
}

/// The launcher, in a cgroup of its own so that nobody is charged for it.
///
/// # Errors
/// Its cgroup cannot be made.
pub(crate) fn launcher(config: &Config, cgroups: &Cgroups) -> anyhow::Result<Launcher> {
    let name = ContainerName::new("launcher").context("name the launcher's cgroup")?;
    let cgroup = cgroups
        .daemon(&name)
        .context("make the launcher's cgroup")?;
    let join = match cgroup.join_paths() {
        JoinPaths::V1 { tasks } => tasks,
        JoinPaths::V2 { directory } => vec![directory.join("cgroup.procs")],
    };
    Ok(Launcher::new(LauncherConfig {
        binary: config.program(&config.launcher),
        run_dir: config.run_dir.to_path_buf(),
        state_dir: config.state_dir.to_path_buf(),
        join,
    }))
}

/// Sees to it that what is on the host belongs to a group, before any group does anything: ranges of
/// ids are taken, what creations that never became a record have left is removed, and the network
/// is as the groups with a keeper need it.
///
/// A group whose record cannot be read counts as one: somebody has to look at it.
async fn settle(host: &RealHost, loaded: &Loaded) -> anyhow::Result<()> {
    let known: Vec<GroupUid> = host
        .records
        .uids()
        .into_iter()
        .filter(|uid| !loaded.orphans.contains(uid))
        .collect();
    for uid in &known {
        host.ids.recall(uid, &host.records.dir(uid));
    }
    let keepers = host.launcher.groups().context("look for keepers")?;
    let cgroups = host.cgroups.list().context("look for cgroups")?;
    let left = loaded.orphans.iter().chain(&keepers).chain(&cgroups);
    let left: BTreeSet<&GroupUid> = left.filter(|uid| !known.contains(uid)).collect();
    for uid in left {
        tracing::info!(group = %uid, "removing what a group that never came to be has left");
        if let Err(error) = host.remove(uid).await {
            tracing::error!(group = %uid, %error, "cannot remove what a group has left");
        }
    }
    let kept: Vec<GroupUid> = keepers
        .into_iter()
        .filter(|uid| known.contains(uid))
        .collect();
    let report = host.network.reconcile(&kept, &known).await;
    let report = report.context("make the network what the groups need")?;
    tracing::debug!(?report, "network reconciled");
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
