#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const DIFF_ID: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn good() -> Value {
    json!({
        "os": "linux",
        "architecture": "amd64",
        "created": "2026-01-02T03:04:05Z",
        "config": {
            "Entrypoint": ["/bin/sh", "-c"],
            "Cmd": ["echo hi"],
            "Env": ["PATH=/bin", "A=1", "A=2", "EMPTY="],
            "WorkingDir": "srv//./www/",
            "User": "web:33",
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "9000": {}},
            "Volumes": {"/data": {}},
            "StopSignal": "SIGQUIT",
            "Labels": {"maintainer": "me", "io.kubernetes.pod.name": "forged"},
        },
        "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
    })
}

fn parse(value: &Value) -> Result<ImageConfig, ConfigError> {
    ImageConfig::parse(value.to_string().as_bytes(), 1)
}

#[test]
fn a_full_configuration() {
    let config = parse(&good()).unwrap();
    assert_eq!(config.entrypoint, ["/bin/sh", "-c"]);
    assert_eq!(config.cmd, ["echo hi"]);
    let env: Vec<_> = config
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(env, ["PATH=/bin", "A=2", "EMPTY="]);
    assert_eq!(config.working_dir, "/srv/www");
    assert_eq!(config.user, "web:33");
    let ports: Vec<_> = config
        .exposed_ports
        .iter()
        .map(|port| port.number)
        .collect();
    assert_eq!(ports, [53, 80, 9000]);
    assert_eq!(config.volumes, ["/data"]);
    assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
    assert_eq!(config.labels.keys().collect::<Vec<_>>(), ["maintainer"]);
    assert_eq!(config.diff_ids.len(), 1);
}

#[test]
fn the_least_configuration() {
    let value = json!({"rootfs": {"type": "layers", "diff_ids": [DIFF_ID]}, "config": null});
    let config = parse(&value).unwrap();
    assert_eq!(config.working_dir, "/");
    assert_eq!(config.user, "");
    assert!(config.check_platform(&Platform::host()).is_ok());
}

#[test]
fn hostile_values_are_refused() {
    let cases: &[(&str, &str, Value)] = &[
        ("id wraps to root", "User", json!("4294967296")),
        ("id is -1", "User", json!("4294967295")),
        ("id is negative", "User", json!("-1")),
        ("id with sign", "User", json!("+0")),
        ("group wraps", "User", json!("0:4294967296")),
        ("huge id", "User", json!("99999999999999999999")),
        ("three parts", "User", json!("a:b:c")),
        ("line break in user", "User", json!("a\nroot:x:0:0")),
        ("group only", "User", json!(":0")),
        ("path as user", "User", json!("../etc")),
        ("line break in HOME", "Env", json!(["HOME=/\nroot::0:0:::"])),
        ("no name", "Env", json!(["=x"])),
        ("no value", "Env", json!(["X"])),
        ("NUL in env", "Env", json!(["X=a\u{0}b"])),
        ("env not strings", "Env", json!([1])),
        (
            "too much env",
            "Env",
            vec!["A=1"; LIST_ENTRIES_MAX + 1].into(),
        ),
        (
            "long env",
            "Env",
            json!([format!("A={}", "x".repeat(TEXT_BYTES_MAX))]),
        ),
        ("workdir below proc", "WorkingDir", json!("/proc/self/fd/7")),
        (
            "workdir below proc, odd",
            "WorkingDir",
            json!("//proc/./1/cwd"),
        ),
        ("workdir upwards", "WorkingDir", json!("/a/../../etc")),
        ("workdir NUL", "WorkingDir", json!("/a\u{0}")),
        ("workdir too long", "WorkingDir", json!("/a".repeat(3000))),
        ("volume upwards", "Volumes", json!({"/../../etc": {}})),
        ("volume is root", "Volumes", json!({"/": {}})),
        ("volume is root, odd", "Volumes", json!({"/./": {}})),
        ("port zero", "ExposedPorts", json!({"0/tcp": {}})),
        ("port large", "ExposedPorts", json!({"65536/tcp": {}})),
        ("port text", "ExposedPorts", json!({"http": {}})),
        ("odd protocol", "ExposedPorts", json!({"80/icmp": {}})),
        (
            "port range too long",
            "ExposedPorts",
            json!({"1-65535/tcp": {}}),
        ),
        (
            "port range reversed",
            "ExposedPorts",
            json!({"90-80/tcp": {}}),
        ),
        ("signal with spaces", "StopSignal", json!("SIG TERM")),
        ("signal too long", "StopSignal", json!("S".repeat(17))),
        ("NUL in command", "Cmd", json!(["a\u{0}"])),
        ("NUL in entry point", "Entrypoint", json!(["a\u{0}"])),
        ("command a string", "Cmd", json!("echo")),
        ("labels not text", "Labels", json!({"a": 1})),
    ];
    for (name, field, value) in cases {
        let mut config = good();
        config["config"][field] = value.clone();
        assert!(parse(&config).is_err(), "{name}");
    }
}

#[test]
fn layers_must_match() {
    for (name, rootfs) in [
        ("none", json!({"type": "layers", "diff_ids": []})),
        ("null", json!({"type": "layers", "diff_ids": null})),
        (
            "two",
            json!({"type": "layers", "diff_ids": [DIFF_ID, DIFF_ID]}),
        ),
        (
            "upper case",
            json!({"type": "layers", "diff_ids": [DIFF_ID.to_uppercase()]}),
        ),
        (
            "short",
            json!({"type": "layers", "diff_ids": ["sha256:00"]}),
        ),
        (
            "other type",
            json!({"type": "btrfs", "diff_ids": [DIFF_ID]}),
        ),
        ("absent", Value::Null),
    ] {
        let mut config = good();
        config["rootfs"] = rootfs;
        assert!(parse(&config).is_err(), "{name}");
    }
}

#[test]
fn other_machines_images_are_refused() {
    let mut value = good();
    value["architecture"] = json!("s390x");
    let host = Platform {
        os: "linux".into(),
        architecture: "amd64".into(),
        variant: None,
    };
    let error = parse(&value).unwrap().check_platform(&host).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image is for linux/s390x, this machine is linux/amd64"
    );
    value["os"] = json!("windows");
    assert!(parse(&value).unwrap().check_platform(&host).is_err());
}

proptest! {
    #[test]
    fn a_user_that_passes_has_ids_in_range(user in "[0-9:a-z+-]{0,24}") {
        let mut value = good();
        value["config"]["User"] = json!(user);
        if let Ok(config) = parse(&value) {
            for part in config.user.split(':').filter(|part| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
            }) {
                prop_assert!(part.parse::<u32>().is_ok_and(|id| id < u32::MAX), "{part}");
            }
        }
    }

    #[test]
    fn a_path_that_passes_stays_inside(path in "[a./]{0,20}") {
        if let Ok(clean) = read_path("Volumes", &path) {
            prop_assert!(clean.starts_with('/'));
            prop_assert_eq!(read_path("Volumes", &clean), Ok(clean.clone()));
            prop_assert!(clean.split('/').all(|part| part != ".."));
        }
    }
}
