//! One line for each rule: volumes, mounts, security, network and names.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

mod common;

use burstlet_manifest::{Level, Policy, Rule, Standards};
use burstlet_model::spec::Scheduling;
use common::{
    check_with, container, fine, group, merge, permissive, refused, spec, translate_with,
};
use serde_json::{Value, json};

fn volume(value: Value) -> Value {
    let mut volume = json!({"name": "v"});
    merge(&mut volume, value);
    spec(json!({"volumes": [volume]}))
}

fn at_volume(field: &str) -> String {
    format!("spec.volumes[0]{field}")
}

#[test]
fn volumes() {
    fine(&volume(json!({})));
    for (value, rule, field) in [
        (json!({"name": "V"}), Rule::Invalid, ".name"),
        (json!({"emptyDir": {}, "secret": {}}), Rule::Invalid, ""),
        (
            json!({"emptyDir": {"medium": "Tape"}}),
            Rule::Invalid,
            ".emptyDir.medium",
        ),
        (
            json!({"persistentVolumeClaim": {"claimName": "c"}}),
            Rule::Unsupported,
            ".persistentVolumeClaim",
        ),
        (json!({"ephemeral": {}}), Rule::Unsupported, ".ephemeral"),
    ] {
        refused(&volume(value), rule, &at_volume(field));
    }
}

#[test]
fn volumes_of_configuration() {
    let big = "x".repeat((1 << 20) + 1);
    let missing = json!({"configMap": {"items": [{"key": "k", "path": "p"}]}});
    let up = json!({"configMap": {"data": {"k": ""}, "items": [{"key": "k", "path": "../p"}]}});
    let clash = json!({"configMap": {"data": {"a": "", "b": ""}, "items": [
        {"key": "a", "path": "x"}, {"key": "b", "path": "x/y"}]}});
    for (value, rule, field) in [
        (
            json!({"configMap": {"name": "c"}}),
            Rule::Unsupported,
            ".configMap.name",
        ),
        (
            json!({"secret": {"secretName": "s"}}),
            Rule::Unsupported,
            ".secret.secretName",
        ),
        (
            json!({"secret": {"data": {"k": "?"}}}),
            Rule::Invalid,
            ".secret.data.k",
        ),
        (
            json!({"configMap": {"data": {"a/b": ""}}}),
            Rule::Invalid,
            ".configMap",
        ),
        (missing, Rule::Invalid, ".configMap.items[0].key"),
        (up, Rule::Invalid, ".configMap.items[0].path"),
        (
            json!({"configMap": {"data": {"k": big}}}),
            Rule::TooLarge,
            ".configMap",
        ),
        (clash, Rule::Duplicate, ".configMap"),
    ] {
        refused(&volume(value), rule, &at_volume(field));
    }
}

#[test]
fn volumes_of_elsewhere() {
    let nfs = volume(json!({"nfs": {"server": "s", "path": "/p"}}));
    refused(&nfs, Rule::Unsupported, &at_volume(".nfs"));
    let not_mapped = [(Level::Refused, Rule::Invalid, &*at_volume(".nfs"))];
    check_with(&permissive(), &nfs, &not_mapped);
    let path = at_volume(".hostPath.path");
    let etc = volume(json!({"hostPath": {"path": "/etc"}}));
    refused(&etc, Rule::NotAllowed, &path);
    let outside = volume(json!({"hostPath": {"path": "/srv/database"}}));
    let not_allowed = [(Level::Refused, Rule::NotAllowed, &*path)];
    let by_name = Policy {
        standards: Standards::default(),
        ..permissive()
    };
    check_with(&by_name, &outside, &not_allowed);
    let path = at_volume(".persistent.path");
    let kept = |path: &str| volume(json!({"persistent": {"path": path}}));
    refused(&kept("/mnt/disks/a"), Rule::NotAllowed, &path);
    let not_allowed = [(Level::Refused, Rule::NotAllowed, &*path)];
    check_with(&permissive(), &kept("/mnt/disks2"), &not_allowed);
    check_with(&permissive(), &kept("/mnt/disks/a"), &[]);
    refused(&kept("a"), Rule::Invalid, &path);
}

#[test]
fn mounts() {
    let mount = |value: Value| {
        let mut mount = json!({"name": "v", "mountPath": "/m"});
        merge(&mut mount, value);
        spec(json!({
            "volumes": [{"name": "v"}],
            "containers": [{"name": "c", "image": "i", "volumeMounts": [mount]}],
        }))
    };
    let refuse = |field: &str, value: &str, rule: Rule| {
        let path = format!("spec.containers[0].volumeMounts[0].{field}");
        refused(&mount(json!({field: value})), rule, &path);
    };
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
        refuse("mountPath", bad, Rule::Invalid);
    }
    fine(&mount(json!({"mountPath": "/dev/shm"})));
    for bad in ["/a", "a/../..", ".."] {
        refuse("subPath", bad, Rule::Invalid);
    }
    refuse("subPathExpr", "$(X)", Rule::Invalid);
    refuse("recursiveReadOnly", "Enabled", Rule::Invalid);
    refuse("mountPropagation", "Bidirectional", Rule::Unsupported);
    fine(&mount(json!({"mountPropagation": "None"})));
}

fn context(value: Value) -> Value {
    container(json!({"securityContext": value}))
}

fn at_context(field: &str) -> String {
    format!("spec.containers[0].securityContext.{field}")
}

#[test]
fn security_needs_leave() {
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
        let path = at_context(field);
        refused(&context(value.clone()), Rule::NotAllowed, &path);
        check_with(&permissive(), &context(value), &[]);
    }
    let harmless = json!({"privileged": false, "procMount": "Default"});
    fine(&context(harmless));
}

#[test]
fn security_that_cannot_be() {
    for (value, rule, field) in [
        (
            json!({"procMount": "Unmasked"}),
            Rule::Unsupported,
            "procMount",
        ),
        (
            json!({"seccompProfile": {"type": "Localhost"}}),
            Rule::Required,
            "seccompProfile.localhostProfile",
        ),
        (
            json!({"capabilities": {"drop": ["FLY"]}}),
            Rule::Invalid,
            "capabilities.drop[0]",
        ),
        (json!({"runAsUser": 65536}), Rule::Invalid, "runAsUser"),
        (
            json!({"runAsUser": 0, "runAsNonRoot": true}),
            Rule::Invalid,
            "runAsNonRoot",
        ),
        (
            json!({"appArmorProfile": {"type": "RuntimeDefault"}}),
            Rule::Unsupported,
            "appArmorProfile.type",
        ),
    ] {
        refused(&context(value), rule, &at_context(field));
    }
    let contradiction = json!({"privileged": true, "allowPrivilegeEscalation": false});
    let path = at_context("allowPrivilegeEscalation");
    let invalid = [(Level::Refused, Rule::Invalid, &*path)];
    check_with(&permissive(), &context(contradiction), &invalid);
}

#[test]
fn sysctls_and_the_hosts_namespaces() {
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
fn a_pod_s_annotation_may_say_that_it_is_spot() {
    let annotated = |word: &str| json!({"annotations": {"burstlet.dev/scheduling": word}});
    let scheduling = |manifest: &Value| {
        let translated = translate_with(&Policy::default(), manifest);
        translated.unwrap().spec.scheduling
    };
    let check = |metadata: Value, spec: Value, expected| {
        let manifest = group(json!({"metadata": metadata, "spec": spec}));
        assert_eq!(scheduling(&manifest), expected, "{manifest}");
    };
    check(json!({}), json!({}), Scheduling::OnDemand);
    check(json!({}), json!({"scheduling": "Spot"}), Scheduling::Spot);
    check(annotated("Spot"), json!({}), Scheduling::Spot);
    check(
        annotated("Spot"),
        json!({"scheduling": "OnDemand"}),
        Scheduling::OnDemand,
    );
    refused(
        &group(json!({"metadata": annotated("spot")})),
        Rule::Invalid,
        "metadata.annotations[\"burstlet.dev/scheduling\"]",
    );
    refused(
        &spec(json!({"scheduling": "cheap"})),
        Rule::Invalid,
        "spec.scheduling",
    );
}
