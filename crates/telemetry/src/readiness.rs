//! Readiness as latches: each part of the start holds one, and lets go when it is done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::Item;

/// Whether all latches were let go.
///
/// Take every latch before anybody asks: with none taken the answer is "ready".
#[derive(Clone, Debug)]
pub struct Readiness {
    entries: Arc<Mutex<Vec<Entry>>>,
    changed: watch::Sender<()>,
}

/// Holds readiness back until it is dropped.
#[derive(Debug)]
#[must_use = "a latch that is dropped at once holds nothing back"]
pub struct Latch {
    of: Readiness,
    index: usize,
}

#[derive(Debug)]
struct Entry {
    name: String,
    held: bool,
}

impl Readiness {
    /// With no latch taken yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// Takes a latch; readiness waits for its drop.
    pub fn latch(&self, name: impl Into<String>) -> Latch {
        let mut entries = self.lock();
        entries.push(Entry {
            name: name.into(),
            held: true,
        });
        Latch {
            of: self.clone(),
            index: entries.len() - 1,
        }
    }

    /// Whether no latch is held.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().iter().all(|entry| !entry.held)
    }

    /// Waits until no latch is held.
    pub async fn ready(&self) {
        let mut changed = self.changed.subscribe();
        while !self.is_ready() {
            // The sender lives in `self`, so this cannot fail.
            let _ = changed.changed().await;
        }
    }

    /// Every latch that was ever taken, in that order.
    #[must_use]
    pub fn items(&self) -> Vec<Item> {
        let item = |entry: &Entry| Item {
            name: entry.name.clone(),
            fault: entry.held.then(|| "not yet".to_owned()),
        };
        self.lock().iter().map(item).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        if let Some(entry) = self.of.lock().get_mut(self.index) {
            entry.held = false;
        }
        self.of.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_when_the_last_latch_is_dropped() {
        let readiness = Readiness::new();
        let store = readiness.latch("image store");
        let network = readiness.latch("network");
        assert!(!readiness.is_ready());
        drop(network);
        assert!(!readiness.is_ready());
        let faults: Vec<_> = readiness
            .items()
            .into_iter()
            .map(|i| (i.name, i.fault))
            .collect();
        let expected = [
            ("image store".to_owned(), Some("not yet".to_owned())),
            ("network".to_owned(), None),
        ];
        assert_eq!(faults, expected);

        let waiter = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(store);
        assert!(waiter.await.is_ok());
        assert!(readiness.is_ready());
    }
}
