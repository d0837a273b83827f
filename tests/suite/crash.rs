//! The agent is killed and started again; groups do not notice.

use nix::sys::signal::{self, SigSet, Signal};

use super::{agent, create, state};

fn pid(group: &serde_json::Value) -> Option<u64> {
    state(group)["running"]["pid"].as_u64()
}

#[test]
fn groups_and_their_logs_go_on_without_the_agent() {
    let mut agent = agent();
    let script = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.01; done";
    create(
        &agent,
        "steady",
        script,
        "  terminationGracePeriodSeconds: 0\n",
    );
    let before = agent.wait_until("steady", "running", |g| pid(g).is_some());
    agent.crash();
    std::thread::sleep(std::time::Duration::from_millis(500));
    agent.launch();
    let after = agent.wait_until("steady", "running", |g| pid(g).is_some());
    assert_eq!(pid(&after), pid(&before), "the container was started again");
    assert_eq!(state(&after)["restartCount"].as_u64().unwrap_or(0), 0);
    assert_eq!(after["status"]["podIP"], before["status"]["podIP"]);
    assert_eq!(agent.ok(&["exec", "steady", "--", "echo", "in"]), "in\n");
    let deadline = std::time::Instant::now() + burstlet_tests::PATIENCE;
    let logs = loop {
        let logs = agent.ok(&["logs", "steady"]);
        if logs.lines().count() > 40 {
            break logs;
        }
        assert!(std::time::Instant::now() < deadline, "{logs}");
    };
    for (index, line) in logs.lines().enumerate() {
        assert_eq!(line, format!("line {}", index + 1));
    }
    agent.ok(&["rm", "-f", "steady"]);
    agent.finish();
}

#[test]
fn an_end_while_the_agent_is_away_is_not_lost() {
    let mut agent = agent();
    create(
        &agent,
        "brief",
        "echo bye; sleep 1; exit 5",
        "  restartPolicy: Never\n",
    );
    agent.wait_until("brief", "running", |g| pid(g).is_some());
    agent.crash();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    agent.launch();
    let ended = agent.wait_until("brief", "failed", |g| g["status"]["phase"] == "Failed");
    assert_eq!(state(&ended)["terminated"]["exitCode"], 5, "{ended:#}");
    assert_eq!(agent.ok(&["logs", "brief"]), "bye\n");
    agent.ok(&["rm", "brief"]);
    agent.finish();
}

#[test]
fn a_clean_stop_of_the_agent_leaves_groups_alone() {
    // Whoever starts the agent may have blocked the signal that ends it.
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGTERM);
    blocked.thread_block().unwrap();
    let mut agent = agent();
    blocked.thread_unblock().unwrap();
    create(
        &agent,
        "calm",
        "sleep 1000",
        "  terminationGracePeriodSeconds: 0\n",
    );
    let before = agent.wait_until("calm", "running", |g| pid(g).is_some());
    assert_eq!(agent.told().trim(), "READY=1");
    let status = agent.stop().unwrap();
    assert!(status.success(), "{status}\n{}", agent.log());
    assert_eq!(agent.told().trim(), "STOPPING=1");
    let running = std::path::Path::new("/proc").join(pid(&before).unwrap().to_string());
    assert!(running.exists());
    agent.launch();
    let after = agent.wait_until("calm", "running", |g| pid(g).is_some());
    assert_eq!(pid(&after), pid(&before));
    agent.ok(&["rm", "-f", "calm"]);
    agent.finish();
}

/// The keeper of a container's process: its parent.
pub(super) fn keeper_of(container: u64) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{container}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let parent = fields.split_whitespace().nth(1).unwrap();
    parent.parse().unwrap()
}

fn kill(process: u32) {
    let process = nix::unistd::Pid::from_raw(process.cast_signed());
    signal::kill(process, Signal::SIGKILL).unwrap();
}

#[test]
fn a_lost_launcher_is_replaced_when_it_is_needed() {
    let agent = agent();
    let quick = "  terminationGracePeriodSeconds: 0\n";
    create(&agent, "before", "sleep 1000", quick);
    let before = agent.wait_until("before", "running", |g| pid(g).is_some());
    let first = agent.launcher();
    kill(first);
    create(&agent, "after", "sleep 1000", quick);
    agent.wait_until("after", "running", |g| pid(g).is_some());
    assert_ne!(agent.launcher(), first);
    assert_eq!(agent.ok(&["exec", "before", "--", "echo", "in"]), "in\n");
    assert_eq!(pid(&agent.group("before")), pid(&before));
    // Whose launcher is gone is missed all the same.
    kill(keeper_of(pid(&before).unwrap()));
    let failed = agent.wait_until("before", "failed", |g| g["status"]["phase"] == "Failed");
    assert_eq!(failed["status"]["reason"], "KeeperLost", "{failed:#}");
    assert_eq!(agent.group("after")["status"]["phase"], "Running");
    agent.ok(&["rm", "-f", "before", "after"]);
    agent.finish();
}

#[test]
fn a_lost_keeper_fails_its_group_alone() {
    let agent = agent();
    create(&agent, "victim", "sleep 1000", "");
    create(
        &agent,
        "other",
        "sleep 1000",
        "  terminationGracePeriodSeconds: 0\n",
    );
    let victim = agent.wait_until("victim", "running", |g| pid(g).is_some());
    agent.wait_until("other", "running", |g| pid(g).is_some());
    let container = pid(&victim).unwrap();
    kill(keeper_of(container));
    let failed = agent.wait_until("victim", "failed", |g| g["status"]["phase"] == "Failed");
    assert_eq!(failed["status"]["reason"], "KeeperLost", "{failed:#}");
    assert!(!std::path::Path::new(&format!("/proc/{container}")).exists());
    assert_eq!(agent.group("other")["status"]["phase"], "Running");
    agent.ok(&["rm", "-f", "victim", "other"]);
    agent.finish();
}

#[test]
fn groups_of_before_and_after_a_crash_do_not_share_anything() {
    let mut agent = agent();
    let script = "cat /proc/self/uid_map; sleep 1000";
    create(
        &agent,
        "before",
        script,
        "  terminationGracePeriodSeconds: 0\n",
    );
    agent.wait_until("before", "running", |g| pid(g).is_some());
    agent.crash();
    agent.launch();
    create(
        &agent,
        "after",
        script,
        "  terminationGracePeriodSeconds: 0\n",
    );
    agent.wait_until("after", "running", |g| pid(g).is_some());
    let ids = |name: &str| agent.ok(&["exec", name, "--", "cat", "/proc/self/uid_map"]);
    assert_ne!(ids("before"), ids("after"));
    let address = |name: &str| agent.group(name)["status"]["podIP"].clone();
    assert_ne!(address("before"), address("after"));
    // A launcher that is woken for connections of others never rests.
    let ticks = agent.launcher_ticks();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(
        agent.launcher_ticks() - ticks < 10,
        "the launcher is busy with nothing"
    );
    // What stood before the crash is still connected.
    let gateway = "ping -c 1 -W 2 $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p') || nslookup before";
    agent.ok(&["exec", "before", "--", "sh", "-c", gateway]);
    agent.ok(&["rm", "-f", "before", "after"]);
    agent.finish();
}

#[test]
fn a_crash_in_the_middle_of_many_starts_leaves_nothing() {
    let mut agent = agent();
    for round in 0..3 {
        let starting: Vec<_> = (0..6)
            .map(|n| {
                let name = format!("g{round}-{n}");
                let mut command = agent.ctl_command(&["create", "-f", "-"]);
                command
                    .stdin(std::process::Stdio::piped())
                    .stdout(std::process::Stdio::null());
                let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
                let text =
                    super::group(&name, "sleep 1000", "  terminationGracePeriodSeconds: 0\n");
                std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes())
                    .unwrap();
                child
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(60 * (round + 1)));
        agent.crash();
        for mut child in starting {
            child.wait().unwrap();
        }
        agent.launch();
    }
    let names = agent.ok(&["ps", "-a", "-o", "name"]);
    for name in names.lines() {
        agent.ok(&["rm", "-f", name]);
    }
    agent.finish();
}
