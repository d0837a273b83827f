//! The door to the crate: one handle that the agent keeps.

mod bridge_way;

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burstlet_model::{BootTime, GroupUid, Namespace, NetworkUsage};
use nix::time::{ClockId, clock_gettime};
use tracing::warn;

use crate::NetworkError;
use crate::cni::Cni;
use crate::config::{Mode, NetworkConfig};
use crate::files::NodeDns;
use crate::lease::{Lease, LeaseRequest};
use crate::leases::{Granted, Leases};
use crate::publish::Published;
use bridge_way::BridgeWay;

/// The groups' network on this host. Cheap to clone; all clones are the same network.
///
/// Operations on different groups may run at the same time. For one group the caller keeps them in
/// order; each is idempotent, so one that failed or was interrupted is simply done again.
#[derive(Clone, Debug)]
pub struct Network(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: NetworkConfig,
    leases: Arc<Mutex<Leases>>,
    way: Way,
}

/// How groups get their network.
#[derive(Debug)]
enum Way {
    Bridge(Box<BridgeWay>),
    Cni(Cni),
    Host,
}

/// A group's network as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The group's addresses, the first one being the one to show.
    pub addresses: Vec<IpAddr>,
    /// The name servers, search domains and options that come with this network.
    pub dns: Option<NodeDns>,
}

/// What was found and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Somebody else has changed rules of the host, so ours were loaded anew.
    pub rules_restored: bool,
    /// Links that were set right.
    pub links_repaired: usize,
    /// Links of groups that are no more, deleted.
    pub links_removed: usize,
    /// Living groups that have no link: to be attached again.
    pub detached: Vec<GroupUid>,
}

impl Network {
    /// Brings the network up: rules first, then the bridge, then the name server.
    ///
    /// Every group that has a lease is taken as running until [`Network::reconcile`] says
    /// otherwise, so that groups that outlived the agent keep their connections. With a bridge,
    /// call it in the network namespace that the host's end shall be in; it must stay the same.
    ///
    /// # Errors
    /// The configuration cannot work, the leases on disk are damaged or do not fit it, or the
    /// kernel refuses.
    pub async fn open(config: NetworkConfig) -> Result<Self, NetworkError> {
        config.validate()?;
        let subnet = match &config.mode {
            Mode::Bridge(bridge) => Some((bridge.subnet.trunc(), config.quarantine)),
            Mode::Cni(_) | Mode::Host => None,
        };
        let leases = Leases::open(&config.state_dir, subnet, now())?;
        let way = match &config.mode {
            Mode::Bridge(bridge) => {
                let known = leases.all().cloned().collect();
                Way::Bridge(Box::new(BridgeWay::open(&config, bridge, known).await?))
            }
            Mode::Cni(cni) => Way::Cni(Cni::open(cni, &config.state_dir)?),
            Mode::Host => Way::Host,
        };
        Ok(Self(Arc::new(Inner {
            config,
            leases: Arc::new(Mutex::new(leases)),
            way,
        })))
    }

    /// Gives a group its lease: the one it has, or a new one. It is durable on return, and its
    /// ports of the host are held from then on.
    ///
    /// # Errors
    /// No address is free, a port is taken, or the group has another lease already.
    pub async fn lease(&self, request: LeaseRequest) -> Result<Lease, NetworkError> {
        if matches!(self.0.way, Way::Host) {
            return Err(NetworkError::HostOnly);
        }
        let ports = request.ports.clone();
        let uid = request.uid.clone();
        let (lease, granted) = self
            .book(move |leases| leases.grant(&request, now()))
            .await?;
        if let (Way::Bridge(way), Granted::New, Some(address)) =
            (&self.0.way, granted, lease.address)
        {
            match Published::open(&ports, address).await {
                Ok(published) => drop(way.published().insert(uid, published)),
                Err(error) => {
                    self.book(move |leases| leases.release(&uid, now())).await?;
                    return Err(error);
                }
            }
        }
        Ok(lease)
    }

    /// The lease that a group holds.
    #[must_use]
    pub fn lease_of(&self, uid: &GroupUid) -> Option<Lease> {
        lock(&self.0.leases).get(uid).cloned()
    }

    /// Connects a group's network namespace by its lease. What stands already is kept.
    ///
    /// # Errors
    /// The group has no lease, or the kernel or a plugin refuses. Then [`Network::detach`] clears
    /// what was begun.
    pub async fn attach(
        &self,
        uid: &GroupUid,
        netns: BorrowedFd<'_>,
    ) -> Result<Attached, NetworkError> {
        let lease = self
            .lease_of(uid)
            .ok_or_else(|| NetworkError::NoLease(uid.clone()))?;
        match &self.0.way {
            Way::Bridge(way) => way.attach(lease, netns, &self.0.config.dns.domain).await,
            Way::Cni(cni) => Ok(cni.add(&lease, netns).await?),
            Way::Host => Err(NetworkError::HostOnly),
        }
    }

    /// The address of a group that is connected.
    ///
    /// # Errors
    /// What plugins answered cannot be read.
    pub fn address_of(&self, uid: &GroupUid) -> Result<Option<IpAddr>, NetworkError> {
        match &self.0.way {
            Way::Bridge(_) => {
                let lease = self.lease_of(uid);
                Ok(lease.and_then(|lease| lease.address).map(Into::into))
            }
            Way::Cni(cni) => {
                let attached = cni.attached(uid)?;
                Ok(attached.and_then(|attached| attached.addresses.first().copied()))
            }
            Way::Host => Ok(None),
        }
    }

    /// Disconnects a group that has stopped; it keeps its lease. A group that is not attached is
    /// not an error. `netns` is the group's network namespace if it still exists; plugins may want
    /// it.
    ///
    /// # Errors
    /// The kernel or a plugin refuses.
    pub async fn detach(
        &self,
        uid: &GroupUid,
        netns: Option<BorrowedFd<'_>>,
    ) -> Result<(), NetworkError> {
        match &self.0.way {
            Way::Bridge(way) => {
                let lease = self.lease_of(uid);
                way.detach(uid, lease.and_then(|lease| lease.address)).await
            }
            Way::Cni(cni) => Ok(cni.delete(uid, netns).await?),
            Way::Host => Ok(()),
        }
    }

    /// Ends a group's lease, when the group is deleted. Its address goes to nobody else for the
    /// quarantine. A group without a lease is not an error.
    ///
    /// # Errors
    /// The rules could not be taken away, or the log could not be written; the lease holds then.
    pub async fn release(&self, uid: &GroupUid) -> Result<(), NetworkError> {
        self.detach(uid, None).await?;
        if let (Way::Bridge(way), Some(lease)) = (&self.0.way, self.lease_of(uid)) {
            way.published().remove(uid);
            way.forget(lease).await?;
        }
        let uid = uid.clone();
        self.book(move |leases| leases.release(&uid, now())).await
    }

    /// Makes rules and links what the `live` groups need, and clears what other groups of this
    /// agent have left. Leases of groups that are neither live nor in `leased` are released. Called
    /// once after a start of the agent, before any group is attached.
    ///
    /// # Errors
    /// The kernel refuses; isolation is restored before anything else.
    pub async fn reconcile(
        &self,
        live: &[GroupUid],
        leased: &[GroupUid],
    ) -> Result<Reconciled, NetworkError> {
        let orphans: Vec<GroupUid> = lock(&self.0.leases)
            .all()
            .map(|lease| &lease.uid)
            .filter(|uid| !leased.contains(uid) && !live.contains(uid))
            .cloned()
            .collect();
        let report = match &self.0.way {
            Way::Bridge(way) => {
                let live = live.iter().filter_map(|uid| self.lease_of(uid));
                way.reconcile(live.map(|lease| (lease.uid.clone(), lease)).collect())
                    .await?
            }
            Way::Cni(cni) => {
                cni.collect_garbage(live).await?;
                Reconciled::default()
            }
            Way::Host => Reconciled::default(),
        };
        for uid in orphans {
            warn!(%uid, "releasing the network lease of a group that is no more");
            self.release(&uid).await?;
        }
        Ok(report)
    }

    /// Waits until somebody may have changed our rules: then [`Network::repair`] is due. It hears
    /// of rules only, so that is due from time to time all the same. Cancel-safe.
    pub async fn meddled(&self) {
        match &self.0.way {
            Way::Bridge(way) => way.meddled().await,
            Way::Cni(_) | Way::Host => std::future::pending().await,
        }
    }

    /// Undoes others' meddling with the rules and links of the attached groups, and removes nothing.
    /// Called from time to time, and when [`Network::meddled`] says so; not while somebody waits
    /// for that.
    ///
    /// # Errors
    /// The kernel refuses; isolation is restored before anything else.
    pub async fn repair(&self) -> Result<Reconciled, NetworkError> {
        match &self.0.way {
            Way::Bridge(way) => way.repair().await,
            Way::Cni(_) | Way::Host => Ok(Reconciled::default()),
        }
    }

    /// Asks plugins whether a group is still connected as it was; the built-in network is looked
    /// after by [`Network::repair`].
    ///
    /// # Errors
    /// It is not, or a plugin cannot tell.
    pub async fn check_attached(
        &self,
        uid: &GroupUid,
        netns: BorrowedFd<'_>,
    ) -> Result<(), NetworkError> {
        match &self.0.way {
            Way::Cni(cni) => Ok(cni.check(uid, netns).await?),
            Way::Bridge(_) | Way::Host => Ok(()),
        }
    }

    /// What has gone over the links of the attached groups. Plugins' links are not counted.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn usage(&self) -> Result<HashMap<GroupUid, NetworkUsage>, NetworkError> {
        match &self.0.way {
            Way::Bridge(way) => {
                let bridge = Arc::clone(&way.bridge);
                way.kernel.run(move |kernel| bridge.usage(kernel)).await
            }
            Way::Cni(_) | Way::Host => Ok(HashMap::new()),
        }
    }

    /// The name service that groups of `namespace` are given, if this network has one.
    #[must_use]
    pub fn node_dns(&self, namespace: &Namespace) -> Option<NodeDns> {
        match &self.0.way {
            Way::Bridge(way) => Some(way.node_dns(namespace, &self.0.config.dns.domain)),
            Way::Cni(_) | Way::Host => None,
        }
    }

    /// Removes every link and rule of this agent from the host. Leases and cached results are
    /// files in the state directory and stay. Called when Burstlet is uninstalled.
    ///
    /// # Errors
    /// Something could not be removed; everything else has been.
    pub async fn teardown(self) -> Result<(), NetworkError> {
        match &self.0.way {
            Way::Bridge(way) => {
                way.published().clear();
                let bridge = Arc::clone(&way.bridge);
                way.kernel.run(move |kernel| bridge.teardown(kernel)).await
            }
            Way::Cni(cni) => Ok(cni.collect_garbage(&[]).await?),
            Way::Host => Ok(()),
        }
    }

    /// Works on the leases where waiting for the disk disturbs nobody.
    async fn book<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Leases) -> Result<T, NetworkError> + Send + 'static,
    ) -> Result<T, NetworkError> {
        let leases = Arc::clone(&self.0.leases);
        tokio::task::spawn_blocking(move || work(&mut lock(&leases)))
            .await
            .map_err(|_| NetworkError::ThreadEnded)?
    }
}

/// Time on the boot clock, which no one can set.
fn now() -> BootTime {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(std::time::Duration::ZERO, Into::into);
    BootTime(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// What the mutexes here guard is valid after each statement, so a panic leaves it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
