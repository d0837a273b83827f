//! The table of what is promised of bills: every test that a line names exists, and a promise without
//! a test says so in plain words.

use super::File;
use super::tests_named::{WITHOUT_TEST, named, names};

const PAGE: &str = "docs/billing.md";
/// The head of the table.
const HEAD: &str = "| what is promised | how it is shown | tests |";

/// Everything that is wrong with the table.
pub(super) fn faults(files: &[File]) -> Vec<String> {
    let page = files.iter().find(|file| file.path == PAGE);
    let rows: Vec<(&str, &str)> = page.map(|page| rows(&page.text)).unwrap_or_default();
    if rows.is_empty() {
        return vec![format!("{PAGE} has no table of what is promised")];
    }
    let tests = names(files);
    let mut faults = Vec::new();
    for (promise, cell) in rows {
        let named = named(cell);
        if named.is_empty() && !WITHOUT_TEST.contains(&cell) {
            faults.push(format!(
                "{PAGE}: {promise:?} names no test and does not say why"
            ));
        }
        let unknown = named.iter().filter(|name| !tests.contains(*name));
        faults.extend(unknown.map(|name| format!("{PAGE} names {name}, which is no test")));
    }
    faults
}

/// The first and the last cell of every line of the table.
fn rows(page: &str) -> Vec<(&str, &str)> {
    let table = page.lines().skip_while(|line| *line != HEAD).skip(2);
    let lines = table.take_while(|line| line.starts_with('|'));
    let cells = lines.map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        (cells.next().unwrap_or(""), cells.next_back().unwrap_or(""))
    });
    cells.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &str, expected: &[&str]) {
        let file = |path: &str, text: String| File {
            path: path.to_owned(),
            text,
        };
        let source = "#[test]\nfn holds() {}\nfn helper() {}\n".to_owned();
        let files = [file(PAGE, lines.to_owned()), file("a.rs", source)];
        assert_eq!(faults(&files), expected);
    }

    fn page(cell: &str) -> String {
        format!("text\n{HEAD}\n|---|---|---|\n| a | b | {cell} |\n\n| c | d |\n")
    }

    #[test]
    fn promises_name_tests_that_exist() {
        check(&page("`holds`"), &[]);
        check(&page("not covered"), &[]);
        let told = ["docs/billing.md names helper, which is no test"];
        check(&page("`holds`, `helper`"), &told);
        let told = ["docs/billing.md: \"a\" names no test and does not say why"];
        check(&page("soon"), &told);
        let told = ["docs/billing.md has no table of what is promised"];
        check("text", &told);
    }
}
