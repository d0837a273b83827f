use std::collections::{BTreeMap, BTreeSet};

use burstlet_model::spec::DeviceRequest;
use burstlet_model::{Bytes, Device, MilliCpu};
use proptest::prelude::*;

use super::space::Amounts;
use super::*;
use crate::capacity::{Capacity, Place, Rank, Wants};

const ON_DEMAND: Scheduling = Scheduling::OnDemand;
const SPOT: Scheduling = Scheduling::Spot;

fn list(milli: u64, bytes: u64) -> ResourceList {
    ResourceList {
        cpu: Some(MilliCpu(milli)),
        memory: Some(Bytes(bytes)),
        ..ResourceList::default()
    }
}

fn queue(room: ResourceList) -> Queue {
    bounded_queue(room, usize::MAX)
}

fn bounded_queue(room: ResourceList, waiting_max: usize) -> Queue {
    Queue::new(Capacity {
        machine: room,
        reserved: ResourceList::default(),
        overcommit_percent: 100,
        default_request: ResourceList::default(),
        devices: BTreeMap::new(),
        waiting_max,
    })
}

/// Somebody's part, without devices.
fn part(list: ResourceList) -> Part<'static> {
    Part {
        amounts: amounts(list),
        devices: None,
    }
}

fn rank(scheduling: Scheduling, priority: i32) -> Rank {
    Rank {
        scheduling,
        priority,
    }
}

fn uid(name: &str) -> GroupUid {
    name.parse().unwrap()
}

/// A machine of 1000 thousandths of a core and 1000 bytes, with spot groups that have so much of it.
fn with_spot(spot: &[(&str, u64, u64)]) -> Queue {
    let mut queue = queue(list(1000, 1000));
    for (name, milli, bytes) in spot {
        let wants = list(*milli, *bytes);
        queue.enter(&uid(name), rank(SPOT, 0), wants).unwrap();
        assert!(queue.is_admitted(&uid(name)), "{name}");
    }
    queue
}

/// Who has to go when a group on demand comes that wants so much, in the order of their names.
fn outbid(queue: &mut Queue, milli: u64, bytes: u64) -> Vec<String> {
    let (asks, wants) = (rank(ON_DEMAND, 0), list(milli, bytes));
    queue.enter(&uid("asks"), asks, wants).unwrap();
    let named: BTreeSet<_> = queue.outbid().into_iter().collect();
    named.iter().map(ToString::to_string).collect()
}

#[test]
fn so_few_are_ended_as_make_room() {
    let check = |spot: &[(&str, u64, u64)], (milli, bytes), expected: &[&str]| {
        let mut queue = with_spot(spot);
        assert_eq!(outbid(&mut queue, milli, bytes), expected, "{spot:?}");
        assert!(queue.outbid().is_empty(), "nobody is named twice");
        for name in expected {
            assert_eq!(queue.place(&uid(name)), Some(Place::Outbid));
            assert!(!queue.is_admitted(&uid("asks")));
            queue.leave(&uid(name));
        }
        let has_room = queue.is_admitted(&uid("asks"));
        assert_eq!(has_room, milli <= 1000 && bytes <= 1000, "{spot:?}");
    };
    let three = [("a", 300, 0), ("b", 300, 0), ("c", 300, 0)];
    // There is room.
    check(&three, (100, 0), &[]);
    // The youngest is enough; two are.
    check(&three, (400, 0), &["c"]);
    check(&three, (700, 0), &["b", "c"]);
    check(&three, (1000, 0), &["a", "b", "c"]);
    // It never fits, or asks for nothing.
    check(&three, (1001, 0), &[]);
    check(&three, (0, 0), &[]);
    // One that is enough, though others are younger; of such the youngest.
    let sizes = [("a", 500, 0), ("b", 300, 0), ("c", 200, 0)];
    check(&sizes, (300, 0), &["b"]);
    check(&sizes, (500, 0), &["a"]);
    check(&sizes, (600, 0), &["a", "c"]);
    // Each resource counts, and who has nothing of what is lacking stays.
    let kinds = [("a", 500, 0), ("b", 0, 900), ("c", 500, 50)];
    check(&kinds, (0, 500), &["b"]);
    check(&kinds, (500, 900), &["b", "c"]);
}

#[test]
fn the_lowest_priority_goes_first() {
    let mut queue = queue(list(1000, 1000));
    for (name, priority) in [("low", -5), ("high", 5), ("old", 0), ("young", 0)] {
        let (spot, wants) = (rank(SPOT, priority), list(250, 0));
        queue.enter(&uid(name), spot, wants).unwrap();
    }
    for gone in ["low", "young", "old", "high"] {
        assert_eq!(outbid(&mut queue, 250, 0), [gone]);
        queue.leave(&uid(gone));
        queue.leave(&uid("asks"));
        let (stays, wants) = (rank(ON_DEMAND, 0), list(250, 0));
        queue
            .enter(&uid(&format!("for-{gone}")), stays, wants)
            .unwrap();
    }
}

#[test]
fn nobody_is_ended_in_vain() {
    let mut queue = with_spot(&[("a", 300, 0)]);
    queue
        .enter(&uid("stays"), rank(ON_DEMAND, 0), list(600, 0))
        .unwrap();
    // Not even all of them would do; and behind it nobody comes in.
    assert!(outbid(&mut queue, 500, 0).is_empty());
    let behind = rank(ON_DEMAND, 0);
    queue.enter(&uid("behind"), behind, list(200, 0)).unwrap();
    assert!(queue.outbid().is_empty());
    // What becomes free by itself may be enough together with them.
    queue.resize(&uid("stays"), behind, list(300, 0)).unwrap();
    assert_eq!(queue.outbid(), [uid("a")]);
}

#[test]
fn spot_groups_wait_behind_those_on_demand_and_end_nobody() {
    let mut queue = with_spot(&[("a", 600, 0)]);
    queue
        .enter(&uid("spot"), rank(SPOT, 9), list(600, 0))
        .unwrap();
    assert!(queue.outbid().is_empty());
    assert_eq!(outbid(&mut queue, 600, 0), ["a"]);
    let line: Vec<_> = queue.places().map(|(uid, _)| uid.as_str()).collect();
    assert_eq!(line, ["asks", "spot"]);
    queue.leave(&uid("a"));
    assert!(queue.is_admitted(&uid("asks")));
}

#[test]
fn what_is_left_by_those_who_were_outbid_before_counts() {
    let mut queue = queue(list(1000, 1000));
    queue.hold(&uid("going"), rank(SPOT, 0), list(500, 0), true);
    queue.hold(&uid("there"), rank(SPOT, 0), list(500, 0), false);
    assert!(outbid(&mut queue, 500, 0).is_empty());
    let more = rank(ON_DEMAND, 0);
    queue.enter(&uid("more"), more, list(100, 0)).unwrap();
    assert_eq!(queue.outbid(), [uid("there")]);
}

/// On a machine with two spot groups of 300 and one on demand, and so much free: who has to go when the
/// one on demand wants so much in all, and another waits for so much.
fn outbid_by_growth((has, free): (u64, u64), wants: u64, waits: u64) -> Vec<String> {
    let (grows, mut queue) = (rank(ON_DEMAND, 0), queue(list(600 + has + free, 0)));
    queue.hold(&uid("a"), rank(SPOT, 0), list(300, 0), false);
    queue.hold(&uid("b"), rank(SPOT, 0), list(300, 0), false);
    queue.hold(&uid("grows"), grows, list(has, 0), false);
    let grown = queue.resize(&uid("grows"), grows, list(wants, 0));
    assert_eq!(grown.is_ok(), wants <= has + free);
    let named = outbid(&mut queue, waits, 0);
    for name in &named {
        queue.leave(&uid(name));
    }
    if !named.is_empty() && waits == 0 {
        queue.resize(&uid("grows"), grows, list(wants, 0)).unwrap();
    }
    named
}

#[test]
fn one_on_demand_that_grows_ends_spot_groups_before_one_that_waits() {
    for (room, wants, waits, expected) in [
        ((400, 0), 400, 0, &[][..]),
        ((400, 100), 500, 0, &[]),
        ((400, 0), 500, 0, &["b"]),
        ((400, 100), 800, 0, &["b"]),
        ((400, 0), 701, 0, &["a", "b"]),
        // More than there is.
        ((400, 0), 1001, 0, &[]),
        ((400, 0), 700, 300, &["a", "b"]),
        // There is too little for both: the one that runs comes first.
        ((400, 0), 700, 301, &["b"]),
        ((400, 0), 900, 300, &["a", "b"]),
        // Nor does it hold up others where it cannot have what it wants.
        ((400, 0), 1001, 300, &["b"]),
    ] {
        let named = outbid_by_growth(room, wants, waits);
        assert_eq!(named, expected, "{room:?} {wants} {waits}");
    }
}

#[test]
fn one_whose_growth_cannot_be_had_yet_ends_nobody() {
    let mut queue = with_spot(&[("a", 200, 0), ("b", 200, 0)]);
    let (stays, grows) = (rank(ON_DEMAND, 0), rank(ON_DEMAND, 0));
    queue.enter(&uid("stays"), stays, list(400, 0)).unwrap();
    queue.enter(&uid("grows"), grows, list(200, 0)).unwrap();
    queue
        .resize(&uid("grows"), grows, list(700, 0))
        .unwrap_err();
    assert!(queue.outbid().is_empty(), "in vain");
    assert_eq!(outbid(&mut queue, 200, 0), ["b"]);
    // A spot group that grows has what is free.
    let mut queue = with_spot(&[("a", 300, 0), ("b", 300, 0)]);
    queue.enter(&uid("stays"), stays, list(400, 0)).unwrap();
    queue
        .resize(&uid("a"), rank(SPOT, 0), list(400, 0))
        .unwrap_err();
    assert!(queue.outbid().is_empty());
}

#[test]
fn a_full_queue_takes_in_whoever_only_waits_for_spot_groups_to_end() {
    let mut queue = bounded_queue(list(1000, 0), 1);
    for (name, scheduling, milli, comes_in) in [
        ("a", SPOT, 600, true),
        ("b", SPOT, 400, true),
        ("waits", SPOT, 100, true),
        ("full", SPOT, 100, false),
        ("too-large", ON_DEMAND, 1001, false),
        ("first", ON_DEMAND, 400, true),
        ("second", ON_DEMAND, 500, true),
        // What the second leaves of the room that it is given.
        ("third", ON_DEMAND, 100, true),
        ("last", ON_DEMAND, 1, false),
    ] {
        let entered = queue.enter(&uid(name), rank(scheduling, 0), list(milli, 0));
        assert_eq!(entered.is_ok(), comes_in, "{name}");
        queue.outbid();
    }
    for gone in ["a", "b"] {
        queue.leave(&uid(gone));
    }
    for name in ["first", "second", "third"] {
        assert!(queue.is_admitted(&uid(name)), "{name}");
    }
}

fn devices(name: &str, count: u32) -> Wants {
    let resource = format!("example.com/{name}").parse().unwrap();
    Wants {
        amounts: list(0, 0),
        devices: Some(DeviceRequest { resource, count }),
    }
}

/// A machine with four devices of one resource and one of another.
fn with_devices() -> Queue {
    let device = |node: String| Device {
        nodes: vec![node.into()],
    };
    let gpus = (0..4).map(|n| device(format!("/dev/gpu{n}"))).collect();
    let fpgas = vec![device("/dev/fpga".to_owned())];
    Queue::new(Capacity {
        devices: BTreeMap::from([
            ("example.com/gpu".parse().unwrap(), gpus),
            ("example.com/fpga".parse().unwrap(), fpgas),
        ]),
        machine: list(1000, 1000),
        reserved: ResourceList::default(),
        overcommit_percent: 100,
        default_request: ResourceList::default(),
        waiting_max: usize::MAX,
    })
}

#[test]
fn devices_are_left_to_others_by_those_who_have_such() {
    let mut queue = with_devices();
    for (name, resource, count) in [("a", "gpu", 1), ("b", "gpu", 2), ("c", "fpga", 1)] {
        queue
            .enter(&uid(name), rank(SPOT, 0), devices(resource, count))
            .unwrap();
        assert!(queue.is_admitted(&uid(name)), "{name}");
    }
    let ask = |queue: &mut Queue, name: &str, wants: Wants| {
        queue.enter(&uid(name), rank(ON_DEMAND, 0), wants).unwrap();
        queue.outbid()
    };
    assert!(ask(&mut queue, "fits", devices("gpu", 1)).is_empty());
    assert_eq!(ask(&mut queue, "two", devices("gpu", 2)), [uid("b")]);
    assert!(queue.outbid().is_empty(), "what it leaves is enough");
    queue.leave(&uid("b"));
    assert!(queue.is_admitted(&uid("two")));
    assert!(
        ask(&mut queue, "all", devices("gpu", 4)).is_empty(),
        "in vain"
    );
}

proptest! {
    /// Whoever is outbid: with all of them gone those who wait on demand are let in up to one for whom
    /// nothing would do, none of the outbid could have stayed for the last, and of one resource there
    /// are no fewer that would do.
    #[test]
    fn enough_and_no_more(
        spot in prop::collection::vec((0..400u64, 0..400u64), 0..7),
        wants in (0..1200u64, 0..1200u64),
        taken in 0..800u64,
        one_resource in any::<bool>(),
    ) {
        let bytes = |amount: u64| if one_resource { 0 } else { amount };
        let mut queue = queue(list(1000, 1000));
        queue.hold(&uid("held"), rank(ON_DEMAND, 0), list(taken, 0), false);
        let mut there = Vec::new();
        for (index, (milli, of_bytes)) in spot.iter().enumerate() {
            let name = uid(&format!("spot-{index}"));
            let has = list(*milli, bytes(*of_bytes));
            queue.hold(&name, rank(SPOT, 0), has, false);
            there.push((name, part(has)));
        }
        let space = queue.space();
        let asks = part(list(wants.0, bytes(wants.1)));
        queue.enter(&uid("asks"), rank(ON_DEMAND, 0), list(wants.0, bytes(wants.1))).unwrap();
        let came_in = queue.is_admitted(&uid("asks"));
        let named: BTreeSet<GroupUid> = queue.outbid().into_iter().collect();
        // Every choice that there is, by the number of those who go.
        let without = |chosen: &dyn Fn(usize) -> bool| {
            let gone = there.iter().enumerate().filter(|(index, _)| chosen(*index));
            gone.fold(space.clone(), |space, (_, (_, has))| space.without(has)).holds(&asks)
        };
        let choices = 0..1usize << there.len();
        let fewest = choices
            .filter(|choice| without(&|index| choice >> index & 1 == 1))
            .map(usize::count_ones)
            .min();
        let is_possible = asks.amounts[..2].iter().all(|asks| *asks <= 1000) && asks.amounts != Amounts::default();
        let is_named = |index: usize| named.contains(&there[index].0);
        match fewest {
            Some(fewest) if is_possible && !came_in => {
                prop_assert!(without(&is_named));
                for spared in (0..there.len()).filter(|index| is_named(*index)) {
                    let others = |index| index != spared && is_named(index);
                    prop_assert!(!without(&others), "{spared} could have stayed");
                }
                let count = u32::try_from(named.len()).unwrap();
                prop_assert!(count >= fewest);
                prop_assert!(!one_resource || count == fewest);
            }
            _ => prop_assert!(named.is_empty()),
        }
        for name in &named {
            queue.leave(name);
        }
        prop_assert!(named.is_empty() || queue.is_admitted(&uid("asks")));
    }
}
