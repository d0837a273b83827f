//! What is done from time to time: undo meddling with the network, remove images that nobody uses
//! when the disk is full, evict groups that use more of the disk than they may, and keep budgets.
//!
//! Each has a loop of its own, since a large tree takes minutes to remove or to measure, and
//! meddling must be undone at once.

use std::sync::Arc;
use std::time::Duration;

use burstlet_image::store::PrunePolicy;
use burstlet_telemetry::Health;
use nix::sys::statvfs::statvfs;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::budgets::Told;
use crate::config::Config;
use crate::host::RealHost;
use crate::machine;

/// Between looks at the network, if nothing is heard.
const REPAIR_PERIOD: Duration = Duration::from_secs(10);
/// Between looks at the network at least, however much is heard.
const REPAIR_REST: Duration = Duration::from_millis(100);
/// A network loop that has not come round for this long hangs.
const REPAIR_SILENCE_MAX: Duration = Duration::from_secs(120);

/// Between looks for images to remove.
const COLLECTION_PERIOD: Duration = Duration::from_secs(300);
/// To remove what a full disk holds may take its time; one that takes longer hangs.
const COLLECTION_SILENCE_MAX: Duration = Duration::from_secs(3600);

/// Between looks at what the groups use of the disk, at least.
const STORAGE_PERIOD: Duration = Duration::from_secs(10);
/// Between two looks, this many times what the last one took.
const STORAGE_REST_FACTOR: u32 = 9;

/// Between samples of the groups' memory.
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);
/// Samples of memory for each of the processor, which takes one more file.
const SAMPLES_PER_CPU_SAMPLE: u32 = 10;
/// Samples between two readings of a group's counters that are written down while it lasts.
const SAMPLES_PER_READING: u32 = 600;

/// Between two looks for what of the ledger is old enough to become sums.
const RETIRE_PERIOD: Duration = Duration::from_secs(24 * 3600);
/// Between looks at the budgets at most: what a group spends meanwhile may be spent too much.
const BUDGET_PERIOD: Duration = Duration::from_secs(1);
/// Between looks at the budgets at least.
const BUDGET_REST: Duration = Duration::from_millis(10);

/// Works until the shutdown.
pub(super) async fn run(
    host: &RealHost,
    config: &Arc<Config>,
    health: &Health,
    shutdown: CancellationToken,
) {
    tokio::join!(
        keep_network(host, health, shutdown.clone()),
        collect_images(host, config, health, shutdown.clone()),
        watch_storage(host, shutdown.clone()),
        retire(host, config, shutdown.clone()),
        measure(host, shutdown.clone()),
        keep_budgets(host, shutdown),
    );
}

async fn keep_network(host: &RealHost, health: &Health, shutdown: CancellationToken) {
    let heartbeat = health.heartbeat("network", REPAIR_SILENCE_MAX);
    let mut ticks = tokio::time::interval(REPAIR_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // What was not heard in this turn is heard in the next.
        tokio::select! {
            _ = ticks.tick() => {}
            () = host.network.meddled() => {}
            () = shutdown.cancelled() => return,
        }
        heartbeat.beat();
        repair(host).await;
        tokio::time::sleep(REPAIR_REST).await;
    }
}

async fn collect_images(
    host: &RealHost,
    config: &Config,
    health: &Health,
    shutdown: CancellationToken,
) {
    let heartbeat = health.heartbeat("image collection", COLLECTION_SILENCE_MAX);
    let mut ticks = tokio::time::interval(COLLECTION_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        heartbeat.beat();
        collect(host, config).await;
    }
}

/// Samples what counters do not tell, and writes down now and then what they do.
async fn measure(host: &RealHost, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(SAMPLE_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count: u32 = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        host.sample(count.is_multiple_of(SAMPLES_PER_CPU_SAMPLE))
            .await;
        if let Err(error) = host.metering.look_at_clocks().await {
            tracing::warn!(%error, "write down that the clock was set");
        }
        count = count.wrapping_add(1);
        if count.is_multiple_of(SAMPLES_PER_READING) {
            host.write_down_usage().await;
        }
    }
}

/// Reads old segments of the ledger, and lets them go.
async fn retire(host: &RealHost, config: &Config, shutdown: CancellationToken) {
    loop {
        if let Err(error) = host.metering.retire(config.billing.keep_days).await {
            tracing::error!(
                error = format!("{error:#}"),
                "retire old segments of the ledger"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(RETIRE_PERIOD) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Looks at the budgets every second, and at the moment at which one reaches its next threshold.
async fn keep_budgets(host: &RealHost, shutdown: CancellationToken) {
    let mut told = Told::default();
    loop {
        let pause = host
            .keep_budgets(&mut told)
            .clamp(BUDGET_REST, BUDGET_PERIOD);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Looks take a tenth of the time at most, however large the trees are.
async fn watch_storage(host: &RealHost, shutdown: CancellationToken) {
    let mut pause = STORAGE_PERIOD;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
        let begun = Instant::now();
        host.enforce_storage().await;
        pause = STORAGE_PERIOD.max(begun.elapsed().saturating_mul(STORAGE_REST_FACTOR));
    }
}

async fn repair(host: &RealHost) {
    match host.network.repair().await {
        Ok(report) => {
            if report.rules_restored || report.links_repaired > 0 {
                tracing::warn!(
                    ?report,
                    "somebody changed the groups' network; it is as it was again"
                );
            }
            host.attach_again(&report.detached).await;
        }
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "repair the network"
        ),
    }
}

async fn collect(host: &RealHost, config: &Config) {
    let age_s = config.images.gc_age_s;
    let policy = PrunePolicy {
        unused_for: (age_s > 0).then(|| Duration::from_secs(age_s)),
        disk_bytes_max: excess_bytes(config)
            .map(|excess| host.images.disk_bytes().saturating_sub(excess)),
    };
    if policy == PrunePolicy::default() {
        return;
    }
    match host.images.prune(policy, machine::now().wall).await {
        Ok(pruned) => tracing::debug!(?pruned, "looked for unused images"),
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "remove unused images"
        ),
    }
}

/// How many bytes too many the disk holds; `None` while it is not full.
fn excess_bytes(config: &Config) -> Option<u64> {
    let disk = statvfs(&*config.state_dir).ok()?;
    let total = disk.blocks().saturating_mul(disk.fragment_size());
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    let used = total.saturating_sub(free);
    let share = |percent: u8| total / 100 * u64::from(percent);
    (used > share(config.images.gc_high_percent))
        .then(|| used - share(config.images.gc_low_percent))
}
