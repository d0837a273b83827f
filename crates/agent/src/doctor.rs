//! What of this host works for Burstlet, what does not, and what to do.

mod devices;
mod preemption;

use std::fmt;
use std::path::Path;

use burstlet_cgroup::Hierarchy;
use nix::sys::resource::{Resource, getrlimit};
use rustix::mount::{FsOpenFlags, fsopen};

use crate::config::Config;
use crate::network;

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// Its name.
    pub(crate) what: String,
    /// How it is.
    pub(crate) verdict: Verdict,
    /// What was found.
    pub(crate) detail: String,
    /// What to do, unless it is as it should be.
    pub(crate) advice: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// Groups run, but not with all that is offered.
    Lacking,
    /// Groups do not run.
    Bad,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "ok",
            Self::Lacking => "lacking",
            Self::Bad => "BAD",
        })
    }
}

/// The oldest kernel that the privileged tests are run on, by `hack/vm`. The last thing that is needed
/// came in 5.19: idmapped mounts for overlay's layers.
const KERNEL_MIN: (u32, u32) = (6, 1);

/// Files that the agent should be able to have open: a few for each group, and for each stream.
const OPEN_FILES_MIN: u64 = 16_384;

/// Looks at the host.
pub(crate) fn look(config: &Config) -> Vec<Finding> {
    let mut findings = vec![root(), kernel(), overlay(), user_namespaces(), open_files()];
    findings.extend(programs(config));
    findings.extend(cgroups());
    findings.push(preemption::look(config.processors.exclusive));
    findings.extend(networks(config));
    findings.extend(devices::find(&config.devices));
    findings
}

/// Looks at the host, prints what was found, and says whether Burstlet can run.
pub(crate) fn doctor(config: &Config) -> bool {
    let findings = look(config);
    let width = findings
        .iter()
        .map(|finding| finding.what.len())
        .max()
        .unwrap_or(0);
    for finding in &findings {
        let Finding {
            what,
            verdict,
            detail,
            advice,
        } = finding;
        println!("{what:width$}  {verdict:7}  {detail}");
        if *verdict != Verdict::Good && !advice.is_empty() {
            println!("{:width$}           → {advice}", "");
        }
    }
    findings
        .iter()
        .all(|finding| finding.verdict != Verdict::Bad)
}

fn finding(what: &str, good: bool, detail: impl Into<String>, advice: &str) -> Finding {
    let verdict = if good { Verdict::Good } else { Verdict::Bad };
    Finding {
        what: what.to_owned(),
        verdict,
        detail: detail.into(),
        advice: advice.to_owned(),
    }
}

fn root() -> Finding {
    let root = nix::unistd::geteuid().is_root();
    finding(
        "user",
        root,
        if root { "root" } else { "not root" },
        "run burstlet as root, or by its systemd unit",
    )
}

fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let needed = format!("Linux {}.{} or newer is needed", KERNEL_MIN.0, KERNEL_MIN.1);
    finding(
        "kernel",
        is_new_enough(release),
        format!("{release} ({needed})"),
        "boot a newer kernel",
    )
}

fn is_new_enough(release: &str) -> bool {
    version(release).is_some_and(|version| version >= KERNEL_MIN)
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn overlay() -> Finding {
    // A kernel that has it as a module knows it once somebody asks; asking mounts nothing.
    let asked = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).is_ok();
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let listed = known
        .lines()
        .any(|line| line.trim_start_matches("nodev").trim() == "overlay");
    let good = asked || listed;
    let detail = if good {
        "known to the kernel"
    } else {
        "not known to the kernel"
    };
    finding(
        "overlayfs",
        good,
        detail,
        "load the module: modprobe overlay",
    )
}

fn user_namespaces() -> Finding {
    let text = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let count: u64 = text.trim().parse().unwrap_or(0);
    let advice = "sysctl -w user.max_user_namespaces=15000";
    finding(
        "user namespaces",
        count > 0,
        format!("at most {count}"),
        advice,
    )
}

fn open_files() -> Finding {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let (soft, hard) = limits.unwrap_or_default();
    Finding {
        what: "open files".to_owned(),
        verdict: match hard >= OPEN_FILES_MIN {
            true => Verdict::Good,
            false => Verdict::Lacking,
        },
        detail: format!("at most {soft} now, {hard} if asked for"),
        advice: format!(
            "run burstlet with a hard limit of {OPEN_FILES_MIN} or more (LimitNOFILE= of its unit)"
        ),
    }
}

fn programs(config: &Config) -> Vec<Finding> {
    let look = |what: &str, path: &Path| {
        let path = config.program(path);
        let advice = format!("install it there, or set {what} in the configuration");
        finding(what, path.exists(), path.display().to_string(), &advice)
    };
    vec![
        look("launcher", &config.launcher),
        look("unpacker", &config.unpacker),
    ]
}

fn cgroups() -> Vec<Finding> {
    match Hierarchy::detect() {
        Ok(hierarchy) => {
            let kind = if hierarchy.is_v2() {
                "version 2"
            } else {
                "version 1"
            };
            vec![finding("cgroups", true, kind, "")]
        }
        Err(error) => {
            let advice = "mount the cgroup controllers cpu, memory and pids";
            vec![finding(
                "cgroups",
                false,
                crate::host::failure::chain(&error),
                advice,
            )]
        }
    }
}

fn networks(config: &Config) -> Vec<Finding> {
    // Without addresses yet, all but they can be looked at.
    let subnet = network::subnet(config).map(|known| known.unwrap_or(config.network.subnet));
    let settings = match subnet.and_then(|subnet| network::settings(config, subnet)) {
        Ok(settings) => settings,
        Err(error) => {
            return vec![finding(
                "network",
                false,
                format!("{error:#}"),
                "correct the configuration",
            )];
        }
    };
    let convert = |found: burstlet_network::Finding| Finding {
        what: found.what.to_owned(),
        verdict: if found.ok {
            Verdict::Good
        } else {
            Verdict::Lacking
        },
        detail: found.detail,
        advice: found.advice.to_owned(),
    };
    burstlet_network::check(&settings)
        .into_iter()
        .map(convert)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(version("6.18.44-fc-v595"), Some((6, 18)));
        assert_eq!(version("5.10"), Some((5, 10)));
        assert_eq!(version("5"), None);
    }

    #[test]
    fn older_kernels_and_unknown_ones_are_refused() {
        for good in ["6.1.0-56-cloud-amd64", "6.1", "6.18.44", "7.0-rc1"] {
            assert!(is_new_enough(good), "{good}");
        }
        for bad in ["5.4.0", "5.19.17", "6.0.19", "6", ""] {
            assert!(!is_new_enough(bad), "{bad}");
        }
    }
}
