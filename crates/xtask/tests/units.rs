//! The shipped systemd units, as systemd itself reads them (Debian's package `systemd`; it need
//! not be what the machine was booted with).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const UNITS: [&str; 2] = ["burstlet.service", "burstlet-launcher.service"];
const PROGRAMS: [&str; 2] = ["burstlet", "burstlet-launcher"];

fn shipped(unit: &str) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    fs::read_to_string(top.join("runtime-config/systemd").join(unit)).unwrap()
}

/// A root directory with these units, the programs that they start and systemd's own targets.
fn machine(units: &[(&str, String)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let directory = |path: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(&path).unwrap();
        path
    };
    let (ours, own, programs) = (
        directory("etc/systemd/system"),
        directory("lib/systemd/system"),
        directory("usr/local/bin"),
    );
    for (name, text) in units {
        fs::write(ours.join(name), text).unwrap();
    }
    for target in system_targets() {
        fs::copy(&target, own.join(target.file_name().unwrap())).unwrap();
    }
    for program in PROGRAMS {
        let program = programs.join(program);
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    root
}

fn system_targets() -> Vec<PathBuf> {
    let directory = fs::read_dir("/lib/systemd/system").expect("the package systemd is installed");
    let paths = directory.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "target"))
        .collect()
}

/// What systemd has to say; empty if it is content.
fn verify(units: &[(&str, String)]) -> String {
    let root = machine(units);
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .arg(format!("--root={}", root.path().display()))
        .args(units.iter().map(|(name, _)| *name))
        .output()
        .expect("systemd-analyze of the package systemd");
    let said = String::from_utf8(output.stderr).unwrap();
    // A key that it does not know is told and no failure, so what is said counts.
    assert!(output.status.success() || !said.is_empty());
    said
}

#[test]
fn systemd_is_content_with_them() {
    let units = UNITS.map(|unit| (unit, shipped(unit)));
    assert_eq!(verify(&units), "");
}

#[test]
fn systemd_would_say_what_is_wrong() {
    let broken = shipped(UNITS[0]).replace("KillMode=process", "KillMod=process");
    let said = verify(&[(UNITS[0], broken), (UNITS[1], shipped(UNITS[1]))]);
    assert!(said.contains("KillMod"), "{said}");
    let missing = shipped(UNITS[0]).replace("/burstlet --config", "/no-such-program --config");
    let said = verify(&[(UNITS[0], missing), (UNITS[1], shipped(UNITS[1]))]);
    assert!(said.contains("no-such-program"), "{said}");
}

#[test]
fn groups_outlive_both() {
    for unit in UNITS {
        let text = shipped(unit);
        for line in [
            "KillMode=process",
            "Delegate=yes",
            "RuntimeDirectoryPreserve=yes",
        ] {
            assert!(text.lines().any(|l| l == line), "{unit} has no {line}");
        }
        // A tenant would inherit these.
        for word in [
            "NoNewPrivileges",
            "SystemCallFilter",
            "RestrictNamespaces",
            "PrivateMounts",
        ] {
            assert!(!text.contains(word), "{unit} sets {word}");
        }
    }
}
