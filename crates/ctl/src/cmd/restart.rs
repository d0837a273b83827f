//! `restart`: end and start again, a group or one container.

use anyhow::{Context, Result};
use burstlet_proto::v1::RestartRequest;

use crate::client::Client;
use crate::error::Exit;
use crate::output::print;

/// The flags of `restart`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The groups
    #[arg(required = true)]
    names: Vec<String>,
    /// Only this container
    #[arg(short, long, default_value = "", hide_default_value = true)]
    container: String,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    super::for_each(&args.names, async |name| {
        let container = args.container.clone();
        let request = RestartRequest {
            group: client.group(name),
            container,
        };
        client
            .groups()
            .restart(request)
            .await
            .with_context(|| format!("restart {name}"))?;
        print(format!("{name}\n"))
    })
    .await
}
