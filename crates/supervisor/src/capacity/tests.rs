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
        waiting_max,
    })
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
        queue.enter(&uid(name), priority, cpu(600)).unwrap();
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
fn small_ones_do_not_starve_a_large_one() {
    let mut queue = queue(1000, 9);
    queue.enter(&uid("runs"), 0, cpu(500)).unwrap();
    queue.enter(&uid("large"), 0, cpu(800)).unwrap();
    queue.enter(&uid("small"), 0, cpu(100)).unwrap();
    queue.enter(&uid("nothing"), 0, cpu(0)).unwrap();
    assert!(queue.is_admitted(&uid("nothing")), "it delays nobody");
    assert_eq!(line(&queue), ["large", "small"]);
    let places: Vec<_> = queue.places().map(|(_, place)| place).collect();
    let lack = Lack {
        resource: "cpu",
        wanted: 800,
        there: 500,
    };
    let why = Shortage::Short(lack);
    assert_eq!(places[0], Place::Waiting { position: 1, why });
    let why = Shortage::BehindOthers;
    assert_eq!(places[1], Place::Waiting { position: 2, why });
    assert_eq!(
        Shortage::Short(lack).message(),
        "waits for cpu: 800m requested, 500m free"
    );
}

#[test]
fn what_never_fits_waits_and_holds_nobody_up() {
    let mut queue = queue(1000, 9);
    queue.enter(&uid("giant"), 9, cpu(2000)).unwrap();
    queue.enter(&uid("small"), 0, cpu(1000)).unwrap();
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
    queue.enter(&uid("a"), 0, cpu(1000)).unwrap();
    queue.enter(&uid("b"), 0, cpu(1)).unwrap();
    assert_eq!(queue.enter(&uid("c"), 9, cpu(1)), Err(QueueFull));
    assert_eq!(queue.place(&uid("c")), None);
    queue.enter(&uid("d"), 0, cpu(0)).unwrap();
    queue.reenter(&uid("e"), 0, cpu(1));
    assert_eq!(line(&queue), ["b", "e"]);
}

#[test]
fn holding_needs_no_room() {
    let mut queue = queue(1000, 9);
    queue.hold(&uid("a"), cpu(5000));
    queue.enter(&uid("b"), 0, cpu(1)).unwrap();
    assert_eq!(line(&queue), ["b"]);
    queue.leave(&uid("a"));
    assert_eq!(queue.usage().admitted, 1);
}

proptest! {
    /// Whatever comes and goes: what is admitted fits, nobody waits who could start, nobody is
    /// lost, and the order is kept.
    #[test]
    fn never_oversold_and_never_idle(
        steps in prop::collection::vec((0..8u64, 0..1500u64, -1..2i32, any::<bool>()), 0..60)
    ) {
        let mut queue = queue(1000, usize::MAX);
        let mut asked = BTreeMap::new();
        for (n, milli, priority, enters) in steps {
            let name = uid(&n.to_string());
            if enters {
                queue.enter(&name, priority, cpu(milli)).unwrap();
                asked.insert(name, (milli, priority));
            } else {
                queue.leave(&name);
                asked.remove(&name);
            }
            let usage = queue.usage();
            let used = usage.requested.cpu.unwrap_or_default().0;
            prop_assert!(used <= 1000);
            prop_assert_eq!(usage.admitted + usage.waiting, asked.len());
            let waits: Vec<_> = queue.places().map(|(uid, _)| asked[uid]).collect();
            prop_assert!(waits.is_sorted_by_key(|(_, priority)| Reverse(*priority)));
            let first = waits.iter().find(|(milli, _)| *milli <= 1000);
            prop_assert!(first.is_none_or(|(milli, _)| used + milli > 1000));
        }
    }
}
