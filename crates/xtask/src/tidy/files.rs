//! Rules for any text file: its size, and nothing left in it that was meant for its author only.

use super::File;

/// Above this a file is reported.
const LINES_LONG: usize = 500;
/// Above this a file is a fault.
const LINES_MAX: usize = 800;

/// Words that say that something is not finished. Split, so that this file does not hold them.
const LEFTOVERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
    concat!("to", "do!("),
    concat!("unimplemen", "ted!("),
    concat!("db", "g!("),
];

/// Files that were written elsewhere and are kept as they are, or are generated.
const FOREIGN: &[&str] = &["Cargo.lock", "LICENSE"];

/// The long files and the size of the tree.
pub(super) fn sizes(files: &[File]) -> Vec<String> {
    let mut rust: Vec<(usize, &str)> = files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(|file| (file.text.lines().count(), file.path.as_str()))
        .collect();
    rust.sort_unstable_by(|a, b| b.cmp(a));
    let total: usize = rust.iter().map(|(lines, _)| lines).sum();
    let median = rust.get(rust.len() / 2).map_or(0, |(lines, _)| *lines);
    let summary = format!("{} Rust files, {total} lines, median {median}", rust.len());
    let long = rust.iter().take_while(|(lines, _)| *lines > LINES_LONG);
    std::iter::once(summary)
        .chain(long.map(|(lines, path)| format!("{path} is long: {lines} lines")))
        .collect()
}

/// What is against a rule; `checkout` is where this tree lies.
pub(super) fn faults(files: &[File], checkout: &str) -> Vec<String> {
    files
        .iter()
        .filter(|file| !FOREIGN.contains(&file.path.as_str()))
        .flat_map(|file| file_faults(file, checkout))
        .collect()
}

fn file_faults(file: &File, checkout: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = file.text.lines().count();
    if file.path.ends_with(".rs") && lines > LINES_MAX {
        faults.push(format!(
            "{} has {lines} lines, at most {LINES_MAX}",
            file.path
        ));
    }
    for (number, line) in file.text.lines().enumerate() {
        let place = format!("{}:{}", file.path, number + 1);
        if let Some(word) = LEFTOVERS.iter().find(|word| has_word(line, word)) {
            faults.push(format!("{place} has a left-over {word}"));
        }
        if line.contains(checkout) {
            faults.push(format!(
                "{place} names the directory in which it was written"
            ));
        }
        if line.ends_with([' ', '\t']) && !file.path.ends_with(".snap") {
            faults.push(format!("{place} ends in white space"));
        }
    }
    faults
}

/// Whether the text has the word with no letter, digit or underscore on either side.
fn has_word(text: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(joins) && (word.ends_with('(') || !after.starts_with(joins))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        let file = File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(faults(&[file], "/home/me/burstlet"), expected);
    }

    #[test]
    fn leftovers_are_found_as_words() {
        let marker = LEFTOVERS[0];
        let found = format!("a.rs:2 has a left-over {marker}");
        check("a.rs", &format!("fine\n// {marker}: later\n"), &[&found]);
        check("a.rs", &format!("let {marker}_LIST = 1;\n"), &[]);
        check("Cargo.lock", &format!("{marker}\n"), &[]);
        let mac = LEFTOVERS[4];
        check(
            "a.rs",
            &format!("    {mac})\n"),
            &[&format!("a.rs:1 has a left-over {mac}")],
        );
    }

    #[test]
    fn the_writer_s_directory_is_not_for_others() {
        let found = "a.md:1 names the directory in which it was written";
        check("a.md", "see /home/me/burstlet/notes\n", &[found]);
        check("a.md", "see /home/you\n", &[]);
    }

    #[test]
    fn sizes_are_reported_and_bounded() {
        let file = |path: &str, lines| File {
            path: path.to_owned(),
            text: "x\n".repeat(lines),
        };
        let files = [
            file("a.rs", 10),
            file("b.rs", LINES_LONG + 1),
            file("c.md", 5000),
        ];
        let report = [
            "2 Rust files, 511 lines, median 10",
            "b.rs is long: 501 lines",
        ];
        assert_eq!(sizes(&files), report);
        assert!(faults(&files, "/x/y").is_empty());
        let files = [file("a.rs", LINES_MAX + 1)];
        assert_eq!(faults(&files, "/x/y"), ["a.rs has 801 lines, at most 800"]);
    }
}
