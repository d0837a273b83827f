//! The lines of the lease log: `CHECKSUM JSON`, one record each. The wire form is here and nowhere
//! else, so that the types inside may change.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use burstlet_model::spec::Protocol;
use burstlet_model::{GroupName, GroupUid, Name, Namespace};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Isolation;
use crate::lease::{HostPort, Lease, PublishedPort};

/// One change of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A group got its lease.
    Lease(Lease),
    /// A group's lease ended.
    Release {
        uid: GroupUid,
        address: Option<Ipv4Addr>,
    },
    /// An address rested when the log was written anew.
    Resting(Ipv4Addr),
}

impl Record {
    /// The record's line with its line feed.
    pub(crate) fn encode(&self) -> String {
        // Serialising a tree of strings and numbers to memory cannot fail.
        let json = serde_json::to_string(&Wire::from(self)).unwrap_or_default();
        format!("{} {json}\n", checksum(&json))
    }

    /// A line with its line feed, its checksum made right.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn line(json: &str) -> String {
        format!("{} {json}\n", checksum(json))
    }

    /// The record of a line without its line feed; `None` if the line is damaged.
    pub(crate) fn decode(line: &str) -> Option<Self> {
        let (sum, json) = line.split_once(' ')?;
        if sum != checksum(json) {
            return None;
        }
        serde_json::from_str::<Wire>(json).ok()?.try_into().ok()
    }
}

/// Enough of a hash to notice damage; nobody who can write the file needs to forge it.
fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
enum Wire {
    Lease {
        uid: String,
        namespace: String,
        name: String,
        open: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cluster: bool,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ports: Vec<WirePort>,
        address: Option<Ipv4Addr>,
    },
    Release {
        uid: String,
        address: Option<Ipv4Addr>,
    },
    Resting {
        address: Ipv4Addr,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePort {
    protocol: WireProtocol,
    host_ip: Option<IpAddr>,
    host_port: NonZeroU16,
    container_port: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireProtocol {
    Tcp,
    Udp,
    Sctp,
}

impl From<&Record> for Wire {
    fn from(record: &Record) -> Self {
        match record {
            Record::Lease(lease) => Self::Lease {
                uid: lease.uid.to_string(),
                namespace: lease.group.namespace.to_string(),
                name: lease.group.name.to_string(),
                open: lease.isolation == Isolation::Open,
                cluster: lease.isolation == Isolation::Cluster,
                ports: lease.ports.iter().map(WirePort::from).collect(),
                address: lease.address,
            },
            Record::Release { uid, address } => Self::Release {
                uid: uid.to_string(),
                address: *address,
            },
            Record::Resting(address) => Self::Resting { address: *address },
        }
    }
}

impl TryFrom<Wire> for Record {
    type Error = burstlet_model::IdError;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        Ok(match wire {
            Wire::Lease {
                uid,
                namespace,
                name,
                open,
                cluster,
                ports,
                address,
            } => Self::Lease(Lease {
                uid: GroupUid::new(uid)?,
                group: GroupName {
                    namespace: Namespace::new(namespace)?,
                    name: Name::new(name)?,
                },
                isolation: match (open, cluster) {
                    (_, true) => Isolation::Cluster,
                    (true, false) => Isolation::Open,
                    (false, false) => Isolation::Namespace,
                },
                ports: ports.into_iter().map(PublishedPort::from).collect(),
                address,
            }),
            Wire::Release { uid, address } => Self::Release {
                uid: GroupUid::new(uid)?,
                address,
            },
            Wire::Resting { address } => Self::Resting(address),
        })
    }
}

impl From<&PublishedPort> for WirePort {
    fn from(port: &PublishedPort) -> Self {
        Self {
            protocol: match port.host.protocol {
                Protocol::Tcp => WireProtocol::Tcp,
                Protocol::Udp => WireProtocol::Udp,
                Protocol::Sctp => WireProtocol::Sctp,
            },
            host_ip: port.host.ip,
            host_port: port.host.port,
            container_port: port.container_port,
        }
    }
}

impl From<WirePort> for PublishedPort {
    fn from(port: WirePort) -> Self {
        let protocol = match port.protocol {
            WireProtocol::Tcp => Protocol::Tcp,
            WireProtocol::Udp => Protocol::Udp,
            WireProtocol::Sctp => Protocol::Sctp,
        };
        Self {
            host: HostPort {
                ip: port.host_ip,
                protocol,
                port: port.host_port,
            },
            container_port: port.container_port,
        }
    }
}
