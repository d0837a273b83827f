//! The addresses that the cluster allots to the node, and what becomes of them: groups' network comes up
//! with the first. Others, which a node that was deleted may be allotted, are refused as long as groups
//! have those of before: an address is a group's for life.

use burstlet_kube_node::{ClusterView, NetworkTrouble};
use ipnet::Ipv4Net;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::network::{LateNetwork, NOT_YET, Trouble, kept_file};

/// Follows what the cluster says of the node until the shutdown.
pub(super) async fn follow(
    config: &Config,
    network: &LateNetwork,
    mut told: watch::Receiver<ClusterView>,
    shutdown: CancellationToken,
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            heard = told.changed() => if heard.is_err() { return },
        }
        let verdict = decide(network.subnet(), &told.borrow_and_update().pod_cidrs);
        let trouble = match verdict {
            Verdict::Keep => None,
            Verdict::Refuse(trouble) => Some(trouble.explained(config)),
            Verdict::Take(subnet) => take(config, network, subnet).await,
        };
        let text = trouble.as_ref().map(Trouble::text).map(str::to_owned);
        if network.tell(trouble)
            && let Some(trouble) = text
        {
            tracing::error!(trouble, "the groups' addresses are not the node's");
        }
    }
}

/// What the node's conditions say of it.
pub(super) fn condition(network: &LateNetwork) -> Option<NetworkTrouble> {
    let trouble = network.trouble()?;
    let (reason, is_fatal) = match trouble {
        Trouble::None(_) => ("NoPodCIDR", true),
        Trouble::Others(_) => ("PodCIDRChanged", false),
    };
    Some(NetworkTrouble {
        reason,
        message: trouble.text().to_owned(),
        is_fatal,
    })
}

/// What is done about what was allotted.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Groups have these, or none are allotted at the moment.
    Keep,
    /// The groups' network comes up with them.
    Take(Ipv4Net),
    /// It cannot.
    Refuse(Trouble),
}

fn decide(ours: Option<Ipv4Net>, allotted: &[String]) -> Verdict {
    let mut parsed = allotted.iter().filter_map(|text| text.parse().ok());
    let theirs = parsed.next().map(|net: Ipv4Net| net.trunc());
    match (ours.map(|net| net.trunc()), theirs) {
        (None, Some(theirs)) => Verdict::Take(theirs),
        (None, None) if allotted.is_empty() => Verdict::Refuse(Trouble::None(NOT_YET.to_owned())),
        (None, None) => Verdict::Refuse(Trouble::None(format!(
            "the cluster has allotted {} to this node, and groups have IPv4 addresses",
            allotted.join(", ")
        ))),
        (Some(ours), Some(theirs)) if ours != theirs => Verdict::Refuse(Trouble::Others(format!(
            "the cluster has allotted {theirs} to this node, whose groups have addresses of {ours}"
        ))),
        (Some(_), _) => Verdict::Keep,
    }
}

impl Trouble {
    /// With the way out.
    fn explained(self, config: &Config) -> Self {
        match self {
            Self::Others(text) => Self::Others(format!(
                "{text}: they go on; for others, delete all groups, end the agent, remove {} and start it \
                 again",
                kept_file(config).display()
            )),
            Self::None(_) => self,
        }
    }
}

async fn take(config: &Config, network: &LateNetwork, subnet: Ipv4Net) -> Option<Trouble> {
    match network.take(config, subnet).await {
        Ok(()) => {
            tracing::info!(%subnet, "groups have the addresses that the cluster allotted");
            None
        }
        Err(error) => Some(Trouble::None(format!(
            "the network of {subnet} cannot be brought up: {error:#}"
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn decided(ours: Option<&str>, allotted: &[&str]) -> Verdict {
        let allotted: Vec<String> = allotted.iter().map(|&text| text.to_owned()).collect();
        decide(ours.map(net), &allotted)
    }

    #[test]
    fn the_first_ipv4_addresses_are_taken() {
        let both = ["fd00::/64", "10.3.0.0/24"];
        assert_eq!(decided(None, &both), Verdict::Take(net("10.3.0.0/24")));
        assert_eq!(
            decided(None, &["10.3.0.9/24"]),
            Verdict::Take(net("10.3.0.0/24"))
        );
    }

    #[test]
    fn none_are_waited_for() {
        let not_yet = Verdict::Refuse(Trouble::None(NOT_YET.to_owned()));
        assert_eq!(decided(None, &[]), not_yet);
        let Verdict::Refuse(Trouble::None(why)) = decided(None, &["fd00::/64"]) else {
            panic!("IPv6 alone is of no use");
        };
        assert!(why.contains("fd00::/64"), "{why}");
    }

    #[test]
    fn others_are_refused_and_a_silence_changes_nothing() {
        let ours = Some("10.3.0.0/24");
        assert_eq!(decided(ours, &["10.3.0.0/24"]), Verdict::Keep);
        assert_eq!(decided(ours, &[]), Verdict::Keep);
        let Verdict::Refuse(Trouble::Others(why)) = decided(ours, &["10.4.0.0/24"]) else {
            panic!("groups keep their addresses");
        };
        assert!(
            why.contains("10.3.0.0/24") && why.contains("10.4.0.0/24"),
            "{why}"
        );
    }
}
