use crate::capacity::Capacity;
use crate::quota::Quotas;

/// The bounds that the supervisor keeps to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the machine offers, and how many groups may wait for it.
    pub capacity: Capacity,
    /// How many groups may exist, whatever they do.
    pub groups_max: usize,
    /// What of it each namespace may have.
    pub quotas: Quotas,
    /// How many changes are kept for watchers that lag.
    pub history_max: usize,
    /// How many sandboxes of an earlier agent are being taken over at once. Each takes descriptors
    /// and reads files, and none may keep the others waiting for long.
    pub adoptions_in_flight_max: usize,
    /// How many sandboxes and containers are being set up at once on the whole node. The rest wait
    /// in order, so that a burst of starts does not starve what runs already.
    pub launches_in_flight_max: usize,
    /// How many probes are under way at once on the whole node.
    pub probes_in_flight_max: usize,
}
