//! Devices of the host: each has one group at a time, whose containers find their own where the host has
//! them, and nobody else opens it, whatever he makes himself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use burstlet_tests::{Agent, DeviceNode, wait_for};
use serde_json::{Value, json};

use super::{agent, agent_with, create_json, shell_group, with_container, with_spec};

const RESOURCE: &str = "example.com/log";
/// The kernel's log: every kernel has it, and whoever the mode lets may open it to write.
const LOG: (u64, u64) = (1, 11);
/// Every kernel has it. Nobody opens it here.
const CONSOLE: (u64, u64) = (5, 1);

fn mode(node: &DeviceNode) -> u32 {
    fs::metadata(node.path()).unwrap().permissions().mode() & 0o777
}

/// What the agent is configured with to lend one device.
fn section(own: &DeviceNode, shared: &DeviceNode) -> String {
    let (own, shared) = (own.path(), shared.path());
    format!("[devices.{RESOURCE:?}]\npaths = [[{own:?}]]\nshared = [{shared:?}]\n")
}

fn with_device(group: Value) -> Value {
    with_container(group, "resources", json!({"limits": {RESOURCE: 1}}))
}

/// One container with the device, and one that may make nodes, with the host's ids.
fn both() -> Value {
    let mut group = with_device(shell_group("first", "sleep 1000"));
    let mut maker = group["spec"]["containers"][0].clone();
    maker["name"] = json!("maker");
    maker["resources"] = json!({});
    maker["securityContext"] = json!({"capabilities": {"add": ["MKNOD"]}});
    let containers = group["spec"]["containers"].as_array_mut().unwrap();
    containers.push(maker);
    with_spec(group, "hostUsers", json!(true))
}

/// One container with a user namespace that opens the device whenever it is started, which it is again.
fn again(node: &DeviceNode) -> Value {
    let node = node.path().display();
    let script = format!(
        ": >>{node}; echo opened $?; [ -e /kept/again ] && exec sleep 1000; touch /kept/again; exit 1"
    );
    let group = with_device(shell_group("second", &script));
    let mounts = json!([{"name": "kept", "mountPath": "/kept"}]);
    let group = with_container(group, "volumeMounts", mounts);
    with_spec(group, "volumes", json!([{"name": "kept", "emptyDir": {}}]))
}

/// What a script in a container of the first group says, and how it ends.
fn tries(agent: &Agent, container: &str, script: &str) -> (Option<i32>, String) {
    let outcome = agent.ctl(&["exec", "-c", container, "first", "--", "sh", "-c", script]);
    (outcome.code, outcome.stderr)
}

fn check_first(agent: &Agent, lent: &DeviceNode, shared: &DeviceNode) {
    let (own, all) = (lent.path().display(), shared.path().display());
    let (code, text) = tries(agent, "main", &format!("[ -c {all} ] && : >>{own}"));
    assert_eq!(code, Some(0), "its own device: {text}");
    let (code, text) = tries(agent, "main", &format!("chmod 0 {own}"));
    assert_ne!(code, Some(0), "the node is the host's: {text}");
    assert_eq!(mode(lent), 0o666);
    let (code, text) = tries(agent, "maker", &format!("[ ! -e {own} ] && [ ! -e {all} ]"));
    assert_eq!(code, Some(0), "a neighbour has no node: {text}");
    let (major, minor) = LOG;
    let script = format!("rm -f /dev/made; mknod /dev/made c {major} {minor}");
    let (code, text) = tries(agent, "maker", &script);
    assert_eq!(code, Some(0), "it may make nodes: {text}");
    let (code, text) = tries(agent, "maker", ": >>/dev/made");
    assert_ne!(code, Some(0), "it opened what is not its own");
    assert!(text.contains("Operation not permitted"), "{text}");
}

fn check_waits(agent: &Agent) {
    let second = agent.group("second");
    assert_eq!(second["status"]["phase"], "Queued", "{second:#}");
    let reason = format!("OutOf{RESOURCE}");
    assert_eq!(second["status"]["reason"], reason, "{second:#}");
}

#[test]
fn a_device_has_one_group_and_nobody_else_opens_it() {
    let (lent, shared) = (
        DeviceNode::make("lent", LOG),
        DeviceNode::make("shared", CONSOLE),
    );
    let devices = section(&lent, &shared);
    if !Path::new("/sys/fs/cgroup/devices/devices.allow").exists() {
        return check_not_lent(&devices);
    }
    let mut agent = agent_with(&format!("[policy]\nhost_users = true\n{devices}"));
    create_json(&agent, &both());
    agent.ok(&["wait", "first", "--for", "running", "--timeout", "30s"]);
    create_json(&agent, &again(&lent));
    check_waits(&agent);
    check_first(&agent, &lent, &shared);

    agent.crash();
    agent.launch();
    check_waits(&agent);
    check_first(&agent, &lent, &shared);

    agent.ok(&["rm", "-f", "first"]);
    agent.wait_until("second", "started again", |group| {
        let status = &group["status"]["containerStatuses"][0];
        status["restartCount"] == 1 && !status["running"].is_null()
    });
    for run in [&["logs", "second"][..], &["logs", "--previous", "second"]] {
        wait_for("what it says", || agent.ok(run).contains("opened"));
        assert_eq!(agent.ok(run), "opened 0\n", "{run:?}");
    }
    agent.ok(&["rm", "-f", "second"]);
    agent.finish();
}

/// Without a list of devices in cgroups, nothing would keep others from a device: the agent does not
/// start.
fn check_not_lent(devices: &str) {
    let mut agent = agent();
    let plain = fs::read_to_string(agent.config()).unwrap();
    assert!(agent.stop().unwrap().success());
    fs::write(agent.config(), format!("{plain}\n{devices}")).unwrap();
    let ended = agent.launch_armed("");
    assert!(ended.is_some_and(|ended| !ended.success()), "{ended:?}");
    let log = agent.log();
    assert!(log.contains(&format!("[devices.{RESOURCE:?}]")), "{log}");
    fs::write(agent.config(), plain).unwrap();
    agent.launch();
    agent.finish();
}
