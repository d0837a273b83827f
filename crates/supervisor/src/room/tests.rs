use std::collections::BTreeMap;
use std::sync::Arc;

use burstlet_model::MilliCpu;
use burstlet_model::spec::ResourceList;
use burstlet_testkit::spec::{container, group};

use super::*;
use crate::capacity::Shortage;

fn cpu(milli: u64) -> ResourceList {
    ResourceList {
        cpu: Some(MilliCpu(milli)),
        ..ResourceList::default()
    }
}

/// One core, and as many who wait as want to.
fn room() -> Arc<Room> {
    Arc::new(Room::new(Capacity {
        machine: cpu(1000),
        reserved: ResourceList::default(),
        overcommit_percent: 100,
        default_request: ResourceList::default(),
        waiting_max: usize::MAX,
        devices: BTreeMap::new(),
    }))
}

fn uid(name: &str) -> GroupUid {
    name.parse().unwrap()
}

fn enter(room: &Room, name: &str, milli: u64) -> Seat {
    let mut web = container("web");
    web.resources.requests = cpu(milli);
    room.enter(&uid(name), &group(name, vec![web])).unwrap()
}

/// How far somebody who waits has come, and how much he was told is free.
fn told(seat: &Seat) -> (u32, u64) {
    match &*seat.borrow() {
        Place::Waiting {
            position,
            why: Shortage::Short(lack),
        } => (*position, lack.there),
        place => panic!("{place:?}"),
    }
}

#[test]
fn who_is_let_in_is_told_at_once() {
    let room = room();
    enter(&room, "first", 600);
    let second = enter(&room, "second", 700);
    let third = enter(&room, "third", 800);
    assert_eq!((told(&second), told(&third)), ((1, 400), (2, 400)));
    room.leave(&uid("first"));
    assert_eq!(*second.borrow(), Place::Admitted);
    assert_eq!(told(&third), (2, 400), "nobody has told him yet");
    assert_eq!(room.lock().tell_waiting(), 1);
    assert_eq!(told(&third), (1, 300));
}

/// What was kept for one who grows is others' when he asks for more than there is at all.
#[test]
fn who_is_let_in_by_a_refusal_is_told() {
    let room = room();
    enter(&room, "first", 600);
    enter(&room, "grows", 100);
    let sized = |milli| {
        let mut web = container("web");
        web.resources.requests = cpu(milli);
        group("grows", vec![web])
    };
    assert!(room.resize(&uid("grows"), &sized(1000)).is_err());
    room.leave(&uid("first"));
    let waits = enter(&room, "waits", 400);
    assert!(matches!(*waits.borrow(), Place::Waiting { .. }));
    assert!(room.resize(&uid("grows"), &sized(1001)).is_err());
    assert_eq!(*waits.borrow(), Place::Admitted);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_told_together() {
    let room = room();
    for number in 0..10 {
        enter(&room, &format!("runs-{number}"), 100);
    }
    let waiting: Vec<Seat> = (0..100)
        .map(|number| enter(&room, &format!("waits-{number}"), 900))
        .collect();
    let ushered = Arc::clone(&room);
    let usher = tokio::spawn(async move { ushered.usher().await });
    sleep(PAUSE_MAX).await;
    let mut last = waiting[99].clone();
    assert_eq!(told(&last), (100, 0));
    last.mark_unchanged();
    let counting = tokio::spawn(async move {
        let mut times = 0;
        while tokio::time::timeout(PAUSE_MAX, last.changed())
            .await
            .is_ok()
        {
            times += 1;
        }
        times
    });
    for number in 0..8 {
        room.leave(&uid(&format!("runs-{number}")));
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(counting.await.unwrap(), 2, "at once, and after the pause");
    assert_eq!(told(&waiting[99]), (100, 800));
    usher.abort();
}

#[test]
fn the_pause_grows_with_the_queue_up_to_its_bound() {
    for (waiting, pause) in [
        (0, Duration::ZERO),
        (20, Duration::from_millis(20)),
        (usize::MAX, PAUSE_MAX),
    ] {
        assert_eq!(pause_after(waiting), pause, "{waiting}");
    }
}
