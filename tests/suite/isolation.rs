//! What a container sees of the host, told by the container itself.

use super::{IMAGE, agent};

#[test]
fn a_container_has_what_it_should_and_no_more() {
    let agent = agent();
    let script = "id -u; cat /proc/self/uid_map; grep -E '^(CapEff|CapBnd|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status; \
                  ls /proc/self/fd | wc -l; cat /proc/sys/kernel/hostname";
    let outcome = agent.ctl(&[
        "run", "--rm", "--name", "witness", IMAGE, "sh", "-c", script,
    ]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}\n{}", agent.log());
    let text = &outcome.stdout;
    let line = |prefix: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(prefix))
            .unwrap_or("?")
            .trim()
    };
    assert_eq!(text.lines().next(), Some("0"));
    let map: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((map[0], map[2]), ("0", "65536"), "{text}");
    assert!(map[1].parse::<u32>().unwrap() >= 65536, "{text}");
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE.
    assert_eq!(line("CapBnd:"), "00000000000005fb", "{text}");
    assert_eq!(line("CapEff:"), "00000000000005fb", "{text}");
    assert_eq!(line("CapInh:"), "0000000000000000", "{text}");
    assert_eq!(line("CapAmb:"), "0000000000000000", "{text}");
    assert_eq!(line("NoNewPrivs:"), "1", "{text}");
    assert_eq!(line("Seccomp:"), "2", "{text}");
    assert!(text.contains("witness"), "{text}");
    agent.finish();
}

#[test]
fn the_kernels_own_is_out_of_reach() {
    let agent = agent();
    for script in [
        "mount -t tmpfs none /tmp",
        "mknod /tmp/disk b 254 0",
        "unshare -U true",
        "echo 1 >/proc/sys/kernel/panic",
        "echo c >/proc/sysrq-trigger",
        "head -c 4 /proc/kcore | grep -q ELF",
        "dmesg",
        "hostname other",
        "ip link add dummy0 type dummy",
        "mkdir /sys/fs/cgroup/x",
    ] {
        let outcome = agent.ctl(&["run", "--rm", IMAGE, "sh", "-c", script]);
        assert!(
            matches!(outcome.code, Some(1..=127)),
            "{script}: {outcome:?}"
        );
    }
    agent.finish();
}

#[test]
fn exec_is_as_isolated_as_the_container() {
    let agent = agent();
    let show = "grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Seccomp_filters):' /proc/self/status; \
                for n in pid mnt uts ipc net cgroup user; do readlink /proc/self/ns/$n; done; \
                cat /proc/self/cgroup /proc/self/uid_map /proc/self/limits; umask";
    super::create(
        &agent,
        "same",
        &format!("{{ {show}; }} >/tmp/witness; sleep 1000"),
        "  terminationGracePeriodSeconds: 0\n",
    );
    agent.wait_until("same", "running", |g| g["status"]["phase"] == "Running");
    let deadline = std::time::Instant::now() + burstlet_tests::PATIENCE;
    let own = loop {
        let text = agent.ok(&[
            "exec",
            "same",
            "--",
            "sh",
            "-c",
            "cat /tmp/witness 2>/dev/null || true",
        ]);
        if text
            .lines()
            .last()
            .is_some_and(|line| line.starts_with('0'))
        {
            break text;
        }
        assert!(std::time::Instant::now() < deadline, "{text}");
    };
    let exec = agent.ok(&["exec", "same", "--", "sh", "-c", &format!("{{ {show}; }}")]);
    assert_eq!(exec, own);
    agent.ok(&["rm", "-f", "same"]);
    agent.finish();
}

#[test]
fn a_fork_bomb_stays_in_its_group() {
    let agent = agent();
    super::create(
        &agent,
        "bomb",
        "bomb() { bomb | bomb & }; bomb; sleep 1000",
        "  terminationGracePeriodSeconds: 0\n",
    );
    agent.wait_until("bomb", "running", |g| g["status"]["phase"] == "Running");
    std::thread::sleep(std::time::Duration::from_secs(1));
    let started = std::time::Instant::now();
    agent.ok(&["rm", "-f", "bomb"]);
    assert!(started.elapsed() < burstlet_tests::PATIENCE);
    agent.finish();
}
