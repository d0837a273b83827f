//! The agent's command line.

use std::path::PathBuf;

use burstlet_access::Head;
use burstlet_metering::chain::Hash;
use burstlet_metering::published;
use burstlet_model::Namespace;
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
    /// Look at the ledger, whether an agent writes to it or not.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Look at the audit trail, whether an agent writes to it or not.
    #[command(subcommand)]
    Audit(AuditCommand),
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

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Say whether every record is as it was written.
    Verify {
        /// A head that was published, as NUMBER:HEAD: the ledger must have passed through it.
        #[arg(long = "head", value_name = "NUMBER:HEAD", value_parser = head)]
        heads: Vec<(u64, Hash)>,
        /// Another ledger than the configured agent's.
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Write a namespace's records in a form that hack/verify-ledger checks against a published head.
    Extract {
        /// The namespace.
        #[arg(value_parser = namespace)]
        namespace: Namespace,
        /// Another ledger than the configured agent's.
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Say whether every line is as it was written, and the head to keep elsewhere.
    Verify {
        /// A head that was kept, as NUMBER:HASH: the trail must have passed through it.
        #[arg(long = "head", value_name = "NUMBER:HASH")]
        heads: Vec<Head>,
        /// Another trail than the configured agent's.
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

fn head(text: &str) -> Result<(u64, Hash), String> {
    published(text)
        .ok_or_else(|| "must be NUMBER:HEAD, the head in 64 hexadecimal digits".to_owned())
}

fn namespace(text: &str) -> Result<Namespace, String> {
    Namespace::new(text).map_err(|error| error.to_string())
}
