use std::net::IpAddr;
use std::num::NonZeroU16;

use burstlet_model::spec::Protocol;
use burstlet_model::{GroupName, GroupUid, Name, Namespace};

use super::*;
use crate::Isolation;
use crate::lease::{HostPort, Lease, PublishedPort};
use crate::plan::{Mark, elements};

fn ruleset(policy: Policy) -> Ruleset {
    Ruleset {
        owner: Owner::new("burstlet"),
        bridge: BridgeConfig {
            name: "burstlet0".to_owned(),
            subnet: "10.88.0.0/16".parse().unwrap(),
            mtu: None,
        },
        policy,
    }
}

fn published(ip: Option<&str>, protocol: Protocol, host: u16, container: u16) -> PublishedPort {
    PublishedPort {
        host: HostPort {
            ip: ip.map(|ip| ip.parse::<IpAddr>().unwrap()),
            protocol,
            port: NonZeroU16::new(host).unwrap(),
        },
        container_port: container,
    }
}

#[test]
fn static_rules() {
    insta::assert_snapshot!(ruleset(Policy::default()).load(&[]));
}

#[test]
fn operator_policy_and_elements() {
    let policy = Policy {
        denied: vec![
            "169.254.0.0/16".parse().unwrap(),
            "10.0.0.1/8".parse().unwrap(),
        ],
        allowed: vec![
            Exception {
                to: "169.254.169.254/32".parse().unwrap(),
                port: Some((Protocol::Tcp, 80)),
            },
            Exception {
                to: "10.1.2.3/24".parse().unwrap(),
                port: None,
            },
        ],
        routable: vec![
            "10.96.0.0/16".parse().unwrap(),
            "10.97.0.0/16".parse().unwrap(),
        ],
        connections_per_group_max: 100,
    };
    let ruleset = ruleset(policy);
    let lease = Lease {
        uid: GroupUid::new("3f2a").unwrap(),
        group: GroupName {
            namespace: Namespace::new("shop").unwrap(),
            name: Name::new("web").unwrap(),
        },
        isolation: Isolation::Open,
        ports: vec![
            published(None, Protocol::Tcp, 8080, 80),
            published(Some("192.0.2.1"), Protocol::Tcp, 8081, 80),
            published(Some("127.0.0.1"), Protocol::Tcp, 8082, 81),
            published(None, Protocol::Udp, 53, 53),
        ],
        address: Some("10.88.0.2".parse().unwrap()),
    };
    let elements = elements(&ruleset.owner, &lease, lease.address.unwrap(), Mark(7));
    insta::assert_snapshot!(ruleset.load(&elements));
}

#[test]
fn only_a_pod_reaches_the_host() {
    let ruleset = ruleset(Policy::default());
    let sets = |isolation| -> Vec<&str> {
        let lease = Lease {
            uid: GroupUid::new("3f2a").unwrap(),
            group: GroupName {
                namespace: Namespace::new("shop").unwrap(),
                name: Name::new("web").unwrap(),
            },
            isolation,
            ports: Vec::new(),
            address: Some("10.88.0.2".parse().unwrap()),
        };
        let elements = elements(&ruleset.owner, &lease, lease.address.unwrap(), Mark(7));
        elements.iter().map(|it| it.set().name()).collect()
    };
    let basic = ["senders", "mark_of", "members"];
    assert_eq!(sets(Isolation::Namespace), basic);
    assert_eq!(sets(Isolation::Open), [&basic[..], &["open"]].concat());
    let pod = [&basic[..], &["open", "cluster"]].concat();
    assert_eq!(sets(Isolation::Cluster), pod);
}
