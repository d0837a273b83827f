//! `wait`: until groups are as asked.

use std::time::Duration;

use anyhow::{Context, Result};
use burstlet_proto::v1::container_status::State;
use burstlet_proto::v1::wait_request::Condition;
use burstlet_proto::v1::{ContainerGroup, WaitRequest};
use clap::ValueEnum;

use crate::client::Client;
use crate::error::Exit;
use crate::human;
use crate::output::print;

/// The flags of `wait`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The groups
    #[arg(required = true)]
    names: Vec<String>,
    /// What to wait for
    #[arg(long = "for", value_enum, default_value_t = For::Finished)]
    condition: For,
    /// The longest wait, as 30s or 5m
    #[arg(long, value_name = "SPAN", value_parser = human::parse_duration)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum For {
    /// A container runs
    Running,
    /// All containers are ready
    Ready,
    /// It ended; prints the exit code of each container
    Finished,
    /// It was stopped
    Stopped,
    /// It is gone
    Deleted,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let condition = match args.condition {
        For::Running => Condition::Running,
        For::Ready => Condition::Ready,
        For::Finished => Condition::Finished,
        For::Stopped => Condition::Stopped,
        For::Deleted => Condition::Deleted,
    };
    super::for_each(&args.names, async |name| {
        let group = wait(client, name, condition, args.timeout).await?;
        match args.condition {
            For::Finished => print(codes(&group)),
            _ => print(format!("{name}\n")),
        }
    })
    .await
}

/// Waits for one group.
pub(crate) async fn wait(
    client: &Client,
    name: &str,
    condition: Condition,
    timeout: Option<Duration>,
) -> Result<ContainerGroup> {
    let timeout = timeout.map(|timeout| pbjson_types::Duration {
        seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(timeout.subsec_nanos()).unwrap_or_default(),
    });
    let group = client.group(name);
    let request = WaitRequest {
        group,
        condition: condition.into(),
        timeout,
    };
    let group = client
        .groups()
        .wait(request)
        .await
        .with_context(|| format!("wait for {name}"))?;
    Ok(group.into_inner())
}

/// The exit code of each main container, one on a line.
fn codes(group: &ContainerGroup) -> String {
    let statuses = group
        .status
        .iter()
        .flat_map(|status| &status.container_statuses);
    let code = |state: &State| match state {
        State::Terminated(ended) => Some(format!("{}\n", ended.exit_code)),
        State::Waiting(_) | State::Running(_) => None,
    };
    statuses
        .filter_map(|status| status.state.as_ref().and_then(code))
        .collect()
}
