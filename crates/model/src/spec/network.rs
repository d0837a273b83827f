use std::net::IpAddr;

/// How the group meets the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Uses the host's network; needs the operator's leave.
    pub host_network: bool,
    /// Which groups reach it, and what it reaches of the host.
    pub reach: Reach,
}

/// How far a group's network goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// As the node is configured, which is the groups of its own namespace by default.
    #[default]
    Node,
    /// Open groups of every namespace.
    Open,
    /// What Kubernetes expects of a pod: every pod, and the node itself.
    Cluster,
}

/// A port that a container listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// An optional name that probes may use.
    pub name: Option<String>,
    /// The port inside.
    pub container_port: u16,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// The port of the host that leads to it, if published.
    pub host_port: Option<u16>,
    /// The host's address that is published on; all if `None`.
    pub host_ip: Option<IpAddr>,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Name resolution inside the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSpec {
    /// Where the first name server comes from.
    pub policy: DnsPolicy,
    /// Name servers added to (or, with `None`, being all of) those of the policy.
    pub nameservers: Vec<IpAddr>,
    /// Search domains added.
    pub searches: Vec<String>,
    /// Resolver options added, as `name` or `name:value`.
    pub options: Vec<(String, Option<String>)>,
}

/// Kubernetes' `dnsPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsPolicy {
    /// The node's own resolver for groups: names of the namespace's groups, then the outside. For
    /// pods: the cluster's.
    #[default]
    ClusterFirst,
    /// The same for groups on the host's network.
    ClusterFirstWithHostNet,
    /// The host's `resolv.conf`.
    Default,
    /// Only what `dnsConfig` says.
    None,
}

/// A line of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAlias {
    /// The address.
    pub ip: IpAddr,
    /// Its names.
    pub hostnames: Vec<String>,
}
