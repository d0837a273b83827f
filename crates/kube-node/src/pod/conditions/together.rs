//! Whether all containers of a pod are being started again together, as a kubelet says it of pods
//! whose rules may ask for that.

use burstlet_model::status::{ContainerState, RESTARTING_ALL};

use super::Condition;
use crate::pod::containers::Told;

const RESTARTING: &str = "AllContainersRestarting";

pub(super) fn together(told: &Told<'_>, phase: &str) -> Option<Condition> {
    if !told.spec.may_begin_again() {
        return None;
    }
    let not_so = |reason| Condition::new(RESTARTING, Err((reason, String::new())));
    let waits = |state: &ContainerState| matches!(state, ContainerState::Waiting { reason, .. } if reason == RESTARTING_ALL);
    Some(match phase {
        "Succeeded" => not_so("PodCompleted"),
        "Failed" => not_so("PodFailed"),
        _ if told.gone || !told.status.all_containers().any(|c| waits(&c.state)) => not_so(""),
        _ => Condition {
            kind: RESTARTING,
            is_so: true,
            reason: "RestartAllContainersStarted".to_owned(),
            message: "container exited with restart policy rule".to_owned(),
        },
    })
}
