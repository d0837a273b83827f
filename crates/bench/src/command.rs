//! Running programs. Output goes to files, never to pipes: what a container leaves behind would
//! hold a pipe open.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::clock::Instant;

/// Where programs write while they are measured.
pub(crate) struct Output<'a> {
    dir: &'a Path,
}

impl<'a> Output<'a> {
    /// Below a directory of our own.
    pub(crate) const fn new(dir: &'a Path) -> Self {
        Self { dir }
    }

    /// Runs a command, which must succeed, and gives what it printed.
    pub(crate) fn of(&self, command: &mut Command) -> Result<String> {
        let (out, err) = (self.dir.join("out"), self.dir.join("err"));
        let create =
            |path: &Path| File::create(path).with_context(|| format!("create {}", path.display()));
        command
            .stdin(Stdio::null())
            .stdout(create(&out)?)
            .stderr(create(&err)?);
        let name = shown(command);
        let status = command.status().with_context(|| format!("run {name}"))?;
        if !status.success() {
            let text = std::fs::read_to_string(&err).unwrap_or_default();
            bail!("{name} ended with {status}: {}", text.trim());
        }
        std::fs::read_to_string(&out).with_context(|| format!("read what {name} printed"))
    }

    /// From now to the first instruction of the payload that a command runs.
    pub(crate) fn stamp(&self, command: &mut Command) -> Result<Duration> {
        let asked = Instant::now();
        let text = self.of(command)?;
        Ok(first_number(&text)?.since(asked))
    }
}

/// When the payload says that it began.
pub(crate) fn first_number(text: &str) -> Result<Instant> {
    let line = text.lines().next().unwrap_or_default().trim();
    let ns = line
        .parse()
        .with_context(|| format!("read the payload's clock in {line:?}"))?;
    Ok(Instant::from_ns(ns))
}

/// Whether a program is installed.
pub(crate) fn installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|dir| dir.join(program).is_file())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    words.join(" ")
}
