//! The Node object: made when the agent starts, kept true while it runs, made anew when somebody
//! deletes it.

use std::sync::Arc;
use std::time::Duration;

use burstlet_supervisor::host::Host;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::error::{KubeNodeError, api, is_code};
use crate::lease;
use crate::node::{
    ClusterView, INSTANCE, NodeCondition, node_patch, node_to_write, pod_cidrs, status_patch,
};
use crate::run::Shared;

/// How often it is looked at whether the node is there, and what it is like.
const LOOK_PERIOD: Duration = Duration::from_secs(10);
/// How often while the node waits for the cluster.
const LOOK_SOON: Duration = Duration::from_secs(1);
/// How often it is told though nothing has changed: this many looks.
const TELL_EVERY: u32 = 30;

/// Refuses to go on if another agent keeps a node of this name alive.
pub(crate) async fn check_alone<H: Host>(shared: &Shared<H>) -> Result<(), KubeNodeError> {
    let name = &shared.config.node.name;
    let doing = || format!("read node {name}");
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let Some(node) = nodes.get_opt(name).await.map_err(api(doing()))? else {
        return Ok(());
    };
    let annotations = node.metadata.annotations.unwrap_or_default();
    let Some(other) = annotations
        .get(INSTANCE)
        .filter(|i| **i != shared.config.node.instance)
    else {
        return Ok(());
    };
    let lease = read_lease(&shared.client, name)
        .await
        .map_err(api(doing()))?;
    match lease.and_then(|lease| lease::fresh_s(&lease, shared.now())) {
        Some(age_s) => Err(KubeNodeError::Twin {
            name: name.clone(),
            other: other.clone(),
            age_s,
        }),
        None => Ok(()),
    }
}

/// The node's lease, if there is one.
pub(crate) async fn read_lease(client: &Client, node: &str) -> kube::Result<Option<Value>> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), lease::NAMESPACE);
    let lease = leases.get_opt(node).await?;
    Ok(lease.and_then(|lease| serde_json::to_value(lease).ok()))
}

/// Sees to it that the node is there, with our labels; its uid.
pub(crate) async fn register<H: Host>(shared: &Shared<H>) -> kube::Result<String> {
    let facts = &shared.config.node;
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let node: Node =
        serde_json::from_value(node_to_write(facts)).map_err(kube::Error::SerdeError)?;
    let written = match nodes.create(&PostParams::default(), &node).await {
        Ok(created) => {
            tracing::info!(node = facts.name, "the node is registered");
            created
        }
        Err(error) if is_code(&error, 409) => {
            let patch = Patch::Strategic(node_patch(facts));
            nodes
                .patch(&facts.name, &PatchParams::default(), &patch)
                .await?
        }
        Err(error) => return Err(error),
    };
    Ok(written.metadata.uid.unwrap_or_default())
}

/// Tells what the node is like, until the shutdown.
pub(crate) async fn keep_true<H: Host>(shared: Arc<Shared<H>>, uid: watch::Sender<String>) {
    let mut told = Told::default();
    loop {
        if let Err(error) = look(&shared, &mut told, &uid).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot tell what the node is like");
        }
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            () = sleep(told.pause()) => {}
        }
    }
}

/// What was told of the node, and how many looks ago.
#[derive(Default)]
struct Told {
    condition: Option<NodeCondition>,
    looks: u32,
}

impl Told {
    fn is_due(&self, now_is: &NodeCondition) -> bool {
        self.condition.as_ref() != Some(now_is) || self.looks >= TELL_EVERY
    }

    /// Who waits for the cluster to allot addresses looks soon again.
    fn pause(&self) -> Duration {
        let network = self
            .condition
            .as_ref()
            .and_then(|told| told.network.as_ref());
        match network.is_some_and(|trouble| trouble.is_fatal) {
            true => LOOK_SOON,
            false => LOOK_PERIOD,
        }
    }
}

/// Sees to it that the node is there, and tells its status if that is due.
async fn look<H: Host>(
    shared: &Shared<H>,
    told: &mut Told,
    uid: &watch::Sender<String>,
) -> kube::Result<()> {
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let name = &shared.config.node.name;
    let found = nodes.get_opt(name).await?;
    let now_is = (shared.condition)(&ClusterView {
        pod_cidrs: found.as_ref().map(pod_cidrs).unwrap_or_default(),
        api_service: shared.services.api(),
    });
    told.looks = told.looks.saturating_add(1);
    if found.is_some() && !told.is_due(&now_is) {
        return Ok(());
    }
    let status = match found {
        Some(node) => serde_json::to_value(node.status).map_err(kube::Error::SerdeError)?,
        None => {
            tracing::warn!(
                node = name,
                "somebody deleted the node; it is registered anew"
            );
            uid.send_replace(register(shared).await?);
            Value::Null
        }
    };
    let patch = status_patch(&shared.config.node, &now_is, &status, shared.now());
    nodes
        .patch_status(name, &PatchParams::default(), &Patch::Strategic(patch))
        .await?;
    *told = Told {
        condition: Some(now_is),
        looks: 0,
    };
    Ok(())
}
