//! The one command that says whether a change may go in.

mod steps;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::tidy;
use steps::{Scope, Step};

/// Runs every step and stops at the first that fails.
pub(crate) fn run(root: &Path, privileged: bool) -> Result<()> {
    tidy::run(root)?;
    let scope = if privileged {
        Scope::Everything
    } else {
        Scope::WithoutRoot
    };
    let metadata = tidy::cargo_metadata(root)?;
    need_cargo_deny(root)?;
    for step in steps::steps(&metadata, scope)? {
        run_step(root, &step)?;
    }
    Ok(())
}

fn run_step(root: &Path, step: &Step) -> Result<()> {
    let command = step.args.join(" ");
    eprintln!("== {}: cargo {command}", step.name);
    let started = Instant::now();
    let status = Command::new("cargo")
        .args(&step.args)
        .envs(step.env.iter().copied())
        .current_dir(root)
        .status()
        .with_context(|| format!("run cargo {command}"))?;
    ensure!(status.success(), "{} failed ({status})", step.name);
    eprintln!(
        "== {}: good after {:.1} s",
        step.name,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// A check that is left out looks like one that passed.
fn need_cargo_deny(root: &Path) -> Result<()> {
    let listed = Command::new("cargo")
        .arg("--list")
        .current_dir(root)
        .output();
    let listed = listed.context("list cargo's commands")?;
    let text = String::from_utf8_lossy(&listed.stdout);
    let found = text.split_whitespace().any(|word| word == "deny");
    ensure!(
        found,
        "cargo-deny is missing: cargo install --locked cargo-deny"
    );
    Ok(())
}
