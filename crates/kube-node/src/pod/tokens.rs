//! How long a service account's token is used: as a kubelet does, not to its end, and never longer
//! than a day. Meanwhile it is kept where it is used, in the pod's group.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde_json::{Map, Value};

use super::needs::{TokenNeed, items, text};

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

/// The tokens in the manifest of a group that was made of a pod with this specification.
pub(crate) fn had(spec: &Map<String, Value>, group: &Value) -> BTreeMap<TokenNeed, String> {
    let projections = items(spec.get("volumes")).filter_map(|volume| {
        let mut made = items(group["spec"].get("volumes"));
        let made = made.find(|made| made["name"] == volume["name"])?;
        let of = items(volume["projected"].get("sources"));
        Some(of.zip(items(made["projected"].get("sources"))))
    });
    let tokens = projections.flatten().filter_map(|(of, made)| {
        let need = TokenNeed::of(of.get("serviceAccountToken")?);
        let token = text(&made["secret"]["stringData"], "token")?;
        Some((need, token.to_owned()))
    });
    tokens.collect()
}

fn jitter(whose: &str, need: &TokenNeed) -> Duration {
    let mut hasher = DefaultHasher::new();
    (whose, &need.audience).hash(&mut hasher);
    Duration::from_millis(hasher.finish() % JITTER_MAX_MS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

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
    fn a_token_is_found_in_the_group_that_has_it() {
        let token =
            |audience: &str| json!({"serviceAccountToken": {"audience": audience, "path": "t"}});
        let spec = json!({"volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "access", "projected": {"sources": [
                {"configMap": {"name": "ca"}}, token(""), token("vault"), token("other"),
            ]}},
            {"name": "later", "projected": {"sources": [token("later")]}},
        ]});
        let made = |token: &str| json!({"secret": {"stringData": {"token": token}}});
        let group = json!({"spec": {"volumes": [
            {"name": "access", "projected": {"sources": [
                {"configMap": {"data": {"token": "no"}}}, made("one"), made("two"), {"secret": {}},
            ]}},
        ]}});
        let found = had(spec.as_object().unwrap(), &group);
        let found: Vec<_> = found
            .iter()
            .map(|(need, token)| (&*need.audience, &**token))
            .collect();
        assert_eq!(found, [("", "one"), ("vault", "two")]);
    }

    #[test]
    fn pods_of_one_moment_are_told_apart() {
        let all: std::collections::BTreeSet<u64> =
            (0..50).map(|n| used_s(3607, &format!("pod-{n}"))).collect();
        assert!(all.len() > 1);
        assert_eq!(used_s(3607, "a"), used_s(3607, "a"));
    }
}
