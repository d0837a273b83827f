//! What a specification says of a container's process, told by the process itself.

use super::{IMAGE, agent, agent_with, create, group, state};

/// Runs a group to its end and gives what it printed.
fn output(agent: &burstlet_tests::Agent, name: &str, script: &str, more: &str) -> String {
    let more = format!("{more}  restartPolicy: Never\n");
    create(agent, name, script, &more);
    agent.ok(&["wait", name, "--timeout", "30s"]);
    let text = agent.ok(&["logs", name]);
    agent.ok(&["rm", name]);
    text
}

#[test]
fn variables_come_in_every_form() {
    let agent = agent();
    let more = "      env:\n        - {name: A, value: one}\n        - {name: B, value: '$(A)-$$(A)-$(NONE)'}\n        \
                - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n        \
                - {name: ADDRESS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}\n        \
                - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory}}}\n      \
                resources: {limits: {memory: 64Mi}}\n      args: ['$(A)', '$$(A)']\n";
    let text = output(
        &agent,
        "vars",
        "echo $B $NAME $LIMIT $0 $1; ip -4 addr show eth0 | grep -c \"inet $ADDRESS/\"",
        more,
    );
    assert_eq!(text, "one-$(A)-$(NONE) vars 67108864 one $(A)\n1\n");
    agent.finish();
}

#[test]
fn users_are_who_the_specification_says() {
    let agent = agent();
    let more =
        "  securityContext: {runAsUser: 1000, runAsGroup: 2000, supplementalGroups: [4000]}\n";
    let text = output(&agent, "who", "id -u; id -g; id -G", more);
    assert_eq!(text, "1000\n2000\n2000 4000\n");
    let refused = group("root", "true", "  securityContext: {runAsNonRoot: true}\n");
    agent.ok_with(&["create", "-f", "-"], refused.as_bytes());
    let waiting = agent.wait_until("root", "refused", |g| {
        state(g)["waiting"]["reason"] == "CreateContainerConfigError"
    });
    let message = state(&waiting)["waiting"]["message"].as_str().unwrap();
    assert!(message.contains("root"), "{message}");
    agent.ok(&["rm", "-f", "root"]);
    agent.finish();
}

#[test]
fn flags_of_run_do_what_they_do_elsewhere() {
    let agent = agent();
    let run = |flags: &[&str], command: &[&str]| {
        let all = [&["run", "--rm"], flags, &[IMAGE], command].concat();
        agent.ctl(&all)
    };
    let printed = |flags: &[&str], script: &str| {
        let outcome = run(flags, &["sh", "-c", script]);
        assert_eq!(outcome.code, Some(0), "{flags:?}: {outcome:?}");
        outcome.stdout
    };
    assert_eq!(printed(&["-e", "X=1 2"], "echo \"$X\""), "1 2\n");
    assert_eq!(printed(&["--user", "7:8"], "id -u; id -g"), "7\n8\n");
    assert_eq!(printed(&["--workdir", "/made/here"], "pwd"), "/made/here\n");
    assert_eq!(printed(&["--hostname", "other"], "hostname"), "other\n");
    assert_eq!(
        printed(&["--cap-drop", "ALL"], "grep CapBnd /proc/self/status"),
        "CapBnd:\t0000000000000000\n"
    );
    assert_eq!(
        printed(
            &["--add-host", "far:192.0.2.1"],
            "grep -c '192.0.2.1.*far' /etc/hosts"
        ),
        "1\n"
    );
    assert_eq!(
        printed(
            &["--dns", "192.0.2.53"],
            "grep -c 192.0.2.53 /etc/resolv.conf"
        ),
        "1\n"
    );
    assert_eq!(
        printed(
            &["--tmpfs", "/t:size=1m"],
            "df -k /t | awk 'END {print $2}'"
        ),
        "1024\n"
    );
    let sysctl = "net.ipv4.ip_unprivileged_port_start=80";
    assert_eq!(
        printed(
            &["--sysctl", sysctl],
            "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
        ),
        "80\n"
    );
    let echo = run(&["--entrypoint", "/bin/echo"], &["one", "two"]);
    assert_eq!(echo.stdout, "one two\n");
    assert_eq!(run(&["--read-only"], &["touch", "/x"]).code, Some(1));
    let many = run(
        &["--pids-limit", "10"],
        &["sh", "-c", "for i in $(seq 20); do sleep 1 & done"],
    );
    assert!(many.stderr.contains("can't fork"), "{many:?}");
    for denied in ["--privileged", "--cap-add=SYS_ADMIN", "--network=host"] {
        let outcome = run(&[denied], &["true"]);
        assert_eq!(outcome.code, Some(125), "{outcome:?}");
        assert!(
            outcome.stderr.contains("ask the operator to set policy."),
            "{outcome:?}"
        );
    }
    let name = agent.ok(&["run", "-d", "--name", "back", IMAGE, "sleep", "1000"]);
    assert_eq!(name, "back\n");
    agent.ok(&["rm", "-f", "back"]);
    agent.finish();
}

#[test]
fn names_and_resolvers_are_as_written() {
    let agent = agent();
    let more = "  hostname: here\n  hostAliases: [{ip: 192.0.2.7, hostnames: [far, away]}]\n  dnsPolicy: None\n  \
                dnsConfig: {nameservers: [192.0.2.53], searches: [a.test], options: [{name: ndots, value: '3'}]}\n";
    let text = output(
        &agent,
        "names",
        "hostname; grep 192.0.2.7 /etc/hosts; cat /etc/resolv.conf",
        more,
    );
    assert_eq!(
        text,
        "here\n192.0.2.7\tfar\taway\nsearch a.test\nnameserver 192.0.2.53\noptions ndots:3\n"
    );
    agent.finish();
}

#[test]
fn last_words_are_kept() {
    let agent = agent();
    let never = "  restartPolicy: Never\n";
    create(
        &agent,
        "file",
        "echo because >/dev/termination-log; exit 3",
        never,
    );
    let more = format!("      terminationMessagePolicy: FallbackToLogsOnError\n{never}");
    create(&agent, "fallback", "echo logged; exit 4", &more);
    for (name, code, words) in [("file", 3, "because\n"), ("fallback", 4, "logged\n")] {
        let ended = agent.wait_until(name, "failed", |g| g["status"]["phase"] == "Failed");
        let terminated = &state(&ended)["terminated"];
        assert_eq!(terminated["exitCode"], code, "{ended:#}");
        assert_eq!(terminated["message"], words, "{ended:#}");
        agent.ok(&["rm", name]);
    }
    agent.finish();
}

#[test]
fn containers_of_a_group_can_share_processes() {
    let agent = agent();
    let more = format!(
        "    - {{name: other, image: {IMAGE}, imagePullPolicy: Never, command: [sleep, '4321']}}\n  \
         shareProcessNamespace: true\n  terminationGracePeriodSeconds: 0\n"
    );
    create(&agent, "shared", "sleep 1234", &more);
    agent.ok(&["wait", "shared", "--for", "ready", "--timeout", "30s"]);
    let seen = agent.ok(&["exec", "shared", "-c", "main", "--", "ps"]);
    assert!(seen.contains("sleep 4321"), "{seen}");
    agent.ok(&["rm", "-f", "shared"]);
    agent.finish();
}

#[test]
fn what_the_operator_allows_works() {
    let agent = agent_with(
        "[policy]\nprivileged = true\nhost_network = true\nhost_users = true\nunconfined_seccomp = true\n",
    );
    let seccomp = "      securityContext: {seccompProfile: {type: Unconfined}}\n";
    let text = output(&agent, "free", "grep Seccomp: /proc/self/status", seccomp);
    assert_eq!(text, "Seccomp:\t0\n");
    let users = "  hostUsers: true\n";
    let text = output(&agent, "ids", "awk '{print $2}' /proc/self/uid_map", users);
    assert_eq!(text, "0\n");
    let network = "  hostUsers: true\n  hostNetwork: true\n";
    let text = output(&agent, "net", "ls /sys/class/net", network);
    assert!(text.lines().any(|line| line.starts_with("bt")), "{text}");
    let all = "      securityContext: {privileged: true}\n";
    let text = output(
        &agent,
        "all",
        "mount -t tmpfs none /tmp && echo mounted",
        all,
    );
    assert_eq!(text, "mounted\n");
    agent.finish();
}
