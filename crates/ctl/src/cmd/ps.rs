//! `ps`: containers as a table.

use anyhow::Result;
use burstlet_proto::v1::container_status::State;
use burstlet_proto::v1::{Container, ContainerGroup, ContainerStatus, GroupCost};
use pbjson_types::Timestamp;
use serde_json::json;

use crate::billing::money;
use crate::client::Client;
use crate::ephemeral::like_container;
use crate::error::Exit;
use crate::human;
use crate::output::{Listing, OutputArgs, print};
use crate::table::Table;

/// The flags of `ps`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Containers that have ended, too
    #[arg(short, long)]
    all: bool,
    /// Containers of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only containers of groups with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR", default_value = "")]
    #[arg(hide_default_value = true)]
    selector: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// A container with what its group says about it.
struct Row {
    namespace: String,
    group: String,
    cost: Option<GroupCost>,
    spec: Container,
    status: ContainerStatus,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let namespace = if args.all_namespaces {
        ""
    } else {
        client.namespace()
    };
    let groups = client.list(namespace, &args.selector).await?;
    let rows = rows(groups, args.all);
    let listing = Listing {
        kind: "ContainerList",
        items: &rows,
        document: |row| {
            Ok(json!({
                "namespace": row.namespace,
                "group": row.group,
                "spec": row.spec,
                "status": row.status,
            }))
        },
        name: |row| format!("{}/{}", row.group, row.spec.name),
    };
    print(listing.render(args.output.output, |is_wide| {
        table(&rows, is_wide, args.all_namespaces, &human::now())
    })?)?;
    Ok(Exit::SUCCESS)
}

fn rows(groups: impl IntoIterator<Item = ContainerGroup>, all: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for group in groups {
        let metadata = group.metadata.unwrap_or_default();
        let (spec, status) = (
            group.spec.unwrap_or_default(),
            group.status.unwrap_or_default(),
        );
        let mut statuses = status.init_container_statuses;
        statuses.extend(status.container_statuses);
        statuses.extend(status.ephemeral_container_statuses);
        let lasting = spec.init_containers.into_iter().chain(spec.containers);
        let ephemeral = spec.ephemeral_containers.iter().map(like_container);
        for container in lasting.chain(ephemeral) {
            let found = statuses.iter().find(|status| status.name == container.name);
            let of_it = found.cloned().unwrap_or_default();
            if all || !matches!(of_it.state, Some(State::Terminated(_))) {
                rows.push(Row {
                    namespace: metadata.namespace.clone(),
                    group: metadata.name.clone(),
                    cost: status.cost.clone(),
                    spec: container,
                    status: of_it,
                });
            }
        }
    }
    rows
}

fn table(rows: &[Row], is_wide: bool, all_namespaces: bool, now: &Timestamp) -> String {
    let mut table = Table::new([
        "NAMESPACE",
        "GROUP",
        "CONTAINER",
        "IMAGE",
        "STATUS",
        "RESTARTS",
        "PORTS",
        "PID",
        "GROUP COST",
        "PER HOUR",
        "IMAGE ID",
    ]);
    for row in rows {
        table.row([
            row.namespace.clone(),
            row.group.clone(),
            row.spec.name.clone(),
            row.spec.image.clone(),
            status_text(&row.status, now),
            row.status.restart_count.to_string(),
            ports(&row.spec),
            pid(&row.status),
            cost(row, |cost| &cost.cost),
            cost(row, |cost| &cost.hourly_cost),
            row.status.image_id.clone(),
        ]);
    }
    if !all_namespaces {
        table = table.without(&["NAMESPACE"]);
    }
    if !is_wide {
        table = table.without(&["PID", "GROUP COST", "PER HOUR", "IMAGE ID"]);
    }
    table.render("")
}

fn status_text(status: &ContainerStatus, now: &Timestamp) -> String {
    match &status.state {
        Some(State::Running(running)) => {
            let ready = if status.ready { "" } else { " (not ready)" };
            format!("Up {}{ready}", human::age(running.started_at.as_ref(), now))
        }
        Some(State::Terminated(ended)) => {
            let why = match ended.reason.as_str() {
                "" | "Completed" | "Error" => String::new(),
                reason => format!(", {reason}"),
            };
            let ago = human::age(ended.finished_at.as_ref(), now);
            format!("Exited ({}{why}) {ago} ago", ended.exit_code)
        }
        Some(State::Waiting(waiting)) => format!("Waiting ({})", waiting.reason),
        None => "Waiting".to_owned(),
    }
}

fn ports(container: &Container) -> String {
    let port = |port: &burstlet_proto::v1::ContainerPort| {
        let protocol = if port.protocol.is_empty() {
            "TCP"
        } else {
            &port.protocol
        };
        let inside = format!("{}/{}", port.container_port, protocol.to_ascii_lowercase());
        match (port.host_port, port.host_ip.as_str()) {
            (Some(host), "") => format!("{host}->{inside}"),
            (Some(host), ip) => format!("{ip}:{host}->{inside}"),
            (None, _) => inside,
        }
    };
    container
        .ports
        .iter()
        .map(port)
        .collect::<Vec<_>>()
        .join(", ")
}

/// An amount of what the container's group costs.
fn cost(row: &Row, amount: fn(&GroupCost) -> &String) -> String {
    let cost = row.cost.as_ref();
    cost.map(|cost| money(amount(cost), &cost.currency))
        .unwrap_or_default()
}

fn pid(status: &ContainerStatus) -> String {
    match &status.state {
        Some(State::Running(running)) if running.pid != 0 => running.pid.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::fixtures::{NOW, groups};

    #[test]
    fn people_get_a_table() {
        insta::assert_snapshot!("ps", table(&rows(groups(), false), false, false, &NOW));
        insta::assert_snapshot!(
            "ps_all_wide",
            table(&rows(groups(), true), true, true, &NOW)
        );
    }
}
