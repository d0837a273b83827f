//! What a table is worth nothing without: when, on what, with which versions.

use std::process::Command;

/// Lines for the head of the report of groups beside others' containers.
pub fn with_peers() -> Vec<String> {
    let mut versions = Vec::new();
    for program in ["crun", "runc", "podman", "containerd"] {
        versions.extend(first_line(program, &["--version"]));
    }
    vec![describe(), versions.join("; ")]
}

/// The machine, in a line.
pub fn describe() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{}, {cores} × {model}, Linux {}, cgroups {}, load {load} before",
        first_line("date", &["-u", "+%F"]).unwrap_or_default(),
        first_line("uname", &["-r"]).unwrap_or_default(),
        cgroups(),
    )
}

fn cgroups() -> &'static str {
    let exists = |path: &str| std::path::Path::new(path).exists();
    match (
        exists("/sys/fs/cgroup/cgroup.controllers"),
        exists("/sys/fs/cgroup/unified"),
    ) {
        (true, _) => "v2",
        (false, true) => "hybrid",
        (false, false) => "v1",
    }
}

fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}
