//! A look at something that holds for many groups, shared by those who ask for one after the other:
//! a reading of all groups takes one look, not one for each.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How old a look may be to serve once more: shorter than the shortest pause between two readings
/// of one group.
const AGE_MAX: Duration = Duration::from_millis(50);

/// The latest look.
#[derive(Debug)]
pub(super) struct SharedLook<T> {
    latest: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Default for SharedLook<T> {
    fn default() -> Self {
        Self {
            latest: Mutex::default(),
        }
    }
}

impl<T> SharedLook<T> {
    /// The latest look if it is young, else what `look` sees now. Who comes meanwhile waits for it.
    ///
    /// # Errors
    /// Those of `look`; the next one looks again.
    pub(super) async fn get<E>(
        &self,
        look: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let mut latest = self.latest.lock().await;
        let begun = Instant::now();
        if let Some((at, seen)) = &*latest
            && begun.duration_since(*at) <= AGE_MAX
        {
            return Ok(Arc::clone(seen));
        }
        let seen = Arc::new(look().await?);
        *latest = Some((begun, Arc::clone(&seen)));
        Ok(seen)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_look_once() {
        let looks = AtomicU32::new(0);
        let shared = SharedLook::default();
        let ask = async || {
            let look = async || {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok::<_, ()>(looks.fetch_add(1, Ordering::Relaxed))
            };
            *shared.get(look).await.unwrap()
        };
        assert_eq!(tokio::join!(ask(), ask(), ask()), (0, 0, 0));
        tokio::time::advance(2 * AGE_MAX).await;
        assert_eq!(ask().await, 1, "an old look does not serve");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_look_is_not_kept() {
        let shared = SharedLook::default();
        assert_eq!(shared.get(async || Err("busy")).await, Err("busy"));
        assert_eq!(*shared.get(async || Ok::<_, &str>(7)).await.unwrap(), 7);
    }
}
