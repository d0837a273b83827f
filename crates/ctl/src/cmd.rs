//! The verbs, one file each. Each has `Args` and `run`, and keeps what can be pure in functions
//! from messages to text.

pub(crate) mod attach;
pub(crate) mod bill;
pub(crate) mod budgets;
pub(crate) mod capabilities;
pub(crate) mod completion;
pub(crate) mod cp;
pub(crate) mod create;
pub(crate) mod describe;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod export;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod get;
pub(crate) mod images;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod ledger;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod policy;
pub(crate) mod port_forward;
pub(crate) mod prices;
pub(crate) mod prune;
pub(crate) mod ps;
pub(crate) mod pull;
pub(crate) mod quote;
pub(crate) mod restart;
pub(crate) mod rm;
pub(crate) mod rmi;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod stop;
pub(crate) mod top;
pub(crate) mod usage;
pub(crate) mod validate;
pub(crate) mod wait;

use anyhow::Result;
use burstlet_proto::v1::ContainerGroup;

use crate::cli::{Cli, Command};
use crate::client::Client;
use crate::error::{Exit, ExitError, render};

/// Runs a verb.
pub(crate) async fn run(cli: Cli) -> Result<Exit> {
    match &cli.command {
        Command::Completion(args) => return completion::run(args),
        Command::Man(args) => return man::run(args),
        _ => {}
    }
    let client = Client::connect(&cli.connection).await?;
    match cli.command {
        Command::Run(args) => run::run(&args, &client).await,
        Command::Create(args) => create::run(&args, &client).await,
        Command::Validate(args) => validate::run(&args, &client).await,
        Command::Get(args) => get::run(&args, &client).await,
        Command::Ps(args) => ps::run(&args, &client).await,
        Command::Describe(args) => describe::run(&args, &client).await,
        Command::Logs(args) => logs::run(&args, &client).await,
        Command::Exec(args) => exec::run(&args, &client).await,
        Command::Attach(args) => attach::run(&args, &client).await,
        Command::Cp(args) => cp::run(&args, &client).await,
        Command::PortForward(args) => port_forward::run(&args, &client).await,
        Command::Stop(args) => stop::run(&args, &client).await,
        Command::Start(args) => start::run(&args, &client).await,
        Command::Restart(args) => restart::run(&args, &client).await,
        Command::Rm(args) => rm::run(&args, &client).await,
        Command::Wait(args) => wait::run(&args, &client).await,
        Command::Events(args) => events::run(&args, &client).await,
        Command::Stats(args) => stats::run(&args, &client).await,
        Command::Top(args) => top::run(&args, &client).await,
        Command::Usage(args) => usage::run(&args, &client).await,
        Command::Bill(args) => bill::run(&args, &client).await,
        Command::Quote(args) => quote::run(&args, &client).await,
        Command::Prices(args) => prices::run(&args, &client).await,
        Command::Ledger(command) => ledger::run(&command, &client).await,
        Command::Budgets(args) => budgets::run(&args, &client).await,
        Command::Policy(command) => policy::run(&command, &client).await,
        Command::Export(args) => export::run(&args, &client).await,
        Command::Images(args) => images::run(&args, &client).await,
        Command::Pull(args) => pull::run(&args, &client).await,
        Command::Import(args) => import::run(&args, &client).await,
        Command::Rmi(args) => rmi::run(&args, &client).await,
        Command::Prune(args) => prune::run(&args, &client).await,
        Command::Doctor(args) => doctor::run(&args, &client).await,
        Command::Info(args) => info::run(&args, &client).await,
        Command::Capabilities(args) => capabilities::run(&args, &client).await,
        Command::Completion(_) | Command::Man(_) => Ok(Exit::SUCCESS),
    }
}

/// Does the same for each name. A failure is told and does not keep the others from their turn.
async fn for_each(names: &[String], mut act: impl AsyncFnMut(&str) -> Result<()>) -> Result<Exit> {
    let mut failed = 0;
    for name in names {
        if let Err(fault) = act(name).await {
            if names.len() == 1 {
                return Err(fault);
            }
            eprint!("burstctl: {}", render(&fault));
            failed += 1;
        }
    }
    match failed {
        0 => Ok(Exit::SUCCESS),
        // Each was told above.
        _ => Err(ExitError {
            text: String::new(),
            exit: Exit::FAILURE,
        }
        .into()),
    }
}

/// `NAMESPACE/NAME`, or only the name in the namespace that the user works in.
fn shown_name(group: &ContainerGroup, client: &Client) -> String {
    let Some(metadata) = &group.metadata else {
        return String::new();
    };
    match metadata.namespace == client.namespace() {
        true => metadata.name.clone(),
        false => format!("{}/{}", metadata.namespace, metadata.name),
    }
}
