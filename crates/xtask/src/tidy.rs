//! The project's rules about its own tree, each held as data and each a pure function over text.

mod attacks;
mod edges;
mod files;
mod proofs;
mod source;
mod tests_named;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// One text file of the tree.
struct File {
    /// From the top of the tree, with `/`.
    path: String,
    text: String,
}

/// Reports what is large, and fails with everything that is against a rule.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = read_tree(root)?;
    for note in files::sizes(&files) {
        eprintln!("tidy: {note}");
    }
    let checkout = root.to_str().context("the tree's path is not UTF-8")?;
    let mut faults = edges::faults(&cargo_metadata(root)?)?;
    faults.extend(files::faults(&files, checkout));
    faults.extend(source::faults(&files));
    faults.extend(attacks::faults(&files));
    faults.extend(proofs::faults(&files));
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    ensure!(
        faults.is_empty(),
        "{} rules of the tree are broken",
        faults.len()
    );
    eprintln!("tidy: {} files are in order", files.len());
    Ok(())
}

/// Every file that git has or would take; what is not UTF-8 is not ours to judge.
fn read_tree(root: &Path) -> Result<Vec<File>> {
    let args = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
    ];
    let listed = output(Command::new("git").args(args).current_dir(root))?;
    let mut files = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        // A file that was deleted and not committed yet is still listed.
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            files.push(File {
                path: path.to_owned(),
                text,
            });
        }
    }
    Ok(files)
}

/// What cargo knows of the workspace.
pub(crate) fn cargo_metadata(root: &Path) -> Result<serde_json::Value> {
    let args = ["metadata", "--format-version=1", "--no-deps"];
    let text = output(Command::new("cargo").args(args).current_dir(root))?;
    serde_json::from_str(&text).context("read cargo's metadata")
}

fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    let fault = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        fault.trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("read the output of {command:?}"))
}
