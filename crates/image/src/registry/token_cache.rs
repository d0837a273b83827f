//! Tokens that are still good, so that one pull after the other need not ask the token server, nor
//! be refused first to learn that there is one.
//!
//! A token serves who showed the same credentials for the same repository, and nobody else.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use burstlet_model::Digest;
use reqwest::header::HeaderValue;
use tokio::time::Instant;

use super::RegistryHost;

/// Tokens that are kept.
const TOKENS_MAX: usize = 256;
/// No token is used for longer, whatever its server says: what was taken away is gone by then.
const LIFE_MAX: Duration = Duration::from_secs(300);
/// The life of a token whose server does not say, by the protocol.
const LIFE_DEFAULT: Duration = Duration::from_secs(60);
/// Before its end, how long a token is not used any more: the request takes time.
const LIFE_MARGIN: Duration = Duration::from_secs(10);

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) registry: RegistryHost,
    pub(super) repository: String,
    /// Stands for the request's credentials; none if the node's own count, or nobody's.
    pub(super) credentials: Option<Digest>,
}

/// A token, as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) authorization: HeaderValue,
    /// It was given for credentials that came with a request.
    pub(super) of_request: bool,
    end: Instant,
}

/// The tokens of one client.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    by_key: Mutex<HashMap<Key, Token>>,
}

impl Token {
    /// A token that was asked for at `asked`; `life_s` is what its server says.
    pub(super) fn new(
        authorization: HeaderValue,
        of_request: bool,
        (asked, life_s): (Instant, Option<u64>),
    ) -> Self {
        let life = life_s.map_or(LIFE_DEFAULT, Duration::from_secs);
        Self {
            authorization,
            of_request,
            end: asked + life.min(LIFE_MAX).saturating_sub(LIFE_MARGIN),
        }
    }
}

impl Tokens {
    /// A token that is still good.
    pub(super) fn get(&self, key: &Key) -> Option<Token> {
        let now = Instant::now();
        let tokens = self.lock();
        tokens.get(key).filter(|token| token.end > now).cloned()
    }

    /// Keeps a token. The oldest goes where there are too many.
    pub(super) fn put(&self, key: Key, token: Token) {
        let now = Instant::now();
        let mut tokens = self.lock();
        tokens.retain(|_, token| token.end > now);
        if tokens.len() >= TOKENS_MAX {
            let first = tokens.iter().min_by_key(|(_, token)| token.end);
            if let Some(first) = first.map(|(key, _)| key.clone()) {
                tokens.remove(&first);
            }
        }
        tokens.insert(key, token);
    }

    /// The map is valid after each statement, so a panic leaves it usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Token>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn key(repository: &str, credentials: Option<&str>) -> Key {
        Key {
            registry: "r.io".parse().unwrap(),
            repository: repository.to_owned(),
            credentials: credentials.map(|text| crate::digest_of(text.as_bytes())),
        }
    }

    fn token(life_s: Option<u64>) -> Token {
        let authorization = HeaderValue::from_static("Bearer x");
        Token::new(authorization, true, (Instant::now(), life_s))
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_serve_who_they_were_given_to_while_they_last() {
        let tokens = Tokens::default();
        tokens.put(key("app", Some("a")), token(Some(30)));
        assert!(tokens.get(&key("app", Some("a"))).is_some());
        for other in [key("app", Some("b")), key("app", None), key("b", Some("a"))] {
            assert!(tokens.get(&other).is_none(), "{other:?}");
        }
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(tokens.get(&key("app", Some("a"))).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn no_token_lives_for_long() {
        for (life_s, lasts) in [(None, 50), (Some(86_400), 290), (Some(5), 0), (Some(0), 0)] {
            let tokens = Tokens::default();
            tokens.put(key("app", None), token(life_s));
            let is_good = || tokens.get(&key("app", None)).is_some();
            assert_eq!(is_good(), lasts > 0, "{life_s:?}");
            tokio::time::advance(Duration::from_secs(lasts)).await;
            assert!(!is_good(), "{life_s:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_repositories_is_bounded() {
        let tokens = Tokens::default();
        for index in 0..2 * TOKENS_MAX {
            tokens.put(key(&index.to_string(), None), token(None));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(tokens.lock().len(), TOKENS_MAX);
        assert!(tokens.get(&key("0", None)).is_none());
    }
}
