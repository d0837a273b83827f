use std::collections::BTreeMap;

use burstlet_model::{Bytes, GroupName, MilliCpu, Name, Namespace};
use proptest::prelude::*;

use super::quote::{compare, quote};
use super::*;
use crate::book::{Profile, SECOND_NS};
use crate::record::Allocation;

const SECOND: i64 = SECOND_NS as i64;

fn book(profile: &str, from: i64, price: &str) -> Book {
    let from = jiff::Timestamp::from_second(from).unwrap();
    let text = format!(
        "name = 'b{}'\ncurrency = 'USD'\neffective_from = '{from}'\nprofile = {{ name = '{profile}' }}
         [[sku]]\nid = 'cpu'\nmeter = 'cpu'\nunit = 'Core-Hour'\nprice = '{price}'
         [[sku]]\nid = 'memory'\nmeter = 'memory'\nunit = 'GiB-Hour'\nprice = '0.005'
         [[machine]]\nname = 'small'\ncores = '1'\nmemory_gib = '1'\nhourly_price = '0.01'
         [[machine]]\nname = 'large'\ncores = '4'\nmemory_gib = '16'\nhourly_price = '0.15'
         [[machine]]\nname = 'dear'\ncores = '4'\nmemory_gib = '16'\nhourly_price = '0.2'
         [[commitment]]\nid = 'two'\nsku = 'cpu'\namount = '2'\nprice = '0.01'",
        price.replace('.', "-")
    );
    Book::parse(&text).unwrap()
}

fn shelf_of(book: Book) -> Shelf {
    Shelf::new([book]).unwrap()
}

fn opened(cpu: u64, memory: u64) -> Opened {
    Opened {
        group: GroupName {
            namespace: Namespace::new("default").unwrap(),
            name: Name::new("web").unwrap(),
        },
        owner: String::new(),
        tags: BTreeMap::new(),
        images: Vec::new(),
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        scheduling: Scheduling::OnDemand,
        isolation: "container".to_owned(),
        allocation: Allocation {
            cpu: MilliCpu(cpu),
            memory: Bytes(memory),
            ..Allocation::default()
        },
    }
}

fn window(from: i64, until: i64) -> Window {
    Window {
        from: WallTime(from),
        to: WallTime(until),
    }
}

/// Segments of these states and lengths, one after the other.
fn timeline<'a>(opened: &'a Opened, start: i64, states: &[(State, i64)]) -> Timeline<'a> {
    let mut from = start;
    let segments = states.iter().map(|(state, length)| {
        let span = window(from, from + length);
        from += length;
        Segment {
            state: *state,
            span,
            amounts: Amounts::from(&opened.allocation),
        }
    });
    Timeline {
        opened,
        segments: segments.collect(),
        has_book: false,
    }
}

#[test]
fn a_new_price_counts_from_its_very_nanosecond() {
    let shelf = Shelf::new([book("exact", 0, "0.036"), book("exact", 100, "0.072")]).unwrap();
    let opened = opened(1000, 0);
    let run = timeline(&opened, 99 * SECOND, &[(State::Running, 2 * SECOND + 1)]);
    let rated = rate(&run, &shelf, Window::ALL).unwrap();
    let charges: Vec<_> = rated
        .charges
        .iter()
        .map(|c| (c.book, c.cost.to_string()))
        .collect();
    let expected = [
        (0, "0.00001".to_owned()),
        (1, "0.00002000000002".to_owned()),
    ];
    assert_eq!(charges, expected);
    assert_eq!(rated.charges[0].span.to, rated.charges[1].span.from);
}

#[test]
fn time_without_a_book_is_told() {
    let shelf = shelf_of(book("exact", 100, "1"));
    let opened = opened(1000, 0);
    let states = [(State::Queued, 10 * SECOND), (State::Running, 100 * SECOND)];
    let run = timeline(&opened, 0, &states);
    let rated = rate(&run, &shelf, Window::ALL).unwrap();
    assert_eq!(rated.unrated_ns, 90 * SECOND_NS);
    assert_eq!(rated.time.total_ns(), 10 * SECOND_NS);
    let run = Timeline {
        has_book: true,
        ..run
    };
    let set_back = rate(&run, &shelf, Window::ALL).unwrap();
    let times = (set_back.unrated_ns, set_back.time.total_ns());
    assert_eq!(times, (0, 100 * SECOND_NS), "the clock was set back");
    let nothing = rate(&run, &Shelf::default(), Window::ALL).unwrap();
    assert_eq!(
        (nothing.unrated_ns, nothing.cost()),
        (100 * SECOND_NS, Money::ZERO)
    );
}

#[test]
fn billed_time_is_told_by_what_it_was_spent_on() {
    let shelf = shelf_of(book("exact", 0, "1"));
    let opened = opened(1000, 0);
    let states = [
        (State::Queued, 1),
        (State::Pulling, 20),
        (State::Starting, 300),
        (State::Running, 4000),
        (State::BackOff, 50_000),
        (State::Running, 600_000),
        (State::Terminating, 7_000_000),
    ];
    let rated = rate(&timeline(&opened, 5, &states), &shelf, Window::ALL).unwrap();
    let expected = BilledTime {
        pull_ns: 20,
        run_ns: 7_604_300,
        backoff_ns: 50_000,
    };
    assert_eq!(rated.time, expected);
}

#[test]
fn a_quote_is_what_the_run_will_cost() {
    let book = book("fargate", 0, "0.04");
    let opened = opened(2000, 4 << 30);
    let quoted = quote(&book, &opened, 90 * SECOND_NS + 1).unwrap();
    assert_eq!(quoted.billed_ns, 91 * SECOND_NS);
    assert_eq!(quoted.hourly.to_string(), "0.1");
    let run = timeline(&opened, 7, &[(State::Running, 90 * SECOND + 1)]);
    let rated = rate(&run, &Shelf::always(book.clone()), Window::ALL).unwrap();
    assert_eq!(rated.cost(), quoted.total);
    assert_eq!(quote(&book, &opened, 1).unwrap().billed_ns, 60 * SECOND_NS);
}

#[test]
fn a_machine_is_cheaper_from_some_hour_of_the_day_on() {
    let book = book("exact", 0, "0.04");
    let compared = compare(&book, &opened(2000, 4 << 30)).unwrap().unwrap();
    assert_eq!(book.machines()[compared.machine].name, "large");
    assert_eq!(compared.machine_daily.to_string(), "3.6");
    assert_eq!(compared.group_daily.to_string(), "2.4");
    assert_eq!(compared.hours.to_string(), "24");
    let busy = compare(&book, &opened(4000, 16 << 30)).unwrap().unwrap();
    assert_eq!(busy.hours.to_string(), "15");
    assert_eq!(compare(&book, &opened(5000, 0)).unwrap(), None);
    assert_eq!(compare(&book, &opened(0, 0)).unwrap(), None);
}

#[test]
fn a_commitment_covers_what_is_used_of_it() {
    let book = book("exact", 0, "0.04");
    let core_hours = |hours: u128| hours * 1000 * 3600 * u128::from(SECOND_NS);
    for (used, covered, credit) in [(0, 0, "0"), (1, 1, "0.04"), (5, 2, "0.08")] {
        let used = BTreeMap::from([(0, core_hours(used))]);
        let settled = commitment::settle(&book, &used).unwrap();
        assert_eq!(settled[0].covered, core_hours(covered));
        assert_eq!(settled[0].fee.to_string(), "0.02");
        assert_eq!(settled[0].credit.to_string(), credit);
    }
    assert_eq!(hour_of(WallTime(-1)), window(-3600 * SECOND, 0));
    assert_eq!(hour_of(WallTime(0)), window(0, 3600 * SECOND));
}

fn any_state() -> impl Strategy<Value = State> {
    prop::sample::select(State::ALL.to_vec())
}

proptest! {
    /// However time is cut into windows, they sum to the whole: under every profile, over changes
    /// of price and allocation, to the last digit.
    #[test]
    fn windows_telescope(
        states in prop::collection::vec((any_state(), 0..400 * SECOND), 1..8),
        cuts in prop::collection::vec(0..1000 * SECOND, 0..6),
        profile in prop::sample::select(Profile::NAMES.to_vec()),
        other in prop::sample::select(Profile::NAMES.to_vec()),
        resized in 0..4000_u64,
    ) {
        let books = [book(profile, 0, "0.0405"), book(other, 200, "0.07"), book(profile, 500, "0.01")];
        let shelf = Shelf::new(books).unwrap();
        let opened = opened(1250, 3 << 29);
        let mut run = timeline(&opened, 7, &states);
        if let Some(last) = run.segments.last_mut() {
            last.amounts.cpu_milli = resized;
        }
        let whole = rate(&run, &shelf, Window::ALL).unwrap();
        let mut ends = cuts;
        ends.extend([i64::MIN, i64::MAX]);
        ends.sort_unstable();
        let (mut cost, mut time, mut quantity) = (Money::ZERO, 0, 0);
        for ends in ends.windows(2) {
            let part = rate(&run, &shelf, window(ends[0], ends[1])).unwrap();
            cost = cost + part.cost();
            time += part.time.total_ns();
            quantity += part.charges.iter().map(|charge| charge.quantity).sum::<u128>();
        }
        prop_assert_eq!(cost, whole.cost());
        prop_assert_eq!(time, whole.time.total_ns());
        prop_assert_eq!(quantity, whole.charges.iter().map(|charge| charge.quantity).sum::<u128>());
    }

    /// More of a session never costs less.
    #[test]
    fn longer_is_never_cheaper(
        states in prop::collection::vec((any_state(), 0..400 * SECOND), 1..6),
        more in 0..100 * SECOND,
        profile in prop::sample::select(Profile::NAMES.to_vec()),
    ) {
        let shelf = shelf_of(book(profile, 0, "0.0405"));
        let opened = opened(1250, 3 << 29);
        let cost = |states: &[(State, i64)]| rate(&timeline(&opened, 0, states), &shelf, Window::ALL).unwrap().cost();
        let before = cost(&states);
        let mut longer = states;
        longer.last_mut().unwrap().1 += more;
        prop_assert!(cost(&longer) >= before);
    }
}
