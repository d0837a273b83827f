//! Tables for people: columns as wide as their widest cell, nothing after the last.

use crate::human::clean;

/// Between two columns.
const GAP: &str = "   ";

/// Rows under a heading.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self::of(heading.map(str::to_owned).into())
    }

    /// With a heading that is not the same every time.
    pub(crate) fn of(heading: Vec<String>) -> Self {
        Self {
            rows: vec![heading],
        }
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let shown = |cell: String| match cell.is_empty() {
            true => "-".to_owned(),
            false => clean(&cell),
        };
        self.rows.push(cells.into_iter().map(shown).collect());
    }

    /// The same without these columns.
    #[must_use]
    pub(crate) fn without(mut self, columns: &[&str]) -> Self {
        let Some(heading) = self.rows.first() else {
            return self;
        };
        let keep: Vec<bool> = heading
            .iter()
            .map(|name| !columns.contains(&name.as_str()))
            .collect();
        for row in &mut self.rows {
            let mut kept = keep.iter();
            row.retain(|_| kept.next().copied().unwrap_or(true));
        }
        self
    }

    /// Every line with a newline, each after an indent.
    pub(crate) fn render(&self, indent: &str) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            for (at, cell) in row.iter().enumerate() {
                let width = cell.chars().count();
                match widths.get_mut(at) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        let line = |row: &Vec<String>| {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join(GAP);
            format!("{indent}{}\n", line.trim_end())
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_clean() {
        let mut table = Table::new(["NAME", "NODE", "STATUS"]);
        table.row([
            "grün".to_owned(),
            String::new(),
            "ok\u{1b}[2J\nforged".to_owned(),
        ]);
        table.row(["longer-name".to_owned(), "n".to_owned(), String::new()]);
        let expected = "  NAME          NODE   STATUS\n  \
                          grün          -      ok\\u{1b}[2J\\nforged\n  \
                          longer-name   n      -\n";
        assert_eq!(table.render("  "), expected);
        let expected = "NAME          STATUS\n\
                        grün          ok\\u{1b}[2J\\nforged\n\
                        longer-name   -\n";
        assert_eq!(table.without(&["NODE"]).render(""), expected);
    }
}
