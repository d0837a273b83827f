use crate::{ContainerName, WallTime};

/// Something worth telling the group's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it last happened.
    pub at: WallTime,
    /// How bad it is.
    pub severity: Severity,
    /// A stable word, Kubernetes' own where it has one (`Pulling`, `Started`, `BackOff`).
    pub reason: String,
    /// For people.
    pub message: String,
    /// The container it is about.
    pub container: Option<ContainerName>,
    /// How often it happened in a row.
    pub count: u32,
}

/// How bad an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As expected.
    Normal,
    /// Somebody may want to act.
    Warning,
}
