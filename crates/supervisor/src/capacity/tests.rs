use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;

fn cpu(milli: u64) -> ResourceList {
    ResourceList {
        cpu: Some(MilliCpu(milli)),
        ..ResourceList::default()
    }
}

fn queue(milli: u64, waiting_max: usize) -> Queue {
    Queue::new(Capacity {
        machine: cpu(milli),
        reserved: ResourceList::default(),
        overcommit_percent: 100,
        default_request: ResourceList::default(),
        devices: BTreeMap::new(),
        waiting_max,
    })
}

/// On demand.
fn rank(priority: i32) -> Rank {
    Rank {
        scheduling: Scheduling::OnDemand,
        priority,
    }
}

fn uid(name: &str) -> GroupUid {
    name.parse().unwrap()
}

/// Who waits, in order.
fn line(queue: &Queue) -> Vec<&str> {
    queue.places().map(|(uid, _)| uid.as_str()).collect()
}

#[test]
fn room_is_what_is_not_reserved_times_overcommit() {
    let capacity = Capacity {
        machine: ResourceList {
            memory: Some(Bytes(1000)),
            pids: Some(100),
            ..cpu(4000)
        },
        reserved: ResourceList {
            memory: Some(Bytes(200)),
            ..cpu(5000)
        },
        overcommit_percent: 150,
        default_request: cpu(1),
        devices: BTreeMap::new(),
        waiting_max: 1,
    };
    let room = Queue::new(capacity).usage().allocatable;
    assert_eq!(room.cpu, Some(MilliCpu(0)));
    assert_eq!(room.memory, Some(Bytes(1200)));
    assert_eq!(room.pids, Some(100), "not oversold");
    assert_eq!(room.ephemeral_storage, None, "not counted");
}

#[test]
fn order_is_priority_then_age() {
    let mut queue = queue(1000, 9);
    for (name, priority) in [
        ("first", 0),
        ("low", -1),
        ("old", 0),
        ("high", 5),
        ("young", 0),
    ] {
        queue.enter(&uid(name), rank(priority), cpu(600)).unwrap();
    }
    assert!(queue.is_admitted(&uid("first")));
    assert_eq!(line(&queue), ["high", "old", "young", "low"]);
    queue.leave(&uid("first"));
    assert!(queue.is_admitted(&uid("high")));
    let place = queue.place(&uid("low"));
    assert!(
        matches!(place, Some(Place::Waiting { position: 3, .. })),
        "{place:?}"
    );
}

#[test]
fn who_is_far_back_is_told_about_where() {
    let rows = [(1, 1), (9, 9), (10, 10), (19, 10), (20, 20), (4987, 4000)];
    for (position, told) in rows {
        assert_eq!(rounded(position), told);
    }
    assert_eq!(rounded(u32::MAX), 4_000_000_000);
}

#[test]
fn small_ones_do_not_starve_a_large_one() {
    let mut queue = queue(1000, 9);
    queue.enter(&uid("runs"), rank(0), cpu(500)).unwrap();
    queue.enter(&uid("large"), rank(0), cpu(800)).unwrap();
    queue.enter(&uid("small"), rank(0), cpu(100)).unwrap();
    queue.enter(&uid("nothing"), rank(0), cpu(0)).unwrap();
    assert!(queue.is_admitted(&uid("nothing")), "it delays nobody");
    assert_eq!(line(&queue), ["large", "small"]);
    let places: Vec<_> = queue.places().map(|(_, place)| place).collect();
    let lack = Lack {
        resource: "cpu".into(),
        wanted: 800,
        there: 500,
    };
    let why = Shortage::Short(lack);
    assert_eq!(why.message(), "waits for cpu: 800m requested, 500m free");
    assert_eq!(places[0], Place::Waiting { position: 1, why });
    let why = Shortage::BehindOthers;
    assert_eq!(places[1], Place::Waiting { position: 2, why });
}

#[test]
fn what_never_fits_waits_and_holds_nobody_up() {
    let mut queue = queue(1000, 9);
    queue.enter(&uid("giant"), rank(9), cpu(2000)).unwrap();
    queue.enter(&uid("small"), rank(0), cpu(1000)).unwrap();
    assert!(queue.is_admitted(&uid("small")));
    let Some(Place::Waiting { why, .. }) = queue.place(&uid("giant")) else {
        panic!("it waits");
    };
    assert!(matches!(why, Shortage::NeverFits(_)));
    assert_eq!(why.reason(), "OutOfcpu");
}

#[test]
fn the_bound_counts_only_who_waits() {
    let mut queue = queue(1000, 1);
    queue.enter(&uid("a"), rank(0), cpu(1000)).unwrap();
    queue.enter(&uid("b"), rank(0), cpu(1)).unwrap();
    assert_eq!(queue.enter(&uid("c"), rank(9), cpu(1)), Err(QueueFull));
    assert_eq!(queue.place(&uid("c")), None);
    queue.enter(&uid("d"), rank(0), cpu(0)).unwrap();
    queue.reenter(&uid("e"), rank(0), cpu(1));
    assert_eq!(line(&queue), ["b", "e"]);
}

#[test]
fn holding_needs_no_room() {
    let mut queue = queue(1000, 9);
    queue.hold(&uid("a"), rank(0), cpu(5000), false);
    queue.enter(&uid("b"), rank(0), cpu(1)).unwrap();
    assert_eq!(line(&queue), ["b"]);
    queue.leave(&uid("a"));
    assert_eq!(queue.usage().admitted, 1);
}

/// What a group that has room is told when it asks for so much.
fn resize(queue: &mut Queue, name: &str, priority: i32, milli: u64) -> Result<(), (u64, bool)> {
    let resized = queue.resize(&uid(name), rank(priority), cpu(milli));
    resized.map_err(|short| (short.used, short.is_for_good()))
}

#[test]
fn a_group_grows_where_there_is_room_and_shrinks_at_once() {
    let mut queue = queue(1000, 9);
    queue.enter(&uid("a"), rank(0), cpu(400)).unwrap();
    queue.enter(&uid("b"), rank(0), cpu(400)).unwrap();
    queue.enter(&uid("waits"), rank(0), cpu(400)).unwrap();
    assert_eq!(resize(&mut queue, "a", 0, 700), Err((400, false)));
    assert_eq!(resize(&mut queue, "a", 0, 1001), Err((400, true)));
    assert_eq!(resize(&mut queue, "a", 0, 600), Ok(()));
    assert_eq!(resize(&mut queue, "b", 0, 0), Ok(()));
    assert!(queue.is_admitted(&uid("waits")), "what is freed is others'");
    assert_eq!(resize(&mut queue, "stranger", 0, 900), Ok(()));
    assert_eq!(queue.usage().requested.cpu, Some(MilliCpu(1000)));
}

#[test]
fn a_group_that_waits_asks_for_something_else() {
    let mut queue = queue(1000, 9);
    queue.enter(&uid("a"), rank(0), cpu(800)).unwrap();
    queue.enter(&uid("b"), rank(0), cpu(400)).unwrap();
    queue.enter(&uid("c"), rank(0), cpu(100)).unwrap();
    assert_eq!(line(&queue), ["b", "c"]);
    assert_eq!(resize(&mut queue, "b", 0, 100), Ok(()));
    assert!(line(&queue).is_empty());
}

#[test]
fn what_becomes_free_is_kept_for_those_that_grow_by_priority_and_age() {
    let mut queue = queue(1000, 9);
    for name in ["first", "second", "urgent"] {
        queue.enter(&uid(name), rank(0), cpu(200)).unwrap();
    }
    queue.enter(&uid("big"), rank(0), cpu(400)).unwrap();
    queue.enter(&uid("waits"), rank(9), cpu(100)).unwrap();
    for (name, priority) in [("first", 0), ("second", 0), ("urgent", 5)] {
        assert!(resize(&mut queue, name, priority, 400).is_err());
    }
    assert!(queue.is_anybody_growing());
    queue.leave(&uid("big"));
    assert_eq!(line(&queue), ["waits"], "they run, it does not yet");
    // Asking again keeps its turn, whoever asks first.
    assert_eq!(resize(&mut queue, "second", 0, 400), Err((800, false)));
    assert_eq!(resize(&mut queue, "first", 0, 400), Ok(()));
    assert_eq!(resize(&mut queue, "urgent", 5, 400), Ok(()));
    assert!(resize(&mut queue, "second", 0, 400).is_err());
    queue.stay(&uid("second"));
    assert!(!queue.is_anybody_growing());
    queue.leave(&uid("first"));
    assert!(queue.is_admitted(&uid("waits")));
}

#[test]
fn what_was_kept_is_others_when_another_amount_is_asked_for() {
    for (then, kept) in [(1001, false), (900, true), (600, false)] {
        let mut queue = queue(1000, 9);
        for (name, wants) in [("grows", 100), ("stays", 200), ("big", 600)] {
            queue.enter(&uid(name), rank(0), cpu(wants)).unwrap();
        }
        assert!(resize(&mut queue, "grows", 0, 600).is_err());
        queue.leave(&uid("big"));
        queue.enter(&uid("waits"), rank(0), cpu(400)).unwrap();
        assert_eq!(line(&queue), ["waits"], "what is free is kept");
        let asked = resize(&mut queue, "grows", 0, then);
        assert_eq!(asked.is_ok(), then == 600, "{then}");
        assert_eq!(queue.is_anybody_growing(), kept, "{then}");
        let waits = then == 600;
        assert_eq!(queue.is_admitted(&uid("waits")), !waits, "{then}");
    }
}

#[test]
fn what_a_group_has_it_keeps_though_there_is_less_by_now() {
    let mut queue = queue(1000, 9);
    let has = ResourceList {
        memory: Some(Bytes(7)),
        ..cpu(5000)
    };
    queue.hold(&uid("a"), rank(0), has, false);
    let less = ResourceList {
        memory: Some(Bytes(9)),
        ..cpu(4000)
    };
    queue.resize(&uid("a"), rank(0), less).unwrap();
    let short = queue.resize(&uid("a"), rank(0), cpu(4500)).unwrap_err();
    assert!(short.is_for_good());
}

/// A machine with these devices of `example.com/gpu`.
fn with_gpus(nodes: &[&str]) -> Queue {
    let devices = nodes.iter().map(|node| gpu(node)).collect();
    Queue::new(Capacity {
        machine: cpu(1000),
        reserved: ResourceList::default(),
        overcommit_percent: 100,
        default_request: ResourceList::default(),
        devices: BTreeMap::from([("example.com/gpu".parse().unwrap(), devices)]),
        waiting_max: 9,
    })
}

fn gpu(node: &str) -> Device {
    Device {
        nodes: vec![node.into()],
    }
}

/// So much of the processor, and so many devices of a resource.
fn wants(milli: u64, resource: &str, count: u32) -> Wants {
    let resource = resource.parse().unwrap();
    Wants {
        amounts: cpu(milli),
        devices: Some(DeviceRequest { resource, count }),
    }
}

fn leased(queue: &Queue, name: &str) -> Vec<Device> {
    let lease = queue.lease(&uid(name));
    lease.map_or_else(Vec::new, |lease| lease.devices.clone())
}

#[test]
fn with_its_room_a_group_has_its_devices() {
    let mut queue = with_gpus(&["/dev/g0", "/dev/g1", "/dev/g2"]);
    let gpus = |count| wants(100, "example.com/gpu", count);
    queue.enter(&uid("two"), rank(0), gpus(2)).unwrap();
    assert_eq!(leased(&queue, "two"), [gpu("/dev/g0"), gpu("/dev/g1")]);
    queue.enter(&uid("waits"), rank(0), gpus(2)).unwrap();
    queue.enter(&uid("behind"), rank(0), gpus(1)).unwrap();
    queue.enter(&uid("without"), rank(0), cpu(0)).unwrap();
    assert!(queue.is_admitted(&uid("without")), "it delays nobody");
    assert_eq!(line(&queue), ["waits", "behind"]);
    assert_eq!(leased(&queue, "waits"), []);
    let Some(Place::Waiting { why, .. }) = queue.place(&uid("waits")) else {
        panic!("it waits");
    };
    assert_eq!(why.reason(), "OutOfexample.com/gpu");
    assert_eq!(
        why.message(),
        "waits for example.com/gpu: 2 requested, 1 free"
    );
    queue.leave(&uid("two"));
    assert_eq!(leased(&queue, "waits"), [gpu("/dev/g0"), gpu("/dev/g1")]);
    assert_eq!(leased(&queue, "behind"), [gpu("/dev/g2")]);
    assert_eq!(leased(&queue, "two"), []);
}

#[test]
fn devices_that_are_not_there_are_waited_for_by_nobody_else() {
    let mut queue = with_gpus(&["/dev/g0"]);
    queue
        .enter(&uid("many"), rank(9), wants(0, "example.com/gpu", 2))
        .unwrap();
    queue
        .enter(&uid("other"), rank(9), wants(0, "example.com/tpu", 1))
        .unwrap();
    queue
        .enter(&uid("one"), rank(0), wants(0, "example.com/gpu", 1))
        .unwrap();
    assert!(queue.is_admitted(&uid("one")));
    for name in ["many", "other"] {
        let place = queue.place(&uid(name));
        let why = |place| match place {
            Some(Place::Waiting { why, .. }) => Some(why),
            _ => None,
        };
        assert!(matches!(why(place), Some(Shortage::NeverFits(_))), "{name}");
    }
}

#[test]
fn what_a_group_has_already_is_given_to_nobody() {
    let mut queue = with_gpus(&["/dev/g0", "/dev/g1"]);
    let lease = Lease {
        resource: "example.com/gpu".parse().unwrap(),
        devices: vec![gpu("/dev/g0")],
    };
    queue.keep(&uid("runs"), lease);
    queue
        .enter(&uid("new"), rank(0), wants(0, "example.com/gpu", 1))
        .unwrap();
    assert_eq!(leased(&queue, "new"), [gpu("/dev/g1")]);
    queue.hold(&uid("runs"), rank(0), wants(0, "example.com/gpu", 1), false);
    assert_eq!(leased(&queue, "runs"), [gpu("/dev/g0")]);
    queue
        .enter(&uid("next"), rank(0), wants(0, "example.com/gpu", 1))
        .unwrap();
    assert!(!queue.is_admitted(&uid("next")));
    queue.leave(&uid("runs"));
    assert_eq!(leased(&queue, "next"), [gpu("/dev/g0")]);
}

proptest! {
    /// Whatever comes and goes: what is admitted fits, nobody waits who could start, nobody is
    /// lost, and the order is kept.
    #[test]
    fn never_oversold_and_never_idle(
        steps in prop::collection::vec((0..8u64, 0..1500u64, -1..2i32, 0..5), 0..60)
    ) {
        let mut queue = queue(1000, usize::MAX);
        let mut asked = BTreeMap::new();
        for (n, milli, priority, what) in steps {
            let name = uid(&n.to_string());
            match what {
                0 | 1 => {
                    queue.enter(&name, rank(priority), cpu(milli)).unwrap();
                    asked.insert(name, (milli, priority));
                }
                2 => {
                    queue.leave(&name);
                    asked.remove(&name);
                }
                3 => queue.stay(&name),
                _ => {
                    let resized = queue.resize(&name, rank(priority), cpu(milli)).is_ok();
                    if let (true, Some(asked)) = (resized, asked.get_mut(&name)) {
                        asked.0 = milli;
                    }
                }
            }
            let usage = queue.usage();
            let used = usage.requested.cpu.unwrap_or_default().0;
            prop_assert!(used <= 1000);
            prop_assert_eq!(usage.admitted + usage.waiting, asked.len());
            let waits: Vec<_> = queue.places().map(|(uid, _)| asked[uid]).collect();
            prop_assert!(waits.is_sorted_by_key(|(_, priority)| Reverse(*priority)));
            let first = waits.iter().find(|(milli, _)| *milli <= 1000);
            let free = queue.free_after(None).cpu.unwrap_or_default().0;
            prop_assert!(first.is_none_or(|(milli, _)| *milli > free));
        }
    }
}
