//! A lease: what a group holds of the network from its creation to its deletion, over restarts,
//! stops and upgrades of the agent.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use burstlet_model::spec::Protocol;
use burstlet_model::{GroupName, GroupUid};

use crate::Isolation;
use crate::plan::Mac;

/// What a group asks of the network. It holds for the group's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The group.
    pub uid: GroupUid,
    /// Its name, under which the groups of its namespace and kind find it: pods pods, others others.
    pub group: GroupName,
    /// Which groups it reaches.
    pub isolation: Isolation,
    /// Ports of the host that lead to it.
    pub ports: Vec<PublishedPort>,
}

/// What a group holds of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The group.
    pub uid: GroupUid,
    /// Its name.
    pub group: GroupName,
    /// Which groups it reaches.
    pub isolation: Isolation,
    /// Ports of the host that lead to it, and to nobody else.
    pub ports: Vec<PublishedPort>,
    /// Its address; `None` if CNI plugins choose one when it is attached.
    pub address: Option<Ipv4Addr>,
}

/// A port of the host that leads to a container's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublishedPort {
    /// Where clients connect to.
    pub host: HostPort,
    /// The port inside the group.
    pub container_port: u16,
}

/// A port of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) protocol: Protocol,
    pub(crate) port: NonZeroU16,
}

impl HostPort {
    /// A port of the host's address `ip`; of all its addresses if that is unspecified or not given.
    #[must_use]
    pub fn new(ip: Option<IpAddr>, protocol: Protocol, port: NonZeroU16) -> Self {
        Self {
            ip: ip.filter(|ip| !ip.is_unspecified()),
            protocol,
            port,
        }
    }

    /// Whether the kernel leads packets to the group. Loopback and IPv6 clients are served by a
    /// proxy in the agent instead.
    pub(crate) fn is_translated(&self) -> bool {
        match self.ip {
            None => true,
            Some(IpAddr::V4(ip)) => !ip.is_loopback(),
            Some(IpAddr::V6(_)) => false,
        }
    }

    /// Whether a client could mean either of the two.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let same_ip = match (self.ip, other.ip) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        same_ip && self.protocol == other.protocol && self.port == other.port
    }
}

impl Lease {
    /// The Ethernet address of the group's interface on the bridge.
    #[must_use]
    pub fn mac(&self) -> Option<Mac> {
        self.address.map(Mac::of)
    }

    pub(crate) fn answers(&self, request: &LeaseRequest) -> bool {
        self.uid == request.uid
            && self.group == request.group
            && self.isolation == request.isolation
            && self.ports == request.ports
    }

    pub(crate) fn new(request: &LeaseRequest, address: Option<Ipv4Addr>) -> Self {
        Self {
            uid: request.uid.clone(),
            group: request.group.clone(),
            isolation: request.isolation,
            ports: request.ports.clone(),
            address,
        }
    }
}
