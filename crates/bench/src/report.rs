//! What was measured, as Markdown.

use std::fmt::Write;
use std::time::Duration;

/// Everything that one run found.
pub struct Report {
    head: Vec<String>,
    notes: Vec<String>,
    tables: Vec<Table>,
}

/// Rows of one measurement.
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Report {
    /// Nothing yet but a head.
    pub const fn new(head: Vec<String>) -> Self {
        Self {
            head,
            notes: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// Adds a table, and shows it at once: a whole run takes minutes.
    pub fn add(&mut self, table: Table) {
        eprintln!("{}", table.markdown());
        self.tables.push(table);
    }

    /// Adds a line below the head.
    pub fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    /// All of it.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for line in self.head.iter().chain(&self.notes) {
            text.push_str(line);
            text.push_str("\n\n");
        }
        let tables: Vec<_> = self.tables.iter().map(Table::markdown).collect();
        text + &tables.join("\n")
    }
}

impl Table {
    /// No row yet.
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            columns: columns.iter().copied().map(str::to_owned).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[&str]) {
        let cells = cells.iter().copied().map(str::to_owned);
        self.rows.push(cells.collect());
    }

    fn markdown(&self) -> String {
        let mut text = format!("**{}**\n\n", self.title);
        let rule = vec!["---".to_owned(); self.columns.len()];
        for cells in [&self.columns, &rule].into_iter().chain(&self.rows) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }
}

/// The middle one.
pub fn median(took: &[Duration]) -> Duration {
    percentile(took, 50)
}

/// The smallest that so many percent do not exceed; nothing of nothing.
pub fn percentile(took: &[Duration], percent: usize) -> Duration {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

/// With two digits behind the point.
pub fn milliseconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let took: Vec<_> = (1..=10).rev().map(Duration::from_millis).collect();
        assert_eq!(median(&took), Duration::from_millis(5));
        assert_eq!(percentile(&took, 90), Duration::from_millis(9));
        assert_eq!(percentile(&took, 100), Duration::from_millis(10));
        assert_eq!(median(&took[..1]), Duration::from_millis(10));
        assert_eq!(median(&[]), Duration::ZERO);
    }

    #[test]
    fn a_report_is_markdown() {
        let mut report = Report::new(vec!["A machine".to_owned()]);
        report.note("x is not installed");
        let mut table = Table::new("Starts", &["", "ms"]);
        table.row(&["a", "1.00"]);
        report.add(table);
        assert_eq!(
            report.markdown(),
            "A machine\n\nx is not installed\n\n**Starts**\n\n|  | ms |\n| --- | --- |\n| a | 1.00 |\n"
        );
    }
}
