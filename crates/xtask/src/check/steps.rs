//! What is run, from the cheapest to the dearest. Pure, but for what cargo says of the workspace.

use anyhow::{Context, Result};
use serde::Deserialize;

/// Packages with a feature that only one of their programs turns on. A pass over the workspace
/// misses that code, so each has passes of its own.
const FEATURES: &[(&str, &str)] = &[("burstlet-sandbox", "launcher")];

/// What the names of tests that need root begin with.
const PRIVILEGED: &str = "privileged_";

/// Which tests are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those that any user can run.
    WithoutRoot,
    /// All.
    Everything,
}

/// One cargo command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(&'static str, &'static str)>,
}

/// What cargo knows of the workspace.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// The steps for a workspace.
pub(super) fn steps(metadata: &serde_json::Value, scope: Scope) -> Result<Vec<Step>> {
    let metadata = Metadata::deserialize(metadata).context("read cargo's metadata")?;
    let mut steps = vec![
        step("format", "fmt --all -- --check"),
        step(
            "format of the fuzz targets",
            "fmt --manifest-path fuzz/Cargo.toml -- --check",
        ),
        step(
            "licences, bans, sources",
            "deny check bans licenses sources",
        ),
        step("lints", "clippy --workspace --all-targets -- -D warnings"),
    ];
    for (package, feature) in FEATURES {
        let args =
            format!("clippy --package={package} --features={feature} --all-targets -- -D warnings");
        steps.push(step("lints of a feature", &args));
    }
    steps.extend(tests(&metadata, scope));
    steps.push(step("documentation tests", "test --workspace --doc"));
    let mut doc = step(
        "documentation",
        "doc --workspace --no-deps --document-private-items",
    );
    doc.env.push(("RUSTDOCFLAGS", "-D warnings"));
    steps.push(doc);
    Ok(steps)
}

/// A failure hides no other: the run is long, and may be on a machine that nobody can look at.
fn tests(metadata: &Metadata, scope: Scope) -> Vec<Step> {
    let feature_of = |package: &Package| {
        FEATURES
            .iter()
            .find(|(name, _)| package.name == *name)
            .map(|(_, feature)| *feature)
    };
    let (featured, plain): (Vec<_>, Vec<_>) = metadata
        .packages
        .iter()
        .partition(|package| feature_of(package).is_some());
    let mut all = step("tests", "test --no-fail-fast --workspace --lib --bins");
    for package in &featured {
        all.args.push(format!("--exclude={}", package.name));
    }
    for package in plain {
        all.args.extend(test_programs(package, scope));
    }
    let mut steps = vec![all];
    for package in featured {
        let feature = feature_of(package).unwrap_or_default();
        let args = format!(
            "test --no-fail-fast --package={} --features={feature} --lib",
            package.name
        );
        let mut step = step("tests of a feature", &args);
        step.args.extend(test_programs(package, scope));
        steps.push(step);
    }
    steps
}

fn test_programs(package: &Package, scope: Scope) -> impl Iterator<Item = String> {
    let tests = package
        .targets
        .iter()
        .filter(|target| target.kind.iter().any(|k| k == "test"));
    let wanted =
        move |target: &&Target| scope == Scope::Everything || !target.name.starts_with(PRIVILEGED);
    tests
        .filter(wanted)
        .map(|target| format!("--test={}", target.name))
}

fn step(name: &'static str, args: &str) -> Step {
    let args = args.split(' ').map(str::to_owned).collect();
    Step {
        name,
        args,
        env: Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn test_steps(scope: Scope) -> Vec<String> {
        let target = |name: &str, kind: &str| json!({"name": name, "kind": [kind]});
        let metadata = json!({"packages": [
            {"name": "burstlet-image", "targets": [
                target("burstlet-image", "lib"),
                target("registry", "test"),
                target("privileged_unpack", "test"),
            ]},
            {"name": "burstlet-sandbox", "targets": [
                target("burstlet-sandbox", "lib"),
                target("privileged_sandbox", "test"),
                target("protocol", "test"),
            ]},
        ]});
        let steps = steps(&metadata, scope).unwrap();
        let steps = steps.into_iter().filter(|step| step.args[0] == "test");
        steps.map(|step| step.args.join(" ")).collect()
    }

    #[test]
    fn every_test_that_needs_no_root_is_run() {
        let expected = [
            "test --no-fail-fast --workspace --lib --bins --exclude=burstlet-sandbox --test=registry",
            "test --no-fail-fast --package=burstlet-sandbox --features=launcher --lib --test=protocol",
            "test --workspace --doc",
        ];
        assert_eq!(test_steps(Scope::WithoutRoot), expected);
    }

    #[test]
    fn with_root_it_is_every_test() {
        let all = test_steps(Scope::Everything).join(" ");
        for name in [
            "registry",
            "privileged_unpack",
            "privileged_sandbox",
            "protocol",
        ] {
            assert!(all.contains(&format!("--test={name}")), "{all}");
        }
    }
}
