//! A guard's answers, kept for a while, so that not every request asks the cluster.
//!
//! What is kept cannot be taken back before its time: a right that was lost holds for at most
//! [`ALLOWED_FOR`]. What could not be told is asked again each time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use burstlet_model::Secret;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::access::{Asked, Guard, Identity};
use crate::refused::Refused;

/// How long a token is somebody's.
const KNOWN_FOR: Duration = Duration::from_secs(2 * 60);
/// How long a token is nobody's: it may be of an account that is being made.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);
/// How long a right holds.
const ALLOWED_FOR: Duration = Duration::from_secs(5 * 60);
/// How long the lack of one does.
const DENIED_FOR: Duration = Duration::from_secs(30);
/// Answers of each kind that are kept.
const ANSWERS_MAX: usize = 1024;

/// A guard that remembers.
#[derive(Debug)]
pub struct Cached<G> {
    guard: G,
    /// By digest: a token is not kept.
    tokens: Mutex<Answers<[u8; 32], Option<Identity>>>,
    rights: Mutex<Answers<(Identity, Asked), bool>>,
}

impl<G> Cached<G> {
    /// Remembers what `guard` says.
    pub fn new(guard: G) -> Self {
        Self {
            guard,
            tokens: Mutex::default(),
            rights: Mutex::default(),
        }
    }
}

impl<G: Guard> Guard for Cached<G> {
    async fn authenticate(&self, token: &Secret<String>) -> Result<Option<Identity>, Refused> {
        let key: [u8; 32] = Sha256::digest(token.expose()).into();
        if let Some(known) = lock(&self.tokens).get(&key) {
            return Ok(known);
        }
        let identity = self.guard.authenticate(token).await?;
        let time = if identity.is_some() {
            KNOWN_FOR
        } else {
            UNKNOWN_FOR
        };
        lock(&self.tokens).put(key, identity.clone(), time);
        Ok(identity)
    }

    async fn authorize(&self, who: &Identity, asked: Asked) -> Result<bool, Refused> {
        let key = (who.clone(), asked);
        if let Some(known) = lock(&self.rights).get(&key) {
            return Ok(known);
        }
        let allowed = self.guard.authorize(who, asked).await?;
        let time = if allowed { ALLOWED_FOR } else { DENIED_FOR };
        lock(&self.rights).put(key, allowed, time);
        Ok(allowed)
    }
}

#[derive(Debug)]
struct Answers<K, V>(HashMap<K, (V, Instant)>);

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V: Clone> Answers<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let (value, until) = self.0.get(key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    fn put(&mut self, key: K, value: V, time: Duration) {
        let now = Instant::now();
        if self.0.len() >= ANSWERS_MAX {
            self.0.retain(|_, (_, until)| now < *until);
        }
        if self.0.len() >= ANSWERS_MAX {
            // Somebody tries many; who has a right is asked about again.
            self.0.clear();
        }
        self.0.insert(key, (value, now + time));
    }
}

/// A panic while it was held has left it as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use burstlet_model::ErrorKind;

    use super::*;

    /// Knows `friend`, who may get; counts what it is asked.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Guard for Counting {
        async fn authenticate(&self, token: &Secret<String>) -> Result<Option<Identity>, Refused> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match token.expose().as_str() {
                "friend" => Ok(Some(friend())),
                "later" => Err(Refused::new(ErrorKind::Unavailable, "no answer")),
                _ => Ok(None),
            }
        }

        async fn authorize(&self, _: &Identity, asked: Asked) -> Result<bool, Refused> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(asked.verb == "get")
        }
    }

    fn friend() -> Identity {
        Identity {
            user: "friend".to_owned(),
            ..Identity::default()
        }
    }

    impl Cached<Counting> {
        async fn check_token(&self, token: &str, calls: usize) {
            let before = self.guard.0.load(Ordering::Relaxed);
            let identity = self.authenticate(&Secret::new(token.to_owned())).await;
            if let Ok(identity) = identity {
                assert_eq!(identity.is_some(), token == "friend");
            }
            let asked = self.guard.0.load(Ordering::Relaxed) - before;
            assert_eq!(asked, calls, "{token}");
        }

        async fn check_right(&self, verb: &'static str, calls: usize) {
            let before = self.guard.0.load(Ordering::Relaxed);
            let subresource = "pods";
            let asked = Asked { verb, subresource };
            let allowed = self.authorize(&friend(), asked).await.unwrap();
            assert_eq!(allowed, verb == "get");
            let asked = self.guard.0.load(Ordering::Relaxed) - before;
            assert_eq!(asked, calls, "{verb}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_its_time() {
        let cached = Cached::new(Counting::default());
        for (token, time) in [("friend", KNOWN_FOR), ("stranger", UNKNOWN_FOR)] {
            cached.check_token(token, 1).await;
            tokio::time::advance(time - Duration::from_secs(1)).await;
            cached.check_token(token, 0).await;
            tokio::time::advance(Duration::from_secs(1)).await;
            cached.check_token(token, 1).await;
        }
        for (verb, time) in [("get", ALLOWED_FOR), ("create", DENIED_FOR)] {
            cached.check_right(verb, 1).await;
            tokio::time::advance(time - Duration::from_secs(1)).await;
            cached.check_right(verb, 0).await;
            tokio::time::advance(Duration::from_secs(1)).await;
            cached.check_right(verb, 1).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_told_is_not_kept() {
        let cached = Cached::new(Counting::default());
        cached.check_token("later", 1).await;
        cached.check_token("later", 1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn many_strangers_take_no_more_than_their_room() {
        let cached = Cached::new(Counting::default());
        for number in 0..=ANSWERS_MAX {
            cached.check_token(&number.to_string(), 1).await;
        }
        assert!(lock(&cached.tokens).0.len() <= ANSWERS_MAX);
    }
}
