//! What was set aside and used, and what it cost.

use burstlet_proto::v1::UsageRow;

use super::{Seldom, Sheet, share};
use crate::billing::{giga, rounded};

/// Time for which groups had devices.
const DEVICES: &str = "DEVICE-SECONDS";

pub(super) const SHEET: Sheet = Sheet {
    headings: &[
        "SESSIONS",
        "BILLED",
        "CORE-SECONDS",
        "USED",
        "GB-SECONDS",
        "USED",
        DEVICES,
        "COST",
    ],
    cells,
    seldom: Some(Seldom {
        heading: DEVICES,
        is_had: |row| row.device_requested_seconds != "0",
    }),
    exact_headings: &[
        "sessions",
        "billed_seconds",
        "pull_seconds",
        "backoff_seconds",
        "unrated_seconds",
        "cpu_requested_core_seconds",
        "cpu_used_core_seconds",
        "memory_requested_byte_seconds",
        "memory_used_byte_seconds",
        "device_requested_seconds",
        "sent_bytes",
        "received_bytes",
        "cost",
        "currency",
    ],
    exact_cells,
};

fn cells(row: &UsageRow, currency: &str) -> Vec<String> {
    let (cpu, memory) = (
        &row.cpu_requested_core_seconds,
        &row.memory_requested_byte_seconds,
    );
    vec![
        row.sessions.to_string(),
        rounded(&row.billed_seconds, 3) + "s",
        rounded(cpu, 3),
        share(&row.cpu_used_core_seconds, cpu, 0),
        rounded(&giga(memory), 3),
        share(&row.memory_used_byte_seconds, memory, 0),
        rounded(&row.device_requested_seconds, 3),
        format!("{} {currency}", rounded(&row.cost, 6)),
    ]
}

fn exact_cells(row: &UsageRow, currency: &str) -> Vec<String> {
    vec![
        row.sessions.to_string(),
        row.billed_seconds.clone(),
        row.pull_seconds.clone(),
        row.backoff_seconds.clone(),
        row.unrated_seconds.clone(),
        row.cpu_requested_core_seconds.clone(),
        row.cpu_used_core_seconds.clone(),
        row.memory_requested_byte_seconds.clone(),
        row.memory_used_byte_seconds.clone(),
        row.device_requested_seconds.clone(),
        row.sent_bytes.clone(),
        row.received_bytes.clone(),
        row.cost.clone(),
        currency.to_owned(),
    ]
}
