//! Which group a path means, and why it cannot be reached: in a kubelet's words, for `kubectl`
//! prints them and scripts look for them. Pure.

use burstlet_kube_node::HeardPod;
use burstlet_kubelet_api::{ContainerPath, PodPath, Refused};
use burstlet_model::status::{ContainerState, ContainerStatus};
use burstlet_model::{ContainerName, ErrorKind};
use burstlet_supervisor::Snapshot;
use burstlet_supervisor::record::Origin;

/// Whether a group is the pod that a path names.
pub(super) fn is_pod(snapshot: &Snapshot, path: &PodPath) -> bool {
    let uid = path.uid.as_deref();
    snapshot.definition.origin == Origin::Kubernetes
        && uid.is_none_or(|uid| uid == snapshot.uid.as_str())
}

/// Why a pod that has no group cannot be reached, if it is a pod at all.
pub(super) fn no_group(path: &PodPath, heard: Option<&HeardPod>) -> Refused {
    let uid = path.uid.as_deref();
    let heard = heard.filter(|pod| uid.is_none_or(|uid| uid == pod.uid().as_str()));
    match heard {
        None => no_pod(path),
        Some(_) => {
            let text = format!("pod {:?} has not been started", path.name.as_str());
            Refused::new(ErrorKind::FailedPrecondition, text)
        }
    }
}

/// The same of one of its containers.
pub(super) fn no_group_of(container: &ContainerPath, heard: Option<&HeardPod>) -> Refused {
    let name = container.container.as_str();
    match heard.filter(|pod| pod.has_container(name)) {
        None if heard.is_some() => no_container(container),
        None => no_pod(&container.pod),
        Some(pod) => {
            let reason = pod.waits_for(name);
            waiting(container, reason.as_deref().unwrap_or("ContainerCreating"))
        }
    }
}

/// Whether a container can be reached now.
pub(super) fn running(snapshot: &Snapshot, container: &ContainerName) -> Result<(), Refused> {
    let status = snapshot.status.container(container.as_str());
    match status.map(|status| &status.state) {
        Some(ContainerState::Running { .. }) => Ok(()),
        _ => {
            let text = format!("container not found (\"{container}\")");
            Err(Refused::new(ErrorKind::NotFound, text))
        }
    }
}

/// Whether a container has the log that is asked for.
pub(super) fn has_log(
    snapshot: &Snapshot,
    container: &ContainerPath,
    previous: bool,
) -> Result<(), Refused> {
    let name = container.container.as_str();
    let Some(status) = snapshot.status.container(name) else {
        return Err(no_container(container));
    };
    if previous && status.restart_count == 0 {
        let text = format!(
            "previous terminated container \"{name}\" in pod \"{}\" not found",
            container.pod.name
        );
        return Err(Refused::new(ErrorKind::FailedPrecondition, text));
    }
    match never_ran(status) {
        Some(reason) => Err(waiting(container, reason)),
        None => Ok(()),
    }
}

/// A container has run, and its log is not there any more.
pub(super) fn log_is_gone(container: &ContainerPath) -> Refused {
    let (pod, name) = (&container.pod.name, &container.container);
    let text = format!("container \"{name}\" in pod \"{pod}\" is not available");
    Refused::new(ErrorKind::FailedPrecondition, text)
}

fn never_ran(status: &ContainerStatus) -> Option<&str> {
    match &status.state {
        ContainerState::Waiting { reason, .. } if status.last_exit.is_none() => Some(reason),
        _ => None,
    }
}

fn no_pod(path: &PodPath) -> Refused {
    let text = format!("pod \"{}\" does not exist", path.name);
    Refused::new(ErrorKind::NotFound, text)
}

fn no_container(container: &ContainerPath) -> Refused {
    let (pod, name) = (&container.pod.name, &container.container);
    let text = format!("container \"{name}\" not found in pod \"{pod}\"");
    Refused::new(ErrorKind::NotFound, text)
}

fn waiting(container: &ContainerPath, reason: &str) -> Refused {
    let why = match reason {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        other => other,
    };
    let (pod, name) = (&container.pod.name, &container.container);
    let text = format!("container \"{name}\" in pod \"{pod}\" is waiting to start: {why}");
    Refused::new(ErrorKind::FailedPrecondition, text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
