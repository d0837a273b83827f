use burstlet_metering::budget::{Budget, Period, Scope, Spending, Unit, evaluate};
use burstlet_metering::money::{Decimal, Money};
use burstlet_metering::record::{Allocation, Scheduling};
use burstlet_model::{GroupName, Name, Namespace};

use super::*;

fn at(day: i64) -> WallTime {
    WallTime(day * 86_400_000_000_000)
}

/// A budget of 10 a day for `team-a`, of which this much is spent.
fn state(day: i64, spent: &str) -> State {
    let step = |percent, action| Threshold { percent, action };
    let budget = Budget {
        name: "b".to_owned(),
        scope: Scope::Namespace("team-a".to_owned()),
        unit: Unit::Money,
        limit: Decimal::parse("10").unwrap(),
        period: Period::Day,
        thresholds: vec![
            step(50, Action::Tell),
            step(100, Action::RefuseNew),
            step(110, Action::Stop { grace_s: 5 }),
        ],
    };
    let spending = Spending {
        spent: Money::from_decimal(Decimal::parse(spent).unwrap()),
        hourly: Money::ZERO,
    };
    let period = Period::Day.at(at(day)).unwrap();
    State {
        standing: evaluate(&budget, spending, at(day), period),
        budget,
        period,
        spending,
        currency: "EUR".to_owned(),
    }
}

fn live(uid: &str, namespace: &str) -> Live {
    Live {
        uid: GroupUid::new(uid).unwrap(),
        opened: Opened {
            group: GroupName {
                namespace: Namespace::new(namespace).unwrap(),
                name: Name::new("g").unwrap(),
            },
            owner: String::new(),
            tags: BTreeMap::new(),
            images: Vec::new(),
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            scheduling: Scheduling::OnDemand,
            isolation: "container".to_owned(),
            allocation: Allocation::default(),
        },
        is_ending: false,
    }
}

/// The orders in short.
fn short(orders: &[Order]) -> Vec<String> {
    let short = |order: &Order| match order {
        Order::Log(message) => format!("log {message}"),
        Order::Warn { uid, reason, .. } => format!("warn {uid} {reason}"),
        Order::End { uid, grace, .. } => format!("end {uid} {}", grace.as_secs()),
    };
    orders.iter().map(short).collect()
}

#[test]
fn each_threshold_is_told_once_in_a_period() {
    let groups = [live("0-a", "team-a"), live("0-b", "team-b")];
    let mut told = Told::default();
    let mut orders = |day, spent| short(&orders(&[state(day, spent)], &groups, &mut told));
    let none: [String; 0] = [];
    assert_eq!(orders(1, "4.9"), none);
    let half = "log budget b: 5.000000 of 10 EUR spent this day (50 % reached)";
    assert_eq!(orders(1, "5"), [half, "warn 0-a BudgetWarning"]);
    assert_eq!(orders(1, "6"), none);
    let whole = "log budget b: 10.100000 of 10 EUR spent this day (100 % reached)";
    assert_eq!(orders(1, "10.1"), [whole, "warn 0-a BudgetExceeded"]);
    assert_eq!(orders(2, "0"), none);
    assert_eq!(orders(2, "5"), [half, "warn 0-a BudgetWarning"]);
}

#[test]
fn groups_are_ended_until_they_end() {
    let mut groups = [live("0-a", "team-a"), live("0-b", "team-b")];
    let mut told = Told::default();
    let first = short(&orders(&[state(1, "11")], &groups, &mut told));
    assert_eq!(first.len(), 7, "{first:?}");
    assert_eq!(first.last().unwrap(), "end 0-a 5");
    let again = short(&orders(&[state(1, "11")], &groups, &mut told));
    assert_eq!(again, ["end 0-a 5"]);
    groups[0].is_ending = true;
    assert!(orders(&[state(1, "11")], &groups, &mut told).is_empty());
}
