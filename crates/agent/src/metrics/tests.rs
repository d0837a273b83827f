use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use burstlet_api_server::OnCall;
use burstlet_model::GroupUid;
use burstlet_model::spec::{GroupSpec, ResourceList};
use burstlet_model::{Bytes, Device, MilliCpu, WallTime};
use burstlet_supervisor::{Capacity, Config, CreateRequest, Quotas};
use burstlet_telemetry::BuildInfo;
use burstlet_testkit::host::{RunScript, ScriptedHost};
use burstlet_testkit::spec;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::*;

const MACHINE: ResourceList = ResourceList {
    cpu: Some(MilliCpu(4000)),
    memory: Some(Bytes(8 << 30)),
    ephemeral_storage: None,
    pids: None,
};

const GPU: &str = "example.com/gpu";

/// What the machine has of them.
fn gpus() -> Vec<Device> {
    let device = |node: &str| Device {
        nodes: vec![node.into()],
    };
    ["/dev/gpu0", "/dev/gpu1"].map(device).into()
}

struct Observed {
    host: ScriptedHost,
    groups: Groups<ScriptedHost>,
    registry: Registry,
    on_call: OnCall,
}

/// An agent's groups with their metrics, with a history of so many changes.
fn observed(history_max: usize) -> Observed {
    let host = ScriptedHost::new();
    let config = Config {
        capacity: Capacity {
            machine: MACHINE,
            reserved: ResourceList::default(),
            overcommit_percent: 100,
            default_request: ResourceList::default(),
            devices: BTreeMap::from([(GPU.parse().unwrap(), gpus())]),
            waiting_max: 2,
        },
        groups_max: 100,
        quotas: Quotas::default(),
        history_max,
        adoptions_in_flight_max: 4,
        launches_in_flight_max: 4,
        probes_in_flight_max: 4,
    };
    let shutdown = CancellationToken::new();
    let groups = Groups::start(Arc::new(host.clone()), config, Vec::new(), shutdown);
    let build = BuildInfo {
        program: "test",
        version: "0",
    };
    let registry = Registry::new(build).unwrap();
    let images = || StoreUse {
        images: 2,
        bytes: 4096,
    };
    let processors = || ProcessorUse {
        shared: 3,
        exclusive: 1,
    };
    let metrics = Metrics::register(&registry, &groups, images, processors).unwrap();
    let on_call = metrics.on_call.clone();
    let followed = groups.clone();
    tokio::spawn(async move { metrics.follow(&followed).await });
    Observed {
        host,
        groups,
        registry,
        on_call,
    }
}

impl Observed {
    async fn create(&self, spec: GroupSpec) {
        let request = CreateRequest {
            uid: GroupUid::new(spec.name.name.as_str()).unwrap(),
            definition: spec::definition(spec),
            request_id: None,
        };
        self.groups.create(request).await.unwrap();
    }

    /// What is shown, but of the process.
    fn text(&self) -> String {
        let text = self.registry.render().unwrap();
        let ours = |line: &&str| line.contains("burstlet_") && !line.contains("build_info");
        text.lines()
            .filter(ours)
            .map(|line| format!("{line}\n"))
            .collect()
    }

    fn value(&self, metric: &str) -> String {
        let text = self.text();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("no {metric}: {text}"))
            .to_owned()
    }
}

fn killed_once() -> [RunScript; 2] {
    let killed = RunScript {
        oom: true,
        ..RunScript::ends(Duration::from_secs(1), 137)
    };
    [killed, RunScript::forever()]
}

#[tokio::test(start_paused = true)]
async fn names_labels_and_values() {
    let observed = observed(1000);
    observed.host.script("hungry", killed_once());
    let mut hungry = spec::group("lives", vec![spec::container("hungry")]);
    hungry.device_resource = Some(GPU.parse().unwrap());
    hungry.containers[0].devices = 1;
    observed.create(hungry).await;
    let mut large = spec::container("large");
    large.resources.requests.cpu = Some(MilliCpu(64_000));
    observed.create(spec::group("waits", vec![large])).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    observed.on_call.tell("burstlet.v1.Node/Info", Code::Ok);
    insta::assert_snapshot!("metrics", observed.text());
    check_documented(&observed.registry.render().unwrap());
}

/// A node that shows no certificate tells of no expiry.
#[test]
fn the_nodes_certificate() {
    use burstlet_kube_node::Standing;

    let shown = |standing: Standing| {
        let build = BuildInfo {
            program: "test",
            version: "0",
        };
        let registry = Registry::new(build).unwrap();
        let identity = identity::IdentityNow::new(move || standing).unwrap();
        registry.register(identity).unwrap();
        registry.render().unwrap()
    };
    let text = shown(Standing {
        expires: Some(WallTime(1_700_000_000_999_999_999)),
        renewals: 2,
        failures: 3,
    });
    for line in [
        "burstlet_node_certificate_expiry_seconds 1700000000",
        "burstlet_node_certificate_renewals_total 2",
        "burstlet_node_certificate_renewal_failures_total 3",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    check_documented(&text);
    let without = shown(Standing::default());
    assert!(!without.contains("expiry"), "{without}");
}

#[test]
fn what_a_collector_is_told() {
    let build = BuildInfo {
        program: "test",
        version: "0",
    };
    let registry = Registry::new(build).unwrap();
    let heard = |sequence| tokio::sync::watch::channel(sequence).1;
    let heard = Heard {
        ledger: heard(7),
        audit: heard(9),
    };
    let told = Told::new(burstlet_otlp::Counts::default(), heard);
    told.register(&registry).unwrap();
    let text = registry.render().unwrap();
    for line in [
        "burstlet_otlp_sent_total{signal=\"logs\"} 0",
        "burstlet_otlp_dropped_total{signal=\"metrics\"} 0",
        "burstlet_otlp_failures_total{signal=\"events\"} 0",
        "burstlet_otlp_sent_total{signal=\"audit\"} 0",
        "burstlet_otlp_events_sequence 7",
        "burstlet_otlp_audit_sequence 9",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    check_documented(&text);
}

/// Every metric has its row in the documentation.
fn check_documented(text: &str) {
    let documented = include_str!("../../../../docs/metrics.md");
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for (name, kind) in types.filter_map(|line| line.split_once(' ')) {
        let row = format!("| `{name}` | {kind} |");
        let known = name.starts_with("process_") || documented.contains(&row);
        assert!(known, "docs/metrics.md has no {row}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_again_is_counted_once() {
    // Of most changes only the last is kept: the metrics have to look at all groups again.
    let observed = observed(1);
    for name in ["one", "two", "three"] {
        observed.host.script(name, killed_once());
        let group = spec::group(name, vec![spec::container(name)]);
        observed.create(group).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(observed.value("burstlet_container_restarts_total"), "3");
    assert_eq!(observed.value("burstlet_container_oom_kills_total"), "3");
    let launched = "burstlet_launch_stage_seconds_count{stage=\"started\"}";
    assert_eq!(observed.value(launched), "3");

    let uid = GroupUid::new("one").unwrap();
    let one = observed.groups.get(&uid).unwrap();
    one.restart(None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(observed.value(launched), "4");
    assert_eq!(observed.value("burstlet_container_oom_kills_total"), "3");
    one.delete(None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(observed.value("burstlet_groups{phase=\"Running\"}"), "2");
    assert_eq!(observed.value(launched), "4");
}
