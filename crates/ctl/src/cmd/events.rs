//! `events`: what happened.

use anyhow::{Context, Result};
use burstlet_proto::v1::{EventsRequest, EventsResponse};
use pbjson_types::Timestamp;

use crate::client::Client;
use crate::error::Exit;
use crate::human::{self, clean};
use crate::output::{Format, Listing, OutputArgs, print};
use crate::table::Table;

/// The flags of `events`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only of this group
    name: Option<String>,
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
    /// Go on with what happens
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let namespace = if args.all_namespaces {
        ""
    } else {
        client.namespace()
    };
    let request = EventsRequest {
        namespace: namespace.to_owned(),
        group: args.name.as_deref().and_then(|name| client.group(name)),
        follow: args.follow,
    };
    let answers = client
        .groups()
        .events(request)
        .await
        .context("list the events")?;
    let (mut answers, mut events) = (answers.into_inner(), Vec::new());
    while let Some(event) = answers.message().await.context("list the events")? {
        match args.follow {
            true => print(followed(&event, args.output.output)?)?,
            false => events.push(event),
        }
    }
    if !args.follow {
        print(listing(&events).render(args.output.output, |_| table(&events, &human::now()))?)?;
    }
    Ok(Exit::SUCCESS)
}

fn listing(events: &[EventsResponse]) -> Listing<'_, EventsResponse> {
    Listing {
        kind: "EventList",
        items: events,
        document: |event| Ok(serde_json::to_value(event)?),
        name: |event| {
            event
                .event
                .as_ref()
                .map(|event| event.reason.clone())
                .unwrap_or_default()
        },
    }
}

fn table(events: &[EventsResponse], now: &Timestamp) -> String {
    let mut table = Table::new(["AGE", "TYPE", "REASON", "GROUP", "CONTAINER", "MESSAGE"]);
    for answer in events {
        let event = answer.event.clone().unwrap_or_default();
        let group = answer
            .group
            .as_ref()
            .map(|group| group.name.clone())
            .unwrap_or_default();
        let age = human::age(event.at.as_ref(), now);
        let message = match event.count {
            0 | 1 => event.message,
            count => format!("{} (x{count})", event.message),
        };
        table.row([
            age,
            event.r#type,
            event.reason,
            group,
            event.container,
            message,
        ]);
    }
    table.render("")
}

/// One event on one line, whose columns no later line can change.
fn followed(answer: &EventsResponse, format: Format) -> Result<String> {
    if !format.is_table() {
        return Ok(serde_json::to_string(answer).context("write JSON")? + "\n");
    }
    let event = answer.event.clone().unwrap_or_default();
    let group = answer
        .group
        .as_ref()
        .map(|group| group.name.as_str())
        .unwrap_or_default();
    let at = event.at.as_ref().map(human::moment).unwrap_or_default();
    let container = if event.container.is_empty() {
        String::new()
    } else {
        format!("/{}", event.container)
    };
    let line = format!(
        "{at} {} {} {group}{container}: {}",
        event.r#type, event.reason, event.message
    );
    Ok(clean(&line) + "\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_proto::v1::{Event, GroupRef};

    use super::*;
    use crate::cmd::fixtures::{NOW, at};

    fn event(seconds: i64, reason: &str, count: u32) -> EventsResponse {
        EventsResponse {
            group: Some(GroupRef {
                name: "web".to_owned(),
                ..GroupRef::default()
            }),
            event: Some(Event {
                at: Some(at(seconds, 0)),
                r#type: "Normal".to_owned(),
                reason: reason.to_owned(),
                message: "it\u{1b}[31m happened".to_owned(),
                container: if reason == "Queued" {
                    String::new()
                } else {
                    "server".to_owned()
                },
                count,
            }),
        }
    }

    #[test]
    fn people_get_a_table_or_lines() {
        let events = [event(-300, "Queued", 1), event(-4, "BackOff", 7)];
        insta::assert_snapshot!("events", table(&events, &NOW));
        let lines: String = events
            .iter()
            .map(|e| followed(e, Format::Table).unwrap())
            .collect();
        insta::assert_snapshot!("events_followed", lines);
    }
}
