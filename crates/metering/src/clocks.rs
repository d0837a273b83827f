//! The wall clock is set back and forth while groups run. What they had and what they cost stays the
//! same to the last nanosecond; windows of the wall clock still sum to the whole, on every way out.

use burstlet_model::WallTime;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::budget::{Action, Budget, Period, Scope, Threshold, Unit};
use crate::fixture::{S, Teller, opened};
use crate::focus;
use crate::money::{Decimal, Money};
use crate::rating::{Timeline, rate};
use crate::record::{Close, Fact, SessionFact, State, Used};
use crate::sessions::Window;
use crate::usage::{Filter, Report, Sums, commitments, report};
use crate::view::View;

const HOUR_S: i64 = 3600;
const YEAR_S: i64 = 365 * 24 * HOUR_S;
/// Long before the first group, so that a book is in force wherever the clock is set to.
const LEAD: u64 = 4 * YEAR_S as u64 * S;
const BOOK: &str = "name = 'b'\ncurrency = 'EUR'\neffective_from = '2026-01-01T00:00:00Z'
    profile = { name = 'fargate' }
    [[sku]]\nid = 'cpu'\nmeter = 'cpu'\nunit = 'Core-Hour'\nprice = '0.0405'
    [[commitment]]\nid = 'c'\nsku = 'cpu'\namount = '10'\nprice = '0.01'";

/// By how many seconds the clock is set at one change of a life after the other.
const CLOCKS: [&[i64]; 7] = [
    &[HOUR_S],
    &[-HOUR_S],
    &[0, HOUR_S, -HOUR_S, -HOUR_S, HOUR_S],
    &[0, 0, 0, -YEAR_S, 0, YEAR_S],
    &[0, 0, YEAR_S],
    &[0, 0, 0, 0, 0, 0, 0, -YEAR_S],
    &[1, -1, 1, -1, 1, -1, 1, -1],
];

/// What a group does, in seconds of its life: states, a restart, something used now and then.
fn changes() -> Vec<SessionFact> {
    let used = |cpu_us| {
        SessionFact::Used(Used {
            cpu_us,
            ..Used::default()
        })
    };
    vec![
        SessionFact::Entered(State::Pulling),
        SessionFact::Entered(State::Starting),
        SessionFact::Entered(State::Running),
        used(1_000_000),
        SessionFact::Entered(State::BackOff),
        SessionFact::Entered(State::Running),
        used(3_000_000),
        SessionFact::Entered(State::Terminating),
        SessionFact::Closed(Close::Stopped),
        used(3_500_000),
    ]
}

/// The life of a group on the boot clock, while the wall clock is set by so many seconds at one
/// change after the other.
fn life(set_s: &[i64]) -> Teller {
    let mut teller = Teller::with_book(BOOK);
    teller.view = std::mem::take(&mut teller.view).with_budgets(vec![budget()]);
    teller.wait(LEAD);
    live(&mut teller, set_s);
    teller
}

/// The same on a teller that goes on.
fn live(teller: &mut Teller, set_s: &[i64]) {
    teller.of("0-a", opened("team-a", "job", "42"));
    let mut set = set_s.iter();
    for (number, change) in (0..).zip(changes()) {
        teller.wait(700 * S + number);
        if let Some(by_s) = set.next().filter(|by_s| **by_s != 0) {
            teller.set_clock(by_s * S as i64);
        }
        teller.wait(300 * S + number);
        teller.of("0-a", change);
    }
}

fn budget() -> Budget {
    Budget {
        name: "b".to_owned(),
        scope: Scope::All,
        unit: Unit::CoreSeconds,
        limit: Decimal::parse("1").unwrap(),
        period: Period::Day,
        thresholds: vec![Threshold {
            percent: 100,
            action: Action::Tell,
        }],
    }
}

fn ask(teller: &Teller, window: Window) -> Sums {
    let view = &teller.view;
    let times = (teller.now(), window);
    let asked: Report = report(
        view.sessions(),
        view.shelf(),
        times,
        &Filter::default(),
        &[],
    )
    .unwrap();
    asked.into_values().next().unwrap_or_default()
}

/// What no clock has a say in.
fn said(sums: &Sums) -> (Money, u64, u128, [u128; 4]) {
    let rest = [
        sums.unrated_ns,
        sums.asked_ns,
        sums.running_ns,
        sums.cpu_used_us,
    ];
    let time = sums.time.total_ns();
    (sums.cost, time, sums.requested.cpu_milli_ns, rest)
}

/// What the rows of the export sum to, in the price's unit.
fn exported(teller: &Teller) -> Money {
    let view = &teller.view;
    let rows = focus::rows(view.sessions(), view.shelf(), teller.now(), Window::ALL).unwrap();
    let quantities = rows.iter().map(|row| Money::from_decimal(row.quantity()));
    quantities.sum()
}

/// Core-seconds of all days around the time that the group was labelled with.
fn spent(teller: &Teller) -> Money {
    let session = teller.view.sessions().iter().next().unwrap();
    let span = Timeline::of(session, teller.now()).span().unwrap();
    let mut now = teller.now();
    let mut spent = Money::ZERO;
    let mut day = Period::Day.at(span.from).unwrap();
    while day.from < span.to {
        now.stamp.wall = day.from;
        let states = teller.view.budgets(now).unwrap();
        spent = spent + states[0].spending.spent;
        day = Period::Day.at(day.to).unwrap();
    }
    spent
}

#[test]
fn a_clock_that_is_set_changes_no_second_and_no_cent() {
    let steady = life(&[]);
    let whole = said(&ask(&steady, Window::ALL));
    let exported_whole = exported(&steady);
    assert!(whole.0 > Money::ZERO && exported_whole > Money::ZERO);
    for set_s in CLOCKS {
        let teller = life(set_s);
        assert_eq!(said(&ask(&teller, Window::ALL)), whole, "{set_s:?}");
        assert_eq!(exported(&teller), exported_whole, "{set_s:?}");
    }
}

/// The book came into force just before. What is labelled before that came after it all the same.
#[test]
fn a_clock_that_is_set_back_before_the_first_book_makes_nothing_free() {
    let whole = said(&ask(&life(&[]), Window::ALL));
    for before_s in [0, -YEAR_S, 1, HOUR_S] {
        for set_s in CLOCKS {
            let mut teller = Teller::with_book(BOOK);
            teller.set_clock(before_s * S as i64);
            live(&mut teller, set_s);
            let asked = ask(&teller, Window::ALL);
            assert_eq!(said(&asked), whole, "{before_s} {set_s:?}");
            assert_eq!(asked.unrated_ns, 0);
        }
    }
}

#[test]
fn what_was_before_the_first_book_stays_without_a_price() {
    let mut teller = Teller::new();
    let book = teller.view.shelf().books()[0].book.to_record();
    teller.view = View::default();
    teller.of("0-a", opened("team-a", "job", "42"));
    teller.of("0-a", SessionFact::Entered(State::Running));
    teller.wait(50 * S);
    teller.tell(Fact::BookInstalled(book));
    teller.wait(7 * S);
    teller.of("0-a", SessionFact::Closed(Close::Stopped));
    let asked = ask(&teller, Window::ALL);
    assert_eq!(asked.unrated_ns, u128::from(50 * S));
    assert_eq!(asked.time.total_ns(), 7 * S);
}

/// A book that is known ahead is not in force before its date, however the session began.
#[test]
fn a_book_of_later_is_not_in_force_yet() {
    let mut teller = Teller::with_book(&BOOK.replace("2026-01", "2030-01"));
    live(&mut teller, &[]);
    let asked = ask(&teller, Window::ALL);
    assert!(asked.unrated_ns > 0);
    assert_eq!((asked.cost, asked.time.total_ns()), (Money::ZERO, 0));
}

#[test]
fn a_budget_counts_what_was_spent_under_any_label() {
    let whole = spent(&life(&[]));
    assert!(whole > Money::ZERO);
    for set_s in CLOCKS {
        assert_eq!(spent(&life(set_s)), whole, "{set_s:?}");
    }
}

/// The commitment is to more than is used, so all that is used is covered.
#[test]
fn what_a_commitment_covers_is_found_wherever_the_clock_put_it() {
    let covered = |set_s: &[i64]| {
        let mut teller = life(set_s);
        let session = teller.view.sessions().iter().next().unwrap();
        let span = Timeline::of(session, teller.now()).span().unwrap();
        // The last hour is over, wherever the clock is.
        teller.wait(2 * YEAR_S as u64 * S);
        let around = |at: WallTime, by_s: i64| WallTime(at.0 + by_s * S as i64);
        let window = Window {
            from: around(span.from, -HOUR_S),
            to: around(span.to, HOUR_S),
        };
        let view = &teller.view;
        let asked = commitments(view.sessions(), view.shelf(), teller.now(), window).unwrap();
        asked
            .iter()
            .map(|committed| committed.covered)
            .sum::<u128>()
    };
    let whole = covered(&[]);
    assert!(whole > 0);
    for set_s in CLOCKS {
        assert_eq!(covered(set_s), whole, "{set_s:?}");
    }
}

/// A clock that is set anywhere by anything up to a day.
fn set() -> impl Strategy<Value = Vec<i64>> {
    let day = 24 * HOUR_S;
    vec(prop_oneof![3 => Just(0), 2 => -day..day], 0..10)
}

proptest! {
    /// However time is cut, what is asked for of the parts is the whole.
    #[test]
    fn windows_of_a_clock_that_is_set_add_up(set_s in set(), mut cuts in vec(-2 * 24 * HOUR_S..2 * 24 * HOUR_S, 0..6)) {
        let teller = life(&set_s);
        let session = teller.view.sessions().iter().next().unwrap();
        let begin = session.opened_at().stamp.wall.0;
        cuts.sort_unstable();
        let cuts = cuts.iter().map(|cut| begin + cut * S as i64);
        let edges: Vec<i64> = [i64::MIN].into_iter().chain(cuts).chain([i64::MAX]).collect();
        let parts: Vec<Sums> = edges
            .windows(2)
            .map(|edge| ask(&teller, Window { from: WallTime(edge[0]), to: WallTime(edge[1]) }))
            .collect();
        let whole = ask(&teller, Window::ALL);
        let sum = |of: fn(&Sums) -> u128| parts.iter().map(of).sum::<u128>();
        prop_assert_eq!(sum(|part| part.time.total_ns().into()), u128::from(whole.time.total_ns()));
        prop_assert_eq!(sum(|part| part.requested.ns), whole.requested.ns);
        prop_assert_eq!(sum(|part| part.cpu_used_us), whole.cpu_used_us);
        prop_assert_eq!(sum(|part| part.running_ns), whole.running_ns);
        let timeline = Timeline::of(session, teller.now());
        let rated = rate(&timeline, teller.view.shelf(), Window::ALL).unwrap();
        let quantity = |sums: &Sums| sums.skus.values().map(|sku| sku.quantity).sum::<u128>();
        let charged: u128 = rated.charges.iter().map(|charge| charge.quantity).sum();
        prop_assert_eq!(parts.iter().map(quantity).sum::<u128>(), charged);
    }
}
