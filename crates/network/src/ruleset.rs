//! The ruleset: static tables whose sets and maps carry what differs from group to group.
//!
//! ```text
//!  group ── port ──┬ bridge/prerouting   only (port, MAC, IP) triples of `senders`, and only to
//!                  │                     the gateway's MAC, so that all is routed
//!                  ├ inet/prerouting     nothing to loopback or many; published ports of the host → group
//!                  ├ inet/input          to the host itself: name server, exceptions; open to pods,
//!                  │                     else closed
//!                  ├ inet/forward        leaving:  denied destinations, connection limit
//!                  │                     entering: same mark, published port, routable → open,
//!                  │                               a Service of the host → pod
//!                  └ inet/postrouting    to the outside: the host's address
//! ```
//!
//! All of it is closed unless an element opens it: a group whose elements are missing sends and
//! receives nothing. The text is loaded in one transaction that replaces the tables with all
//! elements, so there is no moment without rules. Groups come and go by element (`netlink::nft`).
//!
//! A packet mark is used between two rules of one chain and taken off again, but not a pod's to a pod:
//! there it is kube-proxy's, which says whose source is to be translated. `connections` is filled by the
//! kernel.

use std::fmt::Write as _;

use ipnet::Ipv4Net;

use crate::config::{BridgeConfig, Exception, Policy};
use crate::plan::{Element, Mac, Owner, protocol_name};

/// What the static part depends on.
#[derive(Clone, Debug)]
pub(crate) struct Ruleset {
    pub(crate) owner: Owner,
    pub(crate) bridge: BridgeConfig,
    pub(crate) policy: Policy,
}

/// The sets and maps that groups have elements in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Set {
    Senders,
    MarkOf,
    Members,
    Open,
    Cluster,
    Exposed,
    Published,
    PublishedAt,
}

impl Set {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Senders => "senders",
            Self::MarkOf => "mark_of",
            Self::Members => "members",
            Self::Open => "open",
            Self::Cluster => "cluster",
            Self::Exposed => "exposed",
            Self::Published => "published",
            Self::PublishedAt => "published_at",
        }
    }

    pub(crate) const fn family(self) -> Family {
        match self {
            Self::Senders => Family::Bridge,
            _ => Family::Inet,
        }
    }
}

/// The tables' families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    Bridge,
    Inet,
}

impl Family {
    pub(crate) const ALL: [Self; 2] = [Self::Bridge, Self::Inet];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Inet => "inet",
        }
    }
}

impl Element {
    /// Where the element belongs.
    pub(crate) fn set(&self) -> Set {
        match self {
            Self::Sender { .. } => Set::Senders,
            Self::MarkOf { .. } => Set::MarkOf,
            Self::Member { .. } => Set::Members,
            Self::Open { .. } => Set::Open,
            Self::Cluster { .. } => Set::Cluster,
            Self::Exposed { .. } => Set::Exposed,
            Self::Published { host, .. } if host.ip.is_some() => Set::PublishedAt,
            Self::Published { .. } => Set::Published,
        }
    }

    /// The element as nft writes it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Sender { port, mac, address } => format!("\"{port}\" . {mac} . {address}"),
            Self::MarkOf { address, mark } => format!("{address} : {:#x}", mark.0),
            Self::Member { mark, address } => format!("{:#x} . {address}", mark.0),
            Self::Open { address } | Self::Cluster { address } => address.to_string(),
            Self::Exposed {
                address,
                protocol,
                port,
            } => {
                format!("{address} . {} . {port}", protocol_name(*protocol))
            }
            Self::Published {
                host,
                address,
                port,
            } => {
                let at = host.ip.map(|ip| format!("{ip} . ")).unwrap_or_default();
                let protocol = protocol_name(host.protocol);
                format!("{at}{protocol} . {} : {address} . {port}", host.port)
            }
        }
    }
}

impl Ruleset {
    /// The transaction that replaces whatever is there by the static rules and `elements`.
    pub(crate) fn load(&self, elements: &[Element]) -> String {
        let mut text = self.unload();
        text.push_str(&self.bridge_table());
        text.push_str(&self.inet_table());
        let table = self.owner.table();
        for element in elements {
            let set = element.set();
            let (family, name) = (set.family().name(), set.name());
            let _ = writeln!(
                text,
                "add element {family} {table} {name} {{ {} }}",
                element.text()
            );
        }
        text
    }

    /// The transaction that removes everything.
    pub(crate) fn unload(&self) -> String {
        let table = self.owner.table();
        Family::ALL
            .iter()
            .map(|family| {
                let family = family.name();
                // Adding first makes deleting right whether the table exists or not.
                format!("table {family} {table} {{}}\ndelete table {family} {table}\n")
            })
            .collect()
    }

    fn bridge_table(&self) -> String {
        let table = self.owner.table();
        let prefix = self.owner.port_prefix();
        let gateway = self.bridge.gateway();
        let mac = Mac::of(gateway);
        format!(
            r#"table bridge {table} {{
  set senders {{ type ifname . ether_addr . ipv4_addr; }}
  counter forged {{ }}
  chain prerouting {{
    type filter hook prerouting priority -300; policy accept;
    iifname != "{prefix}*" accept
    ether daddr {mac} iifname . ether saddr . ip saddr @senders accept
    ether daddr {{ {mac}, ff:ff:ff:ff:ff:ff }} arp daddr ip {gateway} iifname . ether saddr . arp saddr ip @senders iifname . arp saddr ether . arp saddr ip @senders accept
    counter name forged drop
  }}
}}
"#
        )
    }

    fn inet_table(&self) -> String {
        let table = self.owner.table();
        let routable = range_set("routable", &self.policy.routable);
        let denied_to = range_set("denied_to", &self.policy.denied);
        let connections_set = CONNECTIONS_SET_SIZE;
        let chains = [
            self.guard_chain(),
            self.publish_chains(),
            self.input_chain(),
            self.forward_chains(),
            REFUSE_CHAIN.to_owned(),
            self.postrouting_chain(),
        ]
        .concat();
        format!(
            r"table inet {table} {{
  map mark_of {{ type ipv4_addr : mark; }}
  set members {{ type mark . ipv4_addr; }}
  set open {{ type ipv4_addr; }}
  set cluster {{ type ipv4_addr; }}
  set exposed {{ type ipv4_addr . inet_proto . inet_service; }}
  map published {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
  map published_at {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
  set connections {{ type ipv4_addr; size {connections_set}; flags dynamic; }}
{routable}{denied_to}  counter denied {{ }}
{chains}}}
"
        )
    }

    /// What never comes from a group. A frame to a link-local group address (01:80:c2:00:00:0X) is
    /// taken by the port itself, past the bridge's rules, so nothing that arrives on a port counts.
    fn guard_chain(&self) -> String {
        let bridge = &self.bridge.name;
        let prefix = self.owner.port_prefix();
        format!(
            r#"  chain guard {{
    type filter hook prerouting priority -300; policy accept;
    iifname "{prefix}*" counter name denied drop
    iifname != "{bridge}" accept
    meta nfproto != ipv4 counter name denied drop
    ip daddr {{ 127.0.0.0/8, 224.0.0.0/4, 255.255.255.255 }} counter name denied drop
  }}
"#
        )
    }

    /// Published ports, for clients outside, in groups, and on the host. A client on the host that
    /// connects to 127.0.0.1 is served by a proxy in the agent: the kernel would need
    /// `route_localnet`, which opens the host's loopback to groups.
    fn publish_chains(&self) -> String {
        r"  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    fib daddr type local jump publish
  }
  chain output_nat {
    type nat hook output priority -100; policy accept;
    ip daddr != 127.0.0.0/8 fib daddr type local jump publish
  }
  chain publish {
    dnat ip to ip daddr . meta l4proto . th dport map @published_at
    dnat ip to meta l4proto . th dport map @published
  }
"
        .to_owned()
    }

    /// From groups to the host itself.
    fn input_chain(&self) -> String {
        let bridge = &self.bridge.name;
        let gateway = self.bridge.gateway();
        let allowed = exceptions(&self.policy.allowed);
        format!(
            r#"  chain input {{
    type filter hook input priority 0; policy accept;
    iifname != "{bridge}" accept
    ct state established,related accept
    jump connection_limit
    ip daddr {gateway} udp dport 53 accept
    ip daddr {gateway} tcp dport 53 accept
    ip daddr {gateway} icmp type echo-request accept
    ip saddr @cluster accept
{allowed}    jump refuse
  }}
"#
        )
    }

    /// Between groups and the world, and between groups.
    fn forward_chains(&self) -> String {
        let bridge = &self.bridge.name;
        let subnet = self.bridge.subnet.trunc();
        let limit = self.policy.connections_per_group_max;
        let allowed = exceptions(&self.policy.allowed);
        format!(
            r#"  chain forward {{
    type filter hook forward priority 0; policy accept;
    iifname "{bridge}" jump leaving
    oifname "{bridge}" jump entering
  }}
  chain leaving {{
    ct state established,related accept
    ct state invalid counter name denied drop
    ip saddr != {subnet} counter name denied drop
    jump connection_limit
    oifname "{bridge}" return
{allowed}    ip daddr @denied_to jump refuse
  }}
  chain connection_limit {{
    ct state new add @connections {{ ip saddr ct count over {limit} }} jump refuse
  }}
  chain entering {{
    ct state established,related accept
    ct status dnat ip daddr . meta l4proto . th dport @exposed accept
    iifname "{bridge}" ip saddr @cluster ip daddr @cluster accept
    iifname "{bridge}" meta mark set ip saddr map @mark_of
    iifname "{bridge}" meta mark . ip daddr @members meta mark set 0 accept
    iifname "{bridge}" jump refuse
    ip saddr @routable ip daddr @open accept
    ct status dnat ip daddr @cluster accept
    counter name denied drop
  }}
  chain output {{
    type filter hook output priority 0; policy accept;
    oifname "{bridge}" icmp type redirect drop
  }}
"#
        )
    }

    /// Towards the outside a group has the host's address. A published port reached from a group
    /// is answered through the host, so that a group can reach its own.
    fn postrouting_chain(&self) -> String {
        let bridge = &self.bridge.name;
        let subnet = self.bridge.subnet.trunc();
        format!(
            r#"  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {subnet} oifname "{bridge}" ct status dnat ip daddr . meta l4proto . th dport @exposed masquerade
    ip saddr {subnet} oifname != "{bridge}" ip daddr != @routable masquerade
  }}
"#
        )
    }
}

/// What is refused is told so, since a client that waits in vain is hard to debug; TCP by a reset,
/// since the kernel limits ICMP's rate.
const REFUSE_CHAIN: &str = r"  chain refuse {
    counter name denied
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
";

/// Addresses that the kernel counts connections for at one time: a whole /16.
const CONNECTIONS_SET_SIZE: u32 = 65_536;

fn range_set(name: &str, ranges: &[Ipv4Net]) -> String {
    let ranges = Ipv4Net::aggregate(&ranges.iter().map(Ipv4Net::trunc).collect());
    if ranges.is_empty() {
        return format!("  set {name} {{ type ipv4_addr; flags interval; }}\n");
    }
    let list: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    let list = list.join(", ");
    format!("  set {name} {{ type ipv4_addr; flags interval; elements = {{ {list} }} }}\n")
}

fn exceptions(allowed: &[Exception]) -> String {
    allowed
        .iter()
        .map(|exception| {
            let to = exception.to.trunc();
            match exception.port {
                Some((protocol, port)) => {
                    format!(
                        "    ip daddr {to} {} dport {port} accept\n",
                        protocol_name(protocol)
                    )
                }
                None => format!("    ip daddr {to} accept\n"),
            }
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
