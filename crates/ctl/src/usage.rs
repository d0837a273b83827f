//! Use of resources, from two readings of counters. Pure.

use burstlet_proto::v1::{GroupStats, NetworkUsage, StatsResponse, Usage};

use crate::human;
use crate::table::Table;

/// One line: a group or a container of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) group: String,
    /// Empty for the group as a whole.
    pub(crate) container: String,
    /// CPU in thousandths of a core; unknown with one reading.
    pub(crate) cpu_milli: Option<u64>,
    pub(crate) memory_bytes: u64,
    pub(crate) pids: u64,
    /// Bytes a second since the reading before: received, sent. Known for groups only.
    pub(crate) network: Option<(u64, u64)>,
    /// Bytes a second since the reading before: read, written.
    pub(crate) io: Option<(u64, u64)>,
}

/// The lines of a reading, with rates since the one before.
pub(crate) fn lines(
    before: Option<&StatsResponse>,
    now: &StatsResponse,
    containers: bool,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for stats in &now.groups {
        let earlier = before.and_then(|reading| reading.groups.iter().find(|g| is_same(g, stats)));
        let (group, earlier_usage) = (name(stats), earlier.and_then(|g| g.usage.as_ref()));
        let usage = stats.usage.unwrap_or_default();
        let network = earlier
            .and_then(|g| g.network.as_ref())
            .zip(stats.network.as_ref());
        let mut line = line(&group, "", earlier_usage, &usage);
        line.network = earlier_usage
            .zip(network)
            .map(|(earlier, (a, b))| network_rates(elapsed_ns(earlier, &usage), a, b));
        lines.push(line);
        for container in stats.containers.iter().filter(|_| containers) {
            let same = |g: &GroupStats| {
                let found = g.containers.iter().find(|c| c.name == container.name);
                found.and_then(|c| c.usage)
            };
            let usage = container.usage.unwrap_or_default();
            let earlier = earlier.and_then(same);
            lines.push(self::line(
                &group,
                &container.name,
                earlier.as_ref(),
                &usage,
            ));
        }
    }
    lines
}

/// The lines as a table; `show_containers` adds a column.
pub(crate) fn table(lines: &[Line], show_containers: bool) -> String {
    let heading = [
        "GROUP",
        "CONTAINER",
        "CPU",
        "MEMORY",
        "PIDS",
        "NET IN/s",
        "NET OUT/s",
        "READ/s",
        "WRITE/s",
    ];
    let mut table = Table::new(heading);
    for line in lines {
        let rate = |pair: Option<(u64, u64)>, pick: fn((u64, u64)) -> u64| {
            pair.map(|pair| human::bytes(pick(pair)))
                .unwrap_or_default()
        };
        table.row([
            line.group.clone(),
            line.container.clone(),
            line.cpu_milli.map(human::cpu).unwrap_or_default(),
            human::bytes(line.memory_bytes),
            line.pids.to_string(),
            rate(line.network, |pair| pair.0),
            rate(line.network, |pair| pair.1),
            rate(line.io, |pair| pair.0),
            rate(line.io, |pair| pair.1),
        ]);
    }
    let table = if show_containers {
        table
    } else {
        table.without(&["CONTAINER"])
    };
    table.render("")
}

fn line(group: &str, container: &str, earlier: Option<&Usage>, now: &Usage) -> Line {
    let per_second = |earlier: &Usage, pick: fn(&Usage) -> u64| {
        per_second(elapsed_ns(earlier, now), pick(earlier), pick(now))
    };
    Line {
        group: group.to_owned(),
        container: container.to_owned(),
        // Nanoseconds of CPU a second are millionths of a thousandth of a core.
        cpu_milli: earlier.map(|earlier| per_second(earlier, |u| u.cpu_ns) / 1_000_000),
        memory_bytes: now.memory_working_set_bytes,
        pids: now.pids,
        network: None,
        io: earlier.map(|earlier| {
            (
                per_second(earlier, |u| u.io_read_bytes),
                per_second(earlier, |u| u.io_written_bytes),
            )
        }),
    }
}

fn network_rates(elapsed_ns: u64, earlier: &NetworkUsage, now: &NetworkUsage) -> (u64, u64) {
    (
        per_second(elapsed_ns, earlier.received_bytes, now.received_bytes),
        per_second(elapsed_ns, earlier.sent_bytes, now.sent_bytes),
    )
}

fn elapsed_ns(earlier: &Usage, now: &Usage) -> u64 {
    now.at_boot_ns.saturating_sub(earlier.at_boot_ns)
}

/// A counter's growth a second. A counter that went back has begun anew.
fn per_second(elapsed_ns: u64, earlier: u64, now: u64) -> u64 {
    let growth = u128::from(now.checked_sub(earlier).unwrap_or(now));
    let rate = (growth * 1_000_000_000)
        .checked_div(elapsed_ns.into())
        .unwrap_or_default();
    u64::try_from(rate).unwrap_or(u64::MAX)
}

fn is_same(a: &GroupStats, b: &GroupStats) -> bool {
    let uid = |stats: &GroupStats| stats.group.as_ref().map(|group| group.uid.clone());
    uid(a) == uid(b)
}

fn name(stats: &GroupStats) -> String {
    stats
        .group
        .as_ref()
        .map(|group| group.name.clone())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use burstlet_proto::v1::{ContainerStats, GroupRef};

    use super::*;

    fn usage(at_ms: u64, cpu_ms: u64, io: u64) -> Option<Usage> {
        Some(Usage {
            at_boot_ns: at_ms * 1_000_000,
            cpu_ns: cpu_ms * 1_000_000,
            memory_working_set_bytes: 3 << 20,
            pids: 4,
            io_read_bytes: io,
            io_written_bytes: 2 * io,
            ..Usage::default()
        })
    }

    fn reading(at_ms: u64, cpu_ms: u64, bytes: u64) -> StatsResponse {
        let network = NetworkUsage {
            received_bytes: bytes,
            ..NetworkUsage::default()
        };
        let group = GroupRef {
            name: "web".into(),
            uid: "u".into(),
            ..GroupRef::default()
        };
        let container = ContainerStats {
            name: "main".into(),
            usage: usage(at_ms, cpu_ms, bytes),
        };
        StatsResponse {
            groups: vec![GroupStats {
                group: Some(group),
                usage: usage(at_ms, cpu_ms, bytes),
                containers: vec![container],
                network: Some(network),
            }],
        }
    }

    #[test]
    fn rates_are_growth_over_the_host_s_time() {
        let found = lines(
            Some(&reading(1000, 100, 1024)),
            &reading(3000, 1100, 5120),
            false,
        );
        let expected = Line {
            group: "web".into(),
            container: String::new(),
            cpu_milli: Some(500),
            memory_bytes: 3 << 20,
            pids: 4,
            network: Some((2048, 0)),
            io: Some((2048, 4096)),
        };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn one_reading_has_no_rates_and_a_counter_may_begin_anew() {
        let found = lines(None, &reading(1000, 100, 10), false);
        assert!(
            found
                .iter()
                .all(|l| l.cpu_milli.is_none() && l.network.is_none())
        );
        let found = lines(Some(&reading(1000, 500, 0)), &reading(2000, 100, 0), false);
        assert!(found.iter().all(|l| l.cpu_milli == Some(100)));
        assert_eq!(per_second(0, 1, 2), 0);
    }

    #[test]
    fn people_get_a_table() {
        let found = lines(
            Some(&reading(1000, 100, 1024)),
            &reading(3000, 1100, 5120),
            true,
        );
        insta::assert_snapshot!("usage_containers", table(&found, true));
        let found = lines(None, &reading(1000, 100, 1024), false);
        insta::assert_snapshot!("usage_first", table(&found, false));
    }
}
