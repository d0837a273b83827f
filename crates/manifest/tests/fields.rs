//! One line for each rule: what is written, and what is found. Documents, containers and what they
//! run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use burstlet_manifest::{Level, Policy, Rule};
use common::{check_with, container, fine, group, merge, refused, spec, translate_with};
use serde_json::{Value, json};

#[test]
fn what_it_is() {
    fine(&group(json!({})));
    refused(&json!([]), Rule::Invalid, "");
    refused(&json!({}), Rule::Required, "kind");
    refused(
        &group(json!({"kind": "Deployment"})),
        Rule::Unsupported,
        "kind",
    );
    refused(
        &group(json!({"apiVersion": "v1"})),
        Rule::Invalid,
        "apiVersion",
    );
    refused(&group(json!({"spec": null})), Rule::Required, "spec");
    refused(
        &group(json!({"metadata": null})),
        Rule::Required,
        "metadata.name",
    );
}

#[test]
fn metadata() {
    let metadata = |patch| group(json!({"metadata": patch}));
    refused(
        &metadata(json!({"name": "Web"})),
        Rule::Invalid,
        "metadata.name",
    );
    refused(
        &metadata(json!({"name": ""})),
        Rule::Required,
        "metadata.name",
    );
    fine(&metadata(json!({"name": "", "generateName": "web-"})));
    refused(
        &metadata(json!({"namespace": "a.b"})),
        Rule::Invalid,
        "metadata.namespace",
    );
    refused(
        &metadata(json!({"labels": {"a b": "c"}})),
        Rule::Invalid,
        "metadata.labels[\"a b\"]",
    );
    refused(
        &metadata(json!({"labels": {"a": "-"}})),
        Rule::Invalid,
        "metadata.labels[\"a\"]",
    );
    refused(
        &metadata(json!({"labels": {"a": 1}})),
        Rule::Invalid,
        "metadata.labels.a",
    );
    let long = "x".repeat(256 << 10);
    refused(
        &metadata(json!({"annotations": {"a": long}})),
        Rule::TooLarge,
        "metadata.annotations",
    );
    refused(
        &metadata(json!({"tags": {"a": "b\nc"}})),
        Rule::Invalid,
        "metadata.tags[\"a\"]",
    );
    refused(
        &metadata(json!({"finalizers": ["x"]})),
        Rule::Unsupported,
        "metadata.finalizers",
    );
    let ignored = [(Level::Warned, Rule::Ignored, "metadata.uid")];
    check_with(&Policy::default(), &metadata(json!({"uid": "u"})), &ignored);
}

#[test]
fn tags_are_required_by_name_and_value() {
    let policy = Policy {
        required_tags: BTreeMap::from([
            (
                "CostCenter".to_owned(),
                ["42", "43"].map(str::to_owned).into(),
            ),
            ("owner".to_owned(), BTreeSet::new()),
        ]),
        ..Policy::default()
    };
    let cost = "metadata.tags[\"CostCenter\"]";
    let owner = "metadata.tags[\"owner\"]";
    let metadata = |value: Value| group(json!({"metadata": value}));
    let tags = |tags: Value| metadata(json!({"tags": tags}));
    for (manifest, findings) in [
        (tags(json!({"costcenter": "42", "Owner": "ann"})), vec![]),
        (
            metadata(json!({})),
            vec![(Rule::Required, cost), (Rule::Required, owner)],
        ),
        (
            tags(json!({"costcenter": "44", "owner": ""})),
            vec![(Rule::NotAllowed, cost), (Rule::Required, owner)],
        ),
        (
            tags(json!({"costcenter": "42", "COSTCENTER": "44", "owner": "ann"})),
            vec![(Rule::NotAllowed, cost)],
        ),
    ] {
        let at = |level| {
            let findings = findings.iter();
            findings
                .map(move |(rule, path)| (level, *rule, *path))
                .collect::<Vec<_>>()
        };
        check_with(&policy, &manifest, &at(Level::Refused));
        let mild = Policy {
            lacking_tags: Level::Warned,
            ..policy.clone()
        };
        check_with(&mild, &manifest, &at(Level::Warned));
        let refused = translate_with(&policy, &manifest).is_err();
        assert_eq!(refused, !findings.is_empty(), "{manifest}");
        assert!(translate_with(&mild, &manifest).is_ok(), "{manifest}");
    }
}

#[test]
fn a_pod_s_annotations_may_be_tags() {
    let metadata = json!({"annotations": {"tags.burstlet.dev/team": "blue", "other": "x"}});
    let translated = translate_with(&Policy::default(), &group(json!({"metadata": metadata})));
    let tags = translated.unwrap().spec.tags;
    assert_eq!(
        tags,
        BTreeMap::from([("team".to_owned(), "blue".to_owned())])
    );
    refused(
        &group(json!({"metadata": {"annotations": {"tags.burstlet.dev/team": "a\nb"}}})),
        Rule::Invalid,
        "metadata.annotations[\"tags.burstlet.dev/team\"]",
    );
}

#[test]
fn all_at_once() {
    let manifest = json!({
        "apiVersion": "burstlet.dev/v1",
        "kind": "ContainerGroup",
        "metadata": {"name": "G"},
        "spec": {
            "hostPID": true,
            "affinity": {"nodeAffinity": {}},
            "containers": [
                {"name": "a", "imgae": "i"},
                {"name": "a", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "x"}]},
            ],
        },
    });
    check_with(
        &Policy::default(),
        &manifest,
        &[
            (Level::Warned, Rule::Ignored, "spec.affinity"),
            (
                Level::Refused,
                Rule::UnknownField,
                "spec.containers[0].imgae",
            ),
            (Level::Refused, Rule::Unsupported, "spec.hostPID"),
            (Level::Refused, Rule::Invalid, "metadata.name"),
            (Level::Refused, Rule::Duplicate, "spec.containers[1].name"),
            (Level::Refused, Rule::Required, "spec.containers[0].image"),
            (
                Level::Refused,
                Rule::Invalid,
                "spec.containers[1].volumeMounts[0].name",
            ),
        ],
    );
    let error = translate_with(&Policy::default(), &manifest).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the manifest has 6 fields refused: spec.containers[0].imgae: \
         no such field is known to this version (did you mean image?)"
    );
}

#[test]
fn shapes() {
    refused(
        &container(json!({"image": 1})),
        Rule::Invalid,
        "spec.containers[0].image",
    );
    refused(
        &container(json!({"command": "sh"})),
        Rule::Invalid,
        "spec.containers[0].command",
    );
    refused(
        &container(json!({"args": ["a", 1]})),
        Rule::Invalid,
        "spec.containers[0].args[1]",
    );
    refused(
        &container(json!({"args": ["a\0"]})),
        Rule::Invalid,
        "spec.containers[0].args[0]",
    );
    refused(
        &container(json!({"tty": "true"})),
        Rule::Invalid,
        "spec.containers[0].tty",
    );
    refused(
        &spec(json!({"containers": {}})),
        Rule::Invalid,
        "spec.containers",
    );
    refused(
        &spec(json!({"priority": 1.5})),
        Rule::Invalid,
        "spec.priority",
    );
    fine(&spec(json!({"priority": "5"})));
    fine(&container(
        json!({"resources": {"limits": {"cpu": 0.5, "memory": 1024}}}),
    ));
    fine(&container(json!({"env": null, "command": []})));
}

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
    let gpu = json!({"limits": {"nvidia.com/gpu": 1}});
    refused(
        &resources(gpu),
        Rule::UnknownField,
        &at("limits[\"nvidia.com/gpu\"]"),
    );
    refused(
        &resources(json!({"claims": [{}]})),
        Rule::Unsupported,
        &at("claims"),
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
fn a_pod_has_no_words_of_ours() {
    let pod = |value: Value| {
        let mut pod = group(value);
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod
    };
    fine(&pod(json!({})));
    refused(
        &pod(json!({"metadata": {"tags": {"a": "b"}}})),
        Rule::UnknownField,
        "metadata.tags",
    );
    refused(
        &pod(json!({"spec": {"backoff": {}}})),
        Rule::UnknownField,
        "spec.backoff",
    );
}

#[test]
fn an_operator_may_let_unknown_fields_pass() {
    let policy = Policy {
        unknown_fields: Level::Warned,
        ..Policy::default()
    };
    let expected = [(Level::Warned, Rule::UnknownField, "spec.newInKubernetes")];
    check_with(&policy, &spec(json!({"newInKubernetes": 1})), &expected);
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
            rule(
                json!({"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}),
            ),
            Rule::Unsupported,
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
