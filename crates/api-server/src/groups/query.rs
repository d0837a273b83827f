//! Get and List.

use burstlet_model::status::Phase;
use burstlet_proto::v1;
use burstlet_supervisor::Snapshot;
use burstlet_supervisor::host::Host;
use tonic::Status;

use super::resolve::{self, Scope};
use crate::access::Asked;
use crate::machine::Machine;
use crate::pages::{self, Place};
use crate::status;

/// One group.
pub(crate) fn get<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: &v1::GetRequest,
) -> Result<v1::ContainerGroup, Status> {
    let handle = resolve::group(api, request.group.as_ref())?;
    api.show(&handle.snapshot())
}

/// A page of groups, in the order of their names.
pub(crate) fn list<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: &v1::ListRequest,
) -> Result<v1::ListResponse, Status> {
    let scope = Scope::new(api, &request.namespace, &request.label_selector, None)?;
    let phases = phases(&request.phases)?;
    let after = after(&request.page_token)?;
    let wanted = |snapshot: &Snapshot| {
        let later = after
            .as_ref()
            .is_none_or(|after| Place::of(snapshot) > *after);
        later && (phases.is_empty() || phases.contains(&snapshot.status.phase))
    };
    let listing = api.groups().list();
    let resource_version = listing.resource_version.to_string();
    let mut all = scope.select(listing.groups);
    all.retain(|snapshot| wanted(snapshot));
    // Converted one by one while the page has room: a page is small, the node may be full.
    let mut broken = None;
    let converted = all.iter().map_while(|snapshot| {
        let group = api.show(snapshot);
        group.map_err(|status| broken = Some(status)).ok()
    });
    let (groups, more) = pages::page(converted, request.page_size);
    if let Some(status) = broken {
        return Err(status);
    }
    let last = groups.len().checked_sub(1).and_then(|last| all.get(last));
    let next_page_token = match last {
        Some(last) if more => Place::of(last).token(),
        _ => String::new(),
    };
    Ok(v1::ListResponse {
        groups,
        next_page_token,
        resource_version,
    })
}

/// The last group of the page before, if there is one.
pub(super) fn after(token: &str) -> Result<Option<Place>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let place = Place::of_token(token);
    let odd = || status::invalid("page_token", "it is not from a page before");
    place.ok_or_else(odd).map(Some)
}

fn phases(words: &[String]) -> Result<Vec<Phase>, Status> {
    let phase = |word: &String| {
        let known = Phase::ALL.into_iter().find(|phase| phase.as_str() == word);
        known.ok_or_else(|| {
            let all = Phase::ALL.map(Phase::as_str).join(", ");
            status::invalid("phases", format!("{word:?} is none of {all}"))
        })
    };
    words.iter().map(phase).collect()
}
