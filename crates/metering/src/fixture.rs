//! A ledger's records for tests, told one by one.

use std::collections::BTreeMap;

use burstlet_model::{
    BootTime, Bytes, GroupName, GroupUid, MilliCpu, Name, Namespace, Stamp, WallTime,
};

use crate::book::Book;
use crate::budget::{Action, Budget, Period, Scope, Threshold, Unit};
use crate::ledger::Status;
use crate::money::Decimal;
use crate::record::{
    Allocation, BootId, Close, Fact, Moment, Opened, Record, Scheduling, SessionFact, SessionId,
    State, Used,
};
use crate::view::{Format, View};

pub(crate) const S: u64 = 1_000_000_000;
const BOOK: &str = "name = 'b'\ncurrency = 'EUR'\neffective_from = '2026-01-01T00:00:00Z'
    [[sku]]\nid = 'cpu'\nmeter = 'cpu'\nunit = 'Core-Second'\nprice = '0.00001125'
    [[sku]]\nid = 'memory'\nmeter = 'memory'\nunit = 'GB-Hour'\nprice = '0.00445'";

/// Writes records and folds them.
pub(crate) struct Teller {
    pub(crate) view: View,
    pub(crate) seq: u64,
    /// Since the boot, which was at the epoch's 1.8 billionth second.
    pub(crate) now_ns: u64,
    /// By how much the wall clock was set since.
    set_ns: i64,
}

impl Teller {
    pub(crate) fn new() -> Self {
        Self::with_book(BOOK)
    }

    pub(crate) fn with_book(text: &str) -> Self {
        let mut teller = Self {
            view: View::new(["CostCenter".to_owned()]),
            seq: 0,
            now_ns: S,
            set_ns: 0,
        };
        teller.tell(Fact::BookInstalled(Book::parse(text).unwrap().to_record()));
        teller
    }

    pub(crate) fn now(&self) -> Moment {
        let wall = 1_800_000_000 * S + self.now_ns;
        Moment {
            boot_id: BootId([7; 16]),
            stamp: Stamp {
                boot: BootTime(self.now_ns),
                wall: WallTime(i64::try_from(wall).unwrap() + self.set_ns),
            },
        }
    }

    pub(crate) fn tell(&mut self, fact: Fact) {
        self.seq += 1;
        let record = Record {
            seq: self.seq,
            epoch: 1,
            salt: [0; 16],
            at: self.now(),
            fact,
        };
        self.view.apply(&record).unwrap();
    }

    pub(crate) fn of(&mut self, uid: &str, fact: SessionFact) {
        let fact = Fact::Session { id: id(uid), fact };
        self.tell(fact);
    }

    pub(crate) fn wait(&mut self, ns: u64) {
        self.now_ns += ns;
    }

    /// The wall clock is set, and the agent notices.
    pub(crate) fn set_clock(&mut self, by_ns: i64) {
        self.set_ns += by_ns;
        self.tell(Fact::ClockStepped);
    }

    pub(crate) fn page(&mut self, format: Format) -> String {
        let now = self.now();
        self.view.page(format, now, &status(self.seq)).unwrap()
    }

    /// The value of a series by its beginning.
    pub(crate) fn value(&mut self, series: &str) -> Option<String> {
        let page = self.page(Format::Text);
        let line = page.lines().find(|line| line.starts_with(series))?;
        Some(line.rsplit_once(' ').unwrap().1.to_owned())
    }
}

pub(crate) fn id(uid: &str) -> SessionId {
    SessionId {
        uid: GroupUid::new(uid).unwrap(),
        start: 1,
    }
}

pub(crate) fn status(seq: u64) -> Status {
    Status {
        epoch: 3,
        seq,
        segments: 1,
        has_reserve: true,
        records: seq,
        bytes: 4711,
        ..Status::default()
    }
}

pub(crate) fn opened(namespace: &str, name: &str, tag: &str) -> SessionFact {
    SessionFact::Opened(Box::new(Opened {
        group: GroupName {
            namespace: Namespace::new(namespace).unwrap(),
            name: Name::new(name).unwrap(),
        },
        owner: "ann".to_owned(),
        tags: BTreeMap::from([("costcenter".to_owned(), tag.to_owned())]),
        images: vec!["registry.local/web:1".to_owned()],
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        scheduling: Scheduling::OnDemand,
        isolation: "container".to_owned(),
        allocation: Allocation {
            cpu: MilliCpu(500),
            memory: Bytes(1 << 30),
            ..Allocation::default()
        },
    }))
}

/// Of money for team-b, and of everybody's core-seconds; half of the latter is told of.
fn budgets() -> Vec<Budget> {
    let budget = |name: &str, scope, unit, limit| Budget {
        name: name.to_owned(),
        scope,
        unit,
        limit: Decimal::parse(limit).unwrap(),
        period: Period::Day,
        thresholds: vec![Threshold {
            percent: 50,
            action: Action::Tell,
        }],
    };
    let team_b = Scope::Namespace("team-b".to_owned());
    vec![
        budget("all", Scope::All, Unit::CoreSeconds, "16"),
        budget("team-b", team_b, Unit::Money, "12.5"),
    ]
}

/// A group that ran for a while and one that runs.
pub(crate) fn two_groups() -> Teller {
    let mut teller = Teller::new();
    teller.view = std::mem::take(&mut teller.view).with_budgets(budgets());
    teller.of("0-a", opened("team-a", "job", "42"));
    teller.wait(S / 2);
    teller.of("0-a", SessionFact::Entered(State::Pulling));
    teller.wait(S);
    teller.of("0-a", SessionFact::Entered(State::Running));
    teller.of("0-b", opened("team-b", "web", "4\"2"));
    teller.of("0-b", SessionFact::Entered(State::Running));
    teller.wait(10 * S + 1);
    teller.of("0-a", SessionFact::Closed(Close::Succeeded));
    let used = Used {
        cpu_us: 1_234_567,
        memory_byte_ns: 5_000_000_000_000_000,
        net_sent: 10,
        is_final: true,
        ..Used::default()
    };
    teller.of("0-a", SessionFact::Used(used));
    teller
}
