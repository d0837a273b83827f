//! The devices that groups may be given: whether they are there, and whether a group could open them.

use std::path::Path;

use burstlet_cgroup::Hierarchy;
use burstlet_model::ExtendedResource;

use super::{Finding, Verdict};
use crate::config::Devices;
use crate::devices::{DevicesError, Found, Seen, look, pools, seen};
use crate::host::failure::chain;

/// What everybody may do with a node that everybody may use.
const READ_AND_WRITE_BY_OTHERS: u32 = 0o006;

/// A finding for each resource, or one for what keeps the agent from starting.
pub(super) fn find(configured: &Devices) -> Vec<Finding> {
    let is_listed = Hierarchy::detect().is_ok_and(|hierarchy| hierarchy.lists_devices());
    if configured.is_empty() {
        Vec::new()
    } else if is_listed {
        judge(configured, seen(configured, look))
    } else {
        let problem = "cgroups do not list the devices that a container may open".to_owned();
        vec![bad(
            problem,
            "leave [devices] out, or boot with cgroups of version 1",
        )]
    }
}

fn judge(configured: &Devices, seen: Result<Vec<Seen<'_>>, DevicesError>) -> Vec<Finding> {
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => return vec![bad(chain(&error), "correct the configuration")],
    };
    let resources = configured.resources();
    resources
        .map(|(resource, _)| of_resource(configured, resource, &seen))
        .collect()
}

/// Why the agent does not start.
fn bad(problem: String, advice: &str) -> Finding {
    Finding {
        what: "devices".to_owned(),
        verdict: Verdict::Bad,
        detail: problem,
        advice: advice.to_owned(),
    }
}

fn of_resource(configured: &Devices, resource: &ExtendedResource, seen: &[Seen<'_>]) -> Finding {
    let own = seen.iter().filter(|(place, _)| place.resource == resource);
    let own: Vec<&Seen<'_>> = own.collect();
    let there = pools(configured, seen);
    let there = there.get(resource).map_or(0, Vec::len);
    let (verdict, detail, advice) = match missing(&own).or_else(|| closed(&own)) {
        None => (Verdict::Good, String::new(), ""),
        Some((detail, advice)) => (Verdict::Lacking, detail, advice),
    };
    Finding {
        what: format!("devices {resource}"),
        verdict,
        detail: format!("{there} to be lent{detail}"),
        advice: advice.to_owned(),
    }
}

/// What is not there, and what to do.
fn missing(own: &[&Seen<'_>]) -> Option<(String, &'static str)> {
    let missing = own.iter().filter(|(_, found)| found.is_none());
    let paths: Vec<&Path> = missing.map(|(place, _)| place.path).collect();
    let (first, others) = paths.split_first()?;
    let first = first.display();
    let detail = match others.len() {
        0 => format!("; {first} is not there"),
        more => format!("; {first} and {more} more of their nodes are not there"),
    };
    let advice = "load the device's driver, then start burstlet again: it looks once";
    Some((detail, advice))
}

/// What only some may open, and what to do.
fn closed(own: &[&Seen<'_>]) -> Option<(String, &'static str)> {
    let mut found = own
        .iter()
        .filter_map(|(place, found)| Some((place, (*found)?)));
    let (place, Found { mode, .. }) = found
        .find(|(_, found)| found.mode & READ_AND_WRITE_BY_OTHERS != READ_AND_WRITE_BY_OTHERS)?;
    let detail = format!("; {} has mode {mode:04o}", place.path.display());
    let advice = "to such a node even root of a group with a user namespace of its own is a \
                  stranger: give it mode 0666 by a rule of udev, or only groups with hostUsers: true \
                  can open it";
    Some((detail, advice))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::path::PathBuf;

    use burstlet_model::{DeviceKind, DeviceNumber};

    use super::*;
    use crate::device::NodeError;

    /// What is found where nodes of `g1` have this mode, or are not there.
    fn check(mode: Result<u32, fn(PathBuf) -> NodeError>, expected: &str) {
        let text = "[\"example.com/gpu\"]\npaths = [['/dev/g0'], ['/dev/g1', '/dev/g1c']]";
        let configured: Devices = toml::from_str(text).unwrap();
        let look = |path: &Path| {
            let name = path.display().to_string();
            let mode = match name.contains("g1") {
                true => mode.map_err(|error| error(path.to_owned()))?,
                false => 0o666,
            };
            let number = DeviceNumber {
                kind: DeviceKind::Char,
                major: 240,
                minor: u32::try_from(name.len()).unwrap() + u32::from(name.contains("g1")),
            };
            Ok(Found { number, mode })
        };
        let found = judge(&configured, seen(&configured, look));
        let shown = found.iter().map(|found| {
            let Finding { what, verdict, .. } = found;
            format!("{what}: {verdict}: {}", found.detail)
        });
        assert_eq!(shown.collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn it_is_said_what_is_there_and_for_whom() {
        check(Ok(0o666), "devices example.com/gpu: ok: 2 to be lent");
        check(
            Ok(0o660),
            "devices example.com/gpu: lacking: 2 to be lent; /dev/g1 has mode 0660",
        );
        check(
            Err(NodeError::Absent),
            "devices example.com/gpu: lacking: 1 to be lent; /dev/g1 and 1 more of their nodes are not there",
        );
        check(
            Err(NodeError::Other),
            "devices: BAD: [devices.\"example.com/gpu\"] paths[1]: /dev/g1 is no device",
        );
        assert!(find(&Devices::default()).is_empty());
    }
}
