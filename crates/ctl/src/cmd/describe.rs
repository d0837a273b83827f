//! `describe`: all about groups.

use anyhow::{Context, Result};
use burstlet_proto::v1::EventsRequest;

use crate::client::Client;
use crate::describe::describe;
use crate::error::Exit;
use crate::human;
use crate::output::print;

/// The flags of `describe`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The groups
    #[arg(required = true)]
    names: Vec<String>,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    super::for_each(&args.names, async |name| {
        let group = client.get(name).await?;
        let request = EventsRequest {
            group: client.group(name),
            ..EventsRequest::default()
        };
        let events = client
            .groups()
            .events(request)
            .await
            .context("list the events")?;
        let (mut answers, mut events) = (events.into_inner(), Vec::new());
        while let Some(answer) = answers.message().await.context("list the events")? {
            events.extend(answer.event);
        }
        print(describe(&group, &events, &human::now()))
    })
    .await
}
