//! Watch: what is there now, then every change.

use std::sync::Arc;

use burstlet_proto::v1;
use burstlet_proto::v1::watch_response::Type;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::{Change, ChangeKind, Changes, Snapshot};
use tonic::Status;

use super::resolve::Scope;
use crate::api::Api;
use crate::machine::Machine;
use crate::streams::{self, Answer, Answers, Gone};
use crate::{convert, status};

/// What is there, a marker, and changes until the client goes. A watch of one group ends with it.
pub(crate) fn watch<H: Host, M: Machine>(
    api: &Api<H, M>,
    request: &v1::WatchRequest,
) -> Result<Answers<v1::WatchResponse>, Status> {
    let only = request.group.as_ref();
    let scope = Scope::new(
        api.groups(),
        &request.namespace,
        &request.label_selector,
        only,
    )?;
    let permit = api.stream_permit()?;
    let listing = api.groups().list();
    let watcher = Watcher {
        api: api.clone(),
        changes: api.groups().watch(listing.resource_version),
        there: scope.select(listing.groups),
        scope,
    };
    let span = tracing::debug_span!("watch");
    Ok(streams::task(permit, span, |answers| watcher.run(answers)))
}

struct Watcher<H, M> {
    api: Api<H, M>,
    scope: Scope,
    there: Vec<Arc<Snapshot>>,
    changes: Changes,
}

impl<H: Host, M: Machine> Watcher<H, M> {
    async fn run(mut self, answers: Answer<v1::WatchResponse>) -> Result<(), Status> {
        for snapshot in std::mem::take(&mut self.there) {
            if self.send(&answers, Type::Added, &snapshot).await? == Some(Gone) {
                return Ok(());
            }
        }
        let synced = v1::WatchResponse {
            r#type: Type::Synced.into(),
            group: None,
        };
        if streams::send(&answers, synced).await.is_err() {
            return Ok(());
        }
        loop {
            let change = self.changes.next().await;
            let change = change.map_err(|expired| status::watch_expired(expired.to_string()))?;
            let Some(change) = change else {
                return Err(status::shutting_down());
            };
            if !self.tell(&answers, &change).await? {
                return Ok(());
            }
        }
    }

    /// Whether to go on.
    async fn tell(
        &self,
        answers: &Answer<v1::WatchResponse>,
        change: &Change,
    ) -> Result<bool, Status> {
        if !self.scope.has(&change.snapshot) {
            return Ok(true);
        }
        let kind = match change.kind {
            ChangeKind::Added => Type::Added,
            ChangeKind::Modified => Type::Modified,
            ChangeKind::Deleted => Type::Deleted,
        };
        let gone = self.send(answers, kind, &change.snapshot).await?.is_some();
        let over = self.scope.is_single() && kind == Type::Deleted;
        Ok(!gone && !over)
    }

    async fn send(
        &self,
        answers: &Answer<v1::WatchResponse>,
        kind: Type,
        snapshot: &Snapshot,
    ) -> Result<Option<Gone>, Status> {
        let answer = v1::WatchResponse {
            r#type: kind.into(),
            group: Some(convert::group(snapshot, self.api.now())?),
        };
        Ok(streams::send(answers, answer).await.err())
    }
}
