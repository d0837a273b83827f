//! The cluster suite: a real API server with etcd, scheduler and controller-manager, driven by
//! `kubectl`. One control plane serves all scenarios, so they are run from here, one after the
//! other; the arguments that are no options are parts of the names of those to run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod identity;
mod kubectl;
mod pki;
mod programs;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use cluster::Cluster;

/// One thing that a cluster's users are promised.
type Scenario = (&'static str, fn(&Cluster));

const SCENARIOS: &[Scenario] = &[
    ("the_control_plane_is_up", identity::control_plane_is_up),
    ("a_node_may_do_little", identity::a_node_may_do_little),
    (
        "a_bootstrap_token_may_ask_for_a_certificate",
        identity::a_bootstrap_token_may_ask_for_a_certificate,
    ),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let chosen: Vec<&Scenario> = SCENARIOS
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| name.contains(part)))
        .collect();
    println!("running {} scenarios", chosen.len());
    if chosen.is_empty() {
        return ExitCode::SUCCESS;
    }
    let cluster = Cluster::start();
    let failed: Vec<&str> = chosen
        .iter()
        .filter(|scenario| !passes(scenario, &cluster))
        .map(|(name, _)| *name)
        .collect();
    drop(cluster);
    println!("{} passed; failed: {failed:?}", chosen.len() - failed.len());
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn passes((name, run): &Scenario, cluster: &Cluster) -> bool {
    let began = Instant::now();
    let passed = catch_unwind(AssertUnwindSafe(|| run(cluster))).is_ok();
    let verdict = if passed { "ok" } else { "FAILED" };
    println!(
        "scenario {name} ... {verdict} ({:.1} s)",
        began.elapsed().as_secs_f64()
    );
    passed
}
