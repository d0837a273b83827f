//! `get`: groups as a table, or whole for programs.

use anyhow::{Context, Result};
use burstlet_proto::v1::container_status::State;
use burstlet_proto::v1::watch_response::Type;
use burstlet_proto::v1::{ContainerGroup, GroupStatus, WatchRequest};
use pbjson_types::Timestamp;

use crate::client::Client;
use crate::error::Exit;
use crate::human;
use crate::output::{Format, Listing, OutputArgs, document, json_text, print, yaml_text};
use crate::table::Table;

/// The flags of `get`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only these groups
    names: Vec<String>,
    /// Groups of all namespaces
    #[arg(short = 'A', long, conflicts_with = "names")]
    all_namespaces: bool,
    /// Only groups with these labels: app=web,tier!=cache
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "names")]
    #[arg(default_value = "", hide_default_value = true)]
    selector: String,
    /// Go on with changes
    #[arg(short, long, conflicts_with = "names")]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let format = args.output.output;
    let namespace = if args.all_namespaces {
        ""
    } else {
        client.namespace()
    };
    let table = |groups: &[ContainerGroup], is_wide| {
        table(groups, is_wide, args.all_namespaces, &human::now())
    };
    if args.watch {
        return watch(args, client, namespace).await;
    }
    let mut groups = Vec::new();
    for name in &args.names {
        groups.push(client.get(name).await?);
    }
    if let ([group], Format::Json | Format::Yaml) = (groups.as_slice(), format) {
        let document = document(KIND, group)?;
        let text = if format == Format::Json {
            json_text(&document)
        } else {
            yaml_text(&document)
        };
        print(text?)?;
        return Ok(Exit::SUCCESS);
    }
    if args.names.is_empty() {
        groups = client.list(namespace, &args.selector).await?;
    }
    if groups.is_empty() && format.is_table() {
        eprintln!("no groups found");
        return Ok(Exit::SUCCESS);
    }
    print(listing(&groups).render(format, |is_wide| table(&groups, is_wide))?)?;
    Ok(Exit::SUCCESS)
}

/// The kind of a group's document.
const KIND: &str = "ContainerGroup";

/// Groups for every format.
pub(crate) fn listing(groups: &[ContainerGroup]) -> Listing<'_, ContainerGroup> {
    Listing {
        kind: "ContainerGroupList",
        items: groups,
        document: |group| document(KIND, group),
        name: |group| {
            group
                .metadata
                .as_ref()
                .map(|m| m.name.clone())
                .unwrap_or_default()
        },
    }
}

/// What a group is, in a word: the most telling of its phase and its containers' troubles.
pub(crate) fn status_word(status: &GroupStatus) -> String {
    let quiet = ["", "ContainerCreating", "PodInitializing"];
    let trouble = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses);
    let trouble = trouble.filter_map(|container| match &container.state {
        Some(State::Waiting(waiting)) => Some(waiting.reason.as_str()),
        Some(State::Terminated(ended)) if ended.exit_code != 0 => Some(ended.reason.as_str()),
        _ => None,
    });
    let mut trouble = trouble.filter(|reason| !quiet.contains(reason));
    match status.phase.as_str() {
        "Queued" => format!("Queued ({})", status.queue_position),
        "Pending" | "Running" | "Failed" => {
            trouble.next().unwrap_or(status.phase.as_str()).to_owned()
        }
        phase => phase.to_owned(),
    }
}

fn table(
    groups: &[ContainerGroup],
    is_wide: bool,
    all_namespaces: bool,
    now: &Timestamp,
) -> String {
    let heading = [
        "NAMESPACE",
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
        "ADDRESS",
        "DEVICES",
        "IMAGES",
        "UID",
    ];
    let mut table = Table::new(heading);
    for group in groups {
        table.row(row(group, now));
    }
    if !all_namespaces {
        table = table.without(&["NAMESPACE"]);
    }
    if !is_wide {
        table = table.without(&["ADDRESS", "DEVICES", "IMAGES", "UID"]);
    }
    table.render("")
}

fn row(group: &ContainerGroup, now: &Timestamp) -> [String; 10] {
    let metadata = group.metadata.clone().unwrap_or_default();
    let status = group.status.clone().unwrap_or_default();
    let spec = group.spec.clone().unwrap_or_default();
    let (ready, restarts) = status
        .container_statuses
        .iter()
        .fold((0, 0), |(ready, restarts), c| {
            (ready + u32::from(c.ready), restarts + c.restart_count)
        });
    let devices = status.lease.as_ref();
    let devices = devices.map(|lease| format!("{} {}", lease.devices.len(), lease.resource));
    let images: Vec<String> = spec.containers.into_iter().map(|c| c.image).collect();
    [
        metadata.namespace,
        metadata.name,
        format!("{ready}/{}", images.len()),
        status_word(&status),
        restarts.to_string(),
        human::age(metadata.creation_timestamp.as_ref(), now),
        status.pod_ip,
        devices.unwrap_or_default(),
        images.join(","),
        metadata.uid,
    ]
}

async fn watch(args: &Args, client: &Client, namespace: &str) -> Result<Exit> {
    let request = WatchRequest {
        namespace: namespace.to_owned(),
        label_selector: args.selector.clone(),
        ..WatchRequest::default()
    };
    let changes = client
        .groups()
        .watch(request)
        .await
        .context("watch the groups")?;
    let mut changes = changes.into_inner();
    // The rows known so far are kept, so that columns stay where they are.
    let mut known: Vec<ContainerGroup> = Vec::new();
    while let Some(change) = changes.message().await.context("watch the groups")? {
        let is_deleted = change.r#type() == Type::Deleted;
        let Some(group) = change.group else { continue };
        let uid = |group: &ContainerGroup| group.metadata.as_ref().map(|m| m.uid.clone());
        known.retain(|other| uid(other) != uid(&group));
        known.push(group.clone());
        print(changed_text(args, &known, group)?)?;
        if is_deleted {
            known.pop();
        }
    }
    Ok(Exit::SUCCESS)
}

/// The changed group alone: the last line of the table of all, or its document.
fn changed_text(args: &Args, known: &[ContainerGroup], group: ContainerGroup) -> Result<String> {
    let format = args.output.output;
    listing(&[group]).render(format, |is_wide| {
        let all = table(known, is_wide, args.all_namespaces, &human::now());
        let skip = if known.len() == 1 { 0 } else { known.len() };
        all.lines()
            .skip(skip)
            .map(|line| format!("{line}\n"))
            .collect()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::cmd::fixtures::{NOW, groups};

    #[test]
    fn people_get_a_table() {
        insta::assert_snapshot!("get", table(&groups(), false, false, &NOW));
        insta::assert_snapshot!("get_wide", table(&groups(), true, true, &NOW));
    }

    #[test]
    fn programs_get_documents() {
        let groups = groups();
        let render = |format| listing(&groups).render(format, |_| String::new()).unwrap();
        insta::assert_snapshot!("get_json", render(Format::Json));
        insta::assert_snapshot!("get_yaml", render(Format::Yaml));
        insta::assert_snapshot!("get_name", render(Format::Name));
    }
}
