//! What containers are shown of their own cgroups, by which programs size themselves.

use serde_json::{Value, json};

use super::{agent, agent_with, create_json, shell_group, with_container, with_spec};
use burstlet_tests::Agent;

/// The container's memory limit and processor quota, by the files of either version.
const LIMITS: &str = "cd /sys/fs/cgroup; \
                      cat memory.max memory/memory.limit_in_bytes 2>/dev/null; \
                      cat cpu.max cpu/cpu.cfs_quota_us 2>/dev/null | cut -d' ' -f1";
/// What [`LIMITS`] prints for [`limited`].
const LIMITED: &str = "67108864\n50000\n";
/// Tries to be given more, to leave its cgroup, and to make one of its own.
const REACH: &str = "for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do \
                     mount -o remount,bind,rw $d 2>/dev/null && echo remounted >/tmp/remounted; \
                     mkdir $d/made 2>/dev/null && echo made $d; \
                     for f in memory.max memory.limit_in_bytes cpu.max cpu.cfs_quota_us cpuset.cpus \
                              cgroup.procs tasks notify_on_release release_agent devices.allow; do \
                     [ -e $d/$f ] && { echo 1 >$d/$f; } 2>/dev/null && echo wrote $d/$f; \
                     done; done; cat /tmp/remounted 2>/dev/null; ";

/// A group that runs `script` within limits.
fn limited(name: &str, script: &str) -> Value {
    let limits = json!({"limits": {"memory": "64Mi", "cpu": "500m"}});
    let group = with_container(shell_group(name, script), "resources", limits);
    with_spec(group, "restartPolicy", json!("Never"))
}

/// Runs a group to its end, and gives what it printed.
fn output(agent: &Agent, group: &Value) -> String {
    create_json(agent, group);
    let name = group["metadata"]["name"].as_str().unwrap();
    agent.ok(&["wait", name, "--timeout", "30s"]);
    let text = agent.ok(&["logs", name]);
    agent.ok(&["rm", name]);
    text
}

/// However it is made, and whosever ids it has: the agent makes one with a terminal by another way.
#[test]
fn every_container_reads_its_own_limits() {
    let agent = agent_with("[policy]\nhost_users = true\nhost_network = true\nprivileged = true\n");
    let change = |name: &str, field: &str| with_spec(limited(name, LIMITS), field, json!(true));
    let host_network = with_spec(change("network", "hostUsers"), "hostNetwork", json!(true));
    let privileged = json!({"privileged": true});
    for group in [
        limited("plain", LIMITS),
        change("ids", "hostUsers"),
        change("shared", "shareProcessNamespace"),
        host_network,
        with_container(limited("terminal", LIMITS), "tty", json!(true)),
        with_container(limited("all", LIMITS), "securityContext", privileged),
    ] {
        let text = output(&agent, &group).replace('\r', "");
        assert_eq!(text, LIMITED, "{group}");
    }
    agent.finish();
}

/// A later process reads the same, and so does the next run of a container, whose cgroup is another.
#[test]
fn later_processes_and_later_runs_read_them_too() {
    let agent = agent();
    let script = format!("{LIMITS}; test -e /keep/once && sleep 1000; touch /keep/once; exit 1");
    let mounts = json!([{"name": "keep", "mountPath": "/keep"}]);
    let group = with_container(limited("again", &script), "volumeMounts", mounts);
    let group = with_spec(group, "restartPolicy", json!("OnFailure"));
    let volumes = json!([{"name": "keep", "emptyDir": {}}]);
    create_json(&agent, &with_spec(group, "volumes", volumes));
    agent.wait_until("again", "started again", |group| {
        let main = &group["status"]["containerStatuses"][0];
        main["restartCount"] == 1 && main["running"].is_object()
    });
    let seen = agent.ok(&["exec", "again", "--", "sh", "-c", LIMITS]);
    assert_eq!(seen, LIMITED);
    burstlet_tests::wait_for("the second run says its limits", || {
        agent.ok(&["logs", "again"]) == LIMITED
    });
    agent.ok(&["rm", "-f", "again"]);
    agent.finish();
}

/// With the right to mount in a user namespace of its own a container can make the mounts writable:
/// the files are still the host's root's.
#[test]
fn who_may_mount_still_changes_nothing() {
    let agent = agent_with("[policy]\ncapabilities = [\"SYS_ADMIN\"]\n");
    let security = json!({"capabilities": {"add": ["SYS_ADMIN"]}});
    let group = limited("mounts", &format!("{REACH}{LIMITS}"));
    let group = with_container(group, "securityContext", security);
    assert_eq!(output(&agent, &group), format!("remounted\n{LIMITED}"));
    let group = limited("plain", &format!("{REACH}{LIMITS}"));
    assert_eq!(output(&agent, &group), LIMITED);
    agent.finish();
}

/// Who has the host's ids and may mount is as good as root on the host. What it makes of its part goes
/// with it.
#[test]
fn what_somebody_makes_in_a_cgroup_goes_with_it() {
    let agent = agent_with("[policy]\nhost_users = true\ncapabilities = [\"SYS_ADMIN\"]\n");
    let script = "cd /sys/fs/cgroup; [ -d memory ] && cd memory; mount -o remount,bind,rw $PWD; \
                  mkdir made made/deep && ls made | grep -x deep";
    let security = json!({"capabilities": {"add": ["SYS_ADMIN"]}});
    let group = with_container(limited("host", script), "securityContext", security);
    let group = with_spec(group, "hostUsers", json!(true));
    assert_eq!(output(&agent, &group), "deep\n");
    agent.finish();
}
