//! Following the groups: each change as it comes, and all of them again for who fell behind.

use burstlet_supervisor::host::Host;
use burstlet_supervisor::{Change, Groups, Listing};

/// Somebody who follows the groups.
pub(crate) trait Follower {
    /// A group changed.
    fn see(&mut self, change: &Change);

    /// Changes were missed: all groups as they are now.
    fn catch_up(&mut self, listing: &Listing);
}

/// Follows the groups until the agent goes down, from what the follower has seen of them already.
pub(crate) async fn follow<H: Host>(
    groups: &Groups<H>,
    seen: &Listing,
    follower: &mut impl Follower,
) {
    let mut version = seen.resource_version;
    loop {
        let mut changes = groups.watch(version);
        loop {
            match changes.next().await {
                Ok(Some(change)) => follower.see(&change),
                Ok(None) => return,
                Err(expired) => {
                    tracing::debug!(%expired, "too many changes at once: looking at all groups again");
                    break;
                }
            }
        }
        let listing = groups.list();
        follower.catch_up(&listing);
        version = listing.resource_version;
    }
}
