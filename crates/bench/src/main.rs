//! Measures how Burstlet does beside what does the same work, in one run on one machine.
//! `cargo xtask bench` builds the release programs and runs this.

mod burstlet;
mod bursts;
mod cluster;
mod command;
mod engine;
mod floor;
mod groups;
mod idle;
mod image;
mod latency;
mod logs;
mod neighbour;
mod peers;
mod pull;
mod scratch;
mod setting;
mod start;

use std::process::ExitCode;

use burstlet_bench::{clock, machine, report};
use clap::Parser;

/// What is measured.
#[derive(Parser)]
#[command(about = "Measures Burstlet beside its peers")]
enum Args {
    /// Groups: starts, execs, bursts, logs, memory and pulls, beside other runtimes
    Start(start::Args),
    /// A small service beside a group that takes all that it can get
    Neighbour(neighbour::Args),
    /// A node's streams: exec and port-forward
    Streams(cluster::streams::Args),
    /// A node's pods: created, seen to run, deleted, seen to be gone
    Pods(cluster::pods::Args),
    /// A node with more pods than it has room for
    Crowd(cluster::crowd::Args),
}

fn main() -> ExitCode {
    let measured = match Args::parse() {
        Args::Start(args) => start::run(&args),
        Args::Neighbour(args) => neighbour::run(&args),
        Args::Streams(args) => cluster::streams::run(&args),
        Args::Pods(args) => cluster::pods::run(&args),
        Args::Crowd(args) => cluster::crowd::run(&args),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("bench: {fault:#}");
            ExitCode::FAILURE
        }
    }
}
