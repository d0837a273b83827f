//! Request to first instruction: a start, and an exec into what runs.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::engine::Engine;
use crate::report::{Report, Table, median, milliseconds, percentile};
use crate::setting::Setting;

/// Between two measurements: the kernel ends what the last one left behind.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// All take turns; who begins rotates.
pub(crate) fn measure(setting: &Setting<'_>, report: &mut Report) -> Result<()> {
    let starters = setting.starters();
    let started = turns(setting.rounds, starters.len(), |who, round| {
        starters[who].start(&format!("start-{round}"))
    })?;
    let labels: Vec<_> = starters.iter().map(|starter| starter.label()).collect();
    report.add(table(
        "Start: request to first instruction",
        &labels,
        &started,
        1,
    ));

    let engines = setting.engines();
    let mut held = Vec::new();
    let execs = execs(setting, &engines, &mut held);
    for (engine, name) in engines.iter().zip(&held) {
        engine.release(name)?;
    }
    let labels: Vec<_> = engines.iter().map(|engine| engine.label()).collect();
    let title = "Exec: request to first instruction";
    report.add(table(title, &labels, &execs?, 0));
    Ok(())
}

/// Each execs into a container of its own; `held` has their names, as far as they were started.
fn execs(
    setting: &Setting<'_>,
    engines: &[&dyn Engine],
    held: &mut Vec<String>,
) -> Result<Vec<Vec<Duration>>> {
    for (index, engine) in engines.iter().enumerate() {
        // Engines of one kind share their names.
        let name = format!("held-{index}");
        let started = engine.hold(&name);
        started.with_context(|| format!("hold a container by {}", engine.label()))?;
        held.push(name);
    }
    turns(setting.rounds, engines.len(), |who, _| {
        engines[who].exec(&held[who])
    })
}

/// Calls `one` for each of `count` in each round, and sorts what it took.
pub(crate) fn turns(
    rounds: u32,
    count: usize,
    mut one: impl FnMut(usize, u32) -> Result<Duration>,
) -> Result<Vec<Vec<Duration>>> {
    let mut took = vec![Vec::new(); count];
    // The first round fills caches and does not count.
    for round in 0..=rounds {
        for turn in 0..count {
            let who = (turn + round as usize) % count;
            let duration = one(who, round)?;
            if round > 0 {
                took[who].push(duration);
            }
            std::thread::sleep(PAUSE);
        }
    }
    Ok(took)
}

/// Each with its ratios: to the first row, and to Burstlet, which is row `own`.
fn table(title: &str, labels: &[&str], took: &[Vec<Duration>], own: usize) -> Table {
    let mut table = Table::new(
        title,
        &["", "p50 ms", "p90 ms", "× first row", "× Burstlet"],
    );
    let (first, ours) = (median(&took[0]), median(&took[own]));
    for (label, took) in labels.iter().zip(took) {
        let p50 = median(took);
        let times = |of: Duration| format!("{:.2}", p50.as_secs_f64() / of.as_secs_f64());
        table.row(&[
            label,
            &milliseconds(p50),
            &milliseconds(percentile(took, 90)),
            &times(first),
            &times(ours),
        ]);
    }
    table
}
