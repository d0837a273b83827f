//! The client in Go: built once, run for each thing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::port::Port;

/// What a client prints, and then what its libraries log; a failure of its own fails the test.
pub(crate) async fn client(port: &Port, wire: &str, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new(program());
    command
        .arg(format!("https://{}", port.address))
        .arg("admin")
        .arg(port.ca_file.path())
        .arg(wire)
        .args(arguments);
    let ran = tokio::task::spawn_blocking(move || command.output());
    let output = ran.await.unwrap().unwrap();
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problems}");
    let told = String::from_utf8(output.stdout).unwrap();
    let lines = told.lines().chain(problems.lines());
    lines.map(str::to_owned).collect()
}

fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kubelet-port-client");
        let built = Command::new("go")
            .current_dir(source)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=readonly -buildvcs=false")
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .status()
            .expect("Go 1.26 is needed to build the client: hack/test installs it");
        assert!(built.success(), "the client cannot be built");
        program
    })
}
