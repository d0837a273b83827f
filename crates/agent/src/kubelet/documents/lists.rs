//! The pods of which something runs.

use std::sync::Arc;

use burstlet_supervisor::Snapshot;
use burstlet_supervisor::record::Origin;
use serde_json::{Value, json};

/// A list of them with little more than names.
pub(super) fn running(groups: &[Arc<Snapshot>]) -> Value {
    let pods = groups
        .iter()
        .filter(|group| group.definition.origin == Origin::Kubernetes);
    let items: Vec<Value> = pods.filter_map(|group| pod(group)).collect();
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
}

fn pod(group: &Snapshot) -> Option<Value> {
    let status = &group.status;
    let containers: Vec<Value> = status
        .all_containers()
        .filter(|container| container.state.is_running())
        .map(|container| json!({"name": container.name.as_str(), "image": container.image}))
        .collect();
    let name = group.name();
    (!containers.is_empty()).then(|| {
        json!({
            "metadata": {
                "name": name.name.as_str(),
                "namespace": name.namespace.as_str(),
                "uid": group.uid.as_str(),
            },
            "spec": {"containers": containers},
            "status": {},
        })
    })
}
