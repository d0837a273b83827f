//! A group's sandbox: made before its first container, ended after its last.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use burstlet_bundle::{HostIds, group_sysctls};
use burstlet_cgroup::JoinPaths;
use burstlet_failpoint::{Point, reach};
use burstlet_image::remove_tree;
use burstlet_model::spec::{GroupSpec, Protocol, Reach};
use burstlet_model::{ErrorKind, GroupUid};
use burstlet_network::{Attached, HostPort, Isolation, LeaseRequest, PublishedPort};
use burstlet_sandbox::client::Connected;
use burstlet_sandbox::plan::{CgroupEntry, GroupPlan, IdRange, NetworkNamespace, Outside};
use burstlet_supervisor::host::{GroupRef, HostError, Sandbox};

use super::failure::{SANDBOX, fail, pass};
use super::group::{Group, Standing};
use super::log_links::LogLinks;
use super::volumes::{self, Owner};
use super::{Parts, RealHost, complete, files, image_volumes, limits, persistent};
use crate::config::IDS_PER_GROUP;
use crate::id_ranges::IdRanges;
use crate::machine;
use crate::records::replace;

/// How long the kernel may take to end and free what a dead group held.
pub(super) const REMOVAL_PATIENCE: Duration = Duration::from_secs(10);
/// Written before a keeper is asked for, with the boot that it lives in; removed when it is gone.
/// It says nothing after the machine's next start, so it is not synced.
pub(super) const MARKER: &str = "sandbox";

impl RealHost {
    pub(super) async fn make_sandbox(&self, of: GroupRef<'_>) -> Result<Sandbox, HostError> {
        let group = self.group(of.uid);
        let _changing = group.changing.lock().await;
        if let Some(standing) = group.standing() {
            return Ok(Sandbox {
                processors: self.processors.of(of.uid),
                ..standing.sandbox
            });
        }
        let made = self.build(&group, of.spec).await;
        if made.is_err() {
            // What was begun is taken back; the failure itself is what counts.
            if let Err(error) = self.tear_down(&group, None).await {
                tracing::warn!(group = %group.uid, %error, "cannot take back a failed sandbox");
            }
        }
        made
    }

    async fn build(&self, group: &Arc<Group>, spec: &GroupSpec) -> Result<Sandbox, HostError> {
        let spec = Arc::new(spec.clone());
        let (for_disk, of) = (Arc::clone(&spec), Arc::clone(group));
        let id_base = self
            .blocking(move |parts| prepare(parts, &of, &for_disk))
            .await?;
        let plan = self.group_plan(group, &spec, id_base)?;
        // All to their end: what goes on behind a failure would undo its tidying up.
        let (connected, leased, settled) = tokio::join!(
            self.ask_keeper(plan),
            self.lease(group, &spec),
            self.settle_ids(group, &spec),
        );
        let connected = connected?;
        let ((), ()) = (leased?, settled?);
        let created = machine::now();
        let Connected {
            keeper,
            events,
            network,
        } = connected;
        let attached = self.attach(group, &spec, network.as_ref()).await?;
        let ip = attached
            .as_ref()
            .and_then(|attached| attached.addresses.first().copied());
        let network_ready = machine::now();
        self.write_files(group, &spec, id_base, attached).await?;
        reach(Point::SandboxDone);
        let sandbox = Sandbox {
            ip,
            created,
            network_ready,
            processors: self.processors.of(&group.uid),
        };
        let pid = keeper.pid();
        let network = network.map(Arc::new);
        group.stands(Standing {
            keeper,
            network,
            sandbox: sandbox.clone(),
            spec,
            id_base,
        });
        self.follow(group, pid, events);
        Ok(sandbox)
    }

    async fn ask_keeper(&self, plan: GroupPlan) -> Result<Connected, HostError> {
        pass(Point::KeeperBegun)?;
        let connected = self.launcher.create_group(plan).await;
        reach(Point::KeeperMade);
        connected.map_err(|error| fail(error.kind(), SANDBOX, &error))
    }

    /// Joins the group to the network, unless it is the host's that it uses.
    async fn attach(
        &self,
        group: &Group,
        spec: &GroupSpec,
        netns: Option<&OwnedFd>,
    ) -> Result<Option<Attached>, HostError> {
        let Some(netns) = netns.filter(|_| !spec.network.host_network) else {
            return Ok(None);
        };
        pass(Point::AttachBegun)?;
        let attached = self
            .network
            .ready()?
            .attach(&group.uid, netns.as_fd())
            .await;
        let attached = attached.map_err(|error| fail(error.kind(), SANDBOX, &error))?;
        reach(Point::AttachDone);
        Ok(Some(attached))
    }

    /// Writes what containers find below `/etc`, then that the sandbox is whole.
    async fn write_files(
        &self,
        group: &Arc<Group>,
        spec: &Arc<GroupSpec>,
        id_base: u32,
        attached: Option<Attached>,
    ) -> Result<(), HostError> {
        let (spec, of) = (Arc::clone(spec), Arc::clone(group));
        let (addresses, dns) = attached.map_or((Vec::new(), None), |attached| {
            (attached.addresses, attached.dns)
        });
        let write = move |_: &Parts| {
            pass(Point::FilesBegun)?;
            files::write(&of.layout, &spec, &addresses, dns.as_ref(), id_base)?;
            let dir = of.layout.dir();
            pass(Point::FilesWritten)?;
            complete::mark(dir).map_err(|error| disk(dir, &error))
        };
        self.blocking(write).await
    }

    /// Nothing runs with ids that the next start of the machine would give to others.
    async fn settle_ids(&self, group: &Arc<Group>, spec: &GroupSpec) -> Result<(), HostError> {
        if !spec.user_namespace {
            return Ok(());
        }
        let of = Arc::clone(group);
        let settle = move |_: &Parts| {
            IdRanges::settle(&of.uid, of.layout.dir())
                .map_err(|error| fail(ErrorKind::Internal, SANDBOX, &error))
        };
        self.blocking(settle).await
    }

    /// The group's address and ports, which are its own from now on.
    async fn lease(&self, group: &Group, spec: &GroupSpec) -> Result<(), HostError> {
        if spec.network.host_network {
            return Ok(());
        }
        let isolation = match spec.network.reach {
            Reach::Cluster => Isolation::Cluster,
            Reach::Open => Isolation::Open,
            Reach::Node if self.open_network => Isolation::Open,
            Reach::Node => Isolation::Namespace,
        };
        let request = LeaseRequest {
            uid: group.uid.clone(),
            group: spec.name.clone(),
            isolation,
            ports: published(spec),
        };
        pass(Point::LeaseBegun)?;
        let leased = self.network.ready()?.lease(request).await;
        reach(Point::LeaseTaken);
        leased
            .map(drop)
            .map_err(|error| fail(error.kind(), SANDBOX, &error))
    }

    fn group_plan(
        &self,
        group: &Group,
        spec: &GroupSpec,
        id_base: u32,
    ) -> Result<GroupPlan, HostError> {
        let ids = spec.user_namespace.then_some(HostIds {
            base: id_base,
            len: IDS_PER_GROUP,
        });
        let sysctls =
            group_sysctls(spec, ids).map_err(|error| fail(error.kind(), SANDBOX, &error))?;
        let host_network = spec.network.host_network;
        Ok(GroupPlan {
            uid: group.uid.clone(),
            hostname: spec.hostname.clone(),
            domainname: None,
            user: spec.user_namespace.then_some(IdRange {
                host_base: id_base,
                len: IDS_PER_GROUP,
            }),
            network: if host_network {
                NetworkNamespace::Host
            } else {
                NetworkNamespace::New
            },
            share_process_namespace: spec.share_process_namespace,
            sysctls,
            dir: group.layout.dir().to_owned(),
            cgroup: Some(cgroup_entry(self.keepers_cgroup(&group.uid))),
        })
    }

    /// Where a keeper begins, and with it all that it starts.
    fn keepers_cgroup(&self, uid: &GroupUid) -> JoinPaths {
        let mut join = self.cgroups.keeper(uid).join_paths();
        if let JoinPaths::V1 { tasks } = &mut join {
            tasks.extend(self.processors.tasks(uid));
        }
        join
    }

    pub(super) async fn end_sandbox(&self, uid: &GroupUid) -> Result<(), HostError> {
        let group = self.group(uid);
        let _changing = group.changing.lock().await;
        let standing = group.falls();
        self.tear_down(&group, standing).await
    }

    /// Frees everything but address, volumes, logs and record. Goes on after a failure, and tells
    /// the first.
    pub(super) async fn tear_down(
        &self,
        group: &Arc<Group>,
        standing: Option<Standing>,
    ) -> Result<(), HostError> {
        let keeper = match &standing {
            Some(standing) => Some(standing.keeper.clone()),
            // One that an earlier agent left, or whose answer we did not live to see.
            None => self
                .launcher
                .adopt(&group.uid)
                .await
                .ok()
                .map(|adopted| adopted.connected.keeper),
        };
        reach(Point::ShutdownBegun);
        if let Some(keeper) = keeper
            && let Err(error) = keeper.shutdown().await
        {
            tracing::warn!(group = %group.uid, %error, "the keeper did not end its group; killing it");
        }
        reach(Point::ShutdownDone);
        // A reading that fails must not keep what the group held.
        if let Err(error) = self.write_down_last(&group.uid).await {
            tracing::error!(group = %group.uid, %error, "write down what the group has used");
        }
        let network = standing.and_then(|standing| standing.network);
        let netns = network.as_ref().map(|fd| fd.as_fd());
        let detached = self.detach(&group.uid, netns).await;
        let of = Arc::clone(group);
        let freed = self.blocking(move |parts| free(parts, &of)).await;
        detached.and(freed)
    }

    async fn detach(&self, uid: &GroupUid, netns: Option<BorrowedFd<'_>>) -> Result<(), HostError> {
        pass(Point::DetachBegun)?;
        let Some(network) = self.network.get() else {
            return Ok(());
        };
        let detached = network.detach(uid, netns).await;
        reach(Point::DetachDone);
        detached.map_err(|error| fail(error.kind(), SANDBOX, &error))
    }

    pub(super) async fn remove_group(&self, uid: &GroupUid) -> Result<(), HostError> {
        self.end_sandbox(uid).await?;
        pass(Point::ReleaseBegun)?;
        if let Some(network) = self.network.get() {
            let released = network.release(uid).await;
            released.map_err(|error| fail(error.kind(), SANDBOX, &error))?;
        }
        reach(Point::ReleaseDone);
        let released = self.images.release(uid, machine::now().wall).await;
        released.map_err(|error| fail(error.kind(), "ImageReleaseFailed", &error))?;
        let removed = uid.clone();
        let remove = move |parts: &Parts| {
            unname_logs(parts, &removed);
            let done = parts.records.remove(&removed);
            done.map_err(|error| fail(error.kind(), "RemoveFailed", &error))?;
            reach(Point::RemovalDone);
            parts.ids.release(&removed);
            Ok(())
        };
        self.blocking(remove).await?;
        self.forget(uid);
        Ok(())
    }
}

/// What is on disk and in the cgroup hierarchy before the keeper is. Blocks.
fn prepare(parts: &Parts, group: &Group, spec: &GroupSpec) -> Result<u32, HostError> {
    let layout = &group.layout;
    let id_base = if spec.user_namespace {
        let taken = parts.ids.take(&group.uid, layout.dir());
        taken.map_err(|error| fail(ErrorKind::ResourceExhausted, SANDBOX, &error))?
    } else {
        0
    };
    complete::clear(layout.dir())
        .and_then(|()| replace(layout.dir(), MARKER, parts.boot_id.as_bytes()))
        .map_err(|error| disk(layout.dir(), &error))?;
    reach(Point::SandboxMarked);
    pass(Point::SandboxDirs)?;
    for dir in [
        layout.files(),
        layout.rootfs_all(),
        layout.dir().join("volumes"),
    ] {
        make_dir(&dir).map_err(|error| disk(&dir, &error))?;
    }
    volumes::prepare(layout, spec, Owner::of(spec, id_base))
        .map_err(|error| fail(ErrorKind::Internal, super::failure::MOUNT, &error))?;
    persistent::give(parts, spec)?;
    image_volumes::settle(parts, group, spec)?;
    reach(Point::VolumesMade);
    let cgroup = parts.cgroups.group(&group.uid);
    if cgroup.exists() {
        // Left by an earlier life: counters must begin at zero.
        free_cgroup(parts, &group.uid)?;
    }
    pass(Point::CgroupBegun)?;
    let made = parts
        .cgroups
        .create_group(&group.uid, &limits::of_group(parts, spec));
    made.map_err(|error| fail(error.kind(), SANDBOX, &error))?;
    let begun = parts.processors.begin(&group.uid, spec);
    begun.map_err(|error| fail(error.kind(), SANDBOX, &error))?;
    reach(Point::CgroupMade);
    Ok(id_base)
}

/// Takes the names of a group's logs from collectors. A name that stays leads nowhere, and must not
/// keep the group. Blocks.
fn unname_logs(parts: &Parts, uid: &GroupUid) {
    let Some(dir) = &parts.logs.link_dir.0 else {
        return;
    };
    if let Err(error) = LogLinks(dir).remove_group(uid) {
        tracing::warn!(group = %uid, dir = %dir.display(), %error, "the names of its logs are left");
    }
}

/// Kills what is left, and frees cgroups and root file systems. Blocks.
fn free(parts: &Parts, group: &Group) -> Result<(), HostError> {
    free_cgroup(parts, &group.uid)?;
    reach(Point::CgroupGone);
    pass(Point::RootsEnd)?;
    let roots = group.layout.rootfs_all();
    if roots.exists() {
        remove_tree(&roots).map_err(|error| fail(error.kind(), SANDBOX, &error))?;
    }
    let dir = group.layout.dir();
    complete::clear(dir).map_err(|error| disk(dir, &error))?;
    pass(Point::MarkerEnd)?;
    let marker = dir.join(MARKER);
    match std::fs::remove_file(&marker) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(&marker, &error)),
        _ => Ok(()),
    }
}

fn free_cgroup(parts: &Parts, uid: &GroupUid) -> Result<(), HostError> {
    let cgroup = parts.cgroups.group(uid);
    if cgroup.exists() {
        pass(Point::CgroupEnd)?;
        let killed = cgroup.kill_all(REMOVAL_PATIENCE);
        killed
            .and_then(|()| cgroup.remove(REMOVAL_PATIENCE))
            .map_err(|error| fail(error.kind(), SANDBOX, &error))?;
    }
    let ended = parts.processors.end(uid, REMOVAL_PATIENCE);
    ended.map_err(|error| fail(error.kind(), SANDBOX, &error))
}

pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn disk(path: &Path, error: &io::Error) -> HostError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::ResourceExhausted,
        _ => ErrorKind::Internal,
    };
    HostError::new(kind, SANDBOX, format!("write {}: {error}", path.display()))
}

pub(super) fn cgroup_entry(join: JoinPaths) -> CgroupEntry {
    match join {
        JoinPaths::V1 { tasks } => {
            CgroupEntry::Tasks(tasks.into_iter().map(Outside::Path).collect())
        }
        JoinPaths::V2 { directory } => CgroupEntry::BornIn(Outside::Path(directory)),
    }
}

fn published(spec: &GroupSpec) -> Vec<PublishedPort> {
    let ports = spec
        .all_containers()
        .flat_map(|(_, container)| &container.ports);
    let published = ports.filter_map(|port| {
        let number = std::num::NonZeroU16::new(port.host_port?)?;
        let protocol: Protocol = port.protocol;
        let host = HostPort::new(port.host_ip, protocol, number);
        Some(PublishedPort {
            host,
            container_port: port.container_port,
        })
    });
    published.collect()
}
