//! What it takes to look at every group every second, as the agent does.

use std::time::Duration;

use anyhow::{Context, Result};
use burstlet_bench::report::milliseconds;
use burstlet_cgroup::Gauges;
use burstlet_metering::sampler::{Look, Sampler};
use burstlet_model::BootTime;
use nix::time::{ClockId, clock_gettime};

use crate::Finding;
use crate::crowd::Crowd;
use crate::history::{self, History};

const GROUPS: usize = 1000;
const GROUPS_QUICK: usize = 20;
const ROUNDS: u32 = 40;
const ROUNDS_QUICK: u32 = 2;
const PERIOD: Duration = Duration::from_secs(1);
/// Samples of memory for each of the processor, and for each reading of all counters.
const PER_CPU_SAMPLE: f64 = 10.0;
const PER_READING: f64 = 600.0;
/// The share of one core that all of it may take.
const SHARE_MAX: f64 = 0.005;

pub(crate) fn measure(quick: bool) -> Result<Vec<Finding>> {
    let (groups, rounds) = match quick {
        true => (GROUPS_QUICK, ROUNDS_QUICK),
        false => (GROUPS, ROUNDS),
    };
    let mut history = History::new()?;
    for number in 0..groups {
        history.tell(history::running(number, 0)?)?;
    }
    let crowd = Crowd::gather(groups)?;
    let taken = watch(&crowd, &history, rounds);
    crowd.disperse()?;
    let taken = taken?;
    let share = taken.share();
    let what = |of: &str| format!("{groups} groups: {of}");
    let measured = |took: Duration| format!("{} ms of a core", milliseconds(took));
    let goal = format!("at most {:.1} %", SHARE_MAX * 100.0);
    Ok(vec![
        Finding::new(what("memory, every second"), measured(taken.memory)),
        Finding::new(what("with processor, every ten"), measured(taken.both)),
        Finding::new(what("all counters, every 600"), measured(taken.all)),
        Finding::new(what("sampled"), format!("{:.2} % of a core", share * 100.0))
            .with_goal(goal, share <= SHARE_MAX),
    ])
}

/// Processor time that a round takes on average.
#[derive(Default)]
struct Taken {
    memory: Duration,
    both: Duration,
    all: Duration,
}

impl Taken {
    /// The share of a core, as often as each is done.
    fn share(&self) -> f64 {
        let (memory, both) = (self.memory.as_secs_f64(), self.both.as_secs_f64());
        let samples = (memory * (PER_CPU_SAMPLE - 1.0) + both) / PER_CPU_SAMPLE;
        samples + self.all.as_secs_f64() / PER_READING
    }
}

/// Every other round is one with the processor, so that both are known equally well.
fn watch(crowd: &Crowd, history: &History, rounds: u32) -> Result<Taken> {
    let mut watcher = Watcher::default();
    let mut taken = Taken::default();
    // Caches are filled, and sessions known, after one of each.
    watcher.look(crowd, history, true)?;
    for _ in 0..rounds {
        for (with_cpu, sum) in [(false, &mut taken.memory), (true, &mut taken.both)] {
            std::thread::sleep(PERIOD);
            *sum += spent(|| watcher.look(crowd, history, with_cpu))?;
        }
    }
    taken.memory /= rounds;
    taken.both /= rounds;
    taken.all = spent(|| read(crowd))?;
    Ok(taken)
}

/// What is kept from one look to the next.
#[derive(Default)]
struct Watcher {
    gauges: Gauges,
    sampler: Sampler,
}

impl Watcher {
    fn look(&mut self, crowd: &Crowd, history: &History, with_cpu: bool) -> Result<()> {
        self.gauges.keep(&crowd.uids().iter().collect());
        for uid in crowd.uids() {
            let reading = self.gauges.read(crowd.cgroups(), uid, with_cpu);
            let reading = reading.context("read what a group uses")?;
            let look = Look {
                at: now()?,
                memory: reading.memory,
                cpu_ns: reading.cpu_ns,
            };
            self.sampler.note(history.meter(), uid, look);
        }
        Ok(())
    }
}

fn read(crowd: &Crowd) -> Result<()> {
    for uid in crowd.uids() {
        let usage = crowd.cgroups().group(uid).usage(now()?);
        usage.context("read a group's counters")?;
    }
    Ok(())
}

fn now() -> Result<BootTime> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?);
    Ok(BootTime(u64::try_from(now.as_nanos())?))
}

/// The processor time that this thread needs for something, the kernel's part included.
fn spent(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let clock = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    let before = clock()?;
    work()?;
    Ok(clock()?.saturating_sub(before))
}
