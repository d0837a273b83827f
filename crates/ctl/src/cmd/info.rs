//! `info`: the node.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use burstlet_proto::v1::{Amounts, CapacityRequest, CapacityResponse, NodeInfo, NodeInfoRequest};
use serde_json::json;

use crate::client::Client;
use crate::error::Exit;
use crate::human::{self, clean};
use crate::output::{Format, OutputArgs, json_text, print, yaml_text};
use crate::table::Table;

/// The flags of `info`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let info = client
        .node()
        .info(NodeInfoRequest {})
        .await
        .context("ask for the node")?;
    let capacity = client.node().capacity(CapacityRequest {}).await;
    let capacity = capacity
        .context("ask for the node's capacity")?
        .into_inner();
    print(render(&info.into_inner(), &capacity, args.output.output)?)?;
    Ok(Exit::SUCCESS)
}

fn render(info: &NodeInfo, capacity: &CapacityResponse, format: Format) -> Result<String> {
    let document = || json!({"node": info, "capacity": capacity});
    match format {
        Format::Table | Format::Wide => Ok(text(info, capacity)),
        Format::Name => Ok(format!("{}\n", info.name)),
        Format::Json => json_text(&document()),
        Format::Yaml => yaml_text(&document()),
    }
}

fn text(info: &NodeInfo, capacity: &CapacityResponse) -> String {
    let up = match (&info.started_at, &info.now) {
        (Some(started), Some(now)) => human::age(Some(started), now),
        _ => String::new(),
    };
    let mut text = String::new();
    for (key, value) in [
        ("Node", info.name.as_str()),
        ("Burstlet", info.version.as_str()),
        ("Up", up.as_str()),
        ("System", info.os_image.as_str()),
        ("Kernel", info.kernel.as_str()),
        ("Architecture", info.architecture.as_str()),
        ("Cgroups", info.cgroup_mode.as_str()),
        ("Network", info.network_mode.as_str()),
        ("Subnet", info.subnet.as_str()),
        ("Address", info.address.as_str()),
        ("State", info.state_dir.as_str()),
        ("Run", info.run_dir.as_str()),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("{:<14}{}\n", format!("{key}:"), clean(value)));
        }
    }
    text.push_str(&format!("{:<14}{} run", "Groups:", capacity.groups_running));
    text.push_str(&format!(
        ", {} wait for room ({} may)\n",
        capacity.groups_queued, capacity.queue_max
    ));
    text.push_str("Capacity:\n");
    text.push_str(&amounts_table(capacity));
    text
}

/// A column for each resource; devices have theirs by name.
fn amounts_table(capacity: &CapacityResponse) -> String {
    let nothing = Amounts::default();
    let rows = [
        ("total", &capacity.total),
        ("reserved", &capacity.reserved),
        ("for groups", &capacity.allocatable),
        ("asked for", &capacity.requested),
    ]
    .map(|(name, amounts)| (name, amounts.as_ref().unwrap_or(&nothing)));
    let devices = rows.iter().flat_map(|(_, amounts)| amounts.devices.keys());
    let devices: BTreeSet<&String> = devices.collect();
    let heading = ["", "CPU", "MEMORY", "STORAGE"].map(str::to_owned);
    let named = devices.iter().map(|resource| clean(resource));
    let mut table = Table::of(heading.into_iter().chain(named).collect());
    for (name, amounts) in rows {
        let fixed = [
            name.to_owned(),
            human::cpu(amounts.cpu_milli),
            human::bytes(amounts.memory_bytes),
            human::bytes(amounts.ephemeral_storage_bytes),
        ];
        let counts = devices.iter().map(|of| amounts.devices.get(*of));
        let counts = counts.map(|count| count.copied().unwrap_or(0).to_string());
        table.row(fixed.into_iter().chain(counts));
    }
    table.render("  ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::cmd::fixtures::{NOW, at};

    fn amounts(cpu_milli: u64, memory_gib: u64, gpus: u64) -> Option<Amounts> {
        let memory_bytes = memory_gib << 30;
        let devices = (gpus > 0).then(|| ("example.com/gpu".to_owned(), gpus));
        Some(Amounts {
            cpu_milli,
            memory_bytes,
            ephemeral_storage_bytes: 0,
            devices: devices.into_iter().collect(),
        })
    }

    #[test]
    fn people_get_lines() {
        let info = NodeInfo {
            name: "node-1".into(),
            version: "0.1.0".into(),
            os_image: "Debian GNU/Linux 12 (bookworm)".into(),
            cgroup_mode: "hybrid".into(),
            started_at: Some(at(-3600, 0)),
            now: Some(NOW),
            ..NodeInfo::default()
        };
        let capacity = CapacityResponse {
            total: amounts(2000, 24, 2),
            reserved: amounts(100, 1, 0),
            requested: amounts(1250, 3, 1),
            allocatable: amounts(1900, 23, 2),
            groups_running: 3,
            groups_queued: 1,
            queue_max: 1000,
        };
        insta::assert_snapshot!("info", render(&info, &capacity, Format::Table).unwrap());
        insta::assert_snapshot!("info_yaml", render(&info, &capacity, Format::Yaml).unwrap());
    }
}
