//! The one command that says whether a change may go in.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::tidy;

/// The cargo commands, from the cheapest to the dearest.
const STEPS: &[Step] = &[
    Step {
        name: "format",
        args: &["fmt", "--all", "--", "--check"],
        env: &[],
    },
    Step {
        name: "lints",
        args: &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        env: &[],
    },
    // Features are on only for the binary that needs them, so the workspace pass misses this code.
    Step {
        name: "lints of the launcher",
        args: &[
            "clippy",
            "--package=burstlet-sandbox",
            "--features=launcher",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        env: &[],
    },
    Step {
        name: "tests",
        args: &["test", "--workspace", "--lib", "--bins"],
        env: &[],
    },
    // Tests that start our own programs and need no root; the others are hack/test's.
    Step {
        name: "tests of programs",
        args: &[
            "test",
            "--package=burstlet-ctl",
            "--package=xtask",
            "--tests",
        ],
        env: &[],
    },
    Step {
        name: "documentation tests",
        args: &["test", "--workspace", "--doc"],
        env: &[],
    },
    Step {
        name: "documentation",
        args: &[
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ],
        env: &[("RUSTDOCFLAGS", "-D warnings")],
    },
];

/// Licences, bans and sources; the advisories change by the day and are looked at elsewhere.
const DENY: Step = Step {
    name: "licences, bans, sources",
    args: &["deny", "check", "bans", "licenses", "sources"],
    env: &[],
};

struct Step {
    name: &'static str,
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

/// Runs every step and stops at the first that fails.
pub(crate) fn run(root: &Path) -> Result<()> {
    tidy::run(root)?;
    if has_cargo_deny(root)? {
        DENY.run(root)?;
    } else {
        eprintln!("== no cargo-deny here: licences are not checked (cargo install cargo-deny)");
    }
    STEPS.iter().try_for_each(|step| step.run(root))
}

impl Step {
    fn run(&self, root: &Path) -> Result<()> {
        eprintln!("== {}: cargo {}", self.name, self.args.join(" "));
        let started = Instant::now();
        let status = Command::new("cargo")
            .args(self.args)
            .envs(self.env.iter().copied())
            .current_dir(root)
            .status()
            .with_context(|| format!("run cargo {}", self.args.join(" ")))?;
        ensure!(status.success(), "{} failed ({status})", self.name);
        eprintln!(
            "== {}: good after {:.1} s",
            self.name,
            started.elapsed().as_secs_f64()
        );
        Ok(())
    }
}

fn has_cargo_deny(root: &Path) -> Result<bool> {
    let listed = Command::new("cargo")
        .arg("--list")
        .current_dir(root)
        .output();
    let listed = listed.context("list cargo's commands")?;
    let text = String::from_utf8_lossy(&listed.stdout);
    Ok(text.split_whitespace().any(|word| word == "deny"))
}
