//! The page that Prometheus reads, when more groups have just ended than it has series for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use burstlet_bench::clock::Instant;
use burstlet_bench::report::{median, milliseconds, percentile};
use burstlet_metering::view::{Format, RETAINED_GROUPS_MAX};

use crate::Finding;
use crate::history::{self, History, SECOND_NS};

const GROUPS: usize = 10_000;
const GROUPS_QUICK: usize = 200;
const ROUNDS: u32 = 100;
const ROUNDS_QUICK: u32 = 3;
const TIME_MAX: Duration = Duration::from_millis(50);
/// 2 MB.
const BYTES_MAX: usize = 2_000_000;
/// How far apart the groups begin: all end within the time that their series stay.
const APART_NS: u64 = 20_000_000;

pub(crate) fn measure(quick: bool) -> Result<Vec<Finding>> {
    let (groups, rounds) = match quick {
        true => (GROUPS_QUICK, ROUNDS_QUICK),
        false => (GROUPS, ROUNDS),
    };
    let mut history = History::new()?;
    for number in 0..groups {
        let begun = number as u64 * APART_NS;
        let ran = SECOND_NS + number as u64 * 7919;
        history.tell(history::ended(number, begun, ran)?)?;
    }
    let now = history::moment(groups as u64 * APART_NS + 10 * SECOND_NS)?;
    let mut took = Vec::new();
    let mut bytes = 0;
    for round in 0..=rounds {
        let format = match round.is_multiple_of(2) {
            true => Format::Text,
            false => Format::OpenMetrics,
        };
        let begun = Instant::now();
        let page = history.meter().page(format, now.stamp);
        let page = page.context("write the page")?;
        // The first fills caches and does not count.
        if round > 0 {
            took.push(Instant::now().since(begun));
        }
        bytes = bytes.max(page.len());
        let series = page.matches("burstlet_group_cost_total{").count();
        ensure!(series == groups.min(RETAINED_GROUPS_MAX), "{series} groups");
    }
    let (p50, p99) = (median(&took), percentile(&took, 99));
    let what = format!("/metrics/billing with {groups} finished groups");
    let time = format!("{} ms, p99 {} ms", milliseconds(p50), milliseconds(p99));
    Ok(vec![
        Finding::new(format!("{what}, p50"), time)
            .with_goal(format!("under {} ms", TIME_MAX.as_millis()), p99 < TIME_MAX),
        Finding::new(what, format!("{:.2} MB", bytes as f64 / 1e6))
            .with_goal("under 2 MB", bytes < BYTES_MAX),
    ])
}
