//! The table of attack classes: every class has a line, and every test that a line names exists. A
//! class without a test says so in plain words.

use std::collections::BTreeMap;

use super::File;
use super::tests_named::{WITHOUT_TEST, named, names};

const PAGE: &str = "docs/security.md";

/// How many classes each kind has, and how many digits their numbers are written with.
const CLASSES: &[(&str, usize, usize)] = &[
    ("IMG", 22, 2),
    ("CTR", 34, 2),
    ("API", 24, 2),
    ("REG", 14, 2),
    ("NTW", 8, 2),
    ("TEN", 14, 2),
    ("LC", 23, 1),
];

/// Everything that is wrong with the table.
pub(super) fn faults(files: &[File]) -> Vec<String> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else {
        return vec![format!("{PAGE} is missing")];
    };
    let tests = names(files);
    let mut rows: BTreeMap<&str, &str> = BTreeMap::new();
    let mut faults = Vec::new();
    for (id, cell) in page.text.lines().filter_map(row) {
        if rows.insert(id, cell).is_some() {
            faults.push(format!("{PAGE} has {id} twice"));
        }
        let named = named(cell);
        if named.is_empty() && !WITHOUT_TEST.contains(&cell) {
            faults.push(format!("{PAGE}: {id} names no test and does not say why"));
        }
        let unknown = named.iter().filter(|name| !tests.contains(*name));
        faults.extend(unknown.map(|name| format!("{PAGE}: {id} names {name}, which is no test")));
    }
    let missing = classes().filter(|id| !rows.contains_key(id.as_str()));
    faults.extend(missing.map(|id| format!("{PAGE} has no line for {id}")));
    faults
}

fn classes() -> impl Iterator<Item = String> {
    CLASSES.iter().flat_map(|(kind, count, digits)| {
        (1..=*count).map(move |number| format!("{kind}-{number:0digits$}"))
    })
}

/// The id and the last cell of a line of the table.
fn row(line: &str) -> Option<(&str, &str)> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let (["", id, ..], [.., tests, ""]) = (cells.as_slice(), cells.as_slice()) else {
        return None;
    };
    let (kind, number) = id.split_once('-')?;
    let known = CLASSES.iter().any(|(known, ..)| *known == kind);
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (known && is_number).then_some((*id, *tests))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The faults of a page that has a sound line for every class but what `change` makes of it.
    fn check(change: impl Fn(&str) -> Option<String>, expected: &[&str]) {
        let lines = classes().filter_map(|id| change(&id));
        let page: String = lines.map(|line| line + "\n").collect();
        let source = "#[tokio::test(start_paused = true)]\nasync fn holds() {}\nfn helper() {}\n";
        let files = [file(PAGE, &page), file("a.rs", source)];
        assert_eq!(faults(&files), expected);
    }

    fn sound(id: &str) -> String {
        format!("| {id} | a | b | `holds` |")
    }

    #[test]
    fn every_class_has_a_line_and_every_line_a_test() {
        check(|id| Some(sound(id)), &[]);
        let without = |id: &str| (id != "LC-7").then(|| sound(id));
        check(without, &["docs/security.md has no line for LC-7"]);
        let twice = |id: &str| {
            let again = if id == "TEN-14" { "TEN-13" } else { id };
            Some(sound(again))
        };
        let told = [
            "docs/security.md has TEN-13 twice",
            "docs/security.md has no line for TEN-14",
        ];
        check(twice, &told);
    }

    #[test]
    fn a_test_that_is_named_exists() {
        let with = |cell: &'static str| {
            move |id: &str| {
                let other = || format!("| {id} | a | b | {cell} |");
                Some(if id == "IMG-01" { other() } else { sound(id) })
            }
        };
        check(with("not covered"), &[]);
        let told = ["docs/security.md: IMG-01 names helper, which is no test"];
        check(with("`holds`, `helper`"), &told);
        let told = ["docs/security.md: IMG-01 names no test and does not say why"];
        check(with("later"), &told);
    }
}
