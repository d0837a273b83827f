//! Extended resources: devices that a container has for itself.

use std::collections::BTreeMap;

use burstlet_model::{ExtendedResource, Quantity};

use super::Cx;
use crate::bounds::DEVICES_MAX;
use crate::finding::{Rule, quote};
use crate::node::Node;

/// What a container asks for.
struct Asked {
    resource: ExtendedResource,
    count: u32,
    /// Where it says so.
    path: String,
}

impl Cx<'_> {
    /// The resource whose devices the group's containers have, and how many each of them has.
    pub(super) fn devices<'n>(
        &mut self,
        spec: &Node<'n>,
    ) -> (Option<ExtendedResource>, BTreeMap<&'n str, u32>) {
        let (mut of_group, mut counts) = (None, BTreeMap::new());
        let lasting = spec.items("initContainers").chain(spec.items("containers"));
        for container in lasting {
            for asked in self.devices_of(&container) {
                let resource = of_group.get_or_insert_with(|| asked.resource.clone());
                if *resource != asked.resource {
                    let message = format!("the group has devices of {resource} already");
                    let way_out = "ask for devices of one resource in one group";
                    self.report
                        .refuse(Rule::Unsupported, asked.path, message, way_out);
                } else if let Some(name) = container.text("name") {
                    counts.insert(name, asked.count);
                }
            }
        }
        (of_group, counts)
    }

    /// Devices are not shared, so that what is asked for and what is had at most are one number.
    fn devices_of(&mut self, container: &Node<'_>) -> Vec<Asked> {
        let Some(node) = container.get("resources") else {
            return Vec::new();
        };
        let limits = node.map("limits");
        for (name, request) in extended(&node.map("requests")) {
            let limit = limits.iter().find(|(other, _)| *other == name.as_str());
            let same =
                limit.is_some_and(|(_, limit)| Quantity::parse(limit) == Quantity::parse(request));
            if !same {
                let message = "as many devices are needed in limits";
                let path = node.entry("requests", quote(name.as_str()));
                self.report.invalid(path, message);
            }
        }
        let asked = extended(&limits).filter_map(|(resource, text)| {
            let path = node.entry("limits", quote(resource.as_str()));
            self.device_count(&resource, text, &path)
                .map(|count| Asked {
                    resource,
                    count,
                    path,
                })
        });
        asked.filter(|asked| asked.count > 0).collect()
    }

    fn device_count(&mut self, resource: &ExtendedResource, text: &str, path: &str) -> Option<u32> {
        let units = Quantity::parse(text).ok()?.units();
        let Some(units) = units else {
            self.report.invalid(path, "devices are given whole");
            return None;
        };
        let count = u32::try_from(units)
            .ok()
            .filter(|count| *count <= DEVICES_MAX);
        if count.is_none() {
            let message = format!("{units} devices; at most {DEVICES_MAX} are given");
            self.report.refuse(Rule::TooLarge, path, message, "");
        } else if units > 0 && !self.context.policy.has_devices(resource.as_str()) {
            let message = "this node has no such devices to give";
            let way_out = format!(
                "ask the operator to set devices.{}",
                quote(resource.as_str())
            );
            self.report.refuse(Rule::NotAllowed, path, message, way_out);
        }
        count
    }
}

fn extended<'m>(
    amounts: &[(&'m str, &'m str)],
) -> impl Iterator<Item = (ExtendedResource, &'m str)> {
    amounts
        .iter()
        .filter_map(|(name, text)| Some((ExtendedResource::new(name).ok()?, *text)))
}
