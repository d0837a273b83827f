//! The project's own chores: `cargo xtask check` is what continuous integration runs.

mod bench;
mod check;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own chores")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run every check: format, lints, tidy, licences, tests, documentation
    Check {
        /// Also the tests that need root
        #[arg(long)]
        privileged: bool,
    },
    /// Compare the tree with the project's rules: crate edges, file sizes, leftovers, unsafe code
    Tidy,
    /// Measure Burstlet beside its peers
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// Starts, execs, bursts, logs, memory and pulls, as Markdown tables; needs root
    Start {
        /// For the program that measures: `--rounds N`, `--quick`, `--only PART,PART`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// A small service beside a group that takes all that it can get, as a Markdown table; needs root
    Neighbour {
        /// For the program that measures: `--rounds N`, `--requests N`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What a node of a cluster does: streams and pods, as Markdown tables; needs root
    Kube {
        /// Only these: `streams`, `pods`
        parts: Vec<String>,
    },
    /// What metering takes: samples, durable records, the page for Prometheus, a month's bill
    Meter {
        /// For the program that measures: `--quick`, `--only PART,PART`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("xtask: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let root = root()?;
    match &args.chore {
        Chore::Check { privileged } => check::run(&root, *privileged),
        Chore::Tidy => tidy::run(&root),
        Chore::Bench { what } => match what {
            Bench::Start { args } => bench::start(&root, args),
            Bench::Neighbour { args } => bench::neighbour(&root, args),
            Bench::Kube { parts } => bench::kube(&root, parts),
            Bench::Meter { args } => bench::meter(&root, args),
        },
    }
}

/// The top of the tree, two levels above this crate.
fn root() -> Result<PathBuf> {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here
        .ancestors()
        .nth(2)
        .context("find the workspace above xtask")?;
    root.canonicalize()
        .with_context(|| format!("resolve {}", root.display()))
}
