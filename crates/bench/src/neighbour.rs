//! How long a small service's clients wait while another group takes all that it can get: processors,
//! processes, memory, disk and log at once.
//!
//! Both groups ask for half a processor and may use one, as users would say. What is measured is the
//! service's own time from request to answer, within its container, alone and beside the other in turns;
//! then the same of a service that asks for a whole processor, which it has alone.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use burstlet_proto::v1::LogStream;
use burstlet_proto::v1::wait_request::Condition;

use crate::burstlet::Burstlet;
use crate::engine::IMAGE;
use crate::groups::Asks;
use crate::image::{self, Layer};
use crate::machine;
use crate::report::{Report, Table, median, milliseconds};
use crate::scratch::{self, Scratch};

/// What groups ask for of the processors that share them.
const CPU_REQUEST: Asks = Asks::Part("500m");
/// What the agent is told beside what the other benchmarks tell it.
const CONFIGURATION: &str = "[processors]\nexclusive = true\n";
/// The service's name.
const SERVICE: &str = "service";
/// The neighbour's name.
const NOISE: &str = "noise";
/// How long the noise goes on before it counts.
const SETTLE: Duration = Duration::from_secs(2);

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the release programs are
    #[arg(long)]
    programs: PathBuf,
    /// The static payload
    #[arg(long)]
    payload: PathBuf,
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Requests of one measurement
    #[arg(long, default_value_t = 3000)]
    requests: u32,
    /// Also beside a group that takes all it can get of only one thing
    #[arg(long)]
    each: bool,
}

/// Whose clients wait.
struct Service {
    label: &'static str,
    asks: Asks,
}

const SERVICES: [Service; 2] = [
    Service {
        label: "",
        asks: CPU_REQUEST,
    },
    Service {
        label: ", on a processor of its own",
        asks: Asks::Whole,
    },
];

/// What a neighbour takes.
struct Noise {
    label: &'static str,
    /// By the payload's names; all of it if there is none.
    parts: &'static [&'static str],
}

const ALL: Noise = Noise {
    label: "beside a bad neighbour",
    parts: &[],
};
const EACH: [Noise; 5] = [
    Noise {
        label: "beside one that computes",
        parts: &["cpu"],
    },
    Noise {
        label: "beside one that takes memory",
        parts: &["memory"],
    },
    Noise {
        label: "beside one that writes to the disk",
        parts: &["disk"],
    },
    Noise {
        label: "beside one that forks",
        parts: &["forks"],
    },
    Noise {
        label: "beside one that floods its log",
        parts: &["log"],
    },
];

/// What clients wait.
#[derive(Default)]
struct Waits {
    p50: Vec<Duration>,
    p99: Vec<Duration>,
}

/// Measures, and prints a table.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (scratch, runtime) = scratch::begin(args.rounds)?;
    let mut report = Report::new(vec![machine::describe()]);
    let burstlet = Burstlet::start_with(&args.programs, &scratch, &runtime, CONFIGURATION)?;
    let measured = prepare(args, &scratch, &burstlet)
        .and_then(|()| measure(args, &burstlet))
        .map(|table| report.add(table));
    let ended = burstlet.end();
    print!("{}", report.markdown());
    measured.and(ended)
}

fn prepare(args: &Args, scratch: &Scratch, burstlet: &Burstlet<'_>) -> Result<()> {
    let rootfs = scratch.dir("rootfs")?;
    std::fs::copy(&args.payload, rootfs.join("payload")).context("copy the payload")?;
    let layer = Layer {
        below: rootfs,
        paths: vec![PathBuf::from("payload")],
    };
    burstlet.import(&image::archive(&scratch.dir("image")?, IMAGE, &[layer])?)
}

/// The first of each service's waits is alone, the others are beside the neighbours.
fn measure(args: &Args, burstlet: &Burstlet<'_>) -> Result<Table> {
    let each = if args.each { &EACH[..] } else { &[] };
    let noises: Vec<&Noise> = std::iter::once(&ALL).chain(each).collect();
    let mut waits: Vec<Vec<Waits>> = Vec::new();
    for _ in &SERVICES {
        waits.push((0..=noises.len()).map(|_| Waits::default()).collect());
    }
    let mut round = |beside: usize| {
        for (service, waits) in SERVICES.iter().zip(&mut waits) {
            waits[beside].add(requests(args, burstlet, service.asks)?);
        }
        anyhow::Ok(())
    };
    for _ in 0..args.rounds {
        round(0)?;
        for (noise, beside) in noises.iter().zip(1..) {
            burstlet.runtime().block_on(begin(burstlet, noise))?;
            round(beside)?;
            let mut groups = burstlet.groups();
            burstlet.runtime().block_on(groups.remove(NOISE))?;
        }
    }
    Ok(table(&noises, &waits))
}

fn table(noises: &[&Noise], waits: &[Vec<Waits>]) -> Table {
    let title = "A small service's clients wait, in the middle of the rounds";
    let mut table = Table::new(title, &["", "p50 ms", "p99 ms", "p99 × alone"]);
    for (service, waits) in SERVICES.iter().zip(waits) {
        let labels = std::iter::once("alone").chain(noises.iter().map(|noise| noise.label));
        let alone = waits.first().map(|alone| median(&alone.p99));
        let alone = alone.unwrap_or_default().as_secs_f64();
        for (label, waits) in labels.zip(waits) {
            let (p50, p99) = (median(&waits.p50), median(&waits.p99));
            let label = format!("{label}{}", service.label);
            let times = format!("{:.2}", p99.as_secs_f64() / alone);
            table.row(&[&label, &milliseconds(p50), &milliseconds(p99), &times]);
        }
    }
    table
}

impl Waits {
    fn add(&mut self, (p50, p99): (Duration, Duration)) {
        self.p50.push(p50);
        self.p99.push(p99);
    }
}

/// Starts a neighbour, and waits until it is in full swing.
async fn begin(burstlet: &Burstlet<'_>, noise: &Noise) -> Result<()> {
    let mut groups = burstlet.groups();
    let task = [&["noise"][..], noise.parts].concat();
    groups.create_asking(NOISE, &task, CPU_REQUEST).await?;
    groups.wait(NOISE, Condition::Running).await?;
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

/// The median and the 99th percentile of one group's requests.
fn requests(args: &Args, burstlet: &Burstlet<'_>, asks: Asks) -> Result<(Duration, Duration)> {
    let mut groups = burstlet.groups();
    let task = ["requests", &args.requests.to_string()];
    let line = burstlet.runtime().block_on(async {
        groups.create_asking(SERVICE, &task, asks).await?;
        groups.wait(SERVICE, Condition::Finished).await?;
        let line = groups.last_line(SERVICE, LogStream::Stdout).await?;
        groups.remove(SERVICE).await?;
        anyhow::Ok(line)
    })?;
    let numbers = line
        .split_whitespace()
        .map(|word| Ok(Duration::from_nanos(word.parse()?)));
    let numbers: Result<Vec<Duration>> = numbers.collect();
    match numbers
        .context("read what the payload measured")?
        .as_slice()
    {
        [p50, p99] => Ok((*p50, *p99)),
        _ => anyhow::bail!("the payload said {line:?}"),
    }
}
