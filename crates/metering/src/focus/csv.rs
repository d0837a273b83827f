//! The export as CSV, as RFC 4180 has it.

use super::column::COLUMNS;
use super::row::{Invoice, Row};

/// The rows with their columns' names.
#[must_use]
pub fn csv(rows: &[Row], invoice: &Invoice) -> String {
    let mut out = String::new();
    line(&mut out, COLUMNS.iter().map(|column| column.name));
    for row in rows {
        line(
            &mut out,
            COLUMNS.iter().map(|column| column.text(row, invoice)),
        );
    }
    out
}

fn line(out: &mut String, cells: impl Iterator<Item = impl AsRef<str>>) {
    for (index, cell) in cells.enumerate() {
        let cell = cell.as_ref();
        if index > 0 {
            out.push(',');
        }
        if cell.contains(['"', ',', '\n', '\r']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(cell);
        }
    }
    out.push_str("\r\n");
}
