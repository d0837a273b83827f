//! Configuration errors are one line with their place and exit code 64, before anything is touched.

use std::path::PathBuf;

use burstlet_tests::command;

fn check(text: &str) -> (Option<i32>, String, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("burstlet.toml");
    let state = dir.path().join("state");
    std::fs::write(
        &file,
        format!("state_dir = \"{}\"\n{text}", state.display()),
    )
    .unwrap();
    let output = command("burstlet")
        .arg("--config")
        .arg(&file)
        .output()
        .unwrap();
    assert!(!state.exists(), "touched before the configuration was read");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
        file,
    )
}

#[test]
fn a_bad_configuration_ends_the_agent_before_it_begins() {
    for (text, expected) in [
        ("nonsense = 1", ":2:1: unknown field `nonsense`"),
        ("[network]\nsubnet = \"10.0.0.0\"", ":3:10: "),
        (
            "[api]\nlisten = \"127.0.0.1:1\"",
            "[api] listen needs cert_file",
        ),
    ] {
        let (code, stderr, file) = check(text);
        assert_eq!(code, Some(64), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        if expected.starts_with(':') {
            assert!(stderr.contains(&file.display().to_string()), "{stderr}");
        }
    }
}

#[test]
fn a_good_configuration_is_said_to_be() {
    let shipped = burstlet_tests::repository().join("runtime-config/burstlet.toml");
    let output = command("burstlet")
        .args(["config", "check", "--config"])
        .arg(shipped)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
