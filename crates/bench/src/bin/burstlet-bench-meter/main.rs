//! Measures what metering takes, beside the goals that it has. `cargo xtask bench meter` builds and
//! runs it.
//!
//! It is a program of its own since it measures crates from within and not programs from outside: it
//! needs no agent, and little has to be built for it.

mod appends;
mod crowd;
mod history;
mod month;
mod page;
mod samples;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use burstlet_bench::machine;
use burstlet_bench::report::{Report, Table};
use clap::{Parser, ValueEnum};

#[derive(Parser)]
#[command(about = "Measures what metering takes")]
struct Args {
    /// Small sizes: shows that it works, says little about speed
    #[arg(long)]
    quick: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Sampling many groups every second; makes cgroups, which needs root
    Samples,
    /// Records until they are durable, beside a bare sync
    Appends,
    /// The page that Prometheus reads, with many finished groups
    Page,
    /// A month of sessions, rated
    Month,
}

/// What was found of one thing, in words, and whether it is as good as it is meant to be.
pub(crate) struct Finding {
    what: String,
    measured: String,
    /// What was meant, and whether that was reached.
    goal: Option<(String, bool)>,
}

impl Finding {
    pub(crate) fn new(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            measured: measured.into(),
            goal: None,
        }
    }

    pub(crate) fn with_goal(mut self, goal: impl Into<String>, held: bool) -> Self {
        self.goal = Some((goal.into(), held));
        self
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("bench: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    ensure!(
        !wanted(Part::Samples) || nix::unistd::geteuid().is_root(),
        "cgroups need root: run it by sudo, or without the part samples"
    );
    let mut found = Vec::new();
    let head = machine::describe();
    if wanted(Part::Samples) {
        found.extend(samples::measure(args.quick).context("measure samples")?);
    }
    if wanted(Part::Appends) {
        found.extend(appends::measure(args.quick).context("measure appends")?);
    }
    if wanted(Part::Page) {
        found.extend(page::measure(args.quick).context("measure the page")?);
    }
    if wanted(Part::Month) {
        found.extend(month::measure(args.quick).context("measure a month")?);
    }
    let mut report = Report::new(vec![head]);
    report.add(table(&found));
    print!("{}", report.markdown());
    Ok(())
}

fn table(found: &[Finding]) -> Table {
    let mut table = Table::new("Metering", &["", "measured", "goal", ""]);
    for finding in found {
        let (goal, held) = match &finding.goal {
            Some((goal, true)) => (&**goal, "held"),
            Some((goal, false)) => (&**goal, "missed"),
            None => ("", ""),
        };
        table.row(&[&finding.what, &finding.measured, goal, held]);
    }
    table
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_part_that_needs_no_root_finds_something() {
        for measure in [appends::measure, page::measure, month::measure] {
            let found = measure(true).unwrap();
            assert!(found.iter().any(|finding| finding.goal.is_some()));
            assert!(found.iter().all(|finding| !finding.measured.is_empty()));
        }
    }

    #[test]
    fn a_goal_that_is_missed_is_said_to_be() {
        let finding = |held| Finding::new("a", "2 ms").with_goal("1 ms", held);
        let found = [finding(true), finding(false), Finding::new("b", "3")];
        let mut report = Report::new(Vec::new());
        report.add(table(&found));
        let text = report.markdown();
        let rows: Vec<&str> = text.lines().skip(4).collect();
        assert_eq!(
            rows,
            [
                "| a | 2 ms | 1 ms | held |",
                "| a | 2 ms | 1 ms | missed |",
                "| b | 3 |  |  |"
            ]
        );
    }
}
