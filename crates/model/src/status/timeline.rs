use std::time::Duration;

use crate::Stamp;

/// The steps of one launch, each stamped when it was done. "Why was it slow" and "why did it cost"
/// have one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchTimeline {
    /// The request was accepted.
    pub accepted: Option<Stamp>,
    /// Room was found and work began.
    pub admitted: Option<Stamp>,
    /// The last image was in the store, unpacked.
    pub pulled: Option<Stamp>,
    /// Namespaces and cgroups stood.
    pub sandbox_created: Option<Stamp>,
    /// Address, links and rules stood.
    pub network_ready: Option<Stamp>,
    /// The first container's process waited for its start.
    pub container_created: Option<Stamp>,
    /// The first container's process ran.
    pub started: Option<Stamp>,
    /// The group was ready for the first time.
    pub ready: Option<Stamp>,
    /// All its containers were last started again together, from the first init container on.
    pub begun_again: Option<Stamp>,
    /// What each image took.
    pub pulls: Vec<ImagePull>,
}

/// What getting one image took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePull {
    /// The canonical reference.
    pub image: String,
    /// Bytes that came over the network.
    pub bytes: u64,
    /// Layers that were in the store already.
    pub layers_cached: u32,
    /// All layers.
    pub layers: u32,
    /// From asking to all layers unpacked.
    pub duration: Duration,
    /// The part of it spent unpacking.
    pub unpack: Duration,
}

/// A span in which a group counts as running: from the start of its first pull to the exit of its
/// last process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// When it began.
    pub opened: Stamp,
    /// When it ended; `None` while it lasts.
    pub closed: Option<Stamp>,
}

impl Session {
    /// Its length, up to `now` while it is open.
    #[must_use]
    pub fn length(&self, now: Stamp) -> Duration {
        self.closed.unwrap_or(now).since(self.opened)
    }
}
