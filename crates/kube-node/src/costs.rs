//! What pods cost, and how often that is said: it grows all the time, and each word of it is a write
//! that every watcher of the pod is told of.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use burstlet_model::GroupUid;
use tokio::time::Instant;

/// How long what is said of one pod stays at least.
const PERIOD: Duration = Duration::from_secs(60);
/// The time between two pods: with more than 300 that run, it is said of each more seldom.
const BETWEEN: Duration = Duration::from_millis(200);

/// Tells what a pod costs, by its uid; nothing of one that is not charged.
#[derive(Clone)]
pub struct Costs(Arc<Ask>);

type Ask = dyn Fn(&GroupUid) -> Option<Cost> + Send + Sync;

/// What a pod costs: amounts with their currency, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// What it has cost so far, so roughly that it is seldom another.
    pub rough: String,
    /// The same, as exactly as bills have it.
    pub sum: String,
    /// What an hour more costs.
    pub hourly: String,
}

impl Costs {
    /// Asks whoever knows, and must not wait.
    pub fn new(ask: impl Fn(&GroupUid) -> Option<Cost> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(crate) fn of(&self, uid: &GroupUid) -> Option<Cost> {
        (self.0)(uid)
    }
}

impl fmt::Debug for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Costs")
    }
}

/// When it is whose turn to look at his cost again, of all pods of the node.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    latest: Mutex<Option<Instant>>,
}

impl Turns {
    /// The time for the next look of who has just looked, or begins to.
    pub(crate) fn next(&self, now: Instant) -> Instant {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now + PERIOD;
        let next = latest.map_or(earliest, |latest| earliest.max(latest + BETWEEN));
        *latest = Some(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds until the looks of so many pods, each of which looks again when it is its turn.
    fn looks(pods: usize, until: Duration) -> Vec<Duration> {
        let (turns, began) = (Turns::default(), Instant::now());
        let mut due: Vec<Instant> = (0..pods).map(|_| turns.next(began)).collect();
        let mut looks = Vec::new();
        loop {
            let next = due.iter_mut().min().map(|due| (*due, due));
            let Some((at, due)) = next.filter(|(at, _)| *at < began + until) else {
                return looks;
            };
            looks.push(at - began);
            *due = turns.next(at);
        }
    }

    #[test]
    fn few_pods_are_looked_at_every_minute() {
        let looks = looks(2, Duration::from_secs(181));
        let seconds: Vec<u64> = looks.iter().map(Duration::as_secs).collect();
        assert_eq!(seconds, [60, 60, 120, 120, 180, 180]);
    }

    #[test]
    fn of_many_pods_five_are_looked_at_in_a_second() {
        let looks = looks(1000, Duration::from_secs(600));
        assert_eq!(looks.len(), (600 - 60) * 5);
        let mut pairs = looks.windows(2);
        assert!(pairs.all(|pair| pair[1] - pair[0] >= BETWEEN));
    }
}
