//! What a session is charged for is what the kernel counted, whichever version its cgroups have.

use std::fs;
use std::path::Path;

use burstlet_tests::Agent;

use super::ledger::settled;
use super::{agent, create, state};

/// What the container below keeps in memory; the group may have four times as much.
const KEPT_BYTES: u64 = 32 << 20;
const LIMITED: &str = "  resources:\n    limits: {memory: 128Mi}\n  \
                       terminationGracePeriodSeconds: 0\n";
const BUSY: &str = "dd if=/dev/zero of=/dev/shm/kept bs=1M count=32 2>/dev/null; \
                    i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; exec sleep 1000";

/// A number of a cgroup, by its file in either version: the v1 controller with its file, or the v2
/// file. Of a file with many, it is the one of the first line.
fn count(cgroup: &str, v1: [&str; 2], v2: &str) -> u64 {
    let root = Path::new("/sys/fs/cgroup");
    let path = match is_v2() {
        true => root.join(cgroup).join(v2),
        false => root.join(v1[0]).join(cgroup).join(v1[1]),
    };
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let number = text.lines().next().unwrap().rsplit(' ').next().unwrap();
    number.parse().unwrap()
}

fn is_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn cpu_us(cgroup: &str) -> u64 {
    let count = count(cgroup, ["cpuacct", "cpuacct.usage"], "cpu.stat");
    if is_v2() { count } else { count / 1000 }
}

fn wait_until_it_is_quiet(agent: &Agent) {
    agent.wait_until("busy", "running", |g| state(g)["running"].is_object());
    burstlet_tests::wait_for("the container has done its work", || {
        agent.ok(&["logs", "busy"]) == "done\n"
    });
}

#[test]
fn what_is_charged_is_what_the_kernel_counted() {
    let agent = agent();
    create(&agent, "busy", BUSY, LIMITED);
    wait_until_it_is_quiet(&agent);
    let uid = agent.group("busy")["metadata"]["uid"].clone();
    let uid = uid.as_str().unwrap();
    let root = agent.bridge();
    let group = format!("{root}/{uid}");
    let cpu_at_least = cpu_us(&group);
    let daemons = cpu_us(&format!("{root}/_launcher"));
    let peak = ["memory", "memory.max_usage_in_bytes"];
    let peak_at_least = count(&group, peak, "memory.peak");
    let limit = ["memory", "memory.limit_in_bytes"];
    let peak_at_most = count(&group, limit, "memory.max");
    assert!(cpu_at_least > 0 && peak_at_least >= KEPT_BYTES);

    agent.ok(&["stop", "busy"]);
    agent.wait_until("busy", "stopped", |g| g["status"]["phase"] == "Stopped");
    let used = &settled(&agent, uid)["used"];
    // What is above a cgroup keeps what it had counted, and beside the groups only has daemons.
    let cpu_at_most = cpu_us(&root) - daemons;
    let number = |name: &str| used[name].as_str().unwrap().parse::<u64>().unwrap();
    let (cpu, peak) = (number("cpu_us"), number("memory_peak"));
    eprintln!("charged {cpu} µs of {cpu_at_least} to {cpu_at_most} µs, at most {peak} bytes");
    assert!((cpu_at_least..=cpu_at_most).contains(&cpu), "{used:#}");
    assert!((peak_at_least..=peak_at_most).contains(&peak), "{used:#}");
    agent.ok(&["rm", "busy"]);
    agent.finish();
}
