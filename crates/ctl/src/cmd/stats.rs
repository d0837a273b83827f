//! `stats`: what groups use, again and again.

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::{Context, Result};
use burstlet_proto::v1::{StatsRequest, StatsResponse};
use tonic::Streaming;

use crate::client::Client;
use crate::error::Exit;
use crate::human;
use crate::output::print;
use crate::usage;

/// Goes to the top left corner and clears the window.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// The flags of `stats`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only these groups' numbers, one group
    name: Option<String>,
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
    /// Only groups with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR", default_value = "")]
    #[arg(hide_default_value = true)]
    selector: String,
    /// Each container on a line of its own, too
    #[arg(long)]
    containers: bool,
    /// The time between two readings
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = human::parse_duration)]
    interval: Duration,
    /// Print once, as soon as there are rates
    #[arg(long)]
    no_stream: bool,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let namespace = if args.all_namespaces {
        ""
    } else {
        client.namespace()
    };
    let request = StatsRequest {
        namespace: namespace.to_owned(),
        label_selector: args.selector.clone(),
        group: args.name.as_deref().and_then(|name| client.group(name)),
        interval: Some(interval(args.interval)),
    };
    let mut readings = readings(client, request).await?;
    let clear = if io::stdout().is_terminal() && !args.no_stream {
        CLEAR
    } else {
        ""
    };
    let mut before: Option<StatsResponse> = None;
    while let Some(reading) = readings
        .message()
        .await
        .context("read the use of resources")?
    {
        if before.is_some() || !args.no_stream {
            let lines = usage::lines(before.as_ref(), &reading, args.containers);
            print(format!("{clear}{}", usage::table(&lines, args.containers)))?;
        }
        if before.is_some() && args.no_stream {
            break;
        }
        before = Some(reading);
    }
    Ok(Exit::SUCCESS)
}

/// Starts a stream of readings.
pub(super) async fn readings(
    client: &Client,
    request: StatsRequest,
) -> Result<Streaming<StatsResponse>> {
    let readings = client
        .groups()
        .stats(request)
        .await
        .context("read the use of resources")?;
    Ok(readings.into_inner())
}

/// The API's form of an interval.
pub(super) fn interval(span: Duration) -> pbjson_types::Duration {
    pbjson_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
    }
}
