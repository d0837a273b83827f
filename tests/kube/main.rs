//! The cluster suite: a real API server with etcd, scheduler and controller-manager, driven by
//! `kubectl`, and an agent that is a node of the cluster. One control plane and one agent serve all
//! scenarios but those of Services, which have others on a network of their own. So they are run from
//! here, one after the other; the arguments that are no options are parts of the names of those to run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod allotted;
mod changes;
mod chart;
mod claims;
mod clients;
mod cluster;
mod costs;
mod crowd;
mod daemons;
mod debug;
mod devices;
mod files;
mod forward;
mod identity;
mod kubectl;
mod levels;
mod measure;
mod metrics;
mod node;
mod pki;
mod pods;
mod port;
mod programs;
mod renewal;
mod resize;
mod services;
mod sessions;
mod stay;
mod streams;
mod surroundings;
mod writes;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use cluster::Cluster;
use node::Node;

/// What is promised of the cluster without a node.
type Bare = fn(&Cluster);
/// What is promised of the node.
type Joined = fn(&Cluster, &Node);

const BARE: &[(&str, Bare)] = &[
    ("the_control_plane_is_up", identity::control_plane_is_up),
    ("a_node_may_do_little", identity::a_node_may_do_little),
    (
        "a_bootstrap_token_may_ask_for_a_certificate",
        identity::a_bootstrap_token_may_ask_for_a_certificate,
    ),
];

const JOINED: &[(&str, Joined)] = &[
    ("the_node_is_registered", node::it_is_registered),
    ("a_pod_runs", pods::a_pod_runs),
    ("a_pod_takes_few_writes", writes::are_few),
    (
        "a_pod_has_what_it_refers_to",
        pods::a_pod_has_what_it_refers_to,
    ),
    (
        "a_pod_waits_for_what_is_missing",
        pods::a_pod_waits_for_what_is_missing,
    ),
    (
        "a_pod_is_refused_with_its_path",
        pods::a_pod_is_refused_with_its_path,
    ),
    (
        "rules_start_containers_again",
        pods::rules_start_containers_again,
    ),
    ("a_job_completes", pods::a_job_completes),
    (
        "a_deployment_rolls_out_and_back",
        pods::a_deployment_rolls_out_and_back,
    ),
    (
        "a_pod_follows_what_it_refers_to",
        changes::a_pod_follows_what_it_refers_to,
    ),
    (
        "a_pod_follows_its_own_changes",
        changes::a_pod_follows_its_own_changes,
    ),
    ("pods_are_resized_while_they_run", resize::while_it_runs),
    ("resized_pods_are_started_again", resize::by_a_new_start),
    ("resizes_wait_and_fail_aloud", resize::where_it_cannot_be),
    (
        "a_claim_waits_for_its_first_consumer",
        claims::waits_for_its_first_consumer,
    ),
    ("a_claim_is_waited_for", claims::is_waited_for),
    ("a_claim_is_made_for_a_pod", claims::is_made_for_a_pod),
    (
        "a_volume_of_another_kind_is_refused",
        claims::of_another_kind_is_refused,
    ),
    (
        "daemons_come_where_they_are_meant_to",
        daemons::they_come_where_they_are_meant_to,
    ),
    ("levels_are_enforced", levels::are_enforced),
    ("levels_are_told_of", levels::are_told_of),
    (
        "a_level_may_leave_it_to_the_cluster",
        levels::may_leave_it_to_the_cluster,
    ),
    ("files_are_pods", files::are_pods),
    (
        "files_run_without_an_api_server",
        files::run_without_an_api_server,
    ),
    ("deletion_gives_grace", pods::deletion_gives_grace),
    ("logs_are_shown_in_all_forms", streams::logs),
    ("commands_run_in_pods", streams::commands),
    ("terminals_are_resized", streams::resized),
    ("websockets_may_be_translated", streams::translated),
    ("ports_are_forwarded", forward::ports),
    ("large_sessions_lose_nothing", sessions::large),
    ("clients_attach_and_leave", sessions::attach),
    ("trees_are_copied", sessions::copies),
    ("sessions_that_are_cut_leave_nothing", sessions::cut),
    ("debuggers_look_into_pods", debug::looks_into_a_pod),
    ("debuggers_say_why_they_cannot", debug::says_why_it_cannot),
    ("debuggers_outlive_the_agent", debug::outlives_the_agent),
    ("copies_of_pods_are_debugged", debug::copies),
    ("debugging_of_nodes_is_refused", debug::nodes_are_refused),
    ("the_client_of_python_works", clients::python),
    ("the_client_of_rust_works", clients::rust),
    ("the_client_of_go_works", clients::go),
    ("two_hundred_sessions_take_little", crowd::sessions),
    ("the_port_knows_who_may_ask", port::it_knows_who_may_ask),
    ("the_port_shows_numbers", port::it_shows_numbers),
    ("pods_are_scaled_by_what_they_use", metrics::scale_pods),
    (
        "the_chart_does_what_it_is_for",
        chart::it_does_what_it_is_for,
    ),
    ("pods_outlive_the_agent", pods::pods_outlive_the_agent),
    ("a_deleted_node_comes_back", node::it_comes_back),
    (
        "pods_have_the_addresses_that_the_cluster_allots",
        allotted::pods_have_them,
    ),
    ("a_node_may_offer_a_little", node::it_offers_a_little),
    (
        "devices_are_had_one_after_the_other",
        devices::are_had_one_after_the_other,
    ),
    ("the_nodes_certificate_is_renewed_in_time", renewal::in_time),
    ("an_expired_certificate_is_replaced", renewal::too_late),
    (
        "an_operators_certificate_is_read_again",
        renewal::by_the_operator,
    ),
    // Prices are for good: nothing comes after it.
    ("costs_are_said", costs::are_said),
];

/// What is measured instead, with `--measure`.
const MEASURED: &[(&str, Joined)] = &[
    ("streams", measure::streams),
    ("pods", measure::pods),
    ("crowd", measure::crowd),
];

/// What is there for a person instead, with `--stay`.
const STAYING: &[(&str, Joined)] = &[("a_person_may_use_it", stay::until_told)];

fn main() -> ExitCode {
    let (options, wanted): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with('-'));
    let is_asked = |name: &str| options.iter().any(|option| option == name);
    let (bare, joined, mut served) = match (is_asked("--stay"), is_asked("--measure")) {
        (true, _) => (&[][..], STAYING, Vec::new()),
        (false, true) => (&[][..], MEASURED, Vec::new()),
        (false, false) => (BARE, JOINED, services::scenarios()),
    };
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));
    let bare: Vec<_> = bare.iter().filter(|(name, _)| is_wanted(name)).collect();
    let joined: Vec<_> = joined.iter().filter(|(name, _)| is_wanted(name)).collect();
    served.retain(|scenario| is_wanted(&scenario.name));
    let count = bare.len() + joined.len() + served.len();
    println!("running {count} scenarios");
    let mut failed = run(&bare, &joined);
    if !served.is_empty() {
        failed.extend(services::run(served));
    }
    println!("failed: {failed:?}");
    match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs scenarios on this machine's network; the names of those that failed.
fn run(bare: &[&(&str, Bare)], joined: &[&(&str, Joined)]) -> Vec<String> {
    let mut failed = Vec::new();
    if bare.is_empty() && joined.is_empty() {
        return failed;
    }
    let cluster = Cluster::start();
    for (name, scenario) in bare {
        failed.extend(failure(name, || scenario(&cluster)));
    }
    if !joined.is_empty() {
        let node = node::join(&cluster);
        for (name, scenario) in joined {
            failed.extend(failure(name, || scenario(&cluster, &node)));
        }
        if !failed.is_empty() {
            println!("the agent's log:\n{}", node.borrow().log());
        }
        failed.extend(failure("nothing_is_left_on_the_host", || {
            node.into_inner().finish();
        }));
    }
    failed
}

/// Runs a scenario; its name if it fails.
fn failure(name: &str, run: impl FnOnce()) -> Option<String> {
    let began = Instant::now();
    let passed = catch_unwind(AssertUnwindSafe(run)).is_ok();
    let verdict = if passed { "ok" } else { "FAILED" };
    let took = began.elapsed().as_secs_f64();
    println!("scenario {name} ... {verdict} ({took:.1} s)");
    (!passed).then(|| name.to_owned())
}
