//! The programs under test, and what is made by scripts of the repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where programs are that stand for the next version, below those that are tested.
pub const NEXT_VERSION: &str = "next/";

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// A program under test, without the variables that this suite, or whoever runs it, has set for
/// other agents.
#[must_use]
pub fn command(name: &str) -> Command {
    let mut command = Command::new(program(name));
    for (variable, _) in std::env::vars().filter(|(variable, _)| variable.starts_with("BURSTLET_"))
    {
        command.env_remove(variable);
    }
    command
}

/// A program under test: from `BURSTLET_TEST_PROGRAMS`, else from the directory that this test was
/// built into.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let directory = std::env::var_os("BURSTLET_TEST_PROGRAMS")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let own = std::env::current_exe().unwrap();
            own.parent().and_then(Path::parent).unwrap().to_owned()
        });
    let path = directory.join(name);
    assert!(
        path.exists(),
        "{} is missing: hack/test builds it",
        path.display()
    );
    path
}

/// The repository's root.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The sample image as an archive, named `name`.
#[must_use]
pub fn sample_image(name: &str) -> Vec<u8> {
    let output = Command::new(repository().join("hack/sample-image"))
        .arg(name)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
