//! Start, Stop, Restart and Delete.

use std::sync::Arc;
use std::time::Duration;

use burstlet_model::ContainerName;
use burstlet_proto::v1;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::{Refusal, Snapshot};
use tonic::Status;

use super::resolve;
use crate::access::Asked;
use crate::machine::Machine;
use crate::status;

/// The longest grace period that a request may ask for: one day.
const GRACE_S_MAX: u32 = 86_400;

/// Starts a group that is at rest again.
pub(crate) async fn start<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::StartRequest,
) -> Result<v1::ContainerGroup, Status> {
    let handle = resolve::changeable(api, request.group.as_ref())?;
    answer(api, handle.start().await)
}

/// Ends all containers.
pub(crate) async fn stop<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::StopRequest,
) -> Result<v1::ContainerGroup, Status> {
    let handle = resolve::changeable(api, request.group.as_ref())?;
    let grace = grace(request.grace_period_seconds)?;
    answer(api, handle.stop(grace).await)
}

/// Restarts the group or one of its containers.
pub(crate) async fn restart<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::RestartRequest,
) -> Result<v1::ContainerGroup, Status> {
    let handle = resolve::changeable(api, request.group.as_ref())?;
    let container = match request.container.as_str() {
        "" => None,
        name => Some(
            ContainerName::new(name)
                .map_err(|error| status::invalid("container", error.to_string()))?,
        ),
    };
    answer(api, handle.restart(container).await)
}

/// Ends the group and forgets it.
pub(crate) async fn delete<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::DeleteRequest,
) -> Result<v1::ContainerGroup, Status> {
    let handle = resolve::changeable(api, request.group.as_ref())?;
    let grace = grace(request.grace_period_seconds)?;
    answer(api, handle.delete(grace).await)
}

fn grace(seconds: Option<u32>) -> Result<Option<Duration>, Status> {
    match seconds {
        Some(seconds) if seconds > GRACE_S_MAX => {
            let message = format!("at most {GRACE_S_MAX} seconds can be given");
            Err(status::invalid("grace_period_seconds", message))
        }
        seconds => Ok(seconds.map(|s| Duration::from_secs(u64::from(s)))),
    }
}

fn answer<H: Host, M: Machine>(
    api: &Asked<H, M>,
    result: Result<Arc<Snapshot>, Refusal>,
) -> Result<v1::ContainerGroup, Status> {
    let snapshot = result.map_err(|refusal| status::refusal(&refusal))?;
    api.show(&snapshot)
}
