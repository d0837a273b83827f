//! What the operator's policy lets in: seccomp profiles, kernel parameters, groups of a user.

use std::collections::BTreeSet;

use burstlet_testkit::image::{Entry, ImageBuilder, Packing};
use burstlet_tests::Agent;
use serde_json::{Value, json};

use super::{agent_with, create_json, shell_group, with_container, with_spec};

/// Runs a group to its end and gives what it printed.
fn output(agent: &Agent, group: Value) -> String {
    let group = with_spec(group, "restartPolicy", json!("Never"));
    create_json(agent, &group);
    let name = group["metadata"]["name"].as_str().unwrap();
    agent.ok(&["wait", name, "--timeout", "30s"]);
    let text = agent.ok(&["logs", name]);
    agent.ok(&["rm", name]);
    text
}

/// Checks that a group is refused for the field at `path`.
fn check_refused(agent: &Agent, group: &Value, path: &str) {
    let outcome = agent.ctl_with(&["create", "-f", "-"], group.to_string().as_bytes());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(path), "{path}: {outcome:?}");
}

fn with_profile(name: &str, profile: &str) -> Value {
    let script = "mkdir /tmp/made 2>&1; grep Seccomp: /proc/self/status";
    let profile = json!({"type": "Localhost", "localhostProfile": profile});
    with_container(
        shell_group(name, script),
        "securityContext",
        json!({"seccompProfile": profile}),
    )
}

fn with_sysctl(name: &str, value: &str) -> Value {
    let path = name.replace('.', "/");
    let group = shell_group("kernel", &format!("cat /proc/sys/{path}"));
    let sysctls = json!([{"name": name, "value": value}]);
    with_spec(group, "securityContext", json!({"sysctls": sysctls}))
}

#[test]
fn profiles_and_parameters_are_those_the_operator_registered() {
    let profiles = tempfile::tempdir().unwrap();
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [{
            "names": ["mkdir", "mkdirat"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 1,
        }],
    });
    std::fs::write(profiles.path().join("no-mkdir.json"), profile.to_string()).unwrap();
    let agent = agent_with(&format!(
        "[policy]\nsysctls = [\"net.core.somaxconn\"]\nseccomp_profiles = {:?}\n",
        profiles.path()
    ));
    let text = output(&agent, with_profile("filtered", "no-mkdir.json"));
    assert!(text.contains("Operation not permitted"), "{text}");
    assert!(text.ends_with("Seccomp:\t2\n"), "{text}");
    let path = "spec.containers[0].securityContext.seccompProfile.localhostProfile";
    check_refused(&agent, &with_profile("foreign", "other.json"), path);
    check_refused(&agent, &with_profile("foreign", "../no-mkdir.json"), path);

    for (name, value) in [
        ("net.ipv4.tcp_keepalive_time", "111"),
        ("net.core.somaxconn", "99"),
    ] {
        let text = output(&agent, with_sysctl(name, value));
        assert_eq!(text, format!("{value}\n"), "{name}");
    }
    for name in ["kernel.msgmax", "net.ipv4.ip_forward", "vm.swappiness"] {
        let path = "spec.securityContext.sysctls[0].name";
        check_refused(&agent, &with_sysctl(name, "1"), path);
    }
    agent.finish();
}

#[test]
fn groups_of_a_user_are_merged_or_not() {
    const MEMBER_IMAGE: &str = "localhost/member:1";
    let accounts = "root:x:0:\nnogroup:x:65534:\nextra:x:5000:nobody\n";
    let image = ImageBuilder::busybox().unwrap();
    let image = image.layer(vec![Entry::file("etc/group", accounts)]);
    let image = image.packing(Packing::None).build().unwrap();
    let agent = Agent::start();
    let archive = image.docker_archive(MEMBER_IMAGE).unwrap();
    agent.ok_with(&["import", "-"], &archive);
    for (policy, expected) in [
        ("Merge", vec!["4000", "5000", "65534"]),
        ("Strict", vec!["4000", "65534"]),
    ] {
        let group = with_container(shell_group("member", "id -G"), "image", json!(MEMBER_IMAGE));
        let identity = json!({
            "runAsUser": 65534,
            "supplementalGroups": [4000],
            "supplementalGroupsPolicy": policy,
        });
        let text = output(&agent, with_spec(group, "securityContext", identity));
        let groups: BTreeSet<&str> = text.split_whitespace().collect();
        assert_eq!(groups.into_iter().collect::<Vec<_>>(), expected, "{policy}");
    }
    agent.finish();
}
