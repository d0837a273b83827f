//! One line for each rule: what is written, and what is found.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

mod common;

use burstlet_manifest::{Level, Policy, Rule};
use common::{permissive, translate_with};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A group with one container, with `patch` merged in.
fn group(patch: Value) -> Value {
    let mut group = json!({
        "apiVersion": "burstlet.dev/v1",
        "kind": "ContainerGroup",
        "metadata": {"name": "g"},
        "spec": {"containers": [{"name": "c", "image": "i:1"}]},
    });
    merge(&mut group, patch);
    group
}

fn spec(patch: Value) -> Value {
    group(json!({"spec": patch}))
}

fn container(patch: Value) -> Value {
    let mut group = group(json!({}));
    merge(&mut group["spec"]["containers"][0], patch);
    group
}

fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch,
    }
}

/// Checks that exactly these findings are made, in this order.
fn check_with(policy: &Policy, manifest: &Value, expected: &[(Level, Rule, &str)]) {
    let findings = match translate_with(policy, manifest) {
        Ok(translation) => translation.findings,
        Err(refused) => refused.findings,
    };
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.level, f.rule, f.path.as_str()))
        .collect();
    assert_eq!(found, expected, "{manifest:#}");
}

fn refused(manifest: &Value, rule: Rule, path: &str) {
    check_with(
        &Policy::default(),
        manifest,
        &[(Level::Refused, rule, path)],
    );
}

fn fine(manifest: &Value) {
    check_with(&Policy::default(), manifest, &[]);
}

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
        &container(json!({"restartPolicy": "Always"})),
        Rule::Unsupported,
        &at("restartPolicy"),
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
        &init(json!({"restartPolicy": "Never"})),
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
fn volumes_and_mounts() {
    let volume = |value: Value| {
        let mut volume = json!({"name": "v"});
        merge(&mut volume, value);
        spec(json!({"volumes": [volume]}))
    };
    let at = |field: &str| format!("spec.volumes[0]{field}");
    fine(&volume(json!({})));
    refused(&volume(json!({"name": "V"})), Rule::Invalid, &at(".name"));
    refused(
        &volume(json!({"emptyDir": {}, "secret": {}})),
        Rule::Invalid,
        &at(""),
    );
    refused(
        &volume(json!({"emptyDir": {"medium": "Tape"}})),
        Rule::Invalid,
        &at(".emptyDir.medium"),
    );
    refused(
        &volume(json!({"persistentVolumeClaim": {"claimName": "c"}})),
        Rule::Unsupported,
        &at(".persistentVolumeClaim"),
    );
    refused(
        &volume(json!({"ephemeral": {}})),
        Rule::Unsupported,
        &at(".ephemeral"),
    );
    refused(
        &volume(json!({"configMap": {"name": "c"}})),
        Rule::Unsupported,
        &at(".configMap.name"),
    );
    refused(
        &volume(json!({"secret": {"secretName": "s"}})),
        Rule::Unsupported,
        &at(".secret.secretName"),
    );
    refused(
        &volume(json!({"secret": {"data": {"k": "?"}}})),
        Rule::Invalid,
        &at(".secret.data.k"),
    );
    refused(
        &volume(json!({"configMap": {"data": {"a/b": ""}}})),
        Rule::Invalid,
        &at(".configMap"),
    );
    let missing = json!({"configMap": {"items": [{"key": "k", "path": "p"}]}});
    refused(
        &volume(missing),
        Rule::Invalid,
        &at(".configMap.items[0].key"),
    );
    let up = json!({"configMap": {"data": {"k": ""}, "items": [{"key": "k", "path": "../p"}]}});
    refused(&volume(up), Rule::Invalid, &at(".configMap.items[0].path"));
    let big = "x".repeat((1 << 20) + 1);
    refused(
        &volume(json!({"configMap": {"data": {"k": big}}})),
        Rule::TooLarge,
        &at(".configMap"),
    );
    let clash = json!({"configMap": {"data": {"a": "", "b": ""}, "items": [
        {"key": "a", "path": "x"}, {"key": "b", "path": "x/y"}]}});
    refused(&volume(clash), Rule::Duplicate, &at(".configMap"));
    refused(
        &volume(json!({"nfs": {"server": "s", "path": "/p"}})),
        Rule::Invalid,
        &at(".nfs"),
    );
    refused(
        &volume(json!({"hostPath": {"path": "/etc"}})),
        Rule::NotAllowed,
        &at(".hostPath.path"),
    );
    let outside = volume(json!({"hostPath": {"path": "/srv/database"}}));
    let not_allowed = [(Level::Refused, Rule::NotAllowed, &*at(".hostPath.path"))];
    check_with(&permissive(), &outside, &not_allowed);

    let mount = |value: Value| {
        let mut mount = json!({"name": "v", "mountPath": "/m"});
        merge(&mut mount, value);
        spec(json!({
            "volumes": [{"name": "v"}],
            "containers": [{"name": "c", "image": "i", "volumeMounts": [mount]}],
        }))
    };
    let at = |field: &str| format!("spec.containers[0].volumeMounts[0].{field}");
    for bad in [
        "m",
        "/",
        "/proc",
        "/proc/sys",
        "/sys/fs",
        "/dev",
        "/a/../b",
        "//",
    ] {
        refused(
            &mount(json!({"mountPath": bad})),
            Rule::Invalid,
            &at("mountPath"),
        );
    }
    fine(&mount(json!({"mountPath": "/dev/shm"})));
    for bad in ["/a", "a/../..", ".."] {
        refused(
            &mount(json!({"subPath": bad})),
            Rule::Invalid,
            &at("subPath"),
        );
    }
    refused(
        &mount(json!({"subPathExpr": "$(X)"})),
        Rule::Invalid,
        &at("subPathExpr"),
    );
    refused(
        &mount(json!({"recursiveReadOnly": "Enabled"})),
        Rule::Invalid,
        &at("recursiveReadOnly"),
    );
    refused(
        &mount(json!({"mountPropagation": "Bidirectional"})),
        Rule::Unsupported,
        &at("mountPropagation"),
    );
    fine(&mount(json!({"mountPropagation": "None"})));
}

#[test]
fn security_needs_leave() {
    let context = |value: Value| container(json!({"securityContext": value}));
    let at = |field: &str| format!("spec.containers[0].securityContext.{field}");
    for (value, field) in [
        (json!({"privileged": true}), "privileged"),
        (
            json!({"seccompProfile": {"type": "Unconfined"}}),
            "seccompProfile.type",
        ),
        (
            json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "audit"}}),
            "seccompProfile.localhostProfile",
        ),
        (
            json!({"capabilities": {"add": ["NET_ADMIN"]}}),
            "capabilities.add",
        ),
    ] {
        refused(&context(value.clone()), Rule::NotAllowed, &at(field));
        check_with(&permissive(), &context(value), &[]);
    }
    fine(&context(
        json!({"privileged": false, "procMount": "Default"}),
    ));
    refused(
        &context(json!({"procMount": "Unmasked"})),
        Rule::Unsupported,
        &at("procMount"),
    );
    let empty = json!({"seccompProfile": {"type": "Localhost"}});
    refused(
        &context(empty),
        Rule::Required,
        &at("seccompProfile.localhostProfile"),
    );
    refused(
        &context(json!({"capabilities": {"drop": ["FLY"]}})),
        Rule::Invalid,
        &at("capabilities.drop[0]"),
    );
    refused(
        &context(json!({"runAsUser": 65536})),
        Rule::Invalid,
        &at("runAsUser"),
    );
    refused(
        &context(json!({"runAsUser": 0, "runAsNonRoot": true})),
        Rule::Invalid,
        &at("runAsUser"),
    );
    refused(
        &context(json!({"appArmorProfile": {"type": "RuntimeDefault"}})),
        Rule::Unsupported,
        &at("appArmorProfile.type"),
    );
    let contradiction = json!({"privileged": true, "allowPrivilegeEscalation": false});
    let invalid = [(
        Level::Refused,
        Rule::Invalid,
        &*at("allowPrivilegeEscalation"),
    )];
    check_with(&permissive(), &context(contradiction), &invalid);

    let sysctl =
        |name: &str| spec(json!({"securityContext": {"sysctls": [{"name": name, "value": "1"}]}}));
    let path = "spec.securityContext.sysctls[0].name";
    fine(&sysctl("net.ipv4.tcp_syncookies"));
    refused(&sysctl("kernel.msgmax"), Rule::NotAllowed, path);
    refused(&sysctl("a..b"), Rule::Invalid, path);

    refused(
        &spec(json!({"hostUsers": true})),
        Rule::NotAllowed,
        "spec.hostUsers",
    );
    let host = spec(json!({"hostNetwork": true}));
    let expected = [
        (Level::Refused, Rule::NotAllowed, "spec.hostNetwork"),
        (Level::Refused, Rule::Invalid, "spec.hostNetwork"),
    ];
    check_with(&Policy::default(), &host, &expected);
}

#[test]
fn network_and_names() {
    refused(
        &spec(json!({"hostname": "a.b"})),
        Rule::Invalid,
        "spec.hostname",
    );
    refused(
        &spec(json!({"dnsPolicy": "None"})),
        Rule::Required,
        "spec.dnsConfig.nameservers",
    );
    let four = json!({"dnsConfig": {"nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]}});
    refused(&spec(four), Rule::TooLarge, "spec.dnsConfig.nameservers");
    let newline = json!({"dnsConfig": {"searches": ["a\nnameserver 6.6.6.6"]}});
    refused(&spec(newline), Rule::Invalid, "spec.dnsConfig.searches[0]");
    let newline = json!({"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a\nb"]}]});
    refused(
        &spec(newline),
        Rule::Invalid,
        "spec.hostAliases[0].hostnames[0]",
    );
    let port = |value: Value| container(json!({"ports": [value]}));
    refused(
        &port(json!({})),
        Rule::Required,
        "spec.containers[0].ports[0].containerPort",
    );
    refused(
        &port(json!({"containerPort": 70000})),
        Rule::Invalid,
        "spec.containers[0].ports[0].containerPort",
    );
    refused(
        &port(json!({"containerPort": 1, "name": "1"})),
        Rule::Invalid,
        "spec.containers[0].ports[0].name",
    );
    let twice = json!({"ports": [
        {"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}]});
    refused(
        &container(twice),
        Rule::Duplicate,
        "spec.containers[0].ports[1].hostPort",
    );
    refused(
        &spec(json!({"os": {"name": "windows"}})),
        Rule::Unsupported,
        "spec.os.name",
    );
    let backoff = json!({"backoff": {"initialSeconds": 10, "maxSeconds": 5}});
    refused(&spec(backoff), Rule::Invalid, "spec.backoff.maxSeconds");
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
fn a_flood_of_warnings_hides_no_refusal() {
    let fields: serde_json::Map<_, _> = (0..500).map(|i| (format!("a{i}"), json!(1))).collect();
    let policy = Policy {
        unknown_fields: Level::Warned,
        ..Policy::default()
    };
    let mut manifest = spec(Value::Object(fields));
    manifest["spec"]["hostPID"] = true.into();
    let error = translate_with(&policy, &manifest).unwrap_err();
    assert_eq!(error.findings.len(), burstlet_manifest::FINDINGS_MAX);
    assert!(error.findings.iter().any(|f| f.path == "spec.hostPID"));
}

/// JSON made of the names that the matrix knows, so that the walk gets deep.
fn json_like() -> impl Strategy<Value = Value> {
    let names: Vec<_> = burstlet_manifest::matrix::rows()
        .iter()
        .map(|row| row.field.name)
        .collect();
    let name = prop_oneof![9 => prop::sample::select(names), 1 => Just("other")];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[-a-zA-Z0-9$()/.:@_\u{0}\u{e4}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 200, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8).prop_map(|entries| {
                let entries = entries.into_iter().map(|(k, v)| (k.to_owned(), v));
                Value::Object(entries.collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn never_panics(metadata in json_like(), spec in json_like(), container in json_like()) {
        let mut manifest = json!({
            "apiVersion": "burstlet.dev/v1",
            "kind": "ContainerGroup",
            "metadata": {"name": "g"},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        merge(&mut manifest["metadata"], metadata);
        if let Some(first) = manifest.pointer_mut("/spec/containers/0") {
            merge(first, container);
        }
        merge(&mut manifest["spec"], spec);
        if let Ok(done) = translate_with(&permissive(), &manifest) {
            let again = translate_with(&permissive(), &done.source).unwrap();
            prop_assert_eq!(again.spec, done.spec);
        }
    }

    #[test]
    fn parses_any_text(text in ".{0,200}") {
        let _ = burstlet_manifest::parse(&text);
    }
}
