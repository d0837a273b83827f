use std::time::Duration;

use burstlet_model::Digest;

/// How far a pull is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// The layers, lowest first; empty until the manifest and configuration are read.
    pub layers: Vec<LayerProgress>,
}

impl PullProgress {
    /// Bytes that are here, and bytes that there are.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let sum = |(here, all): (u64, u64), layer: &LayerProgress| {
            (here + layer.received_bytes, all + layer.total_bytes)
        };
        self.layers.iter().fold((0, 0), sum)
    }
}

/// How far one layer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerProgress {
    /// The packed layer's digest.
    pub blob: Option<Digest>,
    /// How many of its bytes are here.
    pub received_bytes: u64,
    /// How many bytes it has.
    pub total_bytes: u64,
    /// What is being done.
    pub step: LayerStep,
}

/// What is being done to a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayerStep {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// It is being received.
    Receiving,
    /// It is being unpacked.
    Unpacking,
    /// It is in its place.
    Done,
    /// It was there before.
    Present,
}

/// What a pull took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullStats {
    /// Bytes of layers that came over the network.
    pub received_bytes: u64,
    /// Layers of the image.
    pub layers: usize,
    /// Those of them that were there before.
    pub layers_present: usize,
    /// From the request to the manifest and configuration.
    pub resolving: Duration,
    /// From there to the last byte received.
    pub receiving: Duration,
    /// From there to the last layer in its place.
    pub unpacking: Duration,
}

impl PullStats {
    /// The same, of which `resolving` was spent before the layers.
    pub(super) fn with_resolving(self, resolving: Duration) -> Self {
        let receiving = self.receiving.saturating_sub(resolving);
        Self {
            resolving,
            receiving,
            ..self
        }
    }
}
