//! Where this machine's processors are: which of them are one core, and near which memory.

use std::fs;
use std::path::Path;

use burstlet_model::{ProcessorSet, Seat, Topology};

/// Reads it from the kernel's files below `sys`. A processor of which they do not tell is taken for a
/// core of its own near the first memory, as in a machine of one socket without threads.
pub(super) fn read(sys: &Path, processors: &ProcessorSet) -> Topology {
    let nodes = nodes(&sys.join("devices/system/node"));
    let seat = |processor| Seat {
        node: nodes
            .iter()
            .find(|(_, near)| near.contains(processor))
            .map_or(0, |(node, _)| *node),
        core: core(sys, processor),
    };
    processors.iter().map(|p| (p, seat(p))).collect()
}

/// The lowest of the processors that are one core with this.
fn core(sys: &Path, processor: u32) -> u32 {
    let path = format!("devices/system/cpu/cpu{processor}/topology/thread_siblings_list");
    let siblings = list(&sys.join(path));
    siblings.iter().next().unwrap_or(processor)
}

fn nodes(dir: &Path) -> Vec<(u32, ProcessorSet)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let nodes = entries.filter_map(|entry| {
        let name = entry.file_name();
        let number = name.to_str()?.strip_prefix("node")?.parse().ok()?;
        Some((number, list(&entry.path().join("cpulist"))))
    });
    nodes.collect()
}

/// Nothing if the kernel does not tell.
fn list(path: &Path) -> ProcessorSet {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.parse().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn cores_and_nodes_are_read_as_far_as_they_are_told_of() {
        let sys = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = sys.path().join("devices/system").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (processor, siblings) in [(0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")] {
            let path = format!("cpu/cpu{processor}/topology/thread_siblings_list");
            put(&path, &format!("{siblings}\n"));
        }
        put("node/node0/cpulist", "0,2\n");
        put("node/node1/cpulist", "1,3\n");
        put("node/has_cpu", "0-1\n");
        let seats = [(0, 0, 0), (1, 1, 1), (2, 0, 0), (3, 1, 1), (9, 0, 9)];
        let expected: Topology = seats
            .into_iter()
            .map(|(processor, node, core)| (processor, Seat { node, core }))
            .collect();
        assert_eq!(read(sys.path(), &"0-3,9".parse().unwrap()), expected);
    }
}
