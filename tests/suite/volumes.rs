//! Volumes: what they show, who may write them, and how large they may become.

use super::{IMAGE, agent, create, group};

#[test]
fn an_image_is_a_read_only_volume() {
    let agent = agent();
    let more = format!(
        "      volumeMounts:\n        - {{name: tools, mountPath: /tools}}\n        \
         - {{name: tools, mountPath: /etc-of-it, subPath: etc}}\n  restartPolicy: Never\n  volumes:\n    \
         - {{name: tools, image: {{reference: {IMAGE}, pullPolicy: Never}}}}\n"
    );
    let script = "ls /tools; cat /etc-of-it/group; stat -c %u:%a /tools/tmp; \
                  touch /tools/tmp/x 2>&1; mount -o remount,rw /tools 2>/dev/null || echo kept; \
                  /tools/bin/busybox true 2>&1";
    create(&agent, "shows", script, &more);
    agent.wait_until("shows", "ended", |g| g["status"]["finishedAt"].is_string());
    let log = agent.ok(&["logs", "shows"]);
    for expected in [
        "bin\netc\ntmp\nwww\n",
        "root:x:0:",
        "0:1777",
        "Read-only file system",
        "kept",
        "Permission denied",
    ] {
        assert!(log.contains(expected), "{expected:?} is not in\n{log}");
    }
    agent.ok(&["rm", "shows"]);
    agent.finish();
}

#[test]
fn a_path_that_an_image_does_not_have_is_not_made_in_it() {
    let agent = agent();
    let more = format!(
        "      volumeMounts: [{{name: tools, mountPath: /tools, subPath: no/such}}]\n  \
         terminationGracePeriodSeconds: 0\n  volumes: [{{name: tools, image: {{reference: {IMAGE}, pullPolicy: Never}}}}]\n"
    );
    create(&agent, "absent", "sleep 1000", &more);
    let waiting = agent.wait_until("absent", "told why", |g| {
        let waiting = &super::state(g)["waiting"]["message"];
        waiting.as_str().is_some_and(|text| text.contains("/tools"))
    });
    assert_eq!(waiting["status"]["phase"], "Pending");
    agent.ok(&["rm", "-f", "absent"]);
    let outcome = agent.ctl(&["run", "--rm", IMAGE, "ls", "/no"]);
    assert_ne!(outcome.code, Some(0), "the image was changed");
    agent.finish();
}

#[test]
fn who_uses_more_disk_than_allowed_is_evicted() {
    let agent = agent();
    let volume = "      volumeMounts: [{name: data, mountPath: /data}]\n  \
                  volumes: [{name: data, emptyDir: {sizeLimit: 1Mi}}]\n";
    let fill = |to: &str| format!("head -c 4000000 /dev/zero >{to}; sleep 1000");
    create(&agent, "volume", &fill("/data/x"), volume);
    let layer = "      resources: {limits: {ephemeral-storage: 2Mi}}\n";
    create(&agent, "layer", &fill("/x"), layer);
    create(&agent, "modest", "sleep 1000", volume);
    for (name, text) in [
        (
            "volume",
            "Usage of EmptyDir volume \"data\" exceeds the limit \"1Mi\".",
        ),
        (
            "layer",
            "Container main exceeded its local ephemeral storage limit \"2Mi\".",
        ),
    ] {
        let failed = agent.wait_until(name, "evicted", |g| g["status"]["phase"] == "Failed");
        assert_eq!(failed["status"]["reason"], "Evicted", "{failed:#}");
        assert_eq!(failed["status"]["message"], text, "{failed:#}");
    }
    assert_eq!(agent.group("modest")["status"]["phase"], "Running");
    agent.ok(&["rm", "-f", "volume", "layer", "modest"]);
    agent.finish();
}

#[test]
fn a_path_of_the_host_is_checked_and_never_left() {
    let dir = tempfile::tempdir().unwrap();
    let allowed = dir.path().join("allowed");
    std::fs::create_dir_all(allowed.join("real")).unwrap();
    std::fs::write(allowed.join("real/file"), "seen\n").unwrap();
    std::os::unix::fs::symlink(dir.path(), allowed.join("out")).unwrap();
    std::os::unix::fs::symlink("real", allowed.join("in")).unwrap();
    let agent = super::agent_with(&format!(
        "[policy]\nhost_paths = [\"{}\"]\n",
        allowed.display()
    ));
    let text = |name: &str, path: &str, kind: &str| {
        let more = format!(
            "      volumeMounts: [{{name: host, mountPath: /host}}]\n  restartPolicy: Never\n  \
             terminationGracePeriodSeconds: 0\n  volumes: [{{name: host, hostPath: {{path: {}/{path}, type: {kind}}}}}]\n",
            allowed.display()
        );
        group(name, "ls -a /host; cat /host/file", &more)
    };
    let submit = |name: &str, path: &str, kind: &str| {
        agent.ok_with(&["create", "-f", "-"], text(name, path, kind).as_bytes());
    };
    for (name, path) in [("direct", "real"), ("linked", "in")] {
        submit(name, path, "Directory");
        agent.wait_until(name, "done", |g| g["status"]["phase"] == "Succeeded");
        assert!(agent.ok(&["logs", name]).ends_with("seen\n"));
    }
    submit("made", "new/deep", "DirectoryOrCreate");
    agent.wait_until("made", "ended", |g| g["status"]["finishedAt"].is_string());
    assert!(allowed.join("new/deep").is_dir());
    for (name, path, kind, why) in [
        ("left", "out", "Directory", "leads out"),
        ("typed", "real/file", "Directory", "is not a directory"),
        ("gone", "nothing", "File", "is not there"),
    ] {
        submit(name, path, kind);
        agent.wait_until(name, "told why", |g| {
            let waiting = &super::state(g)["waiting"]["message"];
            waiting.as_str().is_some_and(|text| text.contains(why))
        });
    }
    agent.ok(&[
        "rm", "-f", "direct", "linked", "made", "left", "typed", "gone",
    ]);
    agent.finish();
}
