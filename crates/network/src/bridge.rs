//! The built-in network: a bridge on which groups send to nobody but the host, which routes between
//! them by the ruleset.
//!
//! A group's address is a /32 with the bridge as its gateway, so every packet of a group passes
//! the host's rules, that to its neighbour too. Ethernet addresses are told to both sides once and
//! never asked for or learnt.
//!
//! All functions run on the network thread, one after the other.

mod attach;
mod host;
mod reconcile;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};

use burstlet_model::{GroupUid, Namespace, NetworkUsage};

use crate::kernel::Kernel;
use crate::lease::Lease;
use crate::netlink::{conntrack, nft, route};
use crate::plan::{Element, Mark, Owner, elements};
use crate::ruleset::Ruleset;
use crate::{BridgeConfig, Isolation, NetworkError, Policy, nft_tool};

/// What the network thread knows about its bridge.
#[derive(Debug)]
pub(crate) struct Bridge {
    owner: Owner,
    config: BridgeConfig,
    ruleset: Ruleset,
    state_dir: PathBuf,
    loader: Arc<AtomicU32>,
    state: Mutex<State>,
}

/// The interface's name inside every group.
pub(crate) const INSIDE_NAME: &str = "eth0";

#[derive(Debug, Default)]
struct State {
    /// The groups whose elements are in the ruleset.
    attached: BTreeMap<GroupUid, Lease>,
    marks: Marks,
    /// The ruleset's generation if nobody but us changes it.
    generation: u32,
}

impl Bridge {
    pub(crate) fn new(
        owner: Owner,
        config: BridgeConfig,
        policy: Policy,
        state_dir: PathBuf,
    ) -> Self {
        let ruleset = Ruleset {
            owner: owner.clone(),
            bridge: config.clone(),
            policy,
        };
        Self {
            owner,
            config,
            ruleset,
            state_dir,
            loader: Arc::default(),
            state: Mutex::default(),
        }
    }

    /// The process that has loaded the rules last, for as long as that matters.
    pub(crate) fn loader(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.loader)
    }

    /// Brings rules and bridge up, with the groups of `leases` taken as running until
    /// [`Bridge::reconcile`] says otherwise. Rules come first, so that nothing is ever open.
    pub(crate) fn open(&self, kernel: &mut Kernel, leases: Vec<Lease>) -> Result<(), NetworkError> {
        let mut state = self.lock();
        state.attached = leases
            .into_iter()
            .map(|lease| (lease.uid.clone(), lease))
            .collect();
        self.load_rules(kernel, &mut state)?;
        drop(state);
        self.ensure_bridge(kernel)
    }

    /// Takes a group's rules away. Its link ends with its network namespace.
    pub(crate) fn detach(&self, kernel: &mut Kernel, uid: &GroupUid) -> Result<(), NetworkError> {
        let mut state = self.lock();
        let Some(lease) = state.attached.remove(uid) else {
            return Ok(());
        };
        let Some(address) = lease.address else {
            return Ok(());
        };
        let elements = elements(&self.owner, &lease, address, state.marks.of(&lease));
        let removed = self.remove_elements(kernel, &mut state, &elements);
        let index = self.bridge_index()?;
        let forget = route::delete_neighbour(index, address).tolerating_absence();
        removed.and(route::run(&mut kernel.route, &[forget]))
    }

    /// Forgets the connections of a group whose address goes back.
    pub(crate) fn forget(
        &self,
        kernel: &mut Kernel,
        address: Ipv4Addr,
    ) -> Result<(), NetworkError> {
        conntrack::forget(&mut kernel.nft, address).map_err(|source| NetworkError::Netlink {
            doing: format!("forget the connections of {address}"),
            source,
        })
    }

    /// What has gone over the attached groups' links.
    pub(crate) fn usage(
        &self,
        kernel: &mut Kernel,
    ) -> Result<HashMap<GroupUid, NetworkUsage>, NetworkError> {
        use burstlet_model::Bytes;
        let state = self.lock();
        let uids: HashMap<String, &GroupUid> = state
            .attached
            .keys()
            .map(|uid| (self.owner.port(uid), uid))
            .collect();
        let links = route::links(&mut kernel.route)?;
        let of = |link: &route::Link| {
            let uid = uids.get(&link.name).copied().cloned()?;
            // What the host's end has sent is what the group has received.
            let usage = NetworkUsage {
                received: Bytes(link.traffic.sent),
                sent: Bytes(link.traffic.received),
                received_packets: link.traffic.sent_packets,
                sent_packets: link.traffic.received_packets,
            };
            Some((uid, usage))
        };
        Ok(links.iter().filter_map(of).collect())
    }

    /// Replaces the whole ruleset by the static rules and the attached groups' elements.
    fn load_rules(&self, kernel: &mut Kernel, state: &mut State) -> Result<(), NetworkError> {
        let mut marks = Marks::default();
        let elements: Vec<Element> = state
            .attached
            .values()
            .filter_map(|lease| {
                let mark = marks.of(lease);
                Some(elements(&self.owner, lease, lease.address?, mark))
            })
            .flatten()
            .collect();
        nft_tool::run(&self.ruleset.load(&elements), &self.loader)?;
        state.marks = marks;
        state.generation = self.generation(kernel)?;
        Ok(())
    }

    fn add_elements(
        &self,
        kernel: &mut Kernel,
        state: &mut State,
        elements: &[Element],
    ) -> std::io::Result<()> {
        nft::change(&mut kernel.nft, &self.owner, nft::Change::Add, elements)?;
        state.generation = state.generation.wrapping_add(1);
        Ok(())
    }

    fn remove_elements(
        &self,
        kernel: &mut Kernel,
        state: &mut State,
        elements: &[Element],
    ) -> Result<(), NetworkError> {
        nft::remove_lenient(&mut kernel.nft, &self.owner, elements).map_err(|source| {
            NetworkError::Netlink {
                doing: "remove a group's firewall elements".to_owned(),
                source,
            }
        })?;
        state.generation = state.generation.wrapping_add(1);
        Ok(())
    }

    fn generation(&self, kernel: &mut Kernel) -> Result<u32, NetworkError> {
        nft::generation(&mut kernel.nft).map_err(|source| NetworkError::Netlink {
            doing: format!("read the generation of the rules of {}", self.owner.table()),
            source,
        })
    }

    fn bridge_index(&self) -> Result<u32, NetworkError> {
        link_index(&self.config.name)
    }

    /// The state is valid after each statement that changes it, so a panic leaves it usable.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gateway(&self) -> Ipv4Addr {
        self.config.gateway()
    }
}

/// The index of a link of the calling thread's network namespace.
fn link_index(name: &str) -> Result<u32, NetworkError> {
    nix::net::if_::if_nametoindex(name).map_err(|error| NetworkError::Netlink {
        doing: format!("find link {name}"),
        source: error.into(),
    })
}

/// Numbers for namespaces, for as long as one load of the ruleset lasts.
#[derive(Debug, Default)]
struct Marks {
    by_namespace: HashMap<Namespace, Mark>,
}

/// The mark that open groups share.
const MARK_OPEN: Mark = Mark(1);
/// The mark that the pods of a cluster share.
const MARK_CLUSTER: Mark = Mark(2);
/// The first that a namespace has.
const MARK_NAMESPACE_MIN: u32 = 3;

impl Marks {
    fn of(&mut self, lease: &Lease) -> Mark {
        match lease.isolation {
            Isolation::Open => return MARK_OPEN,
            Isolation::Cluster => return MARK_CLUSTER,
            Isolation::Namespace => {}
        }
        // Nothing is ever taken out, so the count is a number not given yet.
        let next = u32::try_from(self.by_namespace.len())
            .unwrap_or(u32::MAX)
            .saturating_add(MARK_NAMESPACE_MIN);
        *self
            .by_namespace
            .entry(lease.group.namespace.clone())
            .or_insert(Mark(next))
    }
}
