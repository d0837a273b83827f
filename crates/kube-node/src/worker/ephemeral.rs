//! Ephemeral containers, as the node's rules of today judge them.

use burstlet_manifest::Judgement;
use burstlet_supervisor::host::Host;
use serde_json::Value;

use super::Worker;
use crate::pod::ephemeral::{Asked, Withheld, add, names, objection, of_added, of_standards};
use crate::pod::seen::Pod;

impl<H: Host> Worker<H> {
    /// Adds those that the pod asks for to its group's manifest, and tells of those that it does not
    /// get.
    pub(super) fn add_ephemeral(&mut self, pod: &Pod, group: &mut Value, asked: &[Asked]) {
        let has = names(group);
        let judgement = match asked.is_empty() {
            true => Judgement::default(),
            false => self.by_the_standards(pod),
        };
        let withheld = add(group, asked, |with| {
            self.judge(with)?;
            of_standards(&pod.spec(), with, &judgement.refused).map_or(Ok(()), Err)
        });
        let before = std::mem::replace(&mut self.renewal.withheld, withheld);
        self.tell_withheld(pod, &before);
        let mut added = names(group);
        added.retain(|name| !has.contains(name));
        let (warned, audited) = of_added(&pod.spec(), judgement, &added);
        self.tell_findings(pod, &warned);
        self.audit(pod, &audited);
    }

    /// What the levels say of the ephemeral containers. The others were judged when the pod came.
    fn by_the_standards(&self, pod: &Pod) -> Judgement {
        let mut object = pod.object();
        if let Some(spec) = object["spec"].as_object_mut() {
            spec.retain(|name, _| !["initContainers", "containers"].contains(&name.as_str()));
        }
        let policy = &self.shared.config.policy;
        policy.judge(&pod.namespace, &object)
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
