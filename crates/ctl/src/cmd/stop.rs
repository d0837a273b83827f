//! `stop`: end the containers, keep the group.

use anyhow::{Context, Result};
use burstlet_proto::v1::StopRequest;
use burstlet_proto::v1::wait_request::Condition;

use super::wait::wait;
use crate::client::Client;
use crate::error::Exit;
use crate::output::print;

/// The flags of `stop`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The groups
    #[arg(required = true)]
    names: Vec<String>,
    /// Seconds between the stop signal and SIGKILL
    #[arg(short, long, value_name = "SECONDS")]
    time: Option<u32>,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    super::for_each(&args.names, async |name| {
        let request = StopRequest {
            group: client.group(name),
            grace_period_seconds: args.time,
        };
        client
            .groups()
            .stop(request)
            .await
            .with_context(|| format!("stop {name}"))?;
        if !args.no_wait {
            wait(client, name, Condition::Finished, None).await?;
        }
        print(format!("{name}\n"))
    })
    .await
}
