use proptest::prelude::*;

use super::*;

fn resource(name: &str) -> ExtendedResource {
    format!("example.com/{name}").parse().unwrap()
}

/// A device of these nodes below `/dev`, joined by `+`.
fn device(nodes: &str) -> Device {
    let nodes = nodes.split('+').map(|node| format!("/dev/{node}").into());
    Device {
        nodes: nodes.collect(),
    }
}

fn pools(of: &[(&str, &[&str])]) -> BTreeMap<ExtendedResource, Vec<Device>> {
    let pools = of.iter();
    pools
        .map(|(name, devices)| (resource(name), devices.iter().map(|d| device(d)).collect()))
        .collect()
}

fn uid(name: &str) -> GroupUid {
    name.parse().unwrap()
}

fn request(name: &str, count: u32) -> DeviceRequest {
    DeviceRequest {
        resource: resource(name),
        count,
    }
}

fn has(pools: &Pools, group: &str) -> Option<Vec<Device>> {
    pools.of(&uid(group)).map(|lease| lease.devices.clone())
}

#[test]
fn the_first_free_ones_are_lent_in_the_operators_order() {
    let mut pools = Pools::new(pools(&[("gpu", &["g2", "g0", "g1"]), ("fpga", &["f0"])]));
    assert!(pools.lend(&uid("a"), &request("gpu", 1)));
    assert!(pools.lend(&uid("b"), &request("gpu", 2)));
    assert_eq!(has(&pools, "a"), Some(vec![device("g2")]));
    assert_eq!(has(&pools, "b"), Some(vec![device("g0"), device("g1")]));
    assert!(!pools.lend(&uid("c"), &request("gpu", 1)), "all are lent");
    assert!(!pools.lend(&uid("c"), &request("tpu", 1)), "there is none");
    assert_eq!(has(&pools, "c"), None);
    pools.take_back(&uid("a"));
    assert_eq!(pools.free()[&resource("gpu")], 1);
    assert!(pools.lend(&uid("c"), &request("gpu", 1)));
    assert_eq!(has(&pools, "c"), Some(vec![device("g2")]));
    assert_eq!(pools.free()[&resource("gpu")], 0);
    assert_eq!(pools.free()[&resource("fpga")], 1);
    assert_eq!(pools.sizes()[&resource("gpu")], 3);
}

#[test]
fn what_is_lent_counts_by_the_name_that_it_was_asked_for_by() {
    let mut pools = Pools::new(pools(&[("gpu", &["g0", "g1"]), ("fpga", &["f0"])]));
    pools.lend(&uid("a"), &request("gpu", 2));
    let old = Lease {
        resource: resource("tpu"),
        devices: vec![device("t0")],
    };
    pools.keep(&uid("b"), old);
    let usage = |allocatable, requested| DeviceUse {
        allocatable,
        requested,
    };
    let expected = [
        (resource("fpga"), usage(1, 0)),
        (resource("gpu"), usage(2, 2)),
        (resource("tpu"), usage(0, 1)),
    ];
    assert_eq!(pools.usage(), BTreeMap::from(expected));
    pools.take_back(&uid("b"));
    assert_eq!(pools.usage().len(), 2);
}

#[test]
fn too_few_are_none() {
    let mut pools = Pools::new(pools(&[("gpu", &["g0", "g1"])]));
    assert!(!pools.lend(&uid("a"), &request("gpu", 3)));
    assert_eq!(pools.free()[&resource("gpu")], 2, "none of them is lent");
}

#[test]
fn what_was_lent_by_other_names_is_not_lent_again() {
    // As they were, as they are now, and how many of those are free.
    let rows: [(&[&str], &[&str], u64); 5] = [
        (&["g0"], &["g0", "g1"], 1),
        (&["gone"], &["g0", "g1"], 2),
        (&["g0+g1"], &["g0", "g1", "g2"], 1),
        (&["g0", "g1"], &["g0+g1", "g2"], 1),
        (&["g1"], &["g0+g1"], 0),
    ];
    for (before, now, free) in rows {
        let mut pools = Pools::new(pools(&[("gpu", now)]));
        let lease = Lease {
            resource: resource("accelerator"),
            devices: before.iter().map(|d| device(d)).collect(),
        };
        pools.keep(&uid("runs"), lease);
        assert_eq!(pools.free()[&resource("gpu")], free, "{before:?} {now:?}");
        let all = u32::try_from(free).unwrap();
        assert!(!pools.lend(&uid("new"), &request("gpu", all + 1)));
        assert!(pools.lend(&uid("new"), &request("gpu", all)));
    }
}

#[test]
fn a_node_that_is_named_twice_is_lent_once() {
    let mut pools = Pools::new(pools(&[("gpu", &["g0", "g0+g1"])]));
    assert!(!pools.lend(&uid("a"), &request("gpu", 2)));
    assert!(pools.lend(&uid("a"), &request("gpu", 1)));
    assert_eq!(pools.free()[&resource("gpu")], 0);
}

#[derive(Clone, Debug)]
enum Step {
    Lend {
        group: u8,
        fpga: bool,
        count: u32,
    },
    TakeBack {
        group: u8,
    },
    /// The agent starts anew, with other devices.
    Reconfigure {
        gpus: Vec<u8>,
        pairs: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let lend = (0..6_u8, any::<bool>(), 0..4_u32).prop_map(|(group, fpga, count)| Step::Lend {
        group,
        fpga,
        count,
    });
    let take_back = (0..6_u8).prop_map(|group| Step::TakeBack { group });
    let reconfigure =
        (prop::collection::btree_set(0..8_u8, 0..8), any::<bool>()).prop_map(|(gpus, pairs)| {
            Step::Reconfigure {
                gpus: gpus.into_iter().collect(),
                pairs,
            }
        });
    prop_oneof![4 => lend, 3 => take_back, 1 => reconfigure]
}

/// Devices of one node, or of two.
fn configured(gpus: &[u8], pairs: bool) -> BTreeMap<ExtendedResource, Vec<Device>> {
    let chunks = gpus.chunks(if pairs { 2 } else { 1 });
    let named = chunks.map(|nodes| {
        let nodes: Vec<String> = nodes.iter().map(|node| format!("g{node}")).collect();
        device(&nodes.join("+"))
    });
    let fpgas = vec![device("f0"), device("f1")];
    [
        (resource("gpu"), named.collect()),
        (resource("fpga"), fpgas),
    ]
    .into()
}

proptest! {
    /// Whatever is lent, given back and named otherwise: no node has two groups, a group has as many
    /// as it asked for and keeps them, and what is said to be free can be had.
    #[test]
    fn no_node_has_two_groups(steps in prop::collection::vec(step(), 0..60)) {
        let mut pools = Pools::new(configured(&[0, 1, 2, 3], false));
        for step in steps {
            match step {
                Step::Lend { group, fpga, count } => {
                    let group = uid(&format!("g{group}"));
                    if pools.of(&group).is_none() {
                        let asked = request(if fpga { "fpga" } else { "gpu" }, count);
                        let there = pools.free()[&asked.resource];
                        let lent = pools.lend(&group, &asked);
                        prop_assert_eq!(lent, u64::from(count) <= there);
                        let has = pools.of(&group).map_or(0, |lease| lease.devices.len());
                        prop_assert_eq!(has, if lent { count as usize } else { 0 });
                    }
                }
                Step::TakeBack { group } => pools.take_back(&uid(&format!("g{group}"))),
                Step::Reconfigure { gpus, pairs } => {
                    let before = std::mem::take(&mut pools.lent);
                    pools = Pools::new(configured(&gpus, pairs));
                    for (group, lease) in before {
                        pools.keep(&group, lease);
                    }
                }
            }
            let leases = pools.lent.values().flat_map(|lease| &lease.devices);
            let all: Vec<_> = leases.flat_map(nodes).collect();
            prop_assert_eq!(all.len(), pools.taken().len());
        }
    }
}
