//! Rules for Rust sources: unsafe code only where it is named here, no test that is passed over,
//! and every crate says what it is for.

use super::File;

/// The only places whose modules may opt in to unsafe code, and why they must.
const UNSAFE_MODULES: &[&str] = &[
    // Forks, mounts, passed descriptors: system calls that no safe wrapper has.
    "crates/sandbox/src/sys/",
    // What a hostile program does, which is what safe wrappers keep one from.
    "tests/incontainer/src/sys.rs",
];

/// What opts in, by whatever attribute; split, so that this file does not hold it.
const UNSAFE_OPT_IN: &str = concat!("unsafe", "_code");
const IGNORED_TEST: &str = concat!("#[ign", "ore");

/// Everything in the Rust sources that is against a rule.
pub(super) fn faults(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .flat_map(file_faults)
        .collect()
}

fn file_faults(file: &File) -> Vec<String> {
    let (path, mut faults) = (&file.path, Vec::new());
    let may_be_unsafe = UNSAFE_MODULES.iter().any(|module| path.starts_with(module));
    if file.text.contains(UNSAFE_OPT_IN) && !may_be_unsafe {
        faults.push(format!(
            "{path} opts in to unsafe code; tidy does not name it"
        ));
    }
    if file.text.contains(IGNORED_TEST) {
        faults.push(format!(
            "{path} has an ignored test: make it run or remove it"
        ));
    }
    if is_crate_root(path) && !file.text.trim_start().starts_with("//!") {
        faults.push(format!("{path} does not begin with what it is for (//!)"));
    }
    faults
}

/// Whether a crate begins with this file: a library, a program or a test program.
fn is_crate_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        ["crates", _, "src", "lib.rs" | "main.rs"]
            | ["crates", _, "src", "bin", _]
            | ["crates", _, "tests" | "benches", _]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        let file = File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(faults(&[file]), expected);
    }

    #[test]
    fn opting_out_of_safety_is_for_named_modules() {
        let text = format!("//! Doc.\n#![allow(\n    {UNSAFE_OPT_IN},\n    reason = \"r\"\n)]\n");
        check("crates/sandbox/src/sys/process.rs", &text, &[]);
        let fault = "crates/ctl/src/tty.rs opts in to unsafe code; tidy does not name it";
        check("crates/ctl/src/tty.rs", &text, &[fault]);
    }

    #[test]
    fn no_test_is_passed_over() {
        let text = format!("//! Doc.\n{IGNORED_TEST}]\nfn t() {{}}\n");
        let fault = "tests/a.rs has an ignored test: make it run or remove it";
        check("tests/a.rs", &text, &[fault]);
    }

    #[test]
    fn every_crate_says_what_it_is_for() {
        for path in [
            "crates/a/src/lib.rs",
            "crates/a/src/bin/b.rs",
            "crates/a/tests/c.rs",
        ] {
            let fault = format!("{path} does not begin with what it is for (//!)");
            check(path, "use std::fs;\n", &[&fault]);
            check(path, "\n//! Files.\n", &[]);
        }
        check("crates/a/src/b.rs", "use super::*;\n", &[]);
        check("crates/a/tests/c/helper.rs", "use super::*;\n", &[]);
    }
}
