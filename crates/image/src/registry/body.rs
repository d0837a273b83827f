//! Bodies of answers: bounded in size, and in how slowly they may come.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::time::{Instant, timeout};

use super::error::Problem;

/// A body must bring [`PROGRESS_BYTES`] in each of these.
pub(super) const PROGRESS_DEADLINE: Duration = Duration::from_secs(30);
const PROGRESS_BYTES: u64 = 64 << 10;

/// Reads a body piece by piece. Only the time spent waiting for the sender counts.
#[derive(Default)]
pub(super) struct Pace {
    received: u64,
    waited: Duration,
}

impl Pace {
    /// The next piece, or none at the end.
    pub(super) async fn next(&mut self, response: &mut Response) -> Result<Option<Bytes>, Problem> {
        let begun = Instant::now();
        let left = PROGRESS_DEADLINE.saturating_sub(self.waited);
        let piece = timeout(left, response.chunk()).await;
        let piece = piece.map_err(|_| Problem::Timeout(PROGRESS_DEADLINE))??;
        self.waited += begun.elapsed();
        self.received += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if self.received >= PROGRESS_BYTES {
            *self = Self::default();
        }
        Ok(piece)
    }
}

/// A bound on a body, and what the body is.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) what: &'static str,
    pub(super) max: u64,
}

impl Bound {
    const fn exceeded(self) -> Problem {
        Problem::TooLarge {
            what: self.what,
            max: self.max,
        }
    }
}

/// Reads a whole body of at most `bound`.
pub(super) async fn read(mut response: Response, bound: Bound) -> Result<Vec<u8>, Problem> {
    if response
        .content_length()
        .is_some_and(|length| length > bound.max)
    {
        return Err(bound.exceeded());
    }
    let (mut pace, mut body) = (Pace::default(), Vec::new());
    while let Some(piece) = pace.next(&mut response).await? {
        if (body.len() + piece.len()) as u64 > bound.max {
            return Err(bound.exceeded());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Reads at most `max` bytes of a body whose sender failed anyway; what goes wrong is left out.
pub(super) async fn read_some(mut response: Response, max: usize) -> Vec<u8> {
    let (mut pace, mut body) = (Pace::default(), Vec::new());
    while let Ok(Some(piece)) = pace.next(&mut response).await {
        let room = max - body.len();
        body.extend(piece.iter().take(room));
        if body.len() == max {
            break;
        }
    }
    body
}
