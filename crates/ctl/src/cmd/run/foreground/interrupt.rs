//! What a signal to us means for the group: the first is the container's, and where nothing runs
//! that could take it, it ends the group; the second ends our part.

use std::future::pending;

use anyhow::Result;
use burstlet_proto::v1::attach_request::Request;
use burstlet_proto::v1::{AttachRequest, StopRequest};
use futures_util::{StreamExt, stream};
use tonic::{Code, Streaming};

use super::follow::Follower;
use super::{Left, Stay, ended};
use crate::error::Exit;
use crate::session::Signals;

/// What came of the signals.
pub(super) enum Interrupt {
    /// The user wants to leave it alone.
    Again,
    /// There is no process to tell of this one.
    NothingRuns(u32),
}

impl Stay<'_> {
    /// Passes the first signal on. Completes when that is not all.
    pub(super) async fn interrupt(&self, mut signals: Signals) -> Interrupt {
        let number = signals.next().await;
        // The way to the container may be blocked, and then the second signal counts all the more.
        tokio::select! {
            interrupt = self.forward(number) => interrupt,
            _ = signals.next() => Interrupt::Again,
        }
    }

    /// Ends a group of which nothing runs, so that nothing will.
    pub(super) async fn stop(&self, number: u32, follower: &mut Follower) -> Result<Left> {
        let request = StopRequest {
            group: Some(self.group.clone()),
            ..StopRequest::default()
        };
        match self.client.groups().stop(request).await {
            Ok(_) => {
                let code = i32::try_from(number)
                    .unwrap_or_default()
                    .saturating_add(128);
                Ok(Left::Ended(Exit::of_container(code)))
            }
            // It has ended meanwhile.
            Err(fault) if fault.code() == Code::FailedPrecondition => follower.until(ended).await,
            Err(fault) => Err(fault.into()),
        }
    }

    /// Sends a signal to the container by a session that is for nothing else. Completes only if
    /// the container does not run.
    async fn forward(&self, number: u32) -> Interrupt {
        let requests = [Request::Start(self.attach(false)), Request::Signal(number)];
        let requests = requests.map(|request| AttachRequest {
            request: Some(request),
        });
        let requests = stream::iter(requests).chain(stream::pending());
        match self.client.groups().attach(requests).await {
            // Read to its end, so that the signal is not cut off behind the start.
            Ok(answers) => drain(answers.into_inner()).await,
            Err(fault) if fault.code() == Code::FailedPrecondition => {
                return Interrupt::NothingRuns(number);
            }
            Err(fault) => eprintln!("burstctl: the signal did not arrive: {}", fault.message()),
        }
        pending().await
    }
}

async fn drain<T>(mut answers: Streaming<T>) {
    while let Ok(Some(_)) = answers.message().await {}
}
