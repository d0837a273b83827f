use insta::assert_json_snapshot;

use super::*;
use crate::config::{SystemInfo, Taint};

const NOW: WallTime = WallTime(1_700_000_000_000_000_000);

pub(crate) fn facts() -> NodeFacts {
    NodeFacts {
        name: "edge-1".to_owned(),
        host_name: "edge-1.example.com".to_owned(),
        addresses: vec!["192.0.2.10".parse().expect("an address")],
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        taints: vec![
            "virtual-kubelet.io/provider=burstlet:NoSchedule"
                .parse::<Taint>()
                .expect("a taint"),
        ],
        capacity: [("cpu", "10k"), ("memory", "100Ti"), ("pods", "10k")]
            .map(|(name, amount)| (name.to_owned(), amount.to_owned()))
            .into(),
        devices: [("example.com/gpu".parse().expect("a resource"), 2)].into(),
        instance: "i-1".to_owned(),
        info: SystemInfo {
            machine_id: "m".to_owned(),
            boot_id: "b".to_owned(),
            kernel: "6.18.0".to_owned(),
            os_image: "Debian".to_owned(),
            architecture: "amd64".to_owned(),
            agent_version: "0.1.0".to_owned(),
        },
        kubelet_port: Some(10250),
    }
}

#[test]
fn a_new_node() {
    assert_json_snapshot!(node_to_write(&facts()));
}

#[test]
fn a_status() {
    let now_is = NodeCondition {
        images: vec![
            NodeImage {
                names: vec!["docker.io/library/small:1".to_owned()],
                bytes: 10,
            },
            NodeImage {
                names: (0..9)
                    .map(|n| format!("docker.io/library/large:{n}"))
                    .collect(),
                bytes: 20,
            },
        ],
        ..NodeCondition::default()
    };
    assert_json_snapshot!(status_patch(&facts(), &now_is, &Value::Null, NOW));
}

#[test]
fn what_is_offered_may_change() {
    let mut now_is = NodeCondition::default();
    let offered = |now_is: &NodeCondition| {
        let patch = status_patch(&facts(), now_is, &Value::Null, NOW);
        let of = |field: &str| patch["status"][field]["pods"].clone();
        (of("capacity"), of("allocatable"))
    };
    assert_eq!(offered(&now_is), ("10k".into(), "10k".into()));
    now_is.capacity = Some([("pods".to_owned(), "23".to_owned())].into());
    assert_eq!(offered(&now_is), ("23".into(), "23".into()));
}

#[test]
fn devices_are_as_many_as_there_are_and_no_others() {
    let now_is = NodeCondition {
        capacity: Some([("pods".to_owned(), "23".to_owned())].into()),
        ..NodeCondition::default()
    };
    let before =
        json!({"pods": "9", "hugepages-2Mi": "0", "example.com/gpu": "1", "example.com/old": "4"});
    let before = json!({"capacity": before, "allocatable": before});
    let patch = status_patch(&facts(), &now_is, &before, NOW);
    let expected = json!({"pods": "23", "example.com/gpu": "2", "example.com/old": null});
    assert_eq!(patch["status"]["capacity"], expected);
    assert_eq!(patch["status"]["allocatable"], expected);
}

#[test]
fn transitions_are_stamped_when_the_status_changes() {
    let later = WallTime(NOW.0 + 60_000_000_000);
    let well = NodeCondition::default();
    let first = status_patch(&facts(), &well, &Value::Null, NOW);
    let same = status_patch(&facts(), &well, &first["status"], later);
    let ill = NodeCondition {
        network: Some(NetworkTrouble {
            reason: "NoPodCIDR",
            message: "no addresses yet".to_owned(),
            is_fatal: true,
        }),
        ..well
    };
    let worse = status_patch(&facts(), &ill, &first["status"], later);
    let ready = |patch: &Value| patch["status"]["conditions"][4].clone();
    assert_eq!(ready(&same)["lastTransitionTime"], "2023-11-14T22:13:20Z");
    assert_eq!(ready(&same)["lastHeartbeatTime"], "2023-11-14T22:14:20Z");
    assert_eq!(ready(&worse)["lastTransitionTime"], "2023-11-14T22:14:20Z");
    assert_eq!(ready(&worse)["status"], "False");
    assert_eq!(ready(&worse)["message"], "no addresses yet");
}

#[test]
fn pods_that_run_are_not_driven_away_by_other_addresses() {
    let now_is = NodeCondition {
        network: Some(NetworkTrouble {
            reason: "PodCIDRChanged",
            message: "other addresses".to_owned(),
            is_fatal: false,
        }),
        ..NodeCondition::default()
    };
    let patch = status_patch(&facts(), &now_is, &Value::Null, NOW);
    let condition = |at: usize| patch["status"]["conditions"][at].clone();
    let (network, ready) = (condition(3), condition(4));
    assert_eq!(
        (&network["type"], &network["status"]),
        (&"NetworkUnavailable".into(), &"True".into())
    );
    assert_eq!(network["reason"], "PodCIDRChanged");
    assert_eq!(
        (&ready["type"], &ready["status"]),
        (&"Ready".into(), &"True".into())
    );
}

#[test]
fn findings_are_conditions() {
    let now_is = NodeCondition {
        findings: vec![Finding {
            kind: "example.com/Unwell",
            reason: "Tested",
            message: "it is".to_owned(),
            is_so: true,
        }],
        ..NodeCondition::default()
    };
    let patch = status_patch(&facts(), &now_is, &Value::Null, NOW);
    let conditions = patch["status"]["conditions"].as_array().cloned();
    let conditions = conditions.unwrap_or_default();
    let found = conditions
        .iter()
        .find(|c| c["type"] == "example.com/Unwell");
    let found = found.cloned().unwrap_or_default();
    assert_eq!(
        (&found["status"], &found["reason"]),
        (&"True".into(), &"Tested".into())
    );
    let last = conditions.last().cloned().unwrap_or_default();
    assert_eq!(last["type"], "Ready");
}

#[test]
fn findings_that_nobody_looks_after_go() {
    let before =
        json!({"conditions": [{"type": "burstlet.dev/Old"}, {"type": "example.com/Theirs"}]});
    let patch = status_patch(&facts(), &NodeCondition::default(), &before, NOW);
    let conditions = patch["status"]["conditions"].as_array().cloned();
    let mut gone = conditions.unwrap_or_default();
    gone.retain(|condition| condition["$patch"] == "delete");
    assert_eq!(
        gone,
        [json!({"$patch": "delete", "type": "burstlet.dev/Old"})]
    );
}

#[test]
fn addresses_are_those_of_the_list_or_the_one() {
    let of = |spec: Value| {
        let node = serde_json::from_value(json!({"spec": spec})).ok();
        node.map(|node: Node| pod_cidrs(&node))
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(of(json!({})), Some(none));
    let one = vec!["10.1.0.0/24".to_owned()];
    assert_eq!(of(json!({"podCIDR": "10.1.0.0/24"})), Some(one));
    let both = json!({"podCIDR": "fd00::/64", "podCIDRs": ["fd00::/64", "10.1.0.0/24"]});
    let both_read = vec!["fd00::/64".to_owned(), "10.1.0.0/24".to_owned()];
    assert_eq!(of(both), Some(both_read));
}
