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
    assert_eq!(in_box(&agent, "cd /conf; find . -type f"), "./sub/a.txt\n");
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
fn secrets_are_on_no_disk_but_in_the_record() {
    const CANARY: &str = "canary-3f9d2b";
    let agent = agent();
    begin(
        &agent,
        "[{name: sec, mountPath: /sec}]",
        &format!("  volumes: [{{name: sec, secret: {{stringData: {{token: {CANARY}}}}}}}]\n"),
    );
    assert_eq!(in_box(&agent, "cat /sec/token"), CANARY);
    let mut holders = Vec::new();
    files_with(
        &agent.scratch().join("state"),
        CANARY.as_bytes(),
        &mut holders,
    );
    assert_eq!(holders, ["record.json"]);
    for shown in [
        agent.ok(&["get", "box", "-o", "yaml"]),
        agent.ok(&["describe", "box"]),
        agent.ok(&["export", "box"]),
        agent.log(),
    ] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}

/// The names of the regular files below `dir` that hold `needle`.
pub(super) fn files_with(dir: &Path, needle: &[u8], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_with(&entry.path(), needle, found);
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
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
