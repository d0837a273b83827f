//! Which crate may depend on which. A new edge is one reviewed line here.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Every crate with the in-tree crates that it may depend on.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("access", &["model"]),
    ("strict-json", &[]),
    ("failpoint", &[]),
    ("manifest", &["model", "strict-json"]),
    ("bundle", &["model"]),
    ("image", &["failpoint", "model", "strict-json"]),
    ("sandbox", &["model"]),
    ("network", &["failpoint", "model"]),
    ("cgroup", &["model"]),
    ("metering", &["model"]),
    ("supervisor", &["model"]),
    ("proto", &[]),
    (
        "api-server",
        &[
            "access",
            "manifest",
            "metering",
            "model",
            "proto",
            "supervisor",
        ],
    ),
    ("stream-wire", &[]),
    ("kubelet-api", &["model", "stream-wire"]),
    ("kube-node", &["manifest", "model", "supervisor"]),
    ("telemetry", &[]),
    ("otlp", &[]),
    (
        "agent",
        &[
            "access",
            "api-server",
            "bundle",
            "cgroup",
            "failpoint",
            "image",
            "kube-node",
            "kubelet-api",
            "manifest",
            "metering",
            "model",
            "network",
            "proto",
            "sandbox",
            "supervisor",
            "otlp",
            "telemetry",
        ],
    ),
    ("ctl", &["proto"]),
    // It measures groups through the API, on a connection that stays open; what metering takes is
    // measured from within.
    ("bench", &["cgroup", "metering", "model", "proto"]),
    ("testkit", &["model", "supervisor"]),
    // What burstctl does not show is asked over the API.
    ("tests", &["failpoint", "proto", "testkit"]),
    // Runs in containers, where nothing of ours is.
    ("incontainer", &[]),
    ("xtask", &[]),
];

/// What tests may use beside their crate's own edges.
const FOR_TESTS: &[&str] = &["testkit"];
/// What the tests of one crate may use: golden files follow a pod to what is run of it.
const FOR_TESTS_OF: &[(&str, &str)] = &[("kube-node", "bundle")];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing.
    kind: Option<String>,
    /// Set for what is in the tree.
    path: Option<String>,
}

/// Every edge that the table does not have, and every crate.
pub(super) fn faults(metadata: &serde_json::Value) -> Result<Vec<String>> {
    let metadata = Metadata::deserialize(metadata).context("read cargo's metadata")?;
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let from = short(&package.name);
        let Some(allowed) = allowed.get(from) else {
            faults.push(format!("crate {from} is not in the table of crates"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
            let to = short(&dependency.name);
            let is_test = dependency.kind.as_deref() == Some("dev");
            let may = allowed.contains(&to)
                || (is_test && (FOR_TESTS.contains(&to) || FOR_TESTS_OF.contains(&(from, to))));
            if !may {
                faults.push(format!("crate {from} may not depend on {to}"));
            }
        }
    }
    Ok(faults)
}

fn short(package: &str) -> &str {
    package.strip_prefix("burstlet-").unwrap_or(package)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(package: &str, dependency: &serde_json::Value, expected: &[&str]) {
        let metadata = json!({"packages": [{"name": package, "dependencies": [dependency]}]});
        assert_eq!(faults(&metadata).unwrap(), expected);
    }

    #[test]
    fn edges_are_those_of_the_table() {
        let model = json!({"name": "burstlet-model", "kind": null, "path": "x"});
        check("burstlet-image", &model, &[]);
        check(
            "burstlet-ctl",
            &model,
            &["crate ctl may not depend on model"],
        );
        check(
            "burstlet-new",
            &model,
            &["crate new is not in the table of crates"],
        );
        let foreign = json!({"name": "burstlet-like", "kind": null, "path": null});
        check("burstlet-ctl", &foreign, &[]);
    }

    #[test]
    fn only_tests_use_the_test_kit() {
        let dev = json!({"name": "burstlet-testkit", "kind": "dev", "path": "x"});
        check("burstlet-api-server", &dev, &[]);
        let plain = json!({"name": "burstlet-testkit", "kind": null, "path": "x"});
        check(
            "burstlet-api-server",
            &plain,
            &["crate api-server may not depend on testkit"],
        );
    }

    #[test]
    fn the_table_has_no_cycle() {
        // Each crate comes after what it depends on, so the table is itself the order.
        for (at, (name, needs)) in EDGES.iter().enumerate() {
            for need in *needs {
                let before = EDGES[..at].iter().any(|(earlier, _)| earlier == need);
                assert!(before, "{name} comes before {need}");
            }
        }
    }
}
