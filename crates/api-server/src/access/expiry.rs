//! A stream's place among the streams, and how long its caller is known.

use std::future::pending;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::quota::Lent;

/// Held as long as a stream is open.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    _of_all: OwnedSemaphorePermit,
    _of_namespace: Option<Lent>,
    expires: Option<Instant>,
}

impl StreamPermit {
    /// The place among all streams, among those of a namespace, and when the caller's credential
    /// ends.
    pub(crate) const fn new(
        of_all: OwnedSemaphorePermit,
        of_namespace: Option<Lent>,
        expires: Option<Instant>,
    ) -> Self {
        Self {
            _of_all: of_all,
            _of_namespace: of_namespace,
            expires,
        }
    }

    /// Comes back when the caller is not known any more.
    pub(crate) async fn expired(&self) {
        match self.expires {
            Some(end) => sleep_until(end).await,
            None => pending().await,
        }
    }
}
