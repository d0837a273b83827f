//! What an operator decides about the groups' network. The agent parses these values from its
//! configuration file once; nothing here is checked again further in.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use burstlet_model::spec::Protocol;
use ipnet::Ipv4Net;

use crate::NetworkError;
use crate::ipam::SUBNET_PREFIX_MAX;

/// How long an address rests after its group has gone, before another group may get it.
pub const QUARANTINE_DEFAULT: Duration = Duration::from_secs(60);

/// How many tracked connections one group may have at a time before new ones are refused, so that
/// one tenant cannot fill the host's connection table.
pub const CONNECTIONS_PER_GROUP_MAX_DEFAULT: u32 = 8_192;

/// The groups' network as the operator wants it.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Distinguishes this agent's links, rules and files from those of other agents on the host.
    /// At most [`OWNER_BYTES_MAX`] bytes; it is shown in interface aliases.
    pub owner: String,
    /// Directory for leases and cached plugin results; made if it does not exist.
    pub state_dir: PathBuf,
    /// Who gives groups their network.
    pub mode: Mode,
    /// What groups may reach.
    pub policy: Policy,
    /// How groups resolve names.
    pub dns: DnsConfig,
    /// How long a released address rests before it is given out again.
    pub quarantine: Duration,
}

/// The longest owner tag: an interface alias holds 255 bytes and carries a uid too.
pub const OWNER_BYTES_MAX: usize = 128;

/// Who gives groups their network.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Burstlet's own bridge.
    Bridge(BridgeConfig),
    /// A CNI configuration list of the operator's.
    Cni(CniConfig),
    /// Groups use the host's network; a group that asks for its own is refused.
    Host,
}

/// Burstlet's own bridge.
#[derive(Clone, Debug)]
pub struct BridgeConfig {
    /// The bridge's interface name, at most 15 characters.
    pub name: String,
    /// The groups' addresses. The first usable one is the bridge's own, the groups' gateway and
    /// name server.
    pub subnet: Ipv4Net,
    /// Largest packet in bytes; the kernel's default (1500) if not given.
    pub mtu: Option<u32>,
}

impl BridgeConfig {
    /// The bridge's own address: the subnet's first usable one.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.subnet.network()).saturating_add(1))
    }
}

/// A CNI configuration list and where its plugins are.
#[derive(Clone, Debug)]
pub struct CniConfig {
    /// Directory of `*.conflist` files, usually `/etc/cni/net.d`.
    pub conf_dir: PathBuf,
    /// Directories searched for plugins, first match wins.
    pub bin_dirs: Vec<PathBuf>,
    /// The network's name; the first list in the directory by file name if not given.
    pub network: Option<String>,
}

/// What groups may reach. Destinations are refused by default where it matters for the safety of
/// the host; exceptions are by address and port.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Destinations that no group may reach, such as a cloud's metadata service.
    pub denied: Vec<Ipv4Net>,
    /// Exceptions from `denied` and from the rule that the host's own ports are closed to groups.
    pub allowed: Vec<Exception>,
    /// Ranges that groups reach with their own address, and from which groups with
    /// [`Isolation::Open`] or [`Isolation::Cluster`] can be reached: other nodes' pods, a routed corporate network.
    pub routable: Vec<Ipv4Net>,
    /// How many tracked connections one group may have at a time.
    pub connections_per_group_max: u32,
}

impl Default for Policy {
    /// Link-local addresses and the well-known platform addresses of large clouds are denied.
    fn default() -> Self {
        Self {
            denied: PLATFORM_ADDRESSES.to_vec(),
            allowed: Vec::new(),
            routable: Vec::new(),
            connections_per_group_max: CONNECTIONS_PER_GROUP_MAX_DEFAULT,
        }
    }
}

/// Link-local (metadata services live there), and the platform addresses of Azure and Alibaba.
pub const PLATFORM_ADDRESSES: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(168, 63, 129, 16), 32),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 100, 200), 32),
];

/// A destination that is open although a rule would close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The destination addresses.
    pub to: Ipv4Net,
    /// One protocol and port, or all of them.
    pub port: Option<(Protocol, u16)>,
}

/// Which other groups of this agent a group reaches, and is reached by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// The groups of its own namespace that are not open.
    #[default]
    Namespace,
    /// All open groups, whatever their namespace, and the routable ranges.
    Open,
    /// What Kubernetes expects of pods: all groups of this kind, the routable ranges, the host's
    /// own addresses, and whoever the host's Services let in.
    Cluster,
}

/// How groups resolve names.
#[derive(Clone, Debug)]
pub struct DnsConfig {
    /// Where questions about the world are forwarded to; the host's `/etc/resolv.conf` if empty.
    pub upstreams: Vec<SocketAddr>,
    /// The domain under which groups find each other, as `NAME.NAMESPACE.DOMAIN`.
    pub domain: String,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self {
            upstreams: Vec::new(),
            domain: "burstlet.local".to_owned(),
        }
    }
}

/// No network is wider than `10.0.0.0/8`.
const SUBNET_PREFIX_MIN: u8 = 8;

impl NetworkConfig {
    /// Checks what the values' types leave open, without looking at the host.
    ///
    /// # Errors
    /// A value cannot work; the text says which one and what would.
    pub fn validate(&self) -> Result<(), NetworkError> {
        let invalid = |text: String| Err(NetworkError::Config(text));
        if self.owner.is_empty() || self.owner.len() > OWNER_BYTES_MAX {
            return invalid(format!(
                "the owner tag must have 1 to {OWNER_BYTES_MAX} bytes"
            ));
        }
        let Mode::Bridge(BridgeConfig { name, subnet, .. }) = &self.mode else {
            return Ok(());
        };
        if !is_link_name(name) {
            return invalid(format!(
                "{name:?} cannot be a bridge's name: 1 to 15 of a-z, A-Z, 0-9, '-', '_' and '.'"
            ));
        }
        if !(SUBNET_PREFIX_MIN..=SUBNET_PREFIX_MAX).contains(&subnet.prefix_len()) {
            return invalid(format!(
                "subnet {subnet} must have a prefix of {SUBNET_PREFIX_MIN} to {SUBNET_PREFIX_MAX} bits"
            ));
        }
        Ok(())
    }
}

/// Narrower than the kernel's rule, since the name goes into rules and paths.
fn is_link_name(name: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=15).contains(&name.len()) && name.bytes().all(valid) && !matches!(name, "." | "..")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn check(owner: &str, bridge: &str, subnet: &str, valid: bool) {
        let config = NetworkConfig {
            owner: owner.to_owned(),
            state_dir: "/nonexistent".into(),
            mode: Mode::Bridge(BridgeConfig {
                name: bridge.to_owned(),
                subnet: subnet.parse().unwrap(),
                mtu: None,
            }),
            policy: Policy::default(),
            dns: DnsConfig::default(),
            quarantine: QUARANTINE_DEFAULT,
        };
        assert_eq!(
            config.validate().is_ok(),
            valid,
            "{owner:?} {bridge:?} {subnet}"
        );
    }

    #[test]
    fn values() {
        check("burstlet", "burstlet0", "10.88.0.0/16", true);
        check("b", "br-1.2_3", "10.0.0.0/8", true);
        check("", "burstlet0", "10.88.0.0/16", false);
        check(&"x".repeat(129), "burstlet0", "10.88.0.0/16", false);
        for bridge in ["", "a-name-of-16-char", "a b", "..", ".", "a/b", "a\"", "ä"] {
            check("b", bridge, "10.88.0.0/16", false);
        }
        for subnet in ["0.0.0.0/0", "10.0.0.0/7", "10.0.0.0/31", "10.0.0.1/32"] {
            check("b", "burstlet0", subnet, false);
        }
        check("b", "burstlet0", "10.0.0.0/30", true);
    }

    #[test]
    fn the_gateway_is_the_subnets_first_address() {
        let subnet = "10.88.7.9/16".parse().unwrap();
        let bridge = BridgeConfig {
            name: String::new(),
            subnet,
            mtu: None,
        };
        assert_eq!(bridge.gateway(), Ipv4Addr::new(10, 88, 0, 1));
    }
}
