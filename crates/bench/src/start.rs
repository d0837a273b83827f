//! How long Burstlet takes beside what does the same work: the kernel's floor, crun, runc, podman and
//! containerd.
//!
//! What keeps it fair: all take turns in an order that rotates; between two starts there is a
//! pause, since the kernel's grace periods hide otherwise; seccomp is on for all and memory, cpu
//! and processes are limited for all; a start's time ends at the payload's own first reading of
//! the clock, whatever the client does afterwards. The client of Burstlet is connected before, the
//! peers' clients are the programs that people run.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::report::Report;
use crate::scratch;
use crate::setting::Setting;
use crate::{bursts, idle, latency, logs, machine, pull};

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the release programs are
    #[arg(long)]
    pub(crate) programs: PathBuf,
    /// The static payload
    #[arg(long)]
    pub(crate) payload: PathBuf,
    /// The repository's top
    #[arg(long)]
    pub(crate) root: PathBuf,
    /// How often each is measured
    #[arg(long, default_value_t = 30)]
    pub(crate) rounds: u32,
    /// Small sizes: shows that it works, says little about speed
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Request to first instruction, start and exec
    Latency,
    /// Starts with many groups running
    Crowd,
    /// Groups started and ended at once
    Burst,
    /// One container's log
    Logs,
    /// Memory of what is idle
    Idle,
    /// Pull and unpack
    Pull,
}

/// Measures, and prints tables.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (scratch, runtime) = scratch::begin(args.rounds)?;
    let mut report = Report::new(machine::with_peers());
    let setting = Setting::prepare(args, &scratch, &runtime)?;
    let measured = measure(args, &setting, &mut report);
    let ended = setting.end();
    print!("{}", report.markdown());
    measured.and(ended)
}

fn measure(args: &Args, setting: &Setting<'_>, report: &mut Report) -> Result<()> {
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    for absent in &setting.absent {
        report.note(absent);
    }
    if wanted(Part::Idle) {
        idle::measure(setting, report).context("measure memory")?;
    }
    if wanted(Part::Latency) {
        latency::measure(setting, report).context("measure starts")?;
    }
    if wanted(Part::Crowd) {
        bursts::crowd(setting, report).context("measure starts in a crowd")?;
    }
    if wanted(Part::Burst) {
        bursts::burst(setting, report).context("measure a burst")?;
    }
    if wanted(Part::Logs) {
        logs::measure(setting, report).context("measure logs")?;
    }
    if wanted(Part::Pull) {
        pull::measure(setting, report).context("measure pulls")?;
    }
    Ok(())
}
