//! What of the groups, the images and the API an operator sees at `/metrics`.
//!
//! | what                          | how it is learnt                                           |
//! |-------------------------------|------------------------------------------------------------|
//! | groups, queue, room, images   | looked up when somebody scrapes                            |
//! | processors                    | the same                                                   |
//! | launches, restarts, OOM kills | from each change of each group, compared with the last one |
//! | the node's certificate        | as it stood when it was last looked at                     |
//! | calls                         | told by the gRPC edge when a call is over                  |
//! | what a collector is told      | counted by who tells it                                    |
//!
//! Nothing here is asked by the groups' loops, and nothing waits for it. No label has a value that
//! a client chooses.

mod calls;
mod groups;
mod identity;
mod images;
mod lives;
mod processors;
mod told;

use burstlet_api_server::OnCall;
use burstlet_supervisor::Groups;
use burstlet_supervisor::host::Host;
use burstlet_telemetry::Registry;

use crate::processors::ProcessorUse;

use groups::GroupsNow;
pub(crate) use identity::register as register_identity;
use images::ImagesNow;
pub(crate) use images::StoreUse;
use lives::Lives;
use processors::ProcessorsNow;
pub(crate) use told::{Heard, Told};

/// What keeps the metrics up to date.
pub(crate) struct Metrics {
    /// To be told of each call.
    pub(crate) on_call: OnCall,
    lives: Lives,
}

impl Metrics {
    /// Registers all of them; `images` tells what the image store holds, and `processors` whose they are.
    ///
    /// # Errors
    /// A name is taken.
    pub(crate) fn register<H: Host>(
        registry: &Registry,
        groups: &Groups<H>,
        images: impl Fn() -> StoreUse + Send + Sync + 'static,
        processors: impl Fn() -> ProcessorUse + Send + Sync + 'static,
    ) -> Result<Self, prometheus::Error> {
        registry.register(GroupsNow::new(groups.clone())?)?;
        registry.register(ImagesNow::new(images)?)?;
        registry.register(ProcessorsNow::new(processors)?)?;
        Ok(Self {
            on_call: calls::register(registry)?,
            lives: Lives::register(registry)?,
        })
    }

    /// Follows the groups until the agent goes down.
    pub(crate) async fn follow<H: Host>(self, groups: &Groups<H>) {
        self.lives.follow(groups).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
