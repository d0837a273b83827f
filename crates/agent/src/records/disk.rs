//! The record's form on disk, versioned, apart from the model so that either can change.
//!
//! Unknown fields are ignored and new ones have defaults, so that an agent one version older or
//! newer reads it. The definition may hold secrets and is sealed; version 1 had it as it was.

mod status;

use std::sync::Arc;

use burstlet_model::status::{Event, Severity};
use burstlet_model::{BootTime, ContainerName, GroupUid, Stamp, WallTime};
use burstlet_supervisor::record::{Definition, GroupRecord, Origin};
use serde::{Deserialize, Serialize};

use crate::policy::Rules;
use crate::vault::{Vault, VaultError};

const VERSION: u32 = 2;
/// The version before, whose definitions are not sealed.
const VERSION_PLAIN: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    uid: String,
    /// The canonical JSON of the group, sealed; translated again when it is read.
    #[serde(default)]
    sealed: String,
    /// The same as version 1 had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Set for a pod of a cluster's.
    #[serde(default)]
    kubernetes: bool,
    request_id: Option<String>,
    created: Moment,
    status: status::Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_by_boot_ns: Option<u64>,
    #[serde(default)]
    events: Vec<DiskEvent>,
}

/// Both clocks, in nanoseconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Moment {
    boot_ns: u64,
    wall_ns: i64,
}

impl From<Stamp> for Moment {
    fn from(stamp: Stamp) -> Self {
        Self {
            boot_ns: stamp.boot.0,
            wall_ns: stamp.wall.0,
        }
    }
}

impl From<Moment> for Stamp {
    fn from(moment: Moment) -> Self {
        Self {
            boot: BootTime(moment.boot_ns),
            wall: WallTime(moment.wall_ns),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct DiskEvent {
    at_ns: i64,
    warning: bool,
    reason: String,
    message: String,
    container: Option<String>,
    count: u32,
}

/// Whether the bytes are a record that needs a key.
pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    serde_json::from_slice(bytes).is_ok_and(|record: Record| !record.sealed.is_empty())
}

fn about(uid: &str) -> String {
    format!("definition of group {uid}")
}

impl Record {
    /// The record as it is kept.
    pub(super) fn seal(record: &GroupRecord, vault: &Vault) -> Result<Self, VaultError> {
        let source = record.definition.source.as_bytes();
        Ok(Self {
            version: VERSION,
            uid: record.uid.to_string(),
            sealed: vault.seal(&about(record.uid.as_str()), source)?,
            source: None,
            kubernetes: record.definition.origin == Origin::Kubernetes,
            request_id: record.request_id.clone(),
            created: record.created.into(),
            status: (&record.status).into(),
            ends_by_boot_ns: record.ends_by.map(|ends_by| ends_by.0),
            events: record.events.iter().map(DiskEvent::from).collect(),
        })
    }

    /// The record as the model has it; the error says what is wrong with it.
    pub(super) fn into_model(self, rules: &Rules, vault: &Vault) -> Result<GroupRecord, String> {
        if self.version != VERSION && self.version != VERSION_PLAIN {
            return Err(format!(
                "has version {}, and this agent reads versions up to {VERSION}",
                self.version
            ));
        }
        let source = self.definition(vault)?;
        let uid = GroupUid::new(&self.uid).map_err(|error| error.to_string())?;
        let origin = if self.kubernetes {
            Origin::Kubernetes
        } else {
            Origin::Direct
        };
        let spec = Arc::new(rules.retranslate(&source, &uid, origin)?.spec);
        Ok(GroupRecord {
            uid,
            definition: Definition {
                spec,
                source: Arc::from(source),
                origin,
            },
            request_id: self.request_id,
            created: self.created.into(),
            status: self.status.into_model()?,
            ends_by: self.ends_by_boot_ns.map(BootTime),
            events: self
                .events
                .into_iter()
                .map(DiskEvent::into_model)
                .collect::<Result<_, _>>()?,
        })
    }

    fn definition(&self, vault: &Vault) -> Result<String, String> {
        if let Some(source) = &self.source {
            return Ok(source.clone());
        }
        let opened = vault.unseal(&about(&self.uid), &self.sealed);
        let opened = opened.map_err(|error| format!("its definition {error}"))?;
        String::from_utf8(opened).map_err(|error| error.to_string())
    }
}

impl From<&Event> for DiskEvent {
    fn from(event: &Event) -> Self {
        Self {
            at_ns: event.at.0,
            warning: event.severity == Severity::Warning,
            reason: event.reason.clone(),
            message: event.message.clone(),
            container: event.container.as_ref().map(ToString::to_string),
            count: event.count,
        }
    }
}

impl DiskEvent {
    fn into_model(self) -> Result<Event, String> {
        Ok(Event {
            at: WallTime(self.at_ns),
            severity: if self.warning {
                Severity::Warning
            } else {
                Severity::Normal
            },
            reason: self.reason,
            message: self.message,
            container: self.container.map(container_name).transpose()?,
            count: self.count,
        })
    }
}

fn container_name(text: String) -> Result<ContainerName, String> {
    ContainerName::new(text).map_err(|error| error.to_string())
}
