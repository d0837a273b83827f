use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use burstlet_model::spec::Protocol;
use burstlet_model::{ErrorKind, GroupUid};
use ipnet::Ipv4Net;

use crate::cni::CniError;
use crate::plan::protocol_name;

/// Why a network operation did not succeed. Each text says what was being done and to what; the
/// cause is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A configured value cannot work.
    #[error("network configuration: {0}")]
    Config(String),
    /// The agent is configured to use the host's network only.
    #[error("this agent gives no group a network of its own (network.mode is \"host\")")]
    HostOnly,
    /// The group has no lease.
    #[error("group {0} has no network lease")]
    NoLease(GroupUid),
    /// The group has a lease that was asked for differently.
    #[error("group {0} already has a network lease with other settings")]
    LeaseDiffers(GroupUid),
    /// All addresses are given out or rest after use.
    #[error(
        "no free address in {subnet}: {leased} are leased and {cooling} rest for a while after use"
    )]
    Exhausted {
        /// The pool.
        subnet: Ipv4Net,
        /// How many addresses belong to groups.
        leased: usize,
        /// How many addresses are in quarantine.
        cooling: usize,
    },
    /// The bridge has no free port (the kernel allows 1023).
    #[error("bridge {bridge} has no free port; the kernel allows 1023 groups on one bridge")]
    BridgeFull {
        /// The bridge.
        bridge: String,
    },
    /// Another group, or the request itself, has published the port already.
    #[error("port {port}/{} of the host is published by group {by}", protocol_name(*protocol))]
    PortTaken {
        /// The port's protocol.
        protocol: Protocol,
        /// The port.
        port: u16,
        /// Who has it.
        by: GroupUid,
    },
    /// A published port could not be listened on; most often another program does.
    #[error("listen on {at} for a published port")]
    PortInUse {
        /// The address and port.
        at: std::net::SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The leases on disk do not fit the configuration.
    #[error(
        "group {uid} has the address {address}, which is not a group address in {subnet}: configure its old subnet, or delete the group first"
    )]
    LeaseOutsideSubnet {
        /// The group.
        uid: GroupUid,
        /// Its address.
        address: Ipv4Addr,
        /// The configured subnet.
        subnet: Ipv4Net,
    },
    /// A lease was made while groups got their network in another way.
    #[error(
        "group {0} has its network lease from another network.mode: configure that, or delete the group first"
    )]
    LeaseOfOtherMode(GroupUid),
    /// The lease log is damaged before its end.
    #[error("lease log {path}: line {line} is damaged")]
    LeasesCorrupt {
        /// The log.
        path: PathBuf,
        /// The damaged line, from 1.
        line: usize,
    },
    /// The lease log could not be brought back to a known state and takes no more records.
    #[error("lease log {path} could not be restored after a failed write; restart the agent")]
    LeasesPoisoned {
        /// The log.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{doing} {path}")]
    File {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// An interface of this name belongs to somebody else.
    #[error("interface {name} exists and is not ours ({alias:?}): choose another name")]
    LinkForeign {
        /// The interface.
        name: String,
        /// Its alias.
        alias: String,
    },
    /// The kernel refused a netlink request.
    #[error("{doing}")]
    Netlink {
        /// What was being done, to what.
        doing: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// `nft` did not load the rules.
    #[error("load firewall rules with nft: {problem}")]
    Nft {
        /// What nft said, or why it could not be run.
        problem: String,
    },
    /// A network namespace could not be entered or left.
    #[error("enter network namespace of {of}")]
    Netns {
        /// Whose namespace.
        of: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A socket for the groups' name server could not be opened.
    #[error("serve names on {at}")]
    Dns {
        /// The address.
        at: std::net::SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A name server has no address for a name.
    #[error("{server} does not tell the address of {name}: {problem}")]
    NameUnknown {
        /// The server.
        server: std::net::SocketAddr,
        /// The name.
        name: String,
        /// What it says instead, or that it says nothing.
        problem: String,
    },
    /// The CNI plugins did not do as asked.
    #[error(transparent)]
    Cni(#[from] CniError),
    /// The thread that talks to the kernel has ended.
    #[error("the network thread has ended; restart the agent")]
    ThreadEnded,
}

impl NetworkError {
    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) => ErrorKind::Invalid,
            Self::HostOnly
            | Self::LeaseDiffers(_)
            | Self::LeaseOutsideSubnet { .. }
            | Self::LeaseOfOtherMode(_)
            | Self::LinkForeign { .. } => ErrorKind::FailedPrecondition,
            Self::NoLease(_) => ErrorKind::NotFound,
            Self::Exhausted { .. } | Self::BridgeFull { .. } => ErrorKind::ResourceExhausted,
            Self::PortTaken { .. } => ErrorKind::AlreadyExists,
            Self::PortInUse { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => ErrorKind::AlreadyExists,
                io::ErrorKind::AddrNotAvailable => ErrorKind::Invalid,
                _ => ErrorKind::Internal,
            },
            Self::Cni(error) => error.kind(),
            Self::Nft { .. } | Self::ThreadEnded | Self::NameUnknown { .. } => {
                ErrorKind::Unavailable
            }
            Self::LeasesCorrupt { .. }
            | Self::LeasesPoisoned { .. }
            | Self::File { .. }
            | Self::Netlink { .. }
            | Self::Netns { .. }
            | Self::Dns { .. } => ErrorKind::Internal,
        }
    }

    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}
