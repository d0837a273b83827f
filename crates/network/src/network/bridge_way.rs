//! The built-in bridge as a whole: the network thread's part, and the sockets beside it.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard};

use burstlet_model::{GroupUid, Namespace};
use tracing::warn;

use super::{Attached, Reconciled, lock};
use crate::NetworkError;
use crate::bridge::Bridge;
use crate::config::{BridgeConfig, NetworkConfig};
use crate::dns::{Holder, Server, SharedNames, Upstreams};
use crate::files::NodeDns;
use crate::kernel::KernelThread;
use crate::lease::Lease;
use crate::netlink::watch::Watch;
use crate::plan::Owner;
use crate::publish::Published;

#[derive(Debug)]
pub(super) struct BridgeWay {
    config: BridgeConfig,
    pub(super) bridge: Arc<Bridge>,
    pub(super) kernel: KernelThread,
    names: SharedNames,
    published: Mutex<HashMap<GroupUid, Published>>,
    watch: tokio::sync::Mutex<Watch>,
    _dns: Server,
}

const HOST_RESOLV_CONF: &str = "/etc/resolv.conf";

impl BridgeWay {
    pub(super) async fn open(
        config: &NetworkConfig,
        bridge_config: &BridgeConfig,
        leases: Vec<Lease>,
    ) -> Result<Self, NetworkError> {
        let owner = Owner::new(&config.owner);
        let table = owner.table();
        let (policy, state_dir) = (config.policy.clone(), config.state_dir.clone());
        let bridge = Arc::new(Bridge::new(owner, bridge_config.clone(), policy, state_dir));
        let kernel = KernelThread::start()?;
        let watch = watch(&kernel, table, bridge.loader()).await?;
        let (opened, known) = (Arc::clone(&bridge), leases.clone());
        kernel.run(move |kernel| opened.open(kernel, known)).await?;
        let gateway = bridge_config.gateway();
        let names = SharedNames::new(&config.dns.domain, bridge_config.subnet);
        let upstreams = if config.dns.upstreams.is_empty() {
            Upstreams::File {
                path: HOST_RESOLV_CONF.into(),
                but: gateway.into(),
            }
        } else {
            Upstreams::Fixed(config.dns.upstreams.clone())
        };
        let way = Self {
            config: bridge_config.clone(),
            bridge,
            kernel,
            _dns: Server::start(gateway, names.clone(), upstreams).await?,
            names,
            published: Mutex::default(),
            watch: tokio::sync::Mutex::new(watch),
        };
        way.adopt(&leases).await;
        Ok(way)
    }

    /// Takes names and ports of the host again for groups that have outlived the agent. A port
    /// that another program has taken meanwhile is told, and does not keep the agent from starting.
    async fn adopt(&self, leases: &[Lease]) {
        for lease in leases {
            let Some(address) = lease.address else {
                continue;
            };
            self.names.insert(Holder::from(lease), address);
            match Published::open(&lease.ports, address).await {
                Ok(published) => drop(self.published().insert(lease.uid.clone(), published)),
                Err(error) => warn!(
                    uid = %lease.uid,
                    error = &error as &dyn std::error::Error,
                    "a published port is served to outside clients only"
                ),
            }
        }
    }

    pub(super) async fn attach(
        &self,
        lease: Lease,
        netns: BorrowedFd<'_>,
        domain: &str,
    ) -> Result<Attached, NetworkError> {
        let netns = netns
            .try_clone_to_owned()
            .map_err(|source| NetworkError::Netns {
                of: lease.uid.to_string(),
                source,
            })?;
        let address = lease
            .address
            .ok_or_else(|| NetworkError::LeaseOfOtherMode(lease.uid.clone()))?;
        let dns = self.node_dns(&lease.group.namespace, domain);
        self.names.insert(Holder::from(&lease), address);
        let bridge = Arc::clone(&self.bridge);
        self.kernel
            .run(move |kernel| bridge.attach(kernel, &lease, &netns))
            .await?;
        Ok(Attached {
            addresses: vec![address.into()],
            dns: Some(dns),
        })
    }

    pub(super) async fn detach(
        &self,
        uid: &GroupUid,
        address: Option<Ipv4Addr>,
    ) -> Result<(), NetworkError> {
        if let Some(address) = address {
            self.names.remove(address);
        }
        let (bridge, uid) = (Arc::clone(&self.bridge), uid.clone());
        self.kernel
            .run(move |kernel| bridge.detach(kernel, &uid))
            .await
    }

    pub(super) async fn reconcile(
        &self,
        live: BTreeMap<GroupUid, Lease>,
    ) -> Result<Reconciled, NetworkError> {
        let named = live
            .values()
            .filter_map(|lease| Some((Holder::from(lease), lease.address?)))
            .collect();
        self.names.replace(named);
        let bridge = Arc::clone(&self.bridge);
        self.kernel
            .run(move |kernel| bridge.reconcile(kernel, live))
            .await
    }

    pub(super) async fn forget(&self, lease: Lease) -> Result<(), NetworkError> {
        let Some(address) = lease.address else {
            return Ok(());
        };
        let bridge = Arc::clone(&self.bridge);
        self.kernel
            .run(move |kernel| bridge.forget(kernel, address))
            .await
    }

    pub(super) async fn repair(&self) -> Result<Reconciled, NetworkError> {
        let suspected = self.watch.lock().await.take_suspicion();
        let bridge = Arc::clone(&self.bridge);
        let done = self
            .kernel
            .run(move |kernel| bridge.repair(kernel, suspected))
            .await;
        if suspected && done.is_err() {
            self.watch.lock().await.suspect();
        }
        done
    }

    pub(super) async fn meddled(&self) {
        self.watch.lock().await.meddled().await;
    }

    pub(super) fn node_dns(&self, namespace: &Namespace, domain: &str) -> NodeDns {
        NodeDns::of_bridge(self.config.gateway().into(), namespace, domain)
    }

    pub(super) fn published(&self) -> MutexGuard<'_, HashMap<GroupUid, Published>> {
        lock(&self.published)
    }
}

async fn watch(
    kernel: &KernelThread,
    table: String,
    loader: Arc<AtomicU32>,
) -> Result<Watch, NetworkError> {
    kernel
        .run(|kernel| Ok(kernel.nft.port()))
        .await?
        .and_then(|own| Watch::open(table, own, loader))
        .map_err(|source| NetworkError::Netlink {
            doing: "listen for changes of the firewall rules".to_owned(),
            source,
        })
}
