//! Whether a pod has a user namespace of its own, for who asked for none and does not know whether it
//! could be had. Said once, when its namespaces stand: it stays what it is.

use serde_json::Value;

use super::Condition;
use crate::pod::containers::Told;
use crate::pod::needs::items;

/// Ours: the pod's ids are its own, and nobody's on the host.
const USER_NAMESPACE: &str = "burstlet.dev/UserNamespace";

pub(super) fn users(told: &Told<'_>, previous: &Value) -> Option<Condition> {
    let was_said = items(Some(previous)).any(|condition| condition["type"] == USER_NAMESPACE);
    if was_said || told.gone || told.status.timeline.network_ready.is_none() {
        return None;
    }
    Some(match told.spec.user_namespace {
        true => Condition::new(USER_NAMESPACE, Ok("OwnUsers")),
        false => {
            let why = "what the pod runs as is the same user on the host".to_owned();
            Condition::new(USER_NAMESPACE, Err(("HostUsers", why)))
        }
    })
}
