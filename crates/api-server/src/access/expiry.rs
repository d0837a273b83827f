//! A stream's place among the streams, and how long its caller is known.

use std::future::pending;

use burstlet_access::Standing;
use burstlet_model::WallTime;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::quota::Lent;
use crate::status;

/// Held as long as a stream is open.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    _of_all: OwnedSemaphorePermit,
    _of_namespace: Option<Lent>,
    ends: Ends,
}

/// When a caller is not known any more.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// His credential ends.
    pub(crate) at: Option<Instant>,
    /// His certificate is taken back, and what time it is now.
    pub(crate) standing: Option<(Standing, WallTime)>,
}

impl StreamPermit {
    /// The place among all streams, among those of a namespace, and when the caller's credential
    /// ends.
    pub(crate) const fn new(
        of_all: OwnedSemaphorePermit,
        of_namespace: Option<Lent>,
        ends: Ends,
    ) -> Self {
        Self {
            _of_all: of_all,
            _of_namespace: of_namespace,
            ends,
        }
    }

    /// Comes back when the caller is not known any more, with what he is told.
    pub(crate) async fn expired(&self) -> Status {
        let expired = async {
            match self.ends.at {
                Some(end) => sleep_until(end).await,
                None => pending().await,
            }
        };
        let ended = async {
            match &self.ends.standing {
                Some((standing, now)) => standing.ended(*now).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = expired => status::credential_expired(),
            ended = ended => status::not_standing(&ended),
        }
    }
}
