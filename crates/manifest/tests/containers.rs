//! One line for each rule of containers and what they run: what is written, and what is found.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

mod common;

use burstlet_manifest::{Level, Policy, Rule};
use common::{check_with, container, fine, merge, refused, spec};
use serde_json::{Value, json};

#[test]
fn containers() {
    let at = |field: &str| format!("spec.containers[0].{field}");
    refused(&container(json!({"name": "C"})), Rule::Invalid, &at("name"));
    refused(
        &container(json!({"image": "I:1"})),
        Rule::Invalid,
        &at("image"),
    );
    refused(
        &container(json!({"imagePullPolicy": "Often"})),
        Rule::Invalid,
        &at("imagePullPolicy"),
    );
    refused(
        &container(json!({"workingDir": "a"})),
        Rule::Invalid,
        &at("workingDir"),
    );
    refused(
        &container(json!({"envFrom": [{}]})),
        Rule::Unsupported,
        &at("envFrom"),
    );
    refused(
        &spec(json!({"containers": []})),
        Rule::Required,
        "spec.containers",
    );
    let many: Vec<_> = (0..61)
        .map(|i| json!({"name": format!("c{i}"), "image": "i"}))
        .collect();
    refused(
        &spec(json!({"containers": many})),
        Rule::TooLarge,
        "spec.containers",
    );
    let init = |patch| {
        let mut init = json!({"name": "i", "image": "i"});
        merge(&mut init, patch);
        spec(json!({"initContainers": [init]}))
    };
    let probe = json!({"exec": {"command": ["a"]}});
    let path = "spec.initContainers[0].livenessProbe";
    refused(&init(json!({"livenessProbe": probe})), Rule::Invalid, path);
    fine(&init(
        json!({"livenessProbe": probe, "restartPolicy": "Always"}),
    ));
    let path = "spec.initContainers[0].restartPolicy";
    refused(
        &init(json!({"restartPolicy": "Perhaps"})),
        Rule::Invalid,
        path,
    );
}

#[test]
fn environment() {
    let env = |value: Value| container(json!({"env": [value]}));
    let at = |field: &str| format!("spec.containers[0].env[0]{field}");
    fine(&env(json!({"name": "A", "value": ""})));
    fine(&env(json!({"name": "A"})));
    refused(&env(json!({"value": "x"})), Rule::Required, &at(".name"));
    refused(&env(json!({"name": "A=B"})), Rule::Invalid, &at(".name"));
    refused(
        &env(json!({"name": "A", "value": "x", "secretValue": "y"})),
        Rule::Invalid,
        &at(""),
    );
    let from = |source: Value| env(json!({"name": "A", "valueFrom": source}));
    refused(&from(json!({})), Rule::Required, &at(".valueFrom"));
    for reference in ["configMapKeyRef", "secretKeyRef", "fileKeyRef"] {
        let path = at(&format!(".valueFrom.{reference}"));
        refused(
            &from(json!({reference: {"name": "x"}})),
            Rule::Unsupported,
            &path,
        );
    }
    let field = |path: &str| from(json!({"fieldRef": {"fieldPath": path}}));
    for path in [
        "metadata.name",
        "metadata.uid",
        "spec.nodeName",
        "status.podIP",
        "status.hostIPs",
    ] {
        fine(&field(path));
    }
    fine(&field("metadata.labels['none']"));
    let path = at(".valueFrom.fieldRef.fieldPath");
    refused(&field("spec.serviceAccountName"), Rule::Unsupported, &path);
    for bad in ["metadata.labels", "status.phase", "metadata.labels[a]"] {
        refused(&field(bad), Rule::Invalid, &path);
    }
    let resource = |value: Value| from(json!({"resourceFieldRef": value}));
    fine(&resource(json!({"resource": "limits.cpu"})));
    let path = at(".valueFrom.resourceFieldRef.resource");
    refused(
        &resource(json!({"resource": "limits.gpu"})),
        Rule::Invalid,
        &path,
    );
    let path = at(".valueFrom.resourceFieldRef.containerName");
    let other = json!({"resource": "limits.cpu", "containerName": "x"});
    refused(&resource(other), Rule::Invalid, &path);
}

#[test]
fn resources() {
    let resources = |value: Value| container(json!({"resources": value}));
    let at = |field: &str| format!("spec.containers[0].resources.{field}");
    let more = json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}});
    refused(&resources(more), Rule::Invalid, &at("requests.cpu"));
    refused(
        &resources(json!({"limits": {"memory": "1Q"}})),
        Rule::Invalid,
        &at("limits.memory"),
    );
    refused(
        &resources(json!({"limits": {"cpu": "-1"}})),
        Rule::Invalid,
        &at("limits.cpu"),
    );
    refused(
        &resources(json!({"limits": {"pids": "0"}})),
        Rule::Invalid,
        &at("limits.pids"),
    );
    refused(
        &resources(json!({"claims": [{}]})),
        Rule::Unsupported,
        &at("claims"),
    );
}

#[test]
fn devices() {
    let policy = Policy {
        devices: ["example.com/gpu".to_owned(), "example.com/fpga".to_owned()].into(),
        ..Policy::default()
    };
    let refused = |resources: Value, rule: Rule, field: &str| {
        let manifest = container(json!({"resources": resources}));
        let path = format!("spec.containers[0].resources.{field}");
        check_with(&policy, &manifest, &[(Level::Refused, rule, &path)]);
    };
    let gpus = |count: Value| json!({"limits": {"example.com/gpu": count}});
    let limit = "limits[\"example.com/gpu\"]";
    for bad in [json!("500m"), json!(1.5), json!("-1"), json!("many")] {
        refused(gpus(bad), Rule::Invalid, limit);
    }
    refused(gpus(json!(1025)), Rule::TooLarge, limit);
    let request = "requests[\"example.com/gpu\"]";
    let only = json!({"requests": {"example.com/gpu": 1}});
    refused(only, Rule::Invalid, request);
    let less = json!({"requests": {"example.com/gpu": 1}, "limits": {"example.com/gpu": 2}});
    refused(less, Rule::Invalid, request);
    let other = json!({"limits": {"example.com/tpu": 1}});
    refused(other, Rule::NotAllowed, "limits[\"example.com/tpu\"]");
    let two = json!({"limits": {"example.com/fpga": 1, "example.com/gpu": 1}});
    refused(two, Rule::Unsupported, limit);
    let native = json!({"limits": {"kubernetes.io/gpu": 1}});
    refused(native, Rule::UnknownField, "limits[\"kubernetes.io/gpu\"]");
    for fine in [json!({"limits": {"example.com/tpu": 0}}), gpus(json!("1k"))] {
        check_with(&policy, &container(json!({"resources": fine})), &[]);
    }
}

#[test]
fn devices_are_no_matter_of_the_group_as_a_whole() {
    let resources = json!({"limits": {"example.com/gpu": 1}});
    let path = "spec.resources.limits[\"example.com/gpu\"]";
    refused(
        &spec(json!({"resources": resources})),
        Rule::UnknownField,
        path,
    );
}

#[test]
fn probes_and_hooks() {
    let probe = |value: Value| container(json!({"livenessProbe": value}));
    let at = |field: &str| format!("spec.containers[0].livenessProbe{field}");
    refused(&probe(json!({})), Rule::Required, &at(""));
    refused(
        &probe(json!({"exec": {}})),
        Rule::Required,
        &at(".exec.command"),
    );
    let both = json!({"exec": {"command": ["a"]}, "grpc": {"port": 1}});
    refused(&probe(both), Rule::Invalid, &at(""));
    refused(
        &probe(json!({"httpGet": {"port": 0}})),
        Rule::Invalid,
        &at(".httpGet.port"),
    );
    refused(
        &probe(json!({"httpGet": {"port": "web"}})),
        Rule::Invalid,
        &at(".httpGet.port"),
    );
    fine(&probe(json!({"httpGet": {"port": "80"}})));
    let header = json!({"httpGet": {"port": 80, "httpHeaders": [{"name": "a b"}]}});
    refused(
        &probe(header),
        Rule::Invalid,
        &at(".httpGet.httpHeaders[0].name"),
    );
    let split = json!({"httpGet": {"port": 80, "httpHeaders": [{"name": "a", "value": "x\r\ny"}]}});
    refused(
        &probe(split),
        Rule::Invalid,
        &at(".httpGet.httpHeaders[0].value"),
    );
    let period = json!({"grpc": {"port": 1}, "periodSeconds": 0});
    refused(&probe(period), Rule::Invalid, &at(".periodSeconds"));
    let twice = json!({"grpc": {"port": 1}, "successThreshold": 2});
    let ignored = [(Level::Warned, Rule::Ignored, &*at(".successThreshold"))];
    check_with(&Policy::default(), &probe(twice), &ignored);
    let hook = |value: Value| container(json!({"lifecycle": {"preStop": value}}));
    let at = |field: &str| format!("spec.containers[0].lifecycle{field}");
    refused(
        &hook(json!({"tcpSocket": {"port": 1}})),
        Rule::Unsupported,
        &at(".preStop.tcpSocket"),
    );
    refused(
        &hook(json!({"sleep": {"seconds": -1}})),
        Rule::Invalid,
        &at(".preStop.sleep.seconds"),
    );
    let signal = json!({"lifecycle": {"stopSignal": "SIGFOO"}});
    refused(&container(signal), Rule::Invalid, &at(".stopSignal"));
}

#[test]
fn restart_rules() {
    let with = container;
    let rule = |rule: Value| with(json!({"restartPolicy": "Never", "restartPolicyRules": [rule]}));
    let codes = |operator: &str, values: Value| {
        rule(json!({"action": "Restart", "exitCodes": {"operator": operator, "values": values}}))
    };
    fine(&with(json!({"restartPolicy": "OnFailure"})));
    fine(&codes("In", json!([0, 255, 256])));
    fine(&codes("NotIn", json!([1])));
    fine(&rule(
        json!({"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}),
    ));
    let at = |path: &str| format!("spec.containers[0].{path}");
    let own = "restartPolicyRules[0]";
    for (manifest, why, path) in [
        (
            with(json!({"restartPolicy": "Perhaps"})),
            Rule::Invalid,
            at("restartPolicy"),
        ),
        (
            codes("Perhaps", json!([1])),
            Rule::Invalid,
            at(&format!("{own}.exitCodes.operator")),
        ),
        (
            codes("In", json!([1_u64 << 31])),
            Rule::Invalid,
            at(&format!("{own}.exitCodes.values[0]")),
        ),
        (
            rule(json!({"action": "Restart"})),
            Rule::Required,
            at(&format!("{own}.exitCodes")),
        ),
        (
            rule(json!({"action": "RestartSome", "exitCodes": {"operator": "In", "values": [1]}})),
            Rule::Invalid,
            at(&format!("{own}.action")),
        ),
    ] {
        refused(&manifest, why, &path);
    }
    let without_policy = json!({"restartPolicyRules": [
        {"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}},
    ]});
    refused(&with(without_policy), Rule::Required, &at("restartPolicy"));
}
