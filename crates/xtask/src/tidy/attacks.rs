//! The tables of attack classes and of faults: every one has a line, and every test that a line names
//! exists. One without a test says so in plain words.

use std::collections::{BTreeMap, BTreeSet};

use super::File;
use super::tests_named::{WITHOUT_TEST, named, names};

/// A page, and what it has a line for each of: the kind, how many there are, and how many digits their
/// numbers are written with.
struct Page {
    path: &'static str,
    classes: &'static [(&'static str, usize, usize)],
}

const ATTACKS: Page = Page {
    path: "docs/security.md",
    classes: &[
        ("IMG", 22, 2),
        ("CTR", 34, 2),
        ("API", 24, 2),
        ("REG", 14, 2),
        ("NTW", 8, 2),
        ("TEN", 14, 2),
        ("LC", 23, 1),
    ],
};
const FAULTS: Page = Page {
    path: "docs/reliability.md",
    classes: &[("FLT", 26, 2)],
};

/// Everything that is wrong with the tables.
pub(super) fn faults(files: &[File]) -> Vec<String> {
    let tests = names(files);
    let pages = [ATTACKS, FAULTS].into_iter();
    pages.flat_map(|page| page.faults(files, &tests)).collect()
}

impl Page {
    fn faults(&self, files: &[File], tests: &BTreeSet<&str>) -> Vec<String> {
        let path = self.path;
        let Some(page) = files.iter().find(|file| file.path == path) else {
            return vec![format!("{path} is missing")];
        };
        let mut rows: BTreeMap<&str, &str> = BTreeMap::new();
        let mut faults = Vec::new();
        for (id, cell) in page.text.lines().filter_map(|line| self.row(line)) {
            if rows.insert(id, cell).is_some() {
                faults.push(format!("{path} has {id} twice"));
            }
            let named = named(cell);
            if named.is_empty() && !WITHOUT_TEST.contains(&cell) {
                faults.push(format!("{path}: {id} names no test and does not say why"));
            }
            let unknown = named.iter().filter(|name| !tests.contains(*name));
            faults
                .extend(unknown.map(|name| format!("{path}: {id} names {name}, which is no test")));
        }
        let missing = self.ids().filter(|id| !rows.contains_key(id.as_str()));
        faults.extend(missing.map(|id| format!("{path} has no line for {id}")));
        faults
    }

    fn ids(&self) -> impl Iterator<Item = String> {
        self.classes.iter().flat_map(|(kind, count, digits)| {
            (1..=*count).map(move |number| format!("{kind}-{number:0digits$}"))
        })
    }

    /// The id and the last cell of a line of the table.
    fn row<'a>(&self, line: &'a str) -> Option<(&'a str, &'a str)> {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (["", id, ..], [.., tests, ""]) = (cells.as_slice(), cells.as_slice()) else {
            return None;
        };
        let (kind, number) = id.split_once('-')?;
        let known = self.classes.iter().any(|(known, ..)| *known == kind);
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        (known && is_number).then_some((*id, *tests))
    }
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

    /// The faults of pages that have a sound line for every class but what `change` makes of it.
    fn check(change: impl Fn(&str) -> Option<String>, expected: &[&str]) {
        let page = |page: &Page| {
            let lines = page.ids().filter_map(|id| change(&id));
            let text: String = lines.map(|line| line + "\n").collect();
            file(page.path, &text)
        };
        let source = "#[tokio::test(start_paused = true)]\nasync fn holds() {}\nfn helper() {}\n";
        let files = [page(&ATTACKS), page(&FAULTS), file("a.rs", source)];
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
        let without = |id: &str| (id != "FLT-08").then(|| sound(id));
        check(without, &["docs/reliability.md has no line for FLT-08"]);
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
