//! Ledgers to be verified: the lives of some groups, with everything that a record can say.

use std::collections::BTreeMap;
use std::path::Path;

use burstlet_metering::book::Book;
use burstlet_metering::ledger::{Directory, Options, Receipt, Writer};
use burstlet_metering::record::{
    Allocation, BootId, Close, Entry, Fact, Gap, GapReason, Moment, Opened, Pull, Restart, Samples,
    Scheduling, SessionFact, SessionId, State, Used,
};
use burstlet_model::{
    BootTime, Bytes, ContainerName, GroupName, GroupUid, MilliCpu, Name, Namespace, Stamp, WallTime,
};

pub(super) const S: u64 = 1_000_000_000;

pub(super) fn at(ns: u64) -> Moment {
    Moment {
        boot_id: BootId([4; 16]),
        stamp: Stamp {
            boot: BootTime(ns),
            wall: WallTime(1_700_000_000_000_000_000 + i64::try_from(ns).unwrap()),
        },
    }
}

fn opened(namespace: &str) -> SessionFact {
    SessionFact::Opened(Box::new(Opened {
        group: GroupName {
            namespace: Namespace::new(namespace).unwrap(),
            name: Name::new("web").unwrap(),
        },
        owner: "käthe".to_owned(),
        tags: BTreeMap::from([
            ("cost".to_owned(), "7".to_owned()),
            ("a".to_owned(), "€".to_owned()),
        ]),
        images: vec!["docker.io/library/web:1".to_owned()],
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        scheduling: Scheduling::Spot,
        isolation: "container".to_owned(),
        allocation: Allocation {
            cpu: MilliCpu(1500),
            memory: Bytes(3 << 30),
            ephemeral: Bytes(20),
            gpus: 1,
            gpu_model: "a100".to_owned(),
            ports: 2,
            volumes: Bytes(9),
        },
    }))
}

fn sampled() -> Samples {
    let mut samples = Samples::default();
    for value in [0, 15, 16, 250, 1 << 33, u64::MAX] {
        samples.cpu.count(value % 1000);
        samples.memory.count(value);
    }
    samples
}

/// One life with everything that can be said of it, from `begin` on.
pub(super) fn life(namespace: &str, uid: &str, begin: u64) -> Vec<Entry> {
    let id = SessionId {
        uid: GroupUid::new(uid).unwrap(),
        start: 1,
    };
    let container = ContainerName::new("main").unwrap();
    let used = |cpu_us, is_final| {
        SessionFact::Used(Used {
            cpu_us,
            memory_byte_ns: 1 << 100,
            memory_sampled_ns: 5 * S,
            memory_peak: 1 << 20,
            net_received: 10,
            net_sent: 20,
            is_final,
        })
    };
    let pull = Pull {
        number: 1,
        image: "docker.io/library/web:1".to_owned(),
        ns: 2 * S,
        bytes: 12345,
    };
    let smaller = Allocation {
        cpu: MilliCpu(250),
        ..Allocation::default()
    };
    let gap = Gap {
        from: BootTime(begin + 30 * S),
        to: BootTime(begin + 40 * S),
        reason: GapReason::KeeperLost,
    };
    let facts = [
        (0, opened(namespace)),
        (S, SessionFact::Entered(State::Pulling)),
        (3 * S, SessionFact::Pulled(pull)),
        (3 * S + 7, SessionFact::Entered(State::Running)),
        (9 * S, SessionFact::Adopted),
        (10 * S, used(5_000_000, false)),
        (11 * S, SessionFact::Resized(smaller)),
        (20 * S, SessionFact::Entered(State::BackOff)),
        (
            22 * S,
            SessionFact::Restarted(Restart {
                container,
                number: 1,
            }),
        ),
        (22 * S, SessionFact::Entered(State::Running)),
        (33 * S, SessionFact::Entered(State::Terminating)),
        (30 * S, SessionFact::Closed(Close::Lost)),
        (30 * S, SessionFact::Missed(gap)),
        (31 * S, used(9_000_001, true)),
        (31 * S, SessionFact::Sampled(sampled())),
    ];
    let entry = |(after, fact)| Entry {
        at: at(begin + after),
        fact: Fact::Session {
            id: id.clone(),
            fact,
        },
    };
    facts.into_iter().map(entry).collect()
}

/// A price that changes while everybody runs, with all that a book can ask for.
pub(super) fn books() -> [Book; 2] {
    let text = |name: &str, from: &str, cpu: &str, profile: &str| {
        format!(
            "name = '{name}'\ncurrency = 'EUR'\neffective_from = '{from}'
            [profile]\nname = '{profile}'
            [[sku]]\nid = 'cpu'\nmeter = 'cpu'\nunit = 'Core-Hour'\nprice = '{cpu}'
            [[sku]]\nid = 'spot'\nbase = 'cpu'\nfactor = '0.3'\nmatch = {{ scheduling = 'spot' }}
            [[sku]]\nid = 'memory'\nmeter = 'memory'\nunit = 'GiB-Hour'\nprice = '0.00445'\nincluded = '1'
            [[sku]]\nid = 'gpu'\nmeter = 'gpu'\nunit = 'Device-Second'\nprice = '0.0002'\nstates = 'running'
            [[sku]]\nid = 'port'\nmeter = 'port'\nunit = 'Port-730Hours'\nprice = '1.7'"
        )
    };
    [
        text("first", "2023-01-01T00:00:00Z", "0.0405", "exact"),
        text("second", "2023-11-14T22:13:35.5Z", "0.07", "aci"),
    ]
    .map(|text| Book::parse(&text).unwrap())
}

pub(super) fn options() -> Options {
    let mut now = 0;
    Options {
        clock: Box::new(move || {
            now += 1000;
            at(now)
        }),
        key: [5; 32],
        version: "test".to_owned(),
        segment_bytes: 3000,
        archive: true,
    }
}

/// A ledger of two tenants over several segments, the wall clock set in between.
pub(super) fn ledger(path: &Path) -> Receipt {
    let directory = Directory::open(path).unwrap();
    let (mut writer, _) = Writer::open(directory, options(), Box::new(|_| {})).unwrap();
    for book in books() {
        let fact = Fact::BookInstalled(book.to_record());
        let results = writer.commit(vec![vec![Entry { at: at(1), fact }]]);
        assert!(results.iter().all(Result::is_ok));
    }
    let (ours, theirs) = (life("ours", "a", 0), life("theirs", "b", 5 * S));
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        let stepped = Entry {
            at: at(ours.at.stamp.boot.0 + 3),
            fact: Fact::ClockStepped,
        };
        for result in writer.commit(vec![vec![ours], vec![theirs, stepped]]) {
            result.unwrap();
        }
    }
    let unfinished = life("ours", "c", 50 * S);
    writer
        .commit(vec![unfinished.into_iter().take(4).collect()])
        .pop()
        .unwrap()
        .unwrap();
    writer.close().unwrap()
}
