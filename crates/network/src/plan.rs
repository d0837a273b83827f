//! What a group's network consists of, as values: names of host objects, addresses, and the
//! elements that its lease adds to the sets of the static ruleset. Pure; `netlink` and `ruleset`
//! carry it out.

use std::fmt;
use std::net::Ipv4Addr;

use burstlet_model::GroupUid;
use burstlet_model::spec::Protocol;
use sha2::{Digest as _, Sha256};

use crate::Isolation;
use crate::lease::{HostPort, Lease};

/// Names of everything that one agent leaves on the host. An interface name has room for 15
/// characters only, so names are made of hashes, and the readable owner is in the alias.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    tag: String,
    short: String,
}

impl Owner {
    pub(crate) fn new(tag: &str) -> Self {
        Self {
            tag: tag.to_owned(),
            short: hash_name(&[tag], OWNER_HASH_CHARS),
        }
    }

    /// The nft tables' name, the same in every family.
    pub(crate) fn table(&self) -> String {
        format!("burstlet_{}", self.short)
    }

    /// How the host ends of this agent's links begin; nobody else's do.
    pub(crate) fn port_prefix(&self) -> String {
        format!("bl{}", self.short)
    }

    /// The host end of a group's link.
    pub(crate) fn port(&self, uid: &GroupUid) -> String {
        let hash = hash_name(&[&self.tag, uid.as_str()], PORT_HASH_CHARS);
        format!("{}{hash}", self.port_prefix())
    }

    /// What `ip link` shows for a group's link.
    pub(crate) fn port_alias(&self, uid: &GroupUid) -> String {
        format!("{ALIAS_PREFIX}{}:{uid}", self.tag)
    }

    /// What `ip link` shows for the bridge.
    pub(crate) fn bridge_alias(&self) -> String {
        format!("{ALIAS_PREFIX}{}", self.tag)
    }
}

/// How the aliases of all agents' interfaces begin.
pub(crate) const ALIAS_PREFIX: &str = "burstlet:";
const OWNER_HASH_CHARS: usize = 5;
const PORT_HASH_CHARS: usize = 8;

/// The first `chars` characters of the parts' hash, five bits each.
fn hash_name(parts: &[&str], chars: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    let digest = hasher.finalize();
    digest
        .iter()
        .take(chars)
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
        .collect()
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address of the interface that has `address`: locally administered, so that it needs no
    /// record of its own and is as unique on the bridge as the IP address.
    #[must_use]
    pub const fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x0a, 0x58, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Which groups reach each other: those with the same mark. Marks are given anew whenever the
/// whole ruleset is loaded, and never reused between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark(pub(crate) u32);

/// One entry of a set or map of the ruleset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// The only sender that is believed on a port of the bridge.
    Sender {
        port: String,
        mac: Mac,
        address: Ipv4Addr,
    },
    /// The mark of the group with an address.
    MarkOf { address: Ipv4Addr, mark: Mark },
    /// An address that groups with a mark may reach.
    Member { mark: Mark, address: Ipv4Addr },
    /// An address that the routable ranges may reach.
    Open { address: Ipv4Addr },
    /// An address of a pod, which reaches the host, and which the host's Services lead to.
    Cluster { address: Ipv4Addr },
    /// A container's port that is published.
    Exposed {
        address: Ipv4Addr,
        protocol: Protocol,
        port: u16,
    },
    /// Where a port of the host leads to.
    Published {
        host: HostPort,
        address: Ipv4Addr,
        port: u16,
    },
}

/// All elements of a group's lease.
pub(crate) fn elements(
    owner: &Owner,
    lease: &Lease,
    address: Ipv4Addr,
    mark: Mark,
) -> Vec<Element> {
    let mut elements = vec![
        Element::Sender {
            port: owner.port(&lease.uid),
            mac: Mac::of(address),
            address,
        },
        Element::MarkOf { address, mark },
        Element::Member { mark, address },
    ];
    match lease.isolation {
        Isolation::Namespace => {}
        Isolation::Open => elements.push(Element::Open { address }),
        Isolation::Cluster => {
            elements.push(Element::Open { address });
            elements.push(Element::Cluster { address });
        }
    }
    for published in &lease.ports {
        if !published.host.is_translated() {
            continue;
        }
        let (host, port) = (published.host, published.container_port);
        let exposed = Element::Exposed {
            address,
            protocol: host.protocol,
            port,
        };
        if !elements.contains(&exposed) {
            elements.push(exposed);
        }
        elements.push(Element::Published {
            host,
            address,
            port,
        });
    }
    elements
}

/// The protocol's name as nft, CNI and people write it in lower case.
pub(crate) const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

/// The protocol's number in an IP header.
pub(crate) const fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_fit_the_kernel() {
        let uid = GroupUid::new("a".repeat(63)).unwrap();
        for tag in ["", "burstlet", &"x".repeat(crate::config::OWNER_BYTES_MAX)] {
            let owner = Owner::new(tag);
            assert_eq!(owner.port(&uid).len(), 15);
            assert!(owner.port(&uid).starts_with(&owner.port_prefix()));
            assert!(owner.port_alias(&uid).len() < 256);
        }
    }

    #[test]
    fn names_tell_owners_and_groups_apart() {
        let names: HashSet<String> = (0..1000)
            .flat_map(|n| {
                let uid = GroupUid::new(format!("group-{n}")).unwrap();
                ["one", "two"].map(|tag| Owner::new(tag).port(&uid))
            })
            .collect();
        assert_eq!(names.len(), 2000);
        assert_ne!(Owner::new("one").table(), Owner::new("two").table());
    }

    proptest! {
        #[test]
        fn macs_are_local_unicast_and_unique(a: u32, b: u32) {
            let (x, y) = (Mac::of(Ipv4Addr::from(a)), Mac::of(Ipv4Addr::from(b)));
            prop_assert_eq!(x.0[0] & 3, 2);
            prop_assert_eq!(x == y, a == b);
        }
    }
}
