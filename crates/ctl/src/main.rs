//! `burstctl`: container groups from the command line, over the agent's gRPC API.
//!
//! One verb is one file in `cmd`. A verb turns its arguments into requests, and answers into text;
//! both turns are pure functions with golden tests. What a verb says on standard output is for the
//! user and for programs; all else goes to standard error.
//!
//! Exit codes: 0, or 1 for a failure, 64 for arguments that make no sense. `run` and `exec` exit
//! as their container does, and as docker's do for failures of our own: 125, or 126 and 127 when
//! the command cannot be run or is not there.

mod billing;
mod cli;
mod client;
mod cmd;
mod describe;
mod ephemeral;
mod error;
mod files;
mod human;
mod output;
mod safe_extract;
mod session;
mod table;
mod tar_stream;
mod usage;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(fault) => return cli::usage_failure(&fault),
    };
    let own_failure = cli.command.own_failure();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(fault) => return error::report(&fault.into(), own_failure),
    };
    let outcome = runtime.block_on(cmd::run(cli));
    // A thread that waits for the user's next key must not hold the process.
    runtime.shutdown_background();
    match outcome {
        Ok(exit) => exit.into(),
        Err(fault) => error::report(&fault, own_failure),
    }
}
