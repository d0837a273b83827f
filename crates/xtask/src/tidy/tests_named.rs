//! The tests of the tree, and how pages name them.

use std::collections::BTreeSet;

use super::File;

/// What a line of a table says that has no test.
pub(super) const WITHOUT_TEST: &[&str] = &["not covered", "not needed"];

/// The tests that a cell of a table names.
pub(super) fn named(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Where the cluster suite lists its scenarios by name: they share a cluster and a node, so they are no
/// tests of their own.
const SCENARIOS: &str = "tests/kube/main.rs";

/// The names of all tests.
pub(super) fn names(files: &[File]) -> BTreeSet<&str> {
    let scenarios = files.iter().find(|file| file.path == SCENARIOS);
    let quoted = scenarios
        .into_iter()
        .flat_map(|file| file.text.split('"').skip(1).step_by(2));
    let mut names: BTreeSet<&str> = quoted.collect();
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        let mut begun = false;
        for line in file.text.lines().map(str::trim_start) {
            begun |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let name = line.split_once("fn ").and_then(|(_, rest)| {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                rest.get(..end?)
            });
            if let Some(name) = name.filter(|_| begun) {
                names.insert(name);
                begun = false;
            }
        }
    }
    names
}
