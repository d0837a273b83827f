//! Making the host's network what it should be, after a restart or after somebody's meddling.

use std::collections::BTreeMap;

use burstlet_model::GroupUid;
use tracing::warn;

use super::Bridge;
use crate::kernel::Kernel;
use crate::lease::Lease;
use crate::netlink::route::{self, Link};
use crate::plan::Mac;
use crate::{NetworkError, Reconciled};

impl Bridge {
    /// Makes rules and links what the `live` groups need: isolation first, then the bridge, then
    /// each link. Links of other groups of this agent are deleted.
    pub(crate) fn reconcile(
        &self,
        kernel: &mut Kernel,
        live: BTreeMap<GroupUid, Lease>,
    ) -> Result<Reconciled, NetworkError> {
        let rules_restored = self.restore_rules(kernel, Some(live), true)?;
        let mut report = self.restore_links(kernel)?;
        report.rules_restored = rules_restored;
        let links = route::links(&mut kernel.route)?;
        let wanted = self.wanted();
        for link in self
            .ports(&links)
            .filter(|link| !wanted.contains_key(&link.name))
        {
            warn!(link = %link.name, alias = %link.alias, "deleting a link without a group");
            let gone = route::delete_link(link.index, &link.name).tolerating_absence();
            route::run(&mut kernel.route, &[gone])?;
            report.links_removed += 1;
        }
        Ok(report)
    }

    /// The same for the groups that are attached, without deleting anything. The rules stand if
    /// nobody is `suspected` to have changed them.
    pub(crate) fn repair(
        &self,
        kernel: &mut Kernel,
        suspected: bool,
    ) -> Result<Reconciled, NetworkError> {
        let rules_restored = self.restore_rules(kernel, None, suspected)?;
        let report = self.restore_links(kernel)?;
        Ok(Reconciled {
            rules_restored,
            ..report
        })
    }

    /// Loads the rules anew if they do not stand for the `live` groups, or somebody else is
    /// suspected to have changed them and has changed something. Returns whether somebody has.
    fn restore_rules(
        &self,
        kernel: &mut Kernel,
        live: Option<BTreeMap<GroupUid, Lease>>,
        suspected: bool,
    ) -> Result<bool, NetworkError> {
        let mut state = self.lock();
        let touched = suspected && self.generation(kernel)? != state.generation;
        let changed = live.is_some_and(|live| {
            let changed = state.attached != live;
            state.attached = live;
            changed
        });
        if touched || changed {
            self.load_rules(kernel, &mut state)?;
        }
        Ok(touched)
    }

    fn restore_links(&self, kernel: &mut Kernel) -> Result<Reconciled, NetworkError> {
        let links = route::links(&mut kernel.route)?;
        let stands = |link: &Link| link.name == self.config.name && link.up;
        if !links.iter().any(stands) {
            self.ensure_bridge(kernel)?;
        }
        let bridge = self.bridge_index()?;
        let by_name: BTreeMap<&str, &Link> = links
            .iter()
            .map(|link| (link.name.as_str(), link))
            .collect();
        let mut report = Reconciled::default();
        let mut requests = Vec::new();
        for (port, lease) in self.wanted() {
            let (Some(link), Some(address)) = (by_name.get(port.as_str()), lease.address) else {
                report.detached.push(lease.uid);
                continue;
            };
            if !is_right(link, bridge) {
                warn!(uid = %lease.uid, link = %port, "setting a group's link right");
                let alias = self.owner.port_alias(&lease.uid);
                requests.push(route::set_master(link.index, bridge));
                requests.push(route::set_port(link.index, &port, &alias));
                report.links_repaired += 1;
            }
            // Telling again costs less than looking.
            requests.push(route::add_forwarding(link.index, Mac::of(address)));
            requests.push(route::add_neighbour(bridge, address, Mac::of(address)));
        }
        route::run(&mut kernel.route, &requests)?;
        Ok(report)
    }

    /// The host ends that there should be, and whose they are.
    fn wanted(&self) -> BTreeMap<String, Lease> {
        let state = self.lock();
        state
            .attached
            .values()
            .map(|lease| (self.owner.port(&lease.uid), lease.clone()))
            .collect()
    }
}

fn is_right(link: &Link, bridge: u32) -> bool {
    link.master == Some(bridge) && link.up
}
