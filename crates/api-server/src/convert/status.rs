//! What a group is.

use std::path::PathBuf;

use burstlet_metering::GroupCost;
use burstlet_metering::money::fixed;
use burstlet_model::status::{
    ContainerState, ContainerStatus, Desired, Event, ExitStatus, ImagePull, LaunchTimeline,
    Session, Severity,
};
use burstlet_model::{Lease, Stamp};
use burstlet_proto::v1;
use burstlet_proto::v1::container_status::State;
use burstlet_supervisor::Snapshot;

use super::{duration, timestamp};

pub(super) fn group_status(
    snapshot: &Snapshot,
    cost: Option<&GroupCost>,
    now: Stamp,
) -> v1::GroupStatus {
    let (definition, status) = (&snapshot.definition, &snapshot.status);
    let users = match definition.spec.user_namespace {
        true => "own",
        false => "host",
    };
    let desired = match status.desired {
        Desired::Running => "Running",
        Desired::Stopped => "Stopped",
        Desired::Deleted => "Deleted",
    };
    let processors = status.processors.as_ref().map(ToString::to_string);
    v1::GroupStatus {
        desired: desired.to_owned(),
        phase: status.phase.as_str().to_owned(),
        reason: status.reason.clone(),
        message: status.message.clone(),
        queue_position: status.queue_position.unwrap_or(0),
        pod_ip: status.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        initialized: status.initialized,
        ready: status.ready,
        init_container_statuses: status.init_containers.iter().map(container).collect(),
        container_statuses: status.containers.iter().map(container).collect(),
        ephemeral_container_statuses: status.ephemeral_containers.iter().map(container).collect(),
        created_at: Some(timestamp(status.created_at)),
        finished_at: status.finished_at.map(|stamp| timestamp(stamp.wall)),
        timeline: Some(timeline(&status.timeline)),
        sessions: status.sessions.iter().map(|s| session(s, now)).collect(),
        metered_seconds: status.metered_s(now),
        origin: definition.origin.as_str().to_owned(),
        users: users.to_owned(),
        lease: status.lease.as_ref().map(lease),
        processors: processors.unwrap_or_default(),
        cost: cost.map(self::cost),
    }
}

/// An event.
pub(crate) fn event(event: &Event) -> v1::Event {
    let kind = match event.severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    };
    let container = event.container.as_ref();
    v1::Event {
        at: Some(timestamp(event.at)),
        r#type: kind.to_owned(),
        reason: event.reason.clone(),
        message: event.message.clone(),
        container: container.map(ToString::to_string).unwrap_or_default(),
        count: event.count,
    }
}

fn cost(cost: &GroupCost) -> v1::GroupCost {
    v1::GroupCost {
        cost: cost.running.cost.to_string(),
        hourly_cost: cost.running.hourly.to_string(),
        currency: cost.currency.clone(),
        billed_seconds: fixed(cost.running.billed_ns, 9),
    }
}

fn lease(lease: &Lease) -> v1::DeviceLease {
    let path = |node: &PathBuf| node.display().to_string();
    let devices = lease.devices.iter().map(|device| v1::Device {
        nodes: device.nodes.iter().map(path).collect(),
    });
    v1::DeviceLease {
        resource: lease.resource.to_string(),
        devices: devices.collect(),
    }
}

fn container(status: &ContainerStatus) -> v1::ContainerStatus {
    let digest = status.image_digest.as_ref();
    let user = status.user.as_ref();
    v1::ContainerStatus {
        name: status.name.to_string(),
        image: status.image.clone(),
        image_id: digest.map(ToString::to_string).unwrap_or_default(),
        state: Some(state(&status.state)),
        last_termination: status.last_exit.as_ref().map(exit),
        restart_count: status.restart_count,
        started: status.started,
        ready: status.ready,
        user: user.map(|(uid, gid, groups)| v1::ContainerUser {
            uid: *uid,
            gid: *gid,
            supplemental_groups: groups.clone(),
        }),
    }
}

fn state(state: &ContainerState) -> State {
    match state {
        ContainerState::Waiting { reason, message } => State::Waiting(v1::ContainerWaiting {
            reason: reason.clone(),
            message: message.clone(),
        }),
        ContainerState::Running { started_at, pid } => State::Running(v1::ContainerRunning {
            started_at: Some(timestamp(started_at.wall)),
            pid: *pid,
        }),
        ContainerState::Terminated(status) => State::Terminated(exit(status)),
    }
}

fn exit(exit: &ExitStatus) -> v1::ContainerTerminated {
    v1::ContainerTerminated {
        exit_code: exit.code,
        signal: exit.signal.map_or(0, u32::from),
        reason: exit.reason.clone(),
        message: exit.message.clone(),
        started_at: exit.started_at.map(|stamp| timestamp(stamp.wall)),
        finished_at: Some(timestamp(exit.finished_at.wall)),
    }
}

fn timeline(timeline: &LaunchTimeline) -> v1::LaunchTimeline {
    let at = |stamp: Option<Stamp>| stamp.map(|stamp| timestamp(stamp.wall));
    v1::LaunchTimeline {
        accepted: at(timeline.accepted),
        admitted: at(timeline.admitted),
        pulled: at(timeline.pulled),
        sandbox_created: at(timeline.sandbox_created),
        network_ready: at(timeline.network_ready),
        container_created: at(timeline.container_created),
        started: at(timeline.started),
        ready: at(timeline.ready),
        begun_again: at(timeline.begun_again),
        pulls: timeline.pulls.iter().map(pull).collect(),
    }
}

fn pull(pull: &ImagePull) -> v1::ImagePullTook {
    v1::ImagePullTook {
        image: pull.image.clone(),
        bytes: pull.bytes,
        layers: pull.layers,
        layers_cached: pull.layers_cached,
        duration: Some(duration(pull.duration)),
        unpack: Some(duration(pull.unpack)),
    }
}

fn session(session: &Session, now: Stamp) -> v1::Session {
    v1::Session {
        opened: Some(timestamp(session.opened.wall)),
        closed: session.closed.map(|stamp| timestamp(stamp.wall)),
        length: Some(duration(session.length(now))),
    }
}
