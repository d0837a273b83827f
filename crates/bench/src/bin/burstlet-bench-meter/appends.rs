//! How long a record takes until it is durable, beside a bare write and `fdatasync` of as many bytes
//! on the same disk. Both take turns, since a disk's speed changes from second to second.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use burstlet_bench::clock::Instant;
use burstlet_bench::report::{median, percentile};
use burstlet_metering::Meter;
use burstlet_metering::ledger::{Directory, Ledger, Options, SEGMENT_BYTES, Shown};
use burstlet_metering::record::{BootId, Entry, Record, SessionFact, State};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Finding;
use crate::history::{self, SECOND_NS};

const ROUNDS: u32 = 2000;
const ROUNDS_QUICK: u32 = 20;
/// Who appends at once, and how often each does before the bare disk has its turn.
const WRITERS: usize = 64;
const APPENDS_PER_TURN: u32 = 8;
const TURNS: u32 = 40;
const TURNS_QUICK: u32 = 2;
/// Bare syncs in a turn.
const BARE_PER_TURN: u32 = 16;
/// What a ledger writes beside a record's body: its length, its checksum, the chain's head.
const FRAME_BYTES: usize = 40;
/// How many times as long as a bare sync an append may take.
const TIMES_MAX: f64 = 2.0;

pub(crate) fn measure(quick: bool) -> Result<Vec<Finding>> {
    let (rounds, turns) = match quick {
        true => (ROUNDS_QUICK, TURNS_QUICK),
        false => (ROUNDS, TURNS),
    };
    let scratch = tempfile::Builder::new()
        .prefix("burstlet-bench-")
        .tempdir_in("/var/tmp")
        .context("make a directory in /var/tmp")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .context("start the runtime")?;
    let mut disk = Disk::new(&scratch.path().join("bare"))?;
    let ledger = open(&scratch.path().join("ledger"), &runtime)?;
    let mut found = alone(&runtime, &ledger, &mut disk, rounds)?;
    found.extend(together(&runtime, &ledger, &mut disk, turns)?);
    let closed = runtime.block_on(ledger.close());
    closed.context("close the ledger")?;
    Ok(found)
}

/// One appends, and waits, and appends.
fn alone(runtime: &Runtime, ledger: &Ledger, disk: &mut Disk, rounds: u32) -> Result<Vec<Finding>> {
    let (mut bare, mut durable) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let append = || runtime.block_on(append(ledger, 0, round));
        if round.is_multiple_of(2) {
            bare.push(disk.sync()?);
            durable.push(append()?);
        } else {
            durable.push(append()?);
            bare.push(disk.sync()?);
        }
    }
    let times = median(&durable).as_secs_f64() / median(&bare).as_secs_f64();
    let measured = |took: &[Duration]| {
        let (p50, p99) = (median(took), percentile(took, 99));
        format!("{} µs, p99 {} µs", p50.as_micros(), p99.as_micros())
    };
    let (bytes, goal) = (disk.bytes, format!("under {TIMES_MAX:.1} ×"));
    Ok(vec![
        Finding::new(format!("bare sync of {bytes} bytes, p50"), measured(&bare)),
        Finding::new("append until durable, p50", measured(&durable)),
        Finding::new("append beside bare sync, p50", format!("{times:.2} ×"))
            .with_goal(goal, times < TIMES_MAX),
    ])
}

/// Many append at once: one sync serves all who wait.
fn together(
    runtime: &Runtime,
    ledger: &Ledger,
    disk: &mut Disk,
    turns: u32,
) -> Result<Vec<Finding>> {
    let (mut bare, mut durable) = (Vec::new(), Vec::new());
    let mut busy = Duration::ZERO;
    for turn in 0..turns {
        for _ in 0..BARE_PER_TURN {
            bare.push(disk.sync()?);
        }
        let begun = Instant::now();
        durable.extend(runtime.block_on(crowd(ledger, turn))?);
        busy += Instant::now().since(begun);
    }
    let rate = durable.len() as f64 / busy.as_secs_f64();
    let per_sync = rate * median(&bare).as_secs_f64();
    let times = median(&durable).as_secs_f64() / median(&bare).as_secs_f64();
    let measured = format!("{} µs, {times:.2} ×", median(&durable).as_micros());
    Ok(vec![
        Finding::new(format!("the same, {WRITERS} at once, p50"), measured),
        Finding::new(
            format!("records a second, {WRITERS} at once"),
            format!("{rate:.0}, {per_sync:.1} in the time of a bare sync"),
        ),
    ])
}

async fn crowd(ledger: &Ledger, turn: u32) -> Result<Vec<Duration>> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let ledger = ledger.clone();
        writers.spawn(async move {
            let mut took = Vec::new();
            for number in 0..APPENDS_PER_TURN {
                let round = turn * APPENDS_PER_TURN + number;
                took.push(append(&ledger, writer, round).await?);
            }
            Ok::<_, anyhow::Error>(took)
        });
    }
    let took: Result<Vec<Vec<Duration>>> = writers.join_all().await.into_iter().collect();
    Ok(took?.concat())
}

/// A group waits or runs, in turn: the record that most of a ledger is made of.
async fn append(ledger: &Ledger, writer: usize, round: u32) -> Result<Duration> {
    let state = match round.is_multiple_of(2) {
        true => State::BackOff,
        false => State::Running,
    };
    let at_ns = u64::from(round) + SECOND_NS;
    let entry = history::entry(writer, at_ns, SessionFact::Entered(state))?;
    let begun = Instant::now();
    let appended = ledger.append(vec![entry]).await;
    appended.context("append a record")?;
    Ok(Instant::now().since(begun))
}

/// What one append takes on disk.
fn record_bytes() -> Result<usize> {
    let Entry { at, fact } = history::entry(0, SECOND_NS, SessionFact::Entered(State::Running))?;
    let record = Record {
        seq: 1,
        epoch: 1,
        salt: [0; 16],
        at,
        fact,
    };
    Ok(record.encode()?.len() + FRAME_BYTES)
}

/// A ledger as the agent has it: folded as it grows, and with a group for each writer.
fn open(directory: &Path, runtime: &Runtime) -> Result<Ledger> {
    let meter = Meter::new(BootId::default(), [], Vec::new());
    let options = Options {
        clock: Box::new(|| history::moment(0).unwrap_or_default()),
        key: [7; 32],
        version: env!("CARGO_PKG_VERSION").to_owned(),
        segment_bytes: SEGMENT_BYTES,
        archive: false,
    };
    let observer = Box::new(move |shown: Shown<'_>| {
        if let Err(error) = meter.apply(shown) {
            eprintln!("bench: {error}");
        }
    });
    let (ledger, _) = Ledger::open(Directory::open(directory)?, options, observer)?;
    for number in 0..WRITERS {
        runtime.block_on(ledger.append(history::running(number, 0)?))?;
    }
    Ok(ledger)
}

/// A file that is written to as a ledger is: within what is there, from its begin to its end.
struct Disk {
    file: File,
    at: u64,
    /// As many as a record's.
    bytes: usize,
}

impl Disk {
    fn new(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create_new(true).write(true).open(path);
        let file = file.with_context(|| format!("make {}", path.display()))?;
        let zeros = vec![0; usize::try_from(SEGMENT_BYTES)?];
        file.write_all_at(&zeros, 0).context("fill the file")?;
        file.sync_all().context("sync the file")?;
        Ok(Self {
            file,
            at: 0,
            bytes: record_bytes()?,
        })
    }

    fn sync(&mut self) -> Result<Duration> {
        let bytes = vec![0xa5; self.bytes];
        let begun = Instant::now();
        self.file.write_all_at(&bytes, self.at)?;
        self.file.sync_data()?;
        let took = Instant::now().since(begun);
        self.at += bytes.len() as u64;
        if self.at + bytes.len() as u64 > SEGMENT_BYTES {
            self.at = 0;
        }
        Ok(took)
    }
}
