//! What we remember of each host: whether it is down, and how fast it answers.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::RegistryHost;

/// A host that failed is asked last for this long.
const DOWN_FOR: Duration = Duration::from_secs(60);
/// A latency older than this is measured again.
pub(super) const LATENCY_AGE_MAX: Duration = Duration::from_secs(300);
/// Hosts remembered; tenants choose names, so there must be a bound.
const HOSTS_MAX: usize = 1024;

#[derive(Default)]
pub(super) struct Health {
    hosts: Mutex<HashMap<RegistryHost, Seen>>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    down_since: Option<Instant>,
    latency: Option<(Duration, Instant)>,
}

impl Health {
    /// The host answered within `latency`.
    pub(super) fn answered(&self, host: &RegistryHost, latency: Duration) {
        self.update(host, |seen| {
            let smooth = seen
                .latency
                .map_or(latency, |(before, _)| (before * 3 + latency) / 4);
            *seen = Seen {
                down_since: None,
                latency: Some((smooth, Instant::now())),
            };
        });
    }

    /// The host did not answer.
    pub(super) fn failed(&self, host: &RegistryHost) {
        self.update(host, |seen| {
            *seen = Seen {
                down_since: Some(Instant::now()),
                latency: None,
            };
        });
    }

    pub(super) fn is_down(&self, host: &RegistryHost) -> bool {
        self.seen(host)
            .down_since
            .is_some_and(|since| since.elapsed() < DOWN_FOR)
    }

    /// The measured latency, unless it is too old.
    pub(super) fn latency(&self, host: &RegistryHost) -> Option<Duration> {
        let (latency, at) = self.seen(host).latency?;
        (at.elapsed() < LATENCY_AGE_MAX).then_some(latency)
    }

    fn seen(&self, host: &RegistryHost) -> Seen {
        let hosts = self
            .hosts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        hosts.get(host).copied().unwrap_or_default()
    }

    fn update(&self, host: &RegistryHost, change: impl FnOnce(&mut Seen)) {
        let mut hosts = self
            .hosts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if hosts.len() >= HOSTS_MAX && !hosts.contains_key(host) {
            hosts.clear();
        }
        change(hosts.entry(host.clone()).or_default());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_remembered_and_forgotten() {
        let (health, host) = (Health::default(), "r.io".parse().unwrap());
        assert!(!health.is_down(&host));
        health.failed(&host);
        assert!(health.is_down(&host));
        tokio::time::advance(DOWN_FOR).await;
        assert!(!health.is_down(&host));
        health.failed(&host);
        health.answered(&host, Duration::from_millis(8));
        assert!(!health.is_down(&host));
        assert_eq!(health.latency(&host), Some(Duration::from_millis(8)));
        tokio::time::advance(LATENCY_AGE_MAX).await;
        assert_eq!(health.latency(&host), None);
    }

    #[test]
    fn the_memory_is_bounded() {
        let health = Health::default();
        for n in 0..3 * HOSTS_MAX {
            health.failed(&format!("h{n}.io").parse().unwrap());
        }
        assert!(health.hosts.lock().unwrap().len() <= HOSTS_MAX);
    }
}
