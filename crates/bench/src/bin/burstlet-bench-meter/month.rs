//! A month's sessions, rated and summed by namespace, as `burstctl bill` asks for them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use burstlet_bench::clock::Instant;
use burstlet_bench::report::{median, milliseconds};
use burstlet_metering::sessions::Window;
use burstlet_metering::usage::{Dimension, Filter};

use crate::Finding;
use crate::history::{self, History, SECOND_NS};

const SESSIONS: usize = 100_000;
const SESSIONS_QUICK: usize = 1000;
const ROUNDS: u32 = 9;
const MONTH_NS: u64 = 30 * 24 * 3600 * SECOND_NS;
/// The longest of them; the shortest is a second.
const HOURS_MAX: u64 = 8;
const TIME_MAX: Duration = Duration::from_secs(1);

pub(crate) fn measure(quick: bool) -> Result<Vec<Finding>> {
    let sessions = match quick {
        true => SESSIONS_QUICK,
        false => SESSIONS,
    };
    let mut history = History::new()?;
    let longest = HOURS_MAX * 3600 * SECOND_NS;
    for number in 0..sessions {
        let begun = (MONTH_NS - 2 * longest) / sessions as u64 * number as u64;
        // A number that is prime to the longest: lengths are spread over all there are.
        let ran = SECOND_NS + number as u64 * 1_000_003_001 % longest;
        history.tell(history::ended(number, begun, ran)?)?;
    }
    let now = history::moment(MONTH_NS)?.stamp;
    let month = Window {
        from: history::moment(0)?.stamp.wall,
        to: now.wall,
    };
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let by = [Dimension::Namespace];
        let asked = history.meter().report(now, month, &Filter::default(), &by);
        let report = asked.context("rate the month")?;
        took.push(Instant::now().since(begun));
        ensure!(!report.is_empty(), "nothing was rated");
    }
    let p50 = median(&took);
    let goal = format!("under {} s", TIME_MAX.as_secs());
    let what = format!("a month of {sessions} sessions rated");
    let finding = Finding::new(what, format!("{} ms", milliseconds(p50)));
    Ok(vec![finding.with_goal(goal, p50 < TIME_MAX)])
}
