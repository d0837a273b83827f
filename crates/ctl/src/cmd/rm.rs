//! `rm`: end groups and forget them.

use anyhow::{Context, Result};
use burstlet_proto::v1::wait_request::Condition;
use burstlet_proto::v1::{ContainerGroup, DeleteRequest};
use tonic::{Code, Status};

use super::wait::wait;
use crate::client::Client;
use crate::error::{Exit, ExitError};
use crate::output::print;

/// The flags of `rm`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The groups
    #[arg(required_unless_present = "all")]
    names: Vec<String>,
    /// Also groups that run; what is not there is no failure
    #[arg(short, long)]
    force: bool,
    /// All groups of the namespace
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Seconds between the stop signal and SIGKILL
    #[arg(short, long, value_name = "SECONDS")]
    time: Option<u32>,
    /// Do not wait until they are gone
    #[arg(long)]
    no_wait: bool,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let mut names = args.names.clone();
    if args.all {
        let groups = client.list(client.namespace(), "").await?;
        names = groups
            .iter()
            .map(|group| super::shown_name(group, client))
            .collect();
    }
    super::for_each(&names, async |name| {
        if !args.force && is_running(&client.get(name).await?) {
            let text = format!("{name} runs: stop it first, or use rm --force");
            return Err(ExitError {
                text,
                exit: Exit::FAILURE,
            }
            .into());
        }
        match remove(args, client, name).await {
            Err(fault) if args.force && is_gone(&fault) => Ok(()),
            other => other,
        }
    })
    .await
}

async fn remove(args: &Args, client: &Client, name: &str) -> Result<()> {
    let request = DeleteRequest {
        group: client.group(name),
        grace_period_seconds: args.time,
    };
    let deleted = client.groups().delete(request).await;
    let deleted = deleted
        .with_context(|| format!("remove {name}"))?
        .into_inner();
    if !args.no_wait {
        // By uid: a new group may take the name at once.
        let uid = deleted
            .metadata
            .map(|metadata| metadata.uid)
            .unwrap_or_default();
        match wait(client, &uid, Condition::Deleted, None).await {
            Err(fault) if !is_gone(&fault) => return Err(fault),
            _ => {}
        }
    }
    print(format!("{name}\n"))
}

fn is_running(group: &ContainerGroup) -> bool {
    let phase = group.status.as_ref().map(|status| status.phase.as_str());
    matches!(phase, Some("Running" | "Stopping"))
}

fn is_gone(fault: &anyhow::Error) -> bool {
    fault
        .downcast_ref::<Status>()
        .is_some_and(|status| status.code() == Code::NotFound)
}
