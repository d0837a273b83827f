//! How long a service account's token is used: as a kubelet does, not to its end, and never longer
//! than a day.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::needs::TokenNeed;

/// The part of its life that a token is used for, in percent.
const USED_PERCENT: u32 = 80;
/// The longest time that a token is used.
const USED_MAX: Duration = Duration::from_secs(24 * 3600);
/// Tokens of one moment are renewed within this time of each other.
const JITTER_MAX_MS: u64 = 10_000;

/// How long a token is used whose life is this long. `whose` tells pods apart.
pub(crate) fn used_for(life: Duration, whose: &str, need: &TokenNeed) -> Duration {
    let used = (life * USED_PERCENT / 100).min(USED_MAX);
    used.saturating_sub(jitter(whose, need))
}

fn jitter(whose: &str, need: &TokenNeed) -> Duration {
    let mut hasher = DefaultHasher::new();
    (whose, &need.audience).hash(&mut hasher);
    Duration::from_millis(hasher.finish() % JITTER_MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used_s(life_s: u64, whose: &str) -> u64 {
        let need = TokenNeed {
            audience: String::new(),
            expiration_s: 3600,
        };
        used_for(Duration::from_secs(life_s), whose, &need).as_secs()
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        for (life_s, latest_s) in [(600, 480), (3607, 2885), (365 * 86_400, 86_400)] {
            for whose in ["a", "b", "c", "d"] {
                let used = used_s(life_s, whose);
                assert!(
                    (latest_s - 10..=latest_s).contains(&used),
                    "{used} of {life_s}"
                );
            }
        }
    }

    #[test]
    fn pods_of_one_moment_are_told_apart() {
        let all: std::collections::BTreeSet<u64> =
            (0..50).map(|n| used_s(3607, &format!("pod-{n}"))).collect();
        assert!(all.len() > 1);
        assert_eq!(used_s(3607, "a"), used_s(3607, "a"));
    }
}
