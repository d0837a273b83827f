//! A witness that is not ours: the kernel's own trace of programs that begin and processes that end,
//! on the boot clock. What groups are billed for is compared with it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use burstlet_tests::Agent;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::Value;

use super::ledger::ledger_of;
use super::{agent, create, full_or};

/// What billed and witnessed time may differ by at most.
const ERROR_MAX_S: f64 = 1.0;
/// The same for 99 of 100 groups, and on average. A machine that does other work delays both what is
/// measured and what measures, so these are held to only by who has the machine for himself.
const ERROR_P99_S: f64 = 0.050;
const ERROR_MEAN_S: f64 = 0.005;
/// Groups that run at the same time.
const AT_ONCE: u32 = 4;
/// Kibibytes of the trace's buffer for each processor.
const BUFFER_KIB: u32 = 16384;
const NEVER: &str = "  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n";

/// An instance of the kernel's tracer, which goes with this value.
struct Trace {
    instance: PathBuf,
    mounted: Option<tempfile::TempDir>,
}

impl Trace {
    fn begin() -> Self {
        let (root, mounted) = tracefs();
        let instance = root.join(format!("instances/burstlet-test-{}", std::process::id()));
        fs::create_dir(&instance).unwrap();
        let trace = Self { instance, mounted };
        trace.set("trace_clock", "boot");
        trace.set("buffer_size_kb", &BUFFER_KIB.to_string());
        for event in ["sched_process_exec", "sched_process_exit"] {
            trace.set(&format!("events/sched/{event}/enable"), "1");
        }
        trace
    }

    fn set(&self, file: &str, value: &str) {
        let path = self.instance.join(file);
        let set = fs::write(&path, value);
        set.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// How long the last program of each process ran, by the name that the process had at its end.
    fn lives(&self) -> HashMap<String, f64> {
        let text = fs::read_to_string(self.instance.join("trace")).unwrap();
        let mut began: HashMap<&str, f64> = HashMap::new();
        let mut lives = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((head, event)) = line.split_once(": sched_process_") else {
                continue;
            };
            let at: f64 = head.rsplit(' ').next().unwrap().parse().unwrap();
            let field = |name: &str| {
                let mut words = event.split_whitespace();
                words.find_map(|word| word.strip_prefix(name)).unwrap_or("")
            };
            if event.starts_with("exec:") {
                began.insert(field("pid="), at);
            } else if let Some(since) = began.get(field("pid=")) {
                lives.insert(field("comm=").to_owned(), at - since);
            }
        }
        lives
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // If it cannot be removed, the leak check of the next test has something to say.
        let _ = fs::remove_dir(&self.instance);
        if let Some(place) = &self.mounted {
            let _ = umount2(place.path(), MntFlags::MNT_DETACH);
        }
    }
}

/// Where the tracer is; mounted for this test if nobody has it mounted.
fn tracefs() -> (PathBuf, Option<tempfile::TempDir>) {
    for place in ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] {
        if Path::new(place).join("instances").exists() {
            return (PathBuf::from(place), None);
        }
    }
    let place = tempfile::tempdir().unwrap();
    let none: Option<&str> = None;
    let mounted = mount(none, place.path(), Some("tracefs"), MsFlags::empty(), none);
    mounted.expect("the kernel has a tracer (CONFIG_TRACING), which is this test's witness");
    (place.path().to_owned(), Some(place))
}

fn running_s(session: &Value) -> f64 {
    let ns = session["ns"]["Running"].as_str().unwrap_or("0");
    ns.parse::<u64>().unwrap() as f64 / 1e9
}

/// Creates groups, a few at a time, whose process is called as they are and lives for a while.
fn run_all(agent: &Agent, groups: u32) {
    let names: Vec<String> = (0..groups).map(|number| format!("w{number}")).collect();
    for (turn, some) in names.chunks(AT_ONCE as usize).enumerate() {
        for (place, name) in some.iter().enumerate() {
            let number = turn as u32 * AT_ONCE + place as u32;
            let nap = Duration::from_millis(u64::from(10 + number * 397 % 1990));
            let script = format!(
                "echo -n {name} >/proc/self/comm; sleep {}; :",
                nap.as_secs_f64()
            );
            create(agent, name, &script, NEVER);
        }
        for name in some {
            agent.wait_until(name, "ended", |g| g["status"]["phase"] == "Succeeded");
            agent.ok(&["rm", name]);
        }
    }
}

#[test]
fn billed_time_is_what_the_kernel_saw() {
    let agent = agent();
    let trace = Trace::begin();
    let groups = full_or(500, 40);
    run_all(&agent, groups);
    let lives = trace.lives();
    drop(trace);
    let bill = ledger_of(&agent, &[]);
    let mut errors = Vec::new();
    for session in bill["sessions"].as_object().unwrap().values() {
        let name = session["name"].as_str().unwrap();
        let seen = lives.get(name);
        let seen = seen.unwrap_or_else(|| panic!("the kernel did not see {name}"));
        errors.push(running_s(session) - seen);
    }
    assert_eq!(errors.len(), groups as usize);
    let mean = errors.iter().sum::<f64>() / f64::from(groups);
    let mut sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let worst = sizes[sizes.len() - 1];
    let p99 = sizes[(sizes.len() * 99).div_ceil(100) - 1];
    eprintln!(
        "billed less witnessed of {groups}: mean {mean:.6} s, p99 {p99:.6} s, worst {worst:.6} s"
    );
    assert!(worst < ERROR_MAX_S, "{errors:?}");
    if full_or(1, 0) == 1 {
        assert!(p99 < ERROR_P99_S && mean.abs() < ERROR_MEAN_S, "{errors:?}");
    }
    agent.finish();
}
