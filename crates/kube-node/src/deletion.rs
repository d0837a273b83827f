//! How a node deletes a pod from the API server: at once, for nothing of it is left, and only the one
//! that is meant.

use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};

use crate::error::is_code;
use crate::pod::seen::Pod;

/// Deletes it. One that is gone, or whose name is another's by now, is deleted.
pub(crate) async fn delete(client: &Client, pod: &Pod) -> kube::Result<()> {
    let pods: Api<ApiPod> = Api::namespaced(client.clone(), &pod.namespace);
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions {
            uid: Some(pod.uid.to_string()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match pods.delete(&pod.name, &params).await {
        Err(error) if !is_code(&error, 404) && !is_code(&error, 409) => Err(error),
        _ => Ok(()),
    }
}
