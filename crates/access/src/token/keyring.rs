//! When the issuer is asked for its keys: judgement only.

use std::sync::Arc;
use std::time::Duration;

use burstlet_model::BootTime;
use jsonwebtoken::jwk::JwkSet;

/// How long keys are used without asking again.
const FRESH_MAX: Duration = Duration::from_secs(600);
/// How long they are used if the issuer does not answer.
const OLD_MAX: Duration = Duration::from_secs(3600);
/// The pause between two questions: neither an issuer that is down nor tokens with made-up keys make
/// us ask more often.
const PAUSE_MIN: Duration = Duration::from_secs(15);

/// The keys that the issuer had when it was asked last.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    keys: Option<(Arc<JwkSet>, BootTime)>,
    asked_at: Option<BootTime>,
}

/// What to do for a token.
#[derive(Debug)]
pub(super) enum Step {
    /// Use these; the token's key may not be among them.
    Use(Arc<JwkSet>),
    /// Ask the issuer, and then look again.
    Ask,
    /// There are none, and it is too early to ask again.
    Without,
}

impl Keyring {
    /// What to do for a token that names this key.
    pub(super) fn next(&self, kid: Option<&str>, now: BootTime) -> Step {
        let age = |at: BootTime| now.since(at);
        let may_ask = self.asked_at.is_none_or(|at| age(at) >= PAUSE_MIN);
        let Some((keys, got_at)) = &self.keys else {
            return if may_ask { Step::Ask } else { Step::Without };
        };
        let knows = kid.is_none_or(|kid| keys.find(kid).is_some());
        let is_fresh = age(*got_at) < FRESH_MAX;
        match (may_ask, is_fresh && knows) {
            (_, true) => Step::Use(Arc::clone(keys)),
            (true, false) => Step::Ask,
            (false, false) if age(*got_at) < OLD_MAX => Step::Use(Arc::clone(keys)),
            (false, false) => Step::Without,
        }
    }

    /// Takes note of an answer, if there was one.
    pub(super) fn asked(&mut self, answer: Option<JwkSet>, now: BootTime) {
        self.asked_at = Some(now);
        if let Some(keys) = answer {
            self.keys = Some((Arc::new(keys), now));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn keys(kid: &str) -> JwkSet {
        let text = format!(
            r#"{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "kid": "{kid}", "x": "AA"}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    const fn at(seconds: u64) -> BootTime {
        BootTime(seconds * 1_000_000_000)
    }

    #[test]
    fn keys_are_asked_for_when_they_are_needed_and_not_too_often() {
        let mut ring = Keyring::default();
        assert!(matches!(ring.next(Some("a"), at(100)), Step::Ask));
        ring.asked(None, at(100));
        assert!(matches!(ring.next(Some("a"), at(101)), Step::Without));
        assert!(matches!(ring.next(Some("a"), at(115)), Step::Ask));
        ring.asked(Some(keys("a")), at(115));
        assert!(matches!(ring.next(Some("a"), at(116)), Step::Use(_)));
        // A key that nobody knows makes nobody ask at once, but after a while: keys change.
        assert!(matches!(ring.next(Some("b"), at(116)), Step::Use(_)));
        assert!(matches!(ring.next(Some("b"), at(130)), Step::Ask));
        assert!(matches!(ring.next(Some("a"), at(714)), Step::Use(_)));
        assert!(matches!(ring.next(Some("a"), at(715)), Step::Ask));
    }

    #[test]
    fn an_issuer_that_is_down_is_not_needed_for_an_hour() {
        let mut ring = Keyring::default();
        ring.asked(Some(keys("a")), at(0));
        ring.asked(None, at(3590));
        assert!(matches!(ring.next(Some("a"), at(3599)), Step::Use(_)));
        assert!(matches!(ring.next(Some("a"), at(3600)), Step::Without));
        assert!(matches!(ring.next(Some("a"), at(3605)), Step::Ask));
    }
}
