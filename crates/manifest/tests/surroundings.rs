//! One line for each rule: volumes, mounts, security, network and names.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

mod common;

use burstlet_manifest::{Level, Policy, Rule};
use common::{check_with, container, fine, merge, permissive, refused, spec};
use serde_json::{Value, json};

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
    let nfs = volume(json!({"nfs": {"server": "s", "path": "/p"}}));
    refused(&nfs, Rule::Unsupported, &at(".nfs"));
    let not_mapped = [(Level::Refused, Rule::Invalid, &*at(".nfs"))];
    check_with(&permissive(), &nfs, &not_mapped);
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
        &at("runAsNonRoot"),
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
