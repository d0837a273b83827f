//! Ephemeral containers, as the node's rules of today judge them.

use burstlet_supervisor::host::Host;
use serde_json::Value;

use super::Worker;
use crate::pod::ephemeral::{Asked, Withheld, add, objection, of_standards};
use crate::pod::seen::Pod;

impl<H: Host> Worker<H> {
    /// Adds those that the pod asks for to its group's manifest, and tells of those that it does not
    /// get.
    pub(super) fn add_ephemeral(&mut self, pod: &Pod, group: &mut Value, asked: &[Asked]) {
        let judged = match asked.is_empty() {
            true => Vec::new(),
            false => {
                self.shared
                    .config
                    .policy
                    .judge(&pod.namespace, &pod.object())
                    .refused
            }
        };
        let withheld = add(group, asked, |with| {
            self.judge(with)?;
            of_standards(&pod.spec(), with, &judged).map_or(Ok(()), Err)
        });
        let before = std::mem::replace(&mut self.renewal.withheld, withheld);
        self.tell_withheld(pod, &before);
    }

    fn judge(&self, group: &Value) -> Result<(), String> {
        match self.translate(group, &self.shared.config.policy) {
            Ok(_) => Ok(()),
            Err(refused) => objection(group, &refused).map_or(Ok(()), Err),
        }
    }

    fn tell_withheld(&mut self, pod: &Pod, before: &Withheld) {
        let new = self.renewal.withheld.iter();
        let new: Vec<_> = new
            .filter(|(name, why)| before.get(*name) != Some(why))
            .map(|(_, why)| why.clone())
            .collect();
        for why in new {
            self.warn(pod, why.reason, why.message, why.container);
        }
    }
}
