//! What a ledger tells of many groups, made up: the records that an agent writes of a group's life.

use anyhow::{Context, Result};
use burstlet_metering::Meter;
use burstlet_metering::book::Book;
use burstlet_metering::ledger::Shown;
use burstlet_metering::record::{
    Allocation, BootId, Close, Entry, Fact, Moment, Opened, Pull, Record, Samples, Scheduling,
    SessionFact, SessionId, State, Used,
};
use burstlet_model::{
    BootTime, Bytes, GroupName, GroupUid, MilliCpu, Name, Namespace, Stamp, WallTime,
};

pub(crate) const SECOND_NS: u64 = 1_000_000_000;
/// Where the boot clock begins, in seconds since 1970: in September 2026.
const BOOTED_S: u64 = 1_788_220_800;
const BOOK: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../runtime-config/books/example.toml"
));
/// Namespaces that the groups are spread over.
const NAMESPACES: usize = 20;
/// What getting ready takes a group: its pull, and its start.
const PULL_NS: u64 = 700_000_000;
const START_NS: u64 = 40_000_000;

/// Records that are told to a meter, by the shipped price book.
pub(crate) struct History {
    meter: Meter,
    seq: u64,
}

impl History {
    pub(crate) fn new() -> Result<Self> {
        let book = Book::parse(BOOK).context("read the shipped price book")?;
        let mut history = Self {
            meter: Meter::new(BootId::default(), [], Vec::new()),
            seq: 0,
        };
        let fact = Fact::BookInstalled(book.to_record());
        let at = moment(0)?;
        history.tell(vec![Entry { at, fact }])?;
        Ok(history)
    }

    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(crate) fn tell(&mut self, entries: Vec<Entry>) -> Result<()> {
        for Entry { at, fact } in entries {
            self.seq += 1;
            let record = Record {
                seq: self.seq,
                epoch: 1,
                salt: [0; 16],
                at,
                fact,
            };
            let told = self.meter.apply(Shown::Record(&record));
            told.with_context(|| format!("tell record {}", self.seq))?;
        }
        Ok(())
    }
}

/// What is written of a group that runs since a moment.
pub(crate) fn running(number: usize, begun_ns: u64) -> Result<Vec<Entry>> {
    let facts = [
        (0, SessionFact::Opened(Box::new(opened(number)?))),
        (0, SessionFact::Entered(State::Pulling)),
        (PULL_NS, SessionFact::Pulled(pull())),
        (PULL_NS, SessionFact::Entered(State::Starting)),
        (PULL_NS + START_NS, SessionFact::Entered(State::Running)),
    ];
    let facts = facts.into_iter();
    let entries = facts.map(|(after_ns, fact)| entry(number, begun_ns + after_ns, fact));
    entries.collect()
}

/// What is written of a group that ran for so long, and has ended.
pub(crate) fn ended(number: usize, begun_ns: u64, ran_ns: u64) -> Result<Vec<Entry>> {
    let mut samples = Samples::default();
    samples.memory.count(200 << 20);
    samples.cpu.count(120);
    let mut entries = running(number, begun_ns)?;
    let end_ns = begun_ns + PULL_NS + START_NS + ran_ns;
    for fact in [
        SessionFact::Closed(Close::Succeeded),
        SessionFact::Used(used(ran_ns)),
        SessionFact::Sampled(samples),
    ] {
        entries.push(entry(number, end_ns, fact)?);
    }
    Ok(entries)
}

/// A fact about the one session of a group.
pub(crate) fn entry(number: usize, at_ns: u64, fact: SessionFact) -> Result<Entry> {
    let id = SessionId {
        uid: uid(number)?,
        start: 1,
    };
    Ok(Entry {
        at: moment(at_ns)?,
        fact: Fact::Session { id, fact },
    })
}

/// A moment by the boot clock.
pub(crate) fn moment(ns: u64) -> Result<Moment> {
    let wall = i64::try_from(BOOTED_S * SECOND_NS + ns).context("that is too far away")?;
    Ok(Moment {
        boot_id: BootId::default(),
        stamp: Stamp {
            boot: BootTime(ns),
            wall: WallTime(wall),
        },
    })
}

/// The uid of a group, as long as real ones are.
pub(crate) fn uid(number: usize) -> Result<GroupUid> {
    let uid = GroupUid::new(format!("019a0000-0000-7000-8000-{number:012}"));
    uid.context("make a uid")
}

/// What is frozen of a group.
fn opened(number: usize) -> Result<Opened> {
    let namespace = Namespace::new(format!("team-{}", number % NAMESPACES));
    let name = Name::new(format!("job-7d9f8b6c5-{number:05}"));
    Ok(Opened {
        group: GroupName {
            namespace: namespace.context("make a namespace")?,
            name: name.context("make a name")?,
        },
        owner: "ReplicaSet/job".to_owned(),
        tags: [("team".to_owned(), "seven".to_owned())].into(),
        images: vec!["registry.example/job:1".to_owned()],
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        scheduling: Scheduling::OnDemand,
        isolation: "container".to_owned(),
        allocation: Allocation {
            cpu: MilliCpu(500),
            memory: Bytes(512 << 20),
            ephemeral: Bytes(30_000_000_000),
            ports: 1,
            ..Allocation::default()
        },
    })
}

fn pull() -> Pull {
    Pull {
        number: 1,
        image: "registry.example/job:1".to_owned(),
        ns: PULL_NS,
        bytes: 80 << 20,
    }
}

fn used(ran_ns: u64) -> Used {
    Used {
        cpu_us: ran_ns / 8000,
        memory_byte_ns: u128::from(ran_ns) * (200 << 20),
        memory_sampled_ns: ran_ns,
        memory_peak: 300 << 20,
        net_received: 123_456,
        net_sent: 7_890_123,
        is_final: true,
    }
}
