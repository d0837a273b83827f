//! `prune`: what nothing needs out of the store.

use anyhow::{Context, Result};
use burstlet_proto::v1::PruneImagesRequest;

use crate::client::Client;
use crate::error::Exit;
use crate::human;
use crate::output::print;

/// The flags of `prune`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Also images that have a name but that no group uses
    #[arg(short, long)]
    all: bool,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let request = PruneImagesRequest { all: args.all };
    let pruned = client
        .images()
        .prune(request)
        .await
        .context("prune the images")?
        .into_inner();
    let lines: String = pruned
        .removed_digests
        .iter()
        .map(|digest| format!("{digest}\n"))
        .collect();
    print(lines)?;
    eprintln!("{} freed", human::bytes(pruned.freed_bytes));
    Ok(Exit::SUCCESS)
}
