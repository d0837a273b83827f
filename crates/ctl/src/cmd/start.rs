//! `start`: run a stopped or finished group again.

use anyhow::{Context, Result};
use burstlet_proto::v1::StartRequest;

use crate::client::Client;
use crate::error::Exit;
use crate::output::print;

/// The flags of `start`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The groups
    #[arg(required = true)]
    names: Vec<String>,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    super::for_each(&args.names, async |name| {
        let request = StartRequest {
            group: client.group(name),
        };
        client
            .groups()
            .start(request)
            .await
            .with_context(|| format!("start {name}"))?;
        print(format!("{name}\n"))
    })
    .await
}
