//! All about a group as text. Pure.

mod container;
mod timeline;

use std::collections::BTreeMap;

use burstlet_proto::v1::{
    ContainerGroup, DeviceLease, EphemeralContainer, Event, GroupCost, GroupStatus, ObjectMeta,
};
use pbjson_types::Timestamp;

use crate::billing::{money, rounded};
use crate::cmd::get::status_word;
use crate::ephemeral::like_container;
use crate::human::{self, clean};
use crate::table::Table;

/// Lines of `Key: value`, the values one below the other.
#[derive(Debug, Default)]
struct Lines {
    text: String,
    indent: usize,
}

/// The whole text.
pub(crate) fn describe(group: &ContainerGroup, events: &[Event], now: &Timestamp) -> String {
    let mut lines = Lines::default();
    let metadata = group.metadata.clone().unwrap_or_default();
    let status = group.status.clone().unwrap_or_default();
    let spec = group.spec.clone().unwrap_or_default();
    head(&mut lines, &metadata, &status, now);
    if let Some(launch) = &status.timeline {
        lines.section("Launch");
        timeline::describe(&mut lines, launch);
    }
    for (title, containers, statuses) in [
        (
            "Init containers",
            &spec.init_containers,
            &status.init_container_statuses,
        ),
        ("Containers", &spec.containers, &status.container_statuses),
    ] {
        if !containers.is_empty() {
            lines.section(title);
        }
        for container in containers {
            let status = statuses.iter().find(|status| status.name == container.name);
            container::describe(&mut lines, container, status, now);
        }
    }
    ephemeral(&mut lines, &spec.ephemeral_containers, &status, now);
    lines.section("Events");
    lines.text.push_str(&event_table(events, now));
    lines.text
}

/// Those that were added to look into the others.
fn ephemeral(
    lines: &mut Lines,
    added: &[EphemeralContainer],
    status: &GroupStatus,
    now: &Timestamp,
) {
    if !added.is_empty() {
        lines.section("Ephemeral containers");
    }
    for one in added {
        let mut statuses = status.ephemeral_container_statuses.iter();
        let status = statuses.find(|status| status.name == one.name);
        container::describe(lines, &like_container(one), status, now);
        lines.field("Looks into", &one.target_container_name);
    }
}

/// When, what and why, the oldest first.
fn event_table(events: &[Event], now: &Timestamp) -> String {
    if events.is_empty() {
        return "  none\n".to_owned();
    }
    let mut table = Table::new(["AGE", "TYPE", "REASON", "CONTAINER", "MESSAGE"]);
    for event in events {
        let mut message = event.message.clone();
        if event.count > 1 {
            message = format!("{message} (x{})", event.count);
        }
        let age = human::age(event.at.as_ref(), now);
        let (kind, reason) = (event.r#type.clone(), event.reason.clone());
        table.row([age, kind, reason, event.container.clone(), message]);
    }
    table.render("  ")
}

fn head(lines: &mut Lines, metadata: &ObjectMeta, status: &GroupStatus, now: &Timestamp) {
    lines.field("Name", &metadata.name);
    lines.field("Namespace", &metadata.namespace);
    lines.field("UID", &metadata.uid);
    lines.pairs("Labels", &metadata.labels);
    lines.pairs("Tags", &metadata.tags);
    lines.pairs("Annotations", &metadata.annotations);
    let ready = if status.ready { " (ready)" } else { "" };
    lines.field("Status", &format!("{}{ready}", status_word(status)));
    lines.field("Asked for", &status.desired);
    lines.field("Reason", &status.reason);
    lines.field("Message", &status.message);
    lines.field("Address", &status.pod_ip);
    lines.field("Users", &status.users);
    if let Some(lease) = &status.lease {
        lines.field("Devices", &devices(lease));
    }
    lines.field("Processors", &status.processors);
    for (key, at) in [
        ("Created", &status.created_at),
        ("Finished", &status.finished_at),
    ] {
        if let Some(at) = at {
            let ago = human::age(Some(at), now);
            lines.field(key, &format!("{} ({ago} ago)", human::moment(at)));
        }
    }
    let sessions = status.sessions.len();
    if sessions > 0 {
        let is_open = status
            .sessions
            .iter()
            .any(|session| session.closed.is_none());
        let plural = if sessions == 1 { "session" } else { "sessions" };
        let open = if is_open { ", running" } else { "" };
        let seconds = status.metered_seconds;
        lines.field(
            "Metered",
            &format!("{seconds} s in {sessions} {plural}{open}"),
        );
    }
    if let Some(cost) = &status.cost {
        lines.field("Cost", &so_far(cost));
    }
}

/// `example.com/gpu: /dev/g0 /dev/g0-ctl, /dev/g1`.
fn devices(lease: &DeviceLease) -> String {
    let devices = lease.devices.iter();
    let devices: Vec<String> = devices.map(|device| device.nodes.join(" ")).collect();
    format!("{}: {}", lease.resource, devices.join(", "))
}

fn so_far(cost: &GroupCost) -> String {
    let spent = money(&cost.cost, &cost.currency);
    match cost.hourly_cost.as_str() {
        "0" => spent,
        hourly => format!("{spent} so far, {} an hour", rounded(hourly, 6)),
    }
}

impl Lines {
    /// The column at which values begin, from the indent on.
    const VALUE_COLUMN: usize = 14;

    fn section(&mut self, title: &str) {
        self.indent = 0;
        self.text.push_str(&format!("{title}:\n"));
        self.indent = 2;
    }

    /// A line, if there is something to say; foreign text is escaped.
    fn field(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            let (indent, width) = (self.indent, Self::VALUE_COLUMN);
            let key = format!("{key}:");
            self.text
                .push_str(&format!("{:indent$}{key:<width$}{}\n", "", clean(value)));
        }
    }

    fn pairs(&mut self, key: &str, pairs: &BTreeMap<String, String>) {
        let mut key = key;
        for (name, value) in pairs {
            let (indent, width) = (self.indent, Self::VALUE_COLUMN);
            let shown = if key.is_empty() {
                String::new()
            } else {
                format!("{key}:")
            };
            let pair = clean(&format!("{name}={value}"));
            self.text
                .push_str(&format!("{:indent$}{shown:<width$}{pair}\n", ""));
            key = "";
        }
    }
}

#[cfg(test)]
mod tests {
    use burstlet_proto::v1::{ContainerStatus, Event};

    use super::*;
    use crate::cmd::fixtures::{NOW, at, groups};

    fn event(seconds: i64, kind: &str, reason: &str, message: &str, count: u32) -> Event {
        Event {
            at: Some(at(seconds, 0)),
            r#type: kind.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            container: "server".to_owned(),
            count,
        }
    }

    #[test]
    fn everything_is_told() {
        let events = [
            event(
                -200,
                "Normal",
                "Pulled",
                "pulled docker.io/library/nginx:1 in 350 ms",
                1,
            ),
            event(
                -5,
                "Warning",
                "Unhealthy",
                "readiness probe: HTTP 503\u{1b}[2J",
                3,
            ),
        ];
        let text: Vec<String> = groups()
            .iter()
            .map(|group| describe(group, &events, &NOW))
            .collect();
        insta::assert_snapshot!("describe", text.join("\n"));
    }

    #[test]
    fn an_ephemeral_container_says_what_it_looks_into() {
        let look = EphemeralContainer {
            name: "look".to_owned(),
            image: "busybox:1".to_owned(),
            command: vec!["sh".to_owned()],
            target_container_name: "server".to_owned(),
            ..EphemeralContainer::default()
        };
        let mut group = ContainerGroup::default();
        group.spec.get_or_insert_default().ephemeral_containers = vec![look];
        let running = ContainerStatus {
            name: "look".to_owned(),
            image_id: "sha256:0".to_owned(),
            ..ContainerStatus::default()
        };
        let status = group.status.get_or_insert_default();
        status.ephemeral_container_statuses = vec![running];
        let text = describe(&group, &[], &NOW);
        insta::assert_snapshot!("describe_ephemeral", text);
    }

    #[test]
    fn nothing_known_is_nothing_told() {
        let text = describe(&ContainerGroup::default(), &[], &NOW);
        assert_eq!(text, "Events:\n  none\n");
    }
}
