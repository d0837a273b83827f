//! `rmi`: images out of the store.

use anyhow::{Context, Result};
use burstlet_proto::v1::RemoveImageRequest;

use crate::client::Client;
use crate::error::Exit;
use crate::output::print;

/// The flags of `rmi`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Names or digests
    #[arg(required = true)]
    images: Vec<String>,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    super::for_each(&args.images, async |image| {
        let request = RemoveImageRequest {
            image: image.to_owned(),
        };
        let removed = client.images().remove(request).await;
        let removed = removed
            .with_context(|| format!("remove {image}"))?
            .into_inner();
        let lines = removed.removed_names.iter().chain(&removed.removed_digests);
        print(lines.map(|line| format!("{line}\n")).collect::<String>())
    })
    .await
}
