//! The shipped systemd units, as systemd itself reads them (Debian's package `systemd`; it need
//! not be what the machine was booted with).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const UNITS: [&str; 3] = [
    "burstlet.service",
    "burstlet-launcher.service",
    "burstlet-groups.service",
];
const PROGRAMS: [&str; 3] = [
    "usr/local/bin/burstlet",
    "usr/local/bin/burstlet-launcher",
    "bin/true",
];

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
    let (ours, own) = (
        directory("etc/systemd/system"),
        directory("lib/systemd/system"),
    );
    for (name, text) in units {
        fs::write(ours.join(name), text).unwrap();
    }
    for target in system_targets() {
        fs::copy(&target, own.join(target.file_name().unwrap())).unwrap();
    }
    for program in PROGRAMS {
        let program = root.path().join(program);
        fs::create_dir_all(program.parent().unwrap()).unwrap();
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
    for (right, wrong) in [
        ("KillMode=process", "KillMod=process"),
        ("/burstlet --config", "/no-such-program --config"),
    ] {
        let mut units = UNITS.map(|unit| (unit, shipped(unit)));
        units[0].1 = units[0].1.replace(right, wrong);
        let said = verify(&units);
        let word = wrong.split(['=', ' ']).next().unwrap();
        assert!(said.contains(word.trim_start_matches('/')), "{said}");
    }
}

#[test]
fn groups_are_in_a_cgroup_that_is_delegated_and_holds_no_process() {
    let root = "BURSTLET_CGROUP_ROOT=system.slice/burstlet-groups.service";
    assert!(shipped("burstlet.service").contains(root));
    let groups = shipped("burstlet-groups.service");
    for line in ["Type=oneshot", "RemainAfterExit=yes", "Delegate=yes"] {
        assert!(groups.lines().any(|l| l == line), "{line}");
    }
}

#[test]
fn groups_outlive_both() {
    for unit in UNITS {
        let text = shipped(unit);
        for line in ["KillMode=process", "Delegate=yes"] {
            assert!(text.lines().any(|l| l == line), "{unit} has no {line}");
        }
        let has_directory = text.contains("RuntimeDirectory=");
        assert_eq!(has_directory, text.contains("RuntimeDirectoryPreserve=yes"));
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
