//! Images as archives that every engine takes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::command::Output;

/// One layer: files of the host, or of a directory of our own.
pub(crate) struct Layer {
    /// Paths in the archive begin here.
    pub(crate) below: PathBuf,
    /// What is taken, relative to `below`; `.` for all.
    pub(crate) paths: Vec<PathBuf>,
}

/// Writes an archive as `docker save` does, and gives its path.
pub(crate) fn archive(dir: &Path, name: &str, layers: &[Layer]) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let output = Output::new(dir);
    let mut members = Vec::new();
    let mut diff_ids = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let member = format!("layer{index}.tar");
        let list = dir.join(format!("layer{index}.list"));
        let lines: Vec<_> = layer
            .paths
            .iter()
            .map(|path| path.to_string_lossy())
            .collect();
        std::fs::write(&list, lines.join("\n")).context("write the list of a layer's files")?;
        let mut tar = tar(&layer.below, &dir.join(&member));
        output.of(tar.arg("--files-from").arg(list))?;
        let sum = output.of(Command::new("sha256sum").arg(dir.join(&member)))?;
        let digest = sum.split_whitespace().next().unwrap_or_default();
        diff_ids.push(format!("sha256:{digest}"));
        members.push(member);
    }
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Env": ["PATH=/"], "Cmd": ["/payload"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": members}]);
    for (file, value) in [("config.json", &config), ("manifest.json", &manifest)] {
        std::fs::write(dir.join(file), value.to_string())
            .with_context(|| format!("write {file}"))?;
    }
    let path = dir.join("image.tar");
    let mut whole = tar(dir, &path);
    output.of(whole.args(["manifest.json", "config.json"]).args(&members))?;
    Ok(path)
}

fn tar(below: &Path, into: &Path) -> Command {
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(below).args([
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--no-recursion",
        "-cf",
    ]);
    tar.arg(into);
    tar
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
