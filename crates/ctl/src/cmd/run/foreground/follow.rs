//! A group's status as it changes.

use anyhow::{Context, Result, bail};
use burstlet_proto::v1::watch_response::Type;
use burstlet_proto::v1::{ContainerGroup, WatchRequest, WatchResponse};
use tokio::sync::watch;
use tonic::{Status, Streaming};

use crate::client::Client;

/// The latest status; clones see the same.
#[derive(Clone)]
pub(super) struct Follower {
    latest: watch::Receiver<Latest>,
}

#[derive(Clone, Debug, Default)]
struct Latest {
    group: Option<ContainerGroup>,
    /// Why nothing will come any more.
    over: Option<Over>,
}

#[derive(Clone, Debug)]
enum Over {
    Deleted,
    Failed(Status),
}

impl Follower {
    /// Watches one group.
    pub(super) async fn start(client: &Client, request: WatchRequest) -> Result<Self> {
        let changes = client
            .groups()
            .watch(request)
            .await
            .context("watch the group")?;
        let (send, latest) = watch::channel(Latest::default());
        tokio::spawn(pump(changes.into_inner(), send));
        Ok(Self { latest })
    }

    /// Waits until `wanted` finds something in the status. The last status counts even if the
    /// group is gone.
    pub(super) async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(&ContainerGroup) -> Option<T>,
    ) -> Result<T> {
        loop {
            let latest = self.latest.borrow_and_update().clone();
            if let Some(found) = latest.group.as_ref().and_then(&mut wanted) {
                return Ok(found);
            }
            match latest.over {
                Some(Over::Deleted) => bail!("the group was removed by someone else"),
                Some(Over::Failed(status)) => return Err(status).context("watch the group"),
                None => self.latest.changed().await.context("watch the group")?,
            }
        }
    }
}

async fn pump(mut changes: Streaming<WatchResponse>, send: watch::Sender<Latest>) {
    loop {
        let over = match changes.message().await {
            Ok(Some(change)) => {
                let is_deleted = change.r#type() == Type::Deleted;
                send.send_modify(|latest| {
                    latest.group = change.group.or(latest.group.take());
                });
                is_deleted.then_some(Over::Deleted)
            }
            Ok(None) => Some(Over::Failed(Status::unavailable(
                "the agent ended the watch",
            ))),
            Err(status) => Some(Over::Failed(status)),
        };
        if over.is_some() {
            send.send_modify(|latest| latest.over = over);
            return;
        }
    }
}
