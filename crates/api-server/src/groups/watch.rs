//! Watch: what is there now, then every change; or every change since a version.

use std::sync::Arc;

use burstlet_proto::v1;
use burstlet_proto::v1::watch_response::Type;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::{Change, ChangeKind, Changes, Snapshot};
use tonic::Status;

use super::resolve::{self, Scope};
use crate::access::Asked;
use crate::machine::Machine;
use crate::status;
use crate::streams::{self, Answer, Answers, Gone};

/// What is there and a marker, unless the client knows it already, and changes until the client
/// goes. A watch of one group ends with it.
pub(crate) fn watch<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: &v1::WatchRequest,
) -> Result<Answers<v1::WatchResponse>, Status> {
    let only = request.group.as_ref();
    let scope = Scope::new(api, &request.namespace, &request.label_selector, only)?;
    let since = resolve::version(&request.resource_version)?;
    let permit = api.stream_permit()?;
    let (there, since) = match since {
        Some(since) => (None, since),
        None => {
            let listing = api.groups().list();
            (Some(scope.select(listing.groups)), listing.resource_version)
        }
    };
    let watcher = Watcher {
        api: api.clone(),
        changes: api.groups().watch(since),
        there,
        scope,
    };
    let span = tracing::debug_span!("watch");
    Ok(streams::task(permit, span, |answers| watcher.run(answers)))
}

struct Watcher<H, M> {
    api: Asked<H, M>,
    scope: Scope,
    /// What to begin with.
    there: Option<Vec<Arc<Snapshot>>>,
    changes: Changes,
}

impl<H: Host, M: Machine> Watcher<H, M> {
    async fn run(mut self, answers: Answer<v1::WatchResponse>) -> Result<(), Status> {
        if let Some(there) = self.there.take()
            && self.begin(&answers, there).await? == Some(Gone)
        {
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

    /// Tells what is there, and that this was all.
    async fn begin(
        &self,
        answers: &Answer<v1::WatchResponse>,
        there: Vec<Arc<Snapshot>>,
    ) -> Result<Option<Gone>, Status> {
        for snapshot in there {
            if self.send(answers, Type::Added, &snapshot).await? == Some(Gone) {
                return Ok(Some(Gone));
            }
        }
        let synced = v1::WatchResponse {
            r#type: Type::Synced.into(),
            group: None,
        };
        Ok(streams::send(answers, synced).await.err())
    }

    /// Whether to go on.
    async fn tell(
        &self,
        answers: &Answer<v1::WatchResponse>,
        change: &Change,
    ) -> Result<bool, Status> {
        let has = self.scope.has(&change.snapshot);
        let kind = match (change.kind, self.scope.had(change), has) {
            (_, false, false) => return Ok(true),
            (ChangeKind::Deleted, ..) | (_, true, false) => Type::Deleted,
            (ChangeKind::Added, ..) | (_, false, true) => Type::Added,
            (ChangeKind::Modified, true, true) => Type::Modified,
        };
        let gone = self.send(answers, kind, &change.snapshot).await?.is_some();
        let over = self.scope.is_single() && change.kind == ChangeKind::Deleted;
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
            group: Some(self.api.show(snapshot)?),
        };
        Ok(streams::send(answers, answer).await.err())
    }
}
