//! Volumes as a container sees them, and what of them is on the host's disk.

use std::path::Path;

use burstlet_tests::Agent;

use super::{agent, agent_with, create};

const END: &str = "  terminationGracePeriodSeconds: 0\n";

fn in_box(agent: &Agent, script: &str) -> String {
    agent.ok(&["exec", "box", "--", "sh", "-c", script])
}

fn begin(agent: &Agent, mounts: &str, more: &str) {
    let more = format!("      volumeMounts: {mounts}\n{more}{END}");
    create(agent, "box", "sleep 1000", &more);
    agent.ok(&["wait", "box", "--for", "running", "--timeout", "30s"]);
}

#[test]
fn data_has_its_paths_modes_and_owners() {
    let agent = agent();
    begin(
        &agent,
        "[{name: conf, mountPath: /conf}, {name: all, mountPath: /all}, {name: about, mountPath: /about}]",
        "  securityContext: {runAsUser: 1000, fsGroup: 3000}\n  volumes:\n    \
         - {name: conf, configMap: {items: [{key: a, path: sub/a.txt, mode: 288}], data: {a: alpha, b: beta}}}\n    \
         - {name: all, projected: {defaultMode: 292, sources: [{configMap: {data: {one: '1'}}}, {secret: {stringData: {two: '2'}}}]}}\n    \
         - {name: about, downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}\n",
    );
    assert_eq!(in_box(&agent, "ls /conf; ls /conf/sub"), "sub\na.txt\n");
    assert_eq!(in_box(&agent, "cat /conf/sub/a.txt"), "alpha");
    assert_eq!(
        in_box(&agent, "stat -c '%a %u %g' /conf/sub/a.txt"),
        "440 0 3000\n"
    );
    assert_eq!(in_box(&agent, "cat /all/one /all/two /about/name"), "12box");
    assert_eq!(
        in_box(&agent, "echo x 2>/dev/null >/conf/new || echo no"),
        "no\n"
    );
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}

#[test]
fn secrets_are_on_no_disk_and_in_nothing_that_is_shown() {
    const CANARY: &str = "canary-3f9d2b";
    let mut agent = agent();
    let registries = format!("[{{registry: r.example, username: u, password: {CANARY}}}]");
    begin(
        &agent,
        "[{name: sec, mountPath: /sec}]",
        &format!(
            "  registryCredentials: {registries}\n  volumes: [{{name: sec, secret: {{stringData: {{token: {CANARY}}}}}}}]\n"
        ),
    );
    assert_eq!(in_box(&agent, "cat /sec/token"), CANARY);
    // The next agent has it from what is on disk.
    agent.crash();
    agent.launch();
    assert_eq!(in_box(&agent, "cat /sec/token"), CANARY);
    assert_no_disk_has(&agent, CANARY);
    for shown in [
        agent.ok(&["get", "box", "-o", "yaml"]),
        agent.ok(&["describe", "box"]),
        agent.ok(&["export", "box"]),
        agent.admin("/metrics"),
        agent.admin("/metrics/billing"),
        agent.log(),
    ] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
    assert_no_environment_has(&agent, CANARY);
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}

#[test]
fn variables_are_on_no_disk() {
    const CANARY: &str = "canary-71ac04";
    let mut agent = agent();
    let more = format!("      env: [{{name: TOKEN, value: {CANARY}}}]\n{END}");
    create(&agent, "box", "sleep 1000", &more);
    agent.ok(&["wait", "box", "--for", "running", "--timeout", "30s"]);
    agent.crash();
    agent.launch();
    // What is run by exec has them, whoever started the container.
    assert_eq!(in_box(&agent, "echo $TOKEN"), format!("{CANARY}\n"));
    assert_no_disk_has(&agent, CANARY);
    assert_no_environment_has(&agent, CANARY);
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}

fn assert_no_disk_has(agent: &Agent, canary: &str) {
    let mut holders = Vec::new();
    for dir in [agent.state_dir(), agent.scratch().join("run")] {
        files_with(&dir, canary.as_bytes(), &mut holders);
    }
    assert!(holders.is_empty(), "{holders:?}");
}

/// No process but the container's own, which sleeps, has it in its environment or command line.
fn assert_no_environment_has(agent: &Agent, canary: &str) {
    let mut looked_at = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let pid = entry.file_name().to_string_lossy().parse::<u32>();
        let Ok(pid) = pid else { continue };
        if read("comm") == b"sleep\n" {
            continue;
        }
        looked_at.push(pid);
        for file in ["environ", "cmdline"] {
            let text = String::from_utf8_lossy(&read(file)).into_owned();
            assert!(!text.contains(canary), "{pid} {file}");
        }
    }
    for pid in [agent.pid(), agent.launcher()] {
        assert!(looked_at.contains(&pid), "{pid} is not in {looked_at:?}");
    }
}

/// The names of the regular files below `dir` that hold `needle`.
pub(super) fn files_with(dir: &Path, needle: &[u8], found: &mut Vec<String>) {
    // The agent replaces files meanwhile; what is gone holds nothing.
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_with(&entry.path(), needle, found);
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(entry.file_name().into_string().unwrap());
            }
        }
    }
}

#[test]
fn empty_volumes_are_bounded_shared_and_cut() {
    let agent = agent();
    begin(
        &agent,
        "[{name: mem, mountPath: /mem}, {name: disk, mountPath: /whole}, {name: disk, mountPath: /part, subPath: a/b}]",
        "  securityContext: {runAsUser: 1000, fsGroup: 3000}\n  \
         volumes: [{name: mem, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: disk, emptyDir: {}}]\n",
    );
    let full = in_box(
        &agent,
        "dd if=/dev/zero of=/mem/big bs=1M count=3 2>&1 || true",
    );
    assert!(full.contains("No space left"), "{full}");
    assert_eq!(in_box(&agent, "stat -c %s /mem/big"), "1048576\n");
    in_box(&agent, "echo shared >/part/file");
    assert_eq!(in_box(&agent, "cat /whole/a/b/file"), "shared\n");
    assert_eq!(in_box(&agent, "stat -c %g /part/file"), "3000\n");
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}

#[test]
fn paths_of_the_host_need_the_operators_leave() {
    let shared = tempfile::tempdir().unwrap();
    std::fs::write(shared.path().join("file"), "of the host").unwrap();
    let path = shared.path().display();
    let agent = agent_with(&format!("[policy]\nhost_paths = [\"{path}\"]\n"));
    let volume = format!("{path}:/host:ro");
    let seen = agent.ok(&[
        "run",
        "--rm",
        "-v",
        &volume,
        super::IMAGE,
        "cat",
        "/host/file",
    ]);
    assert_eq!(seen, "of the host");
    let written = agent.ctl(&[
        "run",
        "--rm",
        "-v",
        &volume,
        super::IMAGE,
        "touch",
        "/host/new",
    ]);
    assert_eq!(written.code, Some(1), "{written:?}");
    for other in ["/etc:/host", &format!("{path}/../..:/host")] {
        let refused = agent.ctl(&["run", "--rm", "-v", other, super::IMAGE, "true"]);
        assert_eq!(refused.code, Some(125), "{refused:?}");
        assert!(refused.stderr.contains("hostPath.path"), "{refused:?}");
    }
    let bare = agent.ctl(&["run", "--rm", "-v", "/etc:/host", super::IMAGE, "true"]);
    assert!(bare.stderr.contains("policy.host_paths"), "{bare:?}");
    agent.finish();
}
