//! The command line as a whole: what is common to all verbs, and the list of verbs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::client::Address;
use crate::cmd;
use crate::error::Exit;

/// Run container groups with Burstlet.
#[derive(Debug, Parser)]
#[command(
    name = "burstctl",
    version,
    about = "Run container groups with Burstlet",
    disable_help_subcommand = true,
    after_help = "Groups are named NAME, NAMESPACE/NAME or by their uid."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How the agent is reached, and on whose behalf.
#[derive(Args, Clone, Debug)]
pub(crate) struct Connection {
    /// The agent: unix:///PATH, or tcp://HOST:PORT with the --tls options
    #[arg(
        long,
        env = "BURSTLET_ADDRESS",
        default_value = "unix:///run/burstlet/burstlet.sock",
        global = true,
        help_heading = "Connection"
    )]
    pub(crate) address: Address,
    /// Certificates that the agent's certificate must come from
    #[arg(long, value_name = "FILE", env = "BURSTLET_TLS_CA", global = true)]
    #[arg(help_heading = "Connection")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// The client's own certificate
    #[arg(long, value_name = "FILE", env = "BURSTLET_TLS_CERT", global = true)]
    #[arg(help_heading = "Connection")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the client's certificate
    #[arg(long, value_name = "FILE", env = "BURSTLET_TLS_KEY", global = true)]
    #[arg(help_heading = "Connection")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A file that holds an OIDC token, for TCP; instead of a certificate or beside it
    #[arg(long, value_name = "FILE", env = "BURSTLET_TOKEN_FILE", global = true)]
    #[arg(help_heading = "Connection")]
    pub(crate) token_file: Option<PathBuf>,
    /// The namespace of groups that are named without one
    #[arg(
        short,
        long,
        env = "BURSTLET_NAMESPACE",
        default_value = "default",
        global = true
    )]
    #[arg(help_heading = "Connection")]
    pub(crate) namespace: String,
}

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a container of an image in a group of its own
    Run(Box<cmd::run::Args>),
    /// Create groups from files
    Create(cmd::create::Args),
    /// Say what is wrong with files, without creating anything
    Validate(cmd::validate::Args),
    /// Show groups
    Get(cmd::get::Args),
    /// Show containers
    Ps(cmd::ps::Args),
    /// Show all about groups: containers, launch timeline, events
    Describe(cmd::describe::Args),
    /// Print what a container wrote
    Logs(cmd::logs::Args),
    /// Run a command in a running container
    Exec(cmd::exec::Args),
    /// Join the streams of a running container
    Attach(cmd::attach::Args),
    /// Copy files to or from a container (needs tar in its image)
    Cp(cmd::cp::Args),
    /// Lead local ports to ports inside a group
    PortForward(cmd::port_forward::Args),
    /// End a group's containers; its address, volumes and logs stay
    Stop(cmd::stop::Args),
    /// Start stopped or finished groups again
    Start(cmd::start::Args),
    /// Restart groups, or one container
    Restart(cmd::restart::Args),
    /// Remove groups
    Rm(cmd::rm::Args),
    /// Wait until groups are as asked
    Wait(cmd::wait::Args),
    /// Show what happened
    Events(cmd::events::Args),
    /// Show what groups use, live
    Stats(cmd::stats::Args),
    /// Show what groups use now, the largest first
    Top(cmd::top::Args),
    /// Show what groups had and used, and what it cost
    Usage(cmd::usage::Args),
    /// Show what groups cost, price by price
    Bill(cmd::bill::Args),
    /// Say what groups would cost, before they run
    Quote(cmd::quote::Args),
    /// Show price books and prices
    Prices(cmd::prices::Args),
    /// Say how far the ledger is, and whether it is as it was written
    #[command(subcommand)]
    Ledger(cmd::ledger::Command),
    /// Show what may be spent, what was, and what happens about it
    Budgets(cmd::budgets::Args),
    /// Write a group as a file to create it from
    Export(cmd::export::Args),
    /// Show images
    Images(cmd::images::Args),
    /// Pull an image
    Pull(cmd::pull::Args),
    /// Import images from an OCI layout or archive or a docker archive
    Import(cmd::import::Args),
    /// Remove images
    Rmi(cmd::rmi::Args),
    /// Remove images that nothing needs
    Prune(cmd::prune::Args),
    /// Show the node: what it is, has and gives
    Info(cmd::info::Args),
    /// Show what of the node works, what does not, and what to do
    Doctor(cmd::doctor::Args),
    /// Show which fields of a group file are done, warned about or refused
    Capabilities(cmd::capabilities::Args),
    /// Say what of what is there the rules of today would not accept
    #[command(subcommand)]
    Policy(cmd::policy::Command),
    /// Print a completion script
    Completion(cmd::completion::Args),
    /// Print the manual pages
    Man(cmd::man::Args),
}

impl Command {
    /// What to exit with when the fault is ours and not the container's.
    pub(crate) fn own_failure(&self) -> Exit {
        match self {
            Self::Run(_) | Self::Exec(_) => Exit::OWN_FAILURE,
            _ => Exit::FAILURE,
        }
    }
}

/// Prints what is wrong with the arguments, or the help that was asked for.
pub(crate) fn usage_failure(fault: &clap::Error) -> ExitCode {
    // If nobody reads it there is nothing left to say.
    let _ = fault.print();
    match fault.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ if is_docker_like(std::env::args_os()) => Exit::OWN_FAILURE.into(),
        _ => Exit::USAGE.into(),
    }
}

/// Whether the verb is one whose other exit codes are the container's.
fn is_docker_like(args: impl Iterator<Item = OsString>) -> bool {
    let verbs = ["run", "exec"];
    // The verb is the first word that is neither an option nor an option's value; a namespace or
    // an address called "run" costs no more than another exit code for wrong usage.
    args.skip(1)
        .any(|arg| verbs.iter().any(|verb| arg == *verb))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_says_what_it_does() {
        for verb in Cli::command().get_subcommands() {
            assert!(
                verb.get_about().is_some(),
                "{} has no help",
                verb.get_name()
            );
        }
    }

    #[test]
    fn run_and_exec_keep_the_container_s_codes_free() {
        let code = |line: &str| {
            let args = line.split(' ').map(OsString::from);
            is_docker_like(args)
        };
        assert!(code("burstctl run --no-such-flag"));
        assert!(code("burstctl -n team exec"));
        assert!(!code("burstctl get --no-such-flag"));
    }

    #[test]
    fn own_failures_depend_on_the_verb() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap().command;
        assert_eq!(
            parse("burstctl run busybox").own_failure(),
            Exit::OWN_FAILURE
        );
        assert_eq!(
            parse("burstctl exec web ls").own_failure(),
            Exit::OWN_FAILURE
        );
        assert_eq!(parse("burstctl get").own_failure(), Exit::FAILURE);
    }
}
