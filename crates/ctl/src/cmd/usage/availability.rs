//! How long groups ran of the time in which they were to.

use burstlet_proto::v1::UsageRow;

use super::{Sheet, share};
use crate::billing::rounded;

pub(super) const SHEET: Sheet = Sheet {
    headings: &["SESSIONS", "ASKED FOR", "RAN", "AVAILABLE"],
    cells,
    seldom: None,
    exact_headings: &["sessions", "asked_seconds", "running_seconds"],
    exact_cells,
};

fn cells(row: &UsageRow, _: &str) -> Vec<String> {
    vec![
        row.sessions.to_string(),
        rounded(&row.asked_seconds, 3) + "s",
        rounded(&row.running_seconds, 3) + "s",
        share(&row.running_seconds, &row.asked_seconds, 3),
    ]
}

fn exact_cells(row: &UsageRow, _: &str) -> Vec<String> {
    vec![
        row.sessions.to_string(),
        row.asked_seconds.clone(),
        row.running_seconds.clone(),
    ]
}
