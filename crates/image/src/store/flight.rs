//! One piece of work at a time for each key, however many wait for it.
//!
//! The work runs in a task of its own, so that a waiter who leaves does not take it along; when
//! the last one leaves, it is aborted.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The work in hand, by key.
pub(super) struct Flights<K, V, P> {
    flying: Mutex<HashMap<K, Weak<Flight<V, P>>>>,
}

/// One piece of work, held by those who wait for it.
pub(super) struct Flight<V, P> {
    result: watch::Receiver<Option<V>>,
    progress: watch::Receiver<P>,
    task: AbortHandle,
}

impl<K, V, P> Default for Flights<K, V, P> {
    fn default() -> Self {
        Self {
            flying: Mutex::default(),
        }
    }
}

impl<K, V, P> Flights<K, V, P>
where
    K: Eq + Hash,
    V: Clone + Send + Sync + 'static,
    P: Default + Send + Sync + 'static,
{
    /// Joins the work on `key`, or starts it.
    pub(super) fn join<Work>(
        &self,
        key: K,
        start: impl FnOnce(watch::Sender<P>) -> Work,
    ) -> Arc<Flight<V, P>>
    where
        Work: Future<Output = V> + Send + 'static,
    {
        let mut flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        flying.retain(|_, flight| flight.strong_count() > 0);
        let known = flying.get(&key).and_then(Weak::upgrade);
        // Who comes after the result asks for a new one.
        if let Some(flight) = known.filter(|flight| flight.result.borrow().is_none()) {
            return flight;
        }
        let flight = Arc::new(Flight::start(start));
        flying.insert(key, Arc::downgrade(&flight));
        flight
    }
}

impl<V, P> Flight<V, P>
where
    V: Clone + Send + Sync + 'static,
    P: Default + Send + Sync + 'static,
{
    fn start<Work>(start: impl FnOnce(watch::Sender<P>) -> Work) -> Self
    where
        Work: Future<Output = V> + Send + 'static,
    {
        let (progress_sender, progress) = watch::channel(P::default());
        let (sender, result) = watch::channel(None);
        let work = start(progress_sender);
        let task = tokio::spawn(async move {
            let value = work.await;
            sender.send_replace(Some(value));
        });
        Self {
            result,
            progress,
            task: task.abort_handle(),
        }
    }

    /// How far the work is.
    pub(super) fn progress(&self) -> watch::Receiver<P> {
        self.progress.clone()
    }

    /// Waits for the result; none if the work panicked.
    pub(super) async fn landed(&self) -> Option<V> {
        let mut result = self.result.clone();
        let landed = result.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }
}

impl<V, P> Drop for Flight<V, P> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tokio::time::sleep;

    type Numbers = Flights<&'static str, u32, ()>;

    async fn slow(counter: Arc<AtomicU32>) -> u32 {
        sleep(Duration::from_secs(1)).await;
        counter.fetch_add(1, Ordering::SeqCst) + 1
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_together_share_one_flight() {
        let (flights, counter) = (Numbers::default(), Arc::new(AtomicU32::new(0)));
        let joined: Vec<_> = (0..10)
            .map(|_| flights.join("a", |_| slow(counter.clone())))
            .collect();
        for flight in &joined {
            assert_eq!(flight.landed().await, Some(1));
        }
        drop(joined);
        let later = flights.join("a", |_| slow(counter.clone()));
        assert_eq!(later.landed().await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_who_leaves_takes_nothing_along() {
        let (flights, counter) = (Numbers::default(), Arc::new(AtomicU32::new(0)));
        let first = flights.join("a", |_| slow(counter.clone()));
        let second = flights.join("a", |_| slow(counter.clone()));
        drop(first);
        assert_eq!(second.landed().await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_leave_the_work_ends() {
        let (flights, counter) = (Numbers::default(), Arc::new(AtomicU32::new(0)));
        drop(flights.join("a", |_| slow(counter.clone())));
        sleep(Duration::from_secs(5)).await;
        assert_eq!(counter.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_panic_is_no_result() {
        let flights = Numbers::default();
        let flight = flights.join("a", |_| async { panic!("the work panics") });
        assert_eq!(flight.landed().await, None);
    }
}
