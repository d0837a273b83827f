//! The agent: configuration, wiring and the real host.

mod access;
mod audit;
mod billing;
mod budgets;
mod cli;
mod config;
mod device;
mod devices;
mod doctor;
mod following;
mod host;
mod id_ranges;
mod images;
mod kubelet;
mod kubernetes;
mod ledger;
mod machine;
mod metering;
mod metrics;
mod network;
mod node;
mod otlp;
mod policy;
mod processors;
mod records;
mod reload;
mod run;
mod uninstall;
mod vault;

use std::process::ExitCode;

use burstlet_otlp::LogLayer;
use burstlet_telemetry::log::{self, Layer, LogConfig, LogFormat};
use clap::Parser;
use nix::sys::signal::SigSet;

use crate::cli::{Cli, Command, ConfigCommand};
use crate::config::Config;

/// A wrong command line or configuration (`EX_USAGE` of sysexits).
const EXIT_USAGE: u8 = 64;
/// It could not be found out whether the ledger or the audit trail is as it was written.
const EXIT_UNKNOWN: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, and are no failure.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let config = match config::load(cli.config.as_deref(), std::env::vars()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{}", host::failure::chain(&error));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    burstlet_failpoint::arm();
    match cli.command.unwrap_or(Command::Run) {
        Command::Config(ConfigCommand::Check) => ExitCode::SUCCESS,
        Command::Ledger(command) => found(ledger::look(&config, command)),
        Command::Audit(command) => found(audit::look(&config, command)),
        Command::Doctor if doctor::doctor(&config) => ExitCode::SUCCESS,
        Command::Doctor => ExitCode::FAILURE,
        Command::Run => {
            let (layer, outlet) = otlp::outlet(&config.otlp);
            work(&config, layer, run::run(config.clone(), outlet))
        }
        Command::Uninstall { yes } => {
            work(&config, None, uninstall::uninstall(config.clone(), yes))
        }
    }
}

/// The exit code for what was looked at, which is as it was written or not.
fn found(is_whole: anyhow::Result<bool>) -> ExitCode {
    match is_whole {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("burstlet: {error:#}");
            ExitCode::from(EXIT_UNKNOWN)
        }
    }
}

/// Runs what needs the runtime and the log, and prints why it failed. The log goes to `layer`, too.
fn work(
    config: &Config,
    layer: Option<LogLayer>,
    work: impl Future<Output = anyhow::Result<()>>,
) -> ExitCode {
    let log = LogConfig {
        format: match config.log.format {
            config::LogFormat::Text => LogFormat::Text,
            config::LogFormat::Json => LogFormat::Json,
        },
        filter: config.log.filter.clone(),
    };
    // Files and directories have the modes that they are made with, whoever started us.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let layer = layer.map(Layer::boxed);
    let done = log::init(&log, layer).map_err(anyhow::Error::from);
    let done = done.and_then(|()| {
        // A signal that whoever started us has blocked would never end us.
        SigSet::empty().thread_set_mask()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(work)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("burstlet: {error:#}");
            ExitCode::FAILURE
        }
    }
}
