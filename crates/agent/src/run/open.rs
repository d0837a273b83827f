//! What groups stand on is brought up, and made to agree with what an earlier agent has left.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use burstlet_bundle::seccomp::{Arch, KernelVersion, Profile, Profiles};
use burstlet_cgroup::{CgroupRoot, Cgroups, Hierarchy, JoinPaths};
use burstlet_failpoint::{Point, pass, reach};
use burstlet_image::snapshot::Snapshotter;
use burstlet_metering::recent::Recent;
use burstlet_model::{ContainerName, GroupUid};
use burstlet_sandbox::client::{Launcher, LauncherConfig};
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::GroupRecord;

use crate::config::{Config, Isolation};
use crate::devices;
use crate::host::{HostFacts, Parts, RealHost};
use crate::id_ranges::IdRanges;
use crate::images;
use crate::machine;
use crate::metering::Metering;
use crate::network::LateNetwork;
use crate::policy::Rules;
use crate::processors::Processors;
use crate::records::{Loaded, Records};

/// Brings up what groups stand on, and agrees with what an earlier agent has left.
pub(super) async fn open(
    config: &Arc<Config>,
    rules: &Rules,
    recent: Option<Recent>,
) -> anyhow::Result<(Arc<RealHost>, Vec<GroupRecord>)> {
    let records = Records::open(&config.state_dir)?;
    let loaded = load(&records, rules)?;
    reach(Point::StartLoaded);
    let host = Arc::new(host(config, records, recent).await?);
    devices::check_kept(&config.devices, host.cgroups.capabilities().device_list)?;
    reach(Point::StartNetwork);
    pass(Point::StartLauncher)?;
    let launched = host.launcher.ensure().await;
    launched.context("start the launcher")?;
    reach(Point::StartLaunched);
    // Otherwise they would weigh as much together as any one service of the host.
    let share = rules.allocatable().cpu.unwrap_or_default();
    let shared = host.cgroups.share(share);
    shared.context("give the groups their share of the processors")?;
    let joined = host.processors.join();
    joined.context("leave the processors that groups have alone")?;
    settle(&host, &loaded).await?;
    reach(Point::StartSettled);
    host.renew_leases(&loaded.records).await;
    reach(Point::StartLeases);
    Ok((host, loaded.records))
}

/// Brings up what the host is made of, but for the launcher, which may run; `recent` is told of the
/// ledger's records.
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
    let processors = Processors::open(config, &cgroups).context("[processors]")?;
    let launcher = launcher(config, &cgroups)?;
    let snapshots = config.state_dir.join("init-layers");
    let metering = Metering::open(&config.state_dir, &config.billing, recent);
    let metering = metering.context("open the ledger")?;
    reach(Point::StartLedger);
    Ok(RealHost::new(Parts {
        records,
        ids: IdRanges::new(config.sandbox),
        images: images::open(config).await?,
        snapshotter: Snapshotter::open(&snapshots).context("open the snapshots")?,
        network: LateNetwork::open(config).await?,
        open_network: config.network.isolation == Isolation::Open,
        cgroups,
        processors,
        launcher,
        profiles: profiles(config)?,
        logs: config.logs.clone(),
        policy: config.policy.clone(),
        shared_nodes: config.devices.shared_nodes(),
        facts: HostFacts::read(config).context("look at this host")?,
        boot_id: machine::boot_id().context("read the boot id")?,
        metering,
    }))
}

fn load(records: &Records, rules: &Rules) -> anyhow::Result<Loaded> {
    let loaded = records.load(rules).context("read the groups' records")?;
    for (path, problem) in &loaded.corrupt {
        tracing::error!(path = %path.display(), problem, "a group's record cannot be read and was set aside");
    }
    Ok(loaded)
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
fn launcher(config: &Config, cgroups: &Cgroups) -> anyhow::Result<Launcher> {
    let name = ContainerName::new("launcher").context("name the launcher's cgroup")?;
    let cgroup = cgroups
        .daemon(&name)
        .context("make the launcher's cgroup")?;
    let shared = cgroups.processors_root();
    let join = match cgroup.join_paths() {
        JoinPaths::V1 { tasks } => tasks
            .into_iter()
            .chain(shared.map(|directory| directory.join("tasks")))
            .collect(),
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
