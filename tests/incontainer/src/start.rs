//! What a process is given to start with: descriptors, rights, limits, signals, variables.

use std::fs;
use std::io;

use crate::report::{list, saw};

/// Fields of `/proc/self/status` by the row that they belong to. `SigIgn` is not among them: Rust
/// ignores a signal before `main`.
const STATUS: [(&str, &str); 12] = [
    ("CTR-12", "CapInh"),
    ("CTR-12", "CapPrm"),
    ("CTR-12", "CapEff"),
    ("CTR-12", "CapBnd"),
    ("CTR-12", "CapAmb"),
    ("CTR-12", "NoNewPrivs"),
    ("CTR-15", "Seccomp"),
    ("CTR-34", "SigBlk"),
    ("CTR-34", "SigPnd"),
    ("CTR-34", "Umask"),
    ("CTR-34", "Groups"),
    ("CTR-18", "TracerPid"),
];

pub(crate) fn survey() -> io::Result<()> {
    saw("CTR-02", "open descriptors", list(&descriptors()?));
    let directory = std::env::current_dir()?;
    saw("CTR-02", "the working directory", directory.display());
    let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    names.sort();
    saw("CTR-02", "names of variables", list(&names));
    let status = fs::read_to_string("/proc/self/status")?;
    for (row, field) in STATUS {
        saw(row, field, value(&status, &format!("{field}:")));
    }
    let limits = fs::read_to_string("/proc/self/limits")?;
    saw(
        "CTR-11",
        "the limit of core files",
        value(&limits, "Max core file size"),
    );
    let ids = fs::read_to_string("/proc/self/uid_map")?;
    let fields: Vec<&str> = ids.split_whitespace().collect();
    let whose = match fields.as_slice() {
        ["0", "0", "4294967295"] => "the host's".to_owned(),
        ["0", _, count] => format!("{count} of another range"),
        _ => list(&fields),
    };
    saw("TEN-10", "ids", whose);
    Ok(())
}

/// The numbers of the open descriptors, without the one that lists them.
fn descriptors() -> io::Result<Vec<String>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let of_list = fs::read_link(entry.path()).is_ok_and(|to| to.starts_with("/proc"));
        if !of_list {
            numbers.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    numbers.sort();
    Ok(numbers)
}

/// What stands behind a key, with single spaces.
fn value(text: &str, key: &str) -> String {
    let found = text.lines().find_map(|line| line.strip_prefix(key));
    let words: Vec<&str> = found.unwrap_or("?").split_whitespace().collect();
    list(&words)
}
