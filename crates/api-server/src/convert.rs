//! The model's values as the wire's messages.

mod status;
mod usage;

use burstlet_metering::GroupCost;
use burstlet_model::{Stamp, WallTime};
use burstlet_proto::v1;
use burstlet_proto::{Duration, Timestamp};
use burstlet_supervisor::Snapshot;
use tonic::Status;

use crate::status as errors;

pub(crate) use status::event;
pub(crate) use usage::group_stats;

/// A group as the wire shows it: its definition as it was given with secrets masked, and what it
/// is now and costs.
pub(crate) fn group(
    snapshot: &Snapshot,
    cost: Option<&GroupCost>,
    now: Stamp,
) -> Result<v1::ContainerGroup, Status> {
    let mut group = definition(&snapshot.definition.source)?;
    let metadata = group.metadata.get_or_insert_default();
    metadata.uid = snapshot.uid.to_string();
    metadata.creation_timestamp = Some(timestamp(snapshot.status.created_at));
    metadata.resource_version = snapshot.resource_version.to_string();
    group.status = Some(status::group_status(snapshot, cost, now));
    Ok(group)
}

/// A source as a message; the manifest crate sees to it that its words are the wire's.
fn definition(source: &str) -> Result<v1::ContainerGroup, Status> {
    let source = parse_source(source)?;
    serde_json::from_value(burstlet_manifest::to_wire(&source))
        .map_err(|error| errors::internal("a group's definition has no form on the wire", &error))
}

/// A source that the manifest crate wrote.
pub(crate) fn parse_source(source: &str) -> Result<serde_json::Value, Status> {
    serde_json::from_str(source)
        .map_err(|error| errors::internal("a group's definition cannot be read", &error))
}

/// How a group is named.
pub(crate) fn group_ref(snapshot: &Snapshot) -> v1::GroupRef {
    let name = snapshot.name();
    v1::GroupRef {
        namespace: name.namespace.to_string(),
        name: name.name.to_string(),
        uid: snapshot.uid.to_string(),
    }
}

/// A finding.
pub(crate) fn finding(finding: &burstlet_manifest::Finding) -> v1::Finding {
    v1::Finding {
        path: finding.path.clone(),
        level: finding.level.as_str().to_owned(),
        rule: finding.rule.as_str().to_owned(),
        message: finding.message.clone(),
        way_out: finding.way_out.clone(),
        control: finding.control.to_owned(),
    }
}

pub(crate) const fn timestamp(time: WallTime) -> Timestamp {
    Timestamp {
        seconds: time.unix_s(),
        // Less than 10⁹, so that it fits.
        nanos: time.subsec_ns().cast_signed(),
    }
}

/// A client's time; saturates.
pub(crate) fn wall_time(time: &Timestamp) -> WallTime {
    let nanos = time.seconds.saturating_mul(1_000_000_000);
    WallTime(nanos.saturating_add(i64::from(time.nanos)))
}

pub(crate) fn duration(duration: std::time::Duration) -> Duration {
    Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos().cast_signed(),
    }
}

/// A client's duration; `None` if it is negative or malformed.
pub(crate) fn std_duration(duration: &Duration) -> Option<std::time::Duration> {
    let seconds = u64::try_from(duration.seconds).ok()?;
    let nanos = u32::try_from(duration.nanos)
        .ok()
        .filter(|n| *n < 1_000_000_000)?;
    Some(std::time::Duration::new(seconds, nanos))
}
