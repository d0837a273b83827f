//! Events: what happened, and with `follow` what happens.

use std::collections::HashMap;
use std::sync::Arc;

use burstlet_model::GroupUid;
use burstlet_model::status::Event;
use burstlet_proto::v1;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::{Change, ChangeKind, Changes, Snapshot};
use tonic::Status;

use super::resolve::Scope;
use crate::access::Asked;
use crate::machine::Machine;
use crate::streams::{self, Answer, Answers};
use crate::{convert, status};

/// Events that are kept, in the order of their time; then, if asked for, new ones.
pub(crate) fn events<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: &v1::EventsRequest,
) -> Result<Answers<v1::EventsResponse>, Status> {
    let only = request.group.as_ref();
    let scope = Scope::new(api, &request.namespace, "", only)?;
    let permit = api.stream_permit()?;
    let listing = api.groups().list();
    let follow = request
        .follow
        .then(|| api.groups().watch(listing.resource_version));
    let there = scope.select(listing.groups);
    let teller = Teller {
        scope,
        told: HashMap::new(),
    };
    let span = tracing::debug_span!("events");
    Ok(streams::task(permit, span, |answers| {
        teller.run(there, follow, answers)
    }))
}

struct Teller {
    scope: Scope,
    /// The events of each group that were told last; the group's loop keeps them bounded.
    told: HashMap<GroupUid, Arc<[Event]>>,
}

impl Teller {
    async fn run(
        mut self,
        there: Vec<Arc<Snapshot>>,
        follow: Option<Changes>,
        answers: Answer<v1::EventsResponse>,
    ) -> Result<(), Status> {
        let mut first: Vec<_> = there.iter().flat_map(|s| self.news(s)).collect();
        first.sort_by_key(|(event, _)| event.at);
        for (_, answer) in first {
            if streams::send(&answers, answer).await.is_err() {
                return Ok(());
            }
        }
        let Some(mut changes) = follow else {
            return Ok(());
        };
        loop {
            let change = changes.next().await;
            let change = change.map_err(|expired| status::watch_expired(expired.to_string()))?;
            let Some(Change { kind, snapshot, .. }) = change else {
                return Err(status::shutting_down());
            };
            if !self.scope.has(&snapshot) {
                continue;
            }
            for (_, answer) in self.news(&snapshot) {
                if streams::send(&answers, answer).await.is_err() {
                    return Ok(());
                }
            }
            if kind == ChangeKind::Deleted {
                self.told.remove(&snapshot.uid);
                if self.scope.is_single() {
                    return Ok(());
                }
            }
        }
    }

    /// The events of a group that have not been told.
    fn news(&mut self, snapshot: &Snapshot) -> Vec<(Event, v1::EventsResponse)> {
        let events = Arc::clone(&snapshot.events);
        let before = self.told.insert(snapshot.uid.clone(), Arc::clone(&events));
        let known = |event: &&Event| before.as_ref().is_some_and(|known| known.contains(event));
        let new = events.iter().filter(|event| !known(event));
        new.map(|event| {
            let answer = v1::EventsResponse {
                group: Some(convert::group_ref(snapshot)),
                event: Some(convert::event(event)),
            };
            (event.clone(), answer)
        })
        .collect()
    }
}
