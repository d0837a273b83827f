//! The agent's command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Runs container groups on this machine, isolated and metered.
#[derive(Debug, Parser)]
#[command(name = "burstlet", version, about, long_about = None)]
pub(crate) struct Cli {
    /// The configuration file. Without one every key has its default.
    #[arg(long, env = "BURSTLET_CONFIG", value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the agent in the foreground (the default). SIGTERM ends it; groups go on.
    Run,
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Say what of this host works for Burstlet, what does not, and what to do.
    Doctor,
    /// End every group and remove every trace of Burstlet from this host.
    Uninstall {
        /// Do it without asking.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration and say whether it is valid. Touches nothing.
    Check,
}
