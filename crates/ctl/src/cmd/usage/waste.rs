//! What was set aside beside what was used: what it cost, and the requests that would have been
//! enough for 95 of 100 samples, and for all of them.

use burstlet_proto::v1::{SampledUse, UsageRow};

use super::{Sheet, share};
use crate::billing::rounded;
use crate::human;

pub(super) const SHEET: Sheet = Sheet {
    headings: &[
        "CPU SET ASIDE",
        "USED",
        "P95",
        "PEAK",
        "MEMORY SET ASIDE",
        "USED",
        "P95",
        "PEAK",
        "COST",
    ],
    cells,
    seldom: None,
    exact_headings: &[
        "cpu_requested_milli",
        "cpu_requested_core_seconds",
        "cpu_used_core_seconds",
        "cpu_p95_milli",
        "cpu_peak_milli",
        "cpu_samples",
        "memory_requested_bytes",
        "memory_requested_byte_seconds",
        "memory_used_byte_seconds",
        "memory_p95_bytes",
        "memory_peak_bytes",
        "memory_samples",
        "cost",
        "currency",
    ],
    exact_cells,
};

fn cells(row: &UsageRow, currency: &str) -> Vec<String> {
    let shown =
        |used: &Option<SampledUse>, pick: fn(&SampledUse) -> u64, show: fn(u64) -> String| {
            used.as_ref()
                .map(|used| show(pick(used)))
                .unwrap_or_default()
        };
    vec![
        human::cpu(row.cpu_requested_milli),
        share(
            &row.cpu_used_core_seconds,
            &row.cpu_requested_core_seconds,
            1,
        ),
        shown(&row.cpu_milli, |used| used.p95, human::cpu),
        shown(&row.cpu_milli, |used| used.peak, human::cpu),
        human::bytes(row.memory_requested_bytes),
        share(
            &row.memory_used_byte_seconds,
            &row.memory_requested_byte_seconds,
            1,
        ),
        shown(&row.memory_bytes, |used| used.p95, human::bytes),
        shown(&row.memory_bytes, |used| used.peak, human::bytes),
        format!("{} {currency}", rounded(&row.cost, 6)),
    ]
}

fn exact_cells(row: &UsageRow, currency: &str) -> Vec<String> {
    let sampled = |used: &Option<SampledUse>| {
        let used = used.as_ref();
        [
            used.map(|used| used.p95.to_string()).unwrap_or_default(),
            used.map(|used| used.peak.to_string()).unwrap_or_default(),
            used.map_or(0, |used| used.samples).to_string(),
        ]
    };
    let mut cells = vec![
        row.cpu_requested_milli.to_string(),
        row.cpu_requested_core_seconds.clone(),
        row.cpu_used_core_seconds.clone(),
    ];
    cells.extend(sampled(&row.cpu_milli));
    cells.extend([
        row.memory_requested_bytes.to_string(),
        row.memory_requested_byte_seconds.clone(),
        row.memory_used_byte_seconds.clone(),
    ]);
    cells.extend(sampled(&row.memory_bytes));
    cells.extend([row.cost.clone(), currency.to_owned()]);
    cells
}
