use super::*;
use crate::fixture::{S, Teller, id, opened, two_groups};
use crate::record::State;

const LEDGER: LedgerId = LedgerId([7; 16]);

fn record(teller: &Teller, seq: u64, uid: &str, fact: SessionFact) -> Record {
    Record {
        seq,
        epoch: 1,
        salt: [0; 16],
        at: teller.now(),
        fact: Fact::Session { id: id(uid), fact },
    }
}

fn told(teller: &Teller, seq: u64, uid: &str, fact: SessionFact) -> Option<Event> {
    let view = &teller.view;
    let session = view.sessions().get(&id(uid));
    event(
        LEDGER,
        &record(teller, seq, uid, fact),
        session,
        view.shelf(),
    )
    .unwrap()
}

fn shown(event: &Event) -> String {
    let mut text = format!("{} at {}\n", event.name, event.at.0);
    for (key, told) in &event.facts {
        text.push_str(&match told {
            Told::Text(told) => format!("  {key}: {told:?}\n"),
            Told::Whole(told) => format!("  {key}: {told}\n"),
        });
    }
    text
}

#[test]
fn events_are_as_they_were() {
    let teller = two_groups();
    let used = Used {
        cpu_us: 1_234_567,
        memory_byte_ns: 5_000_000_000_000_000,
        net_sent: 10,
        is_final: true,
        ..Used::default()
    };
    let gap = Gap {
        from: burstlet_model::BootTime(S),
        to: burstlet_model::BootTime(3 * S + 1),
        reason: GapReason::HostRestarted,
    };
    let facts = [
        opened("team-a", "job", "4\"2"),
        SessionFact::Missed(gap),
        SessionFact::Closed(Close::Succeeded),
        SessionFact::Used(used),
    ];
    let events = facts.map(|fact| told(&teller, 5, "0-a", fact).unwrap());
    assert!(
        events
            .iter()
            .all(|e| e.id == format!("{}:5", "07".repeat(16)))
    );
    let text: String = events.iter().map(shown).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn devices_are_told_of_by_those_that_had_them() {
    let mut teller = Teller::new();
    let SessionFact::Opened(mut with_two) = opened("team-a", "train", "42") else {
        unreachable!("it opens a session");
    };
    with_two.allocation.gpus = 2;
    "example.com/gpu".clone_into(&mut with_two.allocation.gpu_model);
    teller.of("0-a", SessionFact::Opened(with_two.clone()));
    teller.of("0-a", SessionFact::Entered(State::Running));
    teller.wait(S + S / 2);
    teller.of("0-a", SessionFact::Closed(Close::Succeeded));
    let fact = |of: SessionFact, name: &str| {
        let event = told(&teller, 5, "0-a", of).unwrap();
        let mut facts = event.facts.into_iter();
        facts.find_map(|(key, told)| (key == name).then_some(told))
    };
    let opened = || SessionFact::Opened(with_two.clone());
    assert_eq!(
        fact(opened(), "burstlet.requested.gpus"),
        Some(Told::Whole(2))
    );
    let model = fact(opened(), "burstlet.requested.gpu_model");
    assert_eq!(model, Some(text("example.com/gpu")));
    let closed = SessionFact::Closed(Close::Succeeded);
    let seconds = fact(closed, "burstlet.requested.gpu_device_seconds");
    assert_eq!(seconds, Some(text("3")));
}

#[test]
fn what_is_nobody_else_s_business_is_no_event() {
    let teller = two_groups();
    for fact in [
        SessionFact::Entered(State::Running),
        SessionFact::Adopted,
        SessionFact::Used(Used::default()),
    ] {
        assert_eq!(told(&teller, 5, "0-a", fact), None);
    }
    let record = Record {
        fact: Fact::EpochEnded,
        ..record(&teller, 1, "0-a", SessionFact::Adopted)
    };
    let shelf = teller.view.shelf();
    assert_eq!(event(LEDGER, &record, None, shelf).unwrap(), None);
}

/// Told at once or a year later, after more was learnt of the session: the same.
#[test]
fn an_end_is_told_the_same_whenever() {
    let mut teller = Teller::new();
    teller.of("0-a", opened("team-a", "job", "42"));
    teller.of("0-a", SessionFact::Entered(State::Running));
    teller.wait(10 * S);
    let end = record(&teller, 9, "0-a", SessionFact::Closed(Close::Succeeded));
    teller.of("0-a", SessionFact::Closed(Close::Succeeded));
    let tell = |teller: &Teller| {
        let view = &teller.view;
        let session = view.sessions().get(&id("0-a"));
        event(LEDGER, &end, session, view.shelf()).unwrap()
    };
    let at_once = tell(&teller);
    teller.wait(1000 * S);
    let used = Used {
        cpu_us: 5,
        is_final: true,
        ..Used::default()
    };
    for fact in [
        SessionFact::Used(used),
        SessionFact::Entered(State::Running),
        SessionFact::Closed(Close::Failed),
    ] {
        teller.of("0-a", fact);
    }
    teller.set_clock(3600 * 1_000_000_000);
    teller.of("0-b", opened("team-b", "web", "42"));
    assert_eq!(tell(&teller), at_once);
}
