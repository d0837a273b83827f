//! Requests and limits.

use burstlet_model::spec::{ResizePolicy, ResourceList, Resources};
use burstlet_model::{Bytes, MilliCpu, Quantity};

use super::Cx;
use crate::finding::quote;
use crate::node::Node;

impl Cx<'_> {
    /// The resources of a container or group; what is limited but not requested is requested as
    /// limited.
    pub(super) fn resources(&mut self, node: &Node<'_>) -> Option<Resources> {
        let node = node.get("resources")?;
        let limits = node
            .get("limits")
            .map(|n| self.resource_list(&n))
            .unwrap_or_default();
        let requests = node
            .get("requests")
            .map(|n| self.resource_list(&n))
            .unwrap_or_default();
        self.within(
            &node,
            "cpu",
            requests.cpu.map(|c| c.0),
            limits.cpu.map(|c| c.0),
        );
        self.within(
            &node,
            "memory",
            requests.memory.map(|b| b.0),
            limits.memory.map(|b| b.0),
        );
        self.within(
            &node,
            "ephemeral-storage",
            requests.ephemeral_storage.map(|b| b.0),
            limits.ephemeral_storage.map(|b| b.0),
        );
        let fallback = ResourceList {
            pids: None,
            ..limits
        };
        Some(Resources {
            requests: requests.or(fallback),
            limits,
        })
    }

    /// What of a container's resources changes only by starting it again.
    pub(super) fn resize_policy(&mut self, node: &Node<'_>) -> ResizePolicy {
        let words = [("NotRequired", false), ("RestartContainer", true)];
        let mut policy = ResizePolicy::default();
        for item in node.items("resizePolicy") {
            let restarts = self.word(&item, "restartPolicy", &words);
            match (self.required(&item, "resourceName"), restarts) {
                (Some("cpu"), Some(restarts)) => policy.cpu_restarts = restarts,
                (Some("memory"), Some(restarts)) => policy.memory_restarts = restarts,
                (Some("cpu" | "memory"), None) | (None, _) => {}
                (Some(name), _) => {
                    let message = format!("{} is none of cpu, memory", quote(name));
                    self.report.invalid(item.at("resourceName"), message);
                }
            }
        }
        policy
    }

    fn resource_list(&mut self, node: &Node<'_>) -> ResourceList {
        ResourceList {
            cpu: self.amount(node, "cpu", |text| {
                MilliCpu::parse(text).map_err(|e| e.to_string())
            }),
            memory: self.amount(node, "memory", bytes),
            ephemeral_storage: self.amount(node, "ephemeral-storage", bytes),
            pids: self.amount(node, "pids", pids),
        }
    }

    fn amount<T>(
        &mut self,
        node: &Node<'_>,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(node.text(name)?)
            .map_err(|problem| self.report.invalid(node.at(name), problem))
            .ok()
    }

    fn within(&mut self, node: &Node<'_>, name: &str, request: Option<u64>, limit: Option<u64>) {
        if let (Some(request), Some(limit)) = (request, limit)
            && request > limit
        {
            let path = format!("{}.requests.{name}", node.path());
            self.report
                .invalid(path, "the request is larger than the limit");
        }
    }
}

pub(super) fn bytes(text: &str) -> Result<Bytes, String> {
    Bytes::parse(text).map_err(|error| error.to_string())
}

fn pids(text: &str) -> Result<u64, String> {
    let units = Quantity::parse(text)
        .map_err(|error| error.to_string())?
        .ceil_units();
    u64::try_from(units)
        .ok()
        .filter(|pids| (1..=u64::from(u32::MAX)).contains(pids))
        .ok_or_else(|| format!("{} is not a number of processes", quote(text)))
}
