//! What is promised of Services and names where a real kube-proxy and a real CoreDNS make them, on a
//! network that is these scenarios' own: the same scenarios, by each mode of kube-proxy.

mod names;
mod naming;
mod proxy;
mod site;
mod traffic;
mod world;

use std::panic::resume_unwind;
use std::thread;

use self::names::{ADDRESS, Names, Place};
use self::proxy::Proxy;
use self::site::Site;
use self::world::{HOST, World};
use crate::cluster::Cluster;
use crate::node::{self, Node};
use crate::{failure, programs};

/// What is promised.
type Served = fn(&Site<'_>);

const SERVED: &[(&str, Served)] = &[
    (
        "services_lead_to_ready_pods",
        traffic::services_lead_to_ready_pods,
    ),
    (
        "a_pod_reaches_itself_by_its_service",
        traffic::a_pod_reaches_itself,
    ),
    (
        "ports_of_the_node_lead_to_pods",
        traffic::ports_of_the_node_lead_to_pods,
    ),
    (
        "groups_take_no_part_in_services",
        traffic::groups_take_no_part,
    ),
    ("pods_of_a_set_have_names", naming::pods_of_a_set_have_names),
    (
        "pods_reach_the_api_server",
        naming::pods_reach_the_api_server,
    ),
    (
        "the_node_says_whether_names_are_told",
        naming::the_node_says_whether_they_are_told,
    ),
];

/// Who leads Services to pods, and where names come from.
struct Way {
    mode: &'static str,
    names: Place,
}

const WAYS: [Way; 2] = [
    Way {
        mode: "nftables",
        names: Place::Pod,
    },
    Way {
        mode: "iptables",
        names: Place::Host,
    },
];

/// A scenario in one of the ways.
pub(crate) struct Scenario {
    pub(crate) name: String,
    mode: &'static str,
    run: Served,
}

/// All scenarios in all ways.
pub(crate) fn scenarios() -> Vec<Scenario> {
    let of = |way: &Way| {
        let mode = way.mode;
        SERVED.iter().map(move |(name, run)| Scenario {
            name: format!("{name}_by_{mode}"),
            mode,
            run: *run,
        })
    };
    WAYS.iter().flat_map(of).collect()
}

/// Runs these scenarios; the names of those that failed.
pub(crate) fn run(scenarios: Vec<Scenario>) -> Vec<String> {
    // Later there is no way to what they are built from.
    programs::kube_proxy();
    programs::coredns();
    programs::go_client();
    let done = thread::spawn(move || run_apart(&scenarios)).join();
    done.unwrap_or_else(|panic| resume_unwind(panic))
}

/// The same on the calling thread's network, which is another one from now on.
fn run_apart(scenarios: &[Scenario]) -> Vec<String> {
    let world = World::enter();
    let cluster = Cluster::start_at(HOST);
    let keys = format!("pod_cidr = \"node\"\ncluster_dns = [\"{ADDRESS}\"]\nself_test_s = 1\n");
    let node = node::join_with(&cluster, &keys);
    Names::prepare(&cluster, &node);
    site::populate(&cluster, &node);
    let mut failed = Vec::new();
    for way in &WAYS {
        let of_it: Vec<_> = scenarios.iter().filter(|s| s.mode == way.mode).collect();
        if !of_it.is_empty() {
            failed.extend(run_in_a_way(way, &of_it, (&world, &cluster, &node)));
        }
    }
    if !failed.is_empty() {
        println!("the agent's log:\n{}", node.borrow().log());
    }
    failed.extend(failure("nothing_is_left_of_services", || {
        node.into_inner().finish();
    }));
    failed
}

fn run_in_a_way(
    way: &Way,
    scenarios: &[&Scenario],
    (world, cluster, node): (&World, &Cluster, &Node),
) -> Vec<String> {
    let proxy = Proxy::start(cluster, way.mode);
    let names = Names::install(cluster, way.names);
    let site = Site::new(world, cluster, node, names);
    let mut failed = Vec::new();
    for scenario in scenarios {
        failed.extend(failure(&scenario.name, || (scenario.run)(&site)));
    }
    let name = format!("nothing_is_left_by_{}", way.mode);
    failed.extend(failure(&name, || {
        site.names.remove();
        proxy.finish();
        traffic::pods_go_on(&site);
    }));
    failed
}
