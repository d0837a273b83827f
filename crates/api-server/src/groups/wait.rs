//! Wait: for a state, with a deadline.

use std::time::Duration;

use burstlet_model::status::Phase;
use burstlet_proto::v1;
use burstlet_proto::v1::wait_request::Condition as Wanted;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::{Condition, Refusal};
use tonic::Status;

use super::resolve;
use crate::access::Asked;
use crate::machine::Machine;
use crate::{convert, status};

/// The longest that one request waits: one day.
const WAIT_MAX: Duration = Duration::from_secs(86_400);

/// Answers when the group is as asked. `deadline` is that of the request itself.
pub(crate) async fn wait<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::WaitRequest,
    deadline: Option<Duration>,
) -> Result<v1::ContainerGroup, Status> {
    let handle = resolve::group(api, request.group.as_ref())?;
    let wanted = request.condition();
    let condition = condition(wanted)?;
    let within = within(&request, deadline)?;
    let _permit = api.stream_permit()?;
    let snapshot = handle
        .wait(condition, within)
        .await
        .map_err(|refusal| status::refusal(&refusal))?;
    let phase = snapshot.status.phase;
    if wanted == Wanted::Stopped && phase != Phase::Stopped {
        return Err(status::refusal(&Refusal::OutOfReach {
            group: snapshot.name().clone(),
            phase,
            awaited: "stopped",
        }));
    }
    api.show(&snapshot)
}

fn condition(wanted: Wanted) -> Result<Condition, Status> {
    match wanted {
        Wanted::Unspecified => Err(status::invalid(
            "condition",
            "it must be said what is waited for",
        )),
        Wanted::Running => Ok(Condition::Started),
        Wanted::Ready => Ok(Condition::Ready),
        Wanted::Finished | Wanted::Stopped => Ok(Condition::AtRest),
        Wanted::Deleted => Ok(Condition::Deleted),
    }
}

fn within(request: &v1::WaitRequest, deadline: Option<Duration>) -> Result<Duration, Status> {
    let asked = match &request.timeout {
        None => WAIT_MAX,
        Some(timeout) => convert::std_duration(timeout)
            .ok_or_else(|| status::invalid("timeout", "it is negative"))?,
    };
    Ok(asked.min(WAIT_MAX).min(deadline.unwrap_or(WAIT_MAX)))
}
