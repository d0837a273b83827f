/// Whether a group may be ended for others, which is cheaper. Those that may not come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheduling {
    /// Keeps its room.
    #[default]
    OnDemand,
    /// May lose its room to a group on demand.
    Spot,
}
