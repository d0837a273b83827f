//! All about one container.

use std::collections::BTreeMap;

use burstlet_proto::v1::container_status::State;
use burstlet_proto::v1::{Container, ContainerStatus, ContainerTerminated, VolumeMount};
use pbjson_types::Timestamp;

use super::Lines;
use crate::human;

/// What it should be and what it is.
pub(super) fn describe(
    lines: &mut Lines,
    container: &Container,
    status: Option<&ContainerStatus>,
    now: &Timestamp,
) {
    lines.indent = 2;
    lines
        .text
        .push_str(&format!("  {}:\n", human::clean(&container.name)));
    lines.indent = 4;
    lines.field("Image", &container.image);
    if let Some(status) = status {
        lines.field("Image ID", &status.image_id);
    }
    lines.field("Command", &words(&container.command));
    lines.field("Args", &words(&container.args));
    let port = |port: &burstlet_proto::v1::ContainerPort| match port.host_port {
        Some(host) => format!("{} (host {host})", port.container_port),
        None => port.container_port.to_string(),
    };
    lines.field(
        "Ports",
        &container
            .ports
            .iter()
            .map(port)
            .collect::<Vec<_>>()
            .join(", "),
    );
    if let Some(resources) = &container.resources {
        lines.field("Requests", &amounts(&resources.requests));
        lines.field("Limits", &amounts(&resources.limits));
    }
    let mounts: Vec<String> = container.volume_mounts.iter().map(mount).collect();
    lines.field("Mounts", &mounts.join(", "));
    if let Some(status) = status {
        observed(lines, status, now);
    }
}

fn observed(lines: &mut Lines, status: &ContainerStatus, now: &Timestamp) {
    match &status.state {
        Some(State::Waiting(waiting)) => {
            lines.field("State", &joined("Waiting", &waiting.reason));
            lines.field("Message", &waiting.message);
        }
        Some(State::Running(running)) => {
            let since = human::age(running.started_at.as_ref(), now);
            lines.field(
                "State",
                &format!("Running for {since}, pid {}", running.pid),
            );
        }
        Some(State::Terminated(ended)) => {
            lines.field("State", &format!("Ended {}", ended_text(ended, now)));
            lines.field("Message", &ended.message);
        }
        None => {}
    }
    if let Some(ended) = &status.last_termination {
        lines.field("Last end", &ended_text(ended, now));
        lines.field("Last message", &ended.message);
    }
    lines.field("Ready", if status.ready { "yes" } else { "no" });
    lines.field("Restarts", &status.restart_count.to_string());
    if let Some(user) = &status.user {
        let groups: Vec<String> = user
            .supplemental_groups
            .iter()
            .map(u32::to_string)
            .collect();
        let groups = joined(&format!("{}:{}", user.uid, user.gid), &groups.join(","));
        lines.field("User", &groups);
    }
}

/// `with code 1 (Error) after 3m, 5s ago`.
fn ended_text(ended: &ContainerTerminated, now: &Timestamp) -> String {
    let how = match ended.signal {
        0 => format!("with code {}", ended.exit_code),
        signal => format!("by signal {signal}"),
    };
    let mut text = joined(&how, &ended.reason);
    if let (Some(from), Some(to)) = (&ended.started_at, &ended.finished_at) {
        text = format!("{text} after {}", human::span(human::between(from, to)));
    }
    match human::age(ended.finished_at.as_ref(), now) {
        ago if ago.is_empty() => text,
        ago => format!("{text}, {ago} ago"),
    }
}

fn joined(text: &str, detail: &str) -> String {
    match detail {
        "" => text.to_owned(),
        detail => format!("{text} ({detail})"),
    }
}

fn mount(mount: &VolumeMount) -> String {
    let mode = if mount.read_only { " (ro)" } else { "" };
    format!("{} from {}{mode}", mount.mount_path, mount.name)
}

fn amounts(amounts: &BTreeMap<String, String>) -> String {
    amounts
        .iter()
        .map(|(name, amount)| format!("{name} {amount}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Words as a shell would take them.
fn words(words: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    let word = |word: &String| match !word.is_empty() && word.chars().all(is_plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}
