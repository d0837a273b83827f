use proptest::collection::vec;
use proptest::prelude::*;

use burstlet_model::{
    BootTime, Bytes, ContainerName, GroupName, GroupUid, MilliCpu, Name, Namespace, Stamp, WallTime,
};

use super::*;
use crate::record::{
    Allocation, BootId, Close, Gap, GapReason, Opened, Pull, Restart, Scheduling, State, Used,
};

const S: u64 = 1_000_000_000;

fn id(uid: &str) -> SessionId {
    SessionId {
        uid: GroupUid::new(uid).unwrap(),
        start: 1,
    }
}

fn allocation(cpu: u64, memory: u64) -> Allocation {
    Allocation {
        cpu: MilliCpu(cpu),
        memory: Bytes(memory),
        ..Allocation::default()
    }
}

fn opened() -> SessionFact {
    SessionFact::Opened(Box::new(Opened {
        group: GroupName {
            namespace: Namespace::new("team").unwrap(),
            name: Name::new("web").unwrap(),
        },
        owner: String::new(),
        tags: BTreeMap::new(),
        images: Vec::new(),
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        scheduling: Scheduling::OnDemand,
        isolation: "container".to_owned(),
        allocation: allocation(500, 1 << 30),
    }))
}

/// A moment `ns` after boot, whose label is an hour later.
fn at(ns: u64) -> Moment {
    Moment {
        boot_id: BootId([1; 16]),
        stamp: Stamp {
            boot: BootTime(ns),
            wall: WallTime((ns + 3600 * S) as i64),
        },
    }
}

/// Numbers facts and folds them.
#[derive(Debug, Default)]
struct Fold {
    records: Vec<Record>,
    sessions: Sessions,
}

impl Fold {
    fn tell(&mut self, at: Moment, fact: Fact) {
        let record = Record {
            seq: self.sessions.seq() + 1,
            epoch: 1,
            salt: [0; 16],
            at,
            fact,
        };
        self.sessions.apply(&record);
        self.records.push(record);
    }

    fn of(&mut self, ns: u64, fact: SessionFact) -> &mut Self {
        let id = id("g");
        self.tell(at(ns), Fact::Session { id, fact });
        self
    }

    fn enter(&mut self, ns: u64, state: State) -> &mut Self {
        self.of(ns, SessionFact::Entered(state))
    }

    fn session(&self) -> &Session {
        self.sessions.get(&id("g")).unwrap()
    }

    fn spans(&self) -> Vec<(State, u64)> {
        let spans = self.session().spans().iter();
        spans.map(|s| (s.state, s.to.0 - s.from.boot.0)).collect()
    }
}

/// Pulls 2 s, starts 1 s, runs 10.5 s, is ended for 1 s; waited 4 s before.
fn life() -> Fold {
    let mut fold = Fold::default();
    fold.of(10 * S, opened())
        .enter(14 * S, State::Pulling)
        .enter(16 * S, State::Starting)
        .enter(17 * S, State::Running)
        .enter(27 * S + S / 2, State::Terminating)
        .of(28 * S + S / 2, SessionFact::Closed(Close::Stopped));
    fold
}

#[test]
fn a_life_is_told_span_by_span() {
    let fold = life();
    let expected = [
        (State::Queued, 4 * S),
        (State::Pulling, 2 * S),
        (State::Starting, S),
        (State::Running, 10 * S + S / 2),
        (State::Terminating, S),
    ];
    assert_eq!(fold.spans(), expected);
    assert_eq!(fold.sessions.oddities(), Oddities::default());
    let billed = fold
        .session()
        .quantities(at(0), |state| state != State::Queued);
    assert_eq!(billed.ns, u128::from(14 * S + S / 2));
    assert_eq!(billed.cpu_milli_ns, 500 * billed.ns);
    assert_eq!(billed.memory_byte_ns, (1 << 30) * billed.ns);
    let closed = fold.session().closed().unwrap();
    assert_eq!(
        (closed.at.boot.0, closed.reason),
        (28 * S + S / 2, Close::Stopped)
    );
    assert_eq!(fold.sessions.open().count(), 0);
}

/// The exit of the last process is told by its keeper, and may be older than what the agent did
/// before it heard of it.
#[test]
fn what_was_entered_after_the_end_is_not_charged() {
    for end in [27 * S, 22 * S, 17 * S, 14 * S, 10 * S, 3 * S] {
        let mut fold = Fold::default();
        fold.of(10 * S, opened())
            .enter(14 * S, State::Pulling)
            .enter(17 * S, State::Running)
            .enter(20 * S, State::BackOff)
            .enter(25 * S, State::Terminating)
            .of(end, SessionFact::Closed(Close::Failed));
        let all = fold.session().quantities(at(99 * S), |_| true);
        assert_eq!(all.ns, u128::from(end.max(10 * S) - 10 * S), "{end}");
        let terminating = fold
            .session()
            .quantities(at(0), |state| state == State::Terminating);
        assert_eq!(terminating.ns, u128::from(end.saturating_sub(25 * S)));
        assert_eq!(fold.sessions.oddities(), Oddities::default());
    }
}

#[test]
fn what_lasts_is_counted_up_to_now_and_not_beyond_its_boot() {
    let mut fold = Fold::default();
    fold.of(S, opened()).enter(2 * S, State::Running);
    let ns = |now: Moment| fold.session().quantities(now, |_| true).ns;
    assert_eq!(ns(at(5 * S)), u128::from(4 * S));
    assert_eq!(ns(at(0)), u128::from(S), "now is before what is known");
    let reborn = Moment {
        boot_id: BootId([2; 16]),
        ..at(9 * S)
    };
    assert_eq!(ns(reborn), u128::from(S));
}

#[test]
fn a_new_allocation_counts_from_its_moment() {
    let mut fold = Fold::default();
    fold.of(0, opened())
        .enter(0, State::Running)
        .of(3 * S, SessionFact::Resized(allocation(2000, 7)))
        .of(5 * S, SessionFact::Closed(Close::Succeeded));
    let all = fold.session().quantities(at(0), |_| true);
    assert_eq!(all.cpu_milli_ns, u128::from(500 * 3 * S + 2000 * 2 * S));
    assert_eq!(fold.session().allocation().cpu, MilliCpu(2000));
}

#[test]
fn an_end_that_is_told_on_another_boot_is_at_the_last_known_change() {
    let mut fold = life();
    let mut reborn = Fold::default();
    reborn.of(S, opened()).enter(2 * S, State::Running);
    let id = id("g");
    let fact = SessionFact::Closed(Close::Lost);
    let moment = Moment {
        boot_id: BootId([2; 16]),
        ..at(900 * S)
    };
    reborn.tell(
        moment,
        Fact::Session {
            id: id.clone(),
            fact: fact.clone(),
        },
    );
    assert_eq!(reborn.spans(), [(State::Queued, S)]);
    assert_eq!(reborn.session().closed().unwrap().at.boot, BootTime(2 * S));
    assert_eq!(reborn.sessions.oddities().other_boot, 1);
    let before = fold.session().clone();
    fold.tell(moment, Fact::Session { id, fact });
    assert_eq!(*fold.session(), before);
}

#[test]
fn counters_only_grow_and_are_counted_once() {
    let mut fold = Fold::default();
    let used = |cpu_us| {
        SessionFact::Used(Used {
            cpu_us,
            net_sent: 5,
            ..Used::default()
        })
    };
    let pull = |number| {
        SessionFact::Pulled(Pull {
            number,
            image: "a".to_owned(),
            ns: 9,
            bytes: 3,
        })
    };
    let restart = |number| {
        let container = ContainerName::new("c").unwrap();
        SessionFact::Restarted(Restart { container, number })
    };
    let gap = SessionFact::Missed(Gap {
        from: BootTime(3),
        to: BootTime(8),
        reason: GapReason::KeeperLost,
    });
    fold.of(0, opened());
    for fact in [
        used(7),
        used(7),
        used(6),
        pull(1),
        pull(1),
        pull(2),
        restart(1),
        restart(2),
        restart(2),
    ] {
        fold.of(1, fact);
    }
    fold.of(2, SessionFact::Closed(Close::Lost))
        .of(2, gap.clone())
        .of(2, gap)
        .of(2, used(9));
    let session = fold.session();
    assert_eq!(
        session.used().cpu_us,
        9,
        "a last reading may follow the end"
    );
    assert_eq!(session.readings().len(), 2);
    assert_eq!(session.pulls().len(), 2);
    assert_eq!(session.restarts(), 2);
    assert_eq!(session.gaps().len(), 1);
}

#[test]
fn what_was_never_opened_is_an_oddity() {
    let mut fold = Fold::default();
    fold.enter(1, State::Running);
    assert_eq!(fold.sessions.oddities().orphans, 1);
    assert_eq!(fold.sessions.iter().count(), 0);
}

#[test]
fn groups_are_kept_apart_and_starts_in_order() {
    let mut fold = Fold::default();
    for (uid, start) in [("g", 2), ("h", 1), ("g", 1), ("f", 1)] {
        let id = SessionId { start, ..id(uid) };
        fold.tell(at(5), Fact::Session { id, fact: opened() });
    }
    let uid = GroupUid::new("g").unwrap();
    let starts: Vec<u32> = fold.sessions.of_group(&uid).map(|s| s.id().start).collect();
    assert_eq!(starts, [1, 2]);
}

/// A step: how far the clock goes on (or back), and what is said.
fn step() -> impl Strategy<Value = (i64, u8, Fact)> {
    let about = |fact| Fact::Session { id: id("g"), fact };
    let fact = prop_oneof![
        6 => prop::sample::select(&State::ALL).prop_map(SessionFact::Entered),
        2 => any::<(u16, u16)>()
            .prop_map(|(cpu, memory)| SessionFact::Resized(allocation(cpu.into(), memory.into()))),
        2 => any::<u16>().prop_map(|cpu| SessionFact::Used(Used {
            cpu_us: cpu.into(),
            ..Used::default()
        })),
        1 => Just(SessionFact::Closed(Close::Failed)),
        1 => Just(opened()),
    ];
    let fact = prop_oneof![9 => fact.prop_map(about), 1 => Just(Fact::ClockStepped)];
    let boots = prop_oneof![9 => Just(1u8), 1 => Just(2u8)];
    (-20i64..100, boots, fact)
}

/// A history whose wall clock is set now and then.
fn history() -> impl Strategy<Value = Fold> {
    (vec(step(), 0..40), vec(-200i64..200, 40)).prop_map(|(steps, jumps)| {
        let mut fold = Fold::default();
        fold.of(1000, opened());
        let (mut boot, mut wall_offset) = (1000i64, 0i64);
        for ((dt, boot_id, fact), jump) in steps.into_iter().zip(jumps) {
            boot = (boot + dt).max(0);
            if fact == Fact::ClockStepped {
                wall_offset += jump;
            }
            let stamp = Stamp {
                boot: BootTime(boot as u64),
                wall: WallTime(boot + wall_offset),
            };
            let boot_id = BootId([boot_id; 16]);
            fold.tell(Moment { boot_id, stamp }, fact);
        }
        fold
    })
}

proptest! {
    /// No interval overlaps another, goes back or is empty.
    #[test]
    fn spans_are_contiguous(fold in history()) {
        let session = fold.session();
        let mut end = session.opened_at().stamp.boot;
        for span in session.spans() {
            prop_assert_eq!(span.from.boot, end);
            prop_assert!(span.to > span.from.boot);
            end = span.to;
        }
        if let Some(closed) = session.closed() {
            prop_assert_eq!(closed.at.boot, end);
        }
        let cpu: Vec<u64> = session.readings().iter().map(|r| r.used.cpu_us).collect();
        prop_assert!(cpu.is_sorted());
    }

    /// However time is cut into windows, they sum to the whole, whatever the wall clock did.
    #[test]
    fn windows_sum_to_the_whole(fold in history(), mut cuts in vec(-500i64..6000, 0..9), now in 0u64..5000) {
        let session = fold.session();
        cuts.sort_unstable();
        let edges = [&[i64::MIN], &cuts[..], &[i64::MAX]].concat();
        let now = Moment { boot_id: BootId([1; 16]), ..at(now) };
        let whole = session.quantities(now, |_| true);
        let parts: Quantities = edges.windows(2).flat_map(|edge| {
            let window = Window { from: WallTime(edge[0]), to: WallTime(edge[1]) };
            session.pieces(now).filter_map(move |piece| piece.within(window))
        }).map(|piece| piece.quantities()).sum();
        prop_assert_eq!(parts, whole);
    }

    /// Reading the ledger again from any place changes nothing.
    #[test]
    fn replays_change_nothing(fold in history(), from in any::<prop::sample::Index>()) {
        let mut again = fold.sessions.clone();
        for record in &fold.records[from.index(fold.records.len())..] {
            prop_assert_eq!(again.apply(record), Applied::Replayed);
        }
        prop_assert_eq!(&again, &fold.sessions);
    }

    /// A writer that says everything twice is charged once.
    #[test]
    fn duplicates_are_charged_once(fold in history()) {
        let mut twice = Fold::default();
        for record in &fold.records {
            twice.tell(record.at, record.fact.clone());
            twice.tell(record.at, record.fact.clone());
        }
        let now = at(9000);
        let of = |fold: &Fold| fold.session().quantities(now, |state| state != State::Queued);
        prop_assert_eq!(of(&twice), of(&fold));
        prop_assert_eq!(twice.session().used(), fold.session().used());
        prop_assert_eq!(twice.session().closed(), fold.session().closed());
    }
}
