//! Manifests that use every field: nothing that the matrix calls done may be without effect, and
//! what is exported again means the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use burstlet_manifest::matrix::rows;
use burstlet_manifest::{Policy, Support, redact, to_pod, to_wire};
use common::{HOST, POD, WEB, permissive, translate_with, yaml};
use serde_json::Value;

/// Every field of a manifest: its pattern, and how to get there.
fn fields(value: &Value, pattern: &str, pointer: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let dot = if pattern.is_empty() { "" } else { "." };
                let field = if pattern.contains("resources") && name.contains('/') {
                    "<domain>/<name>"
                } else {
                    name
                };
                let pattern = format!("{pattern}{dot}{field}");
                let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                found.push((pattern.clone(), pointer.clone()));
                fields(value, &pattern, &pointer, found);
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                fields(
                    value,
                    &format!("{pattern}[]"),
                    &format!("{pointer}/{i}"),
                    found,
                );
            }
        }
        _ => {}
    }
}

fn without(manifest: &Value, pointer: &str) -> Value {
    let mut manifest = manifest.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/").replace("~0", "~");
    let parent = manifest
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap();
    parent.remove(&name).unwrap();
    manifest
}

#[test]
fn no_field_that_is_done_is_without_effect() {
    let policy = permissive();
    let mut effective = BTreeSet::new();
    for manifest in [yaml(WEB), yaml(HOST)] {
        let whole = translate_with(&policy, &manifest).unwrap();
        assert_eq!(whole.findings, []);
        let mut found = Vec::new();
        fields(&manifest, "", "", &mut found);
        for (pattern, pointer) in found {
            let changed = match translate_with(&policy, &without(&manifest, &pointer)) {
                Ok(part) => part.spec != whole.spec,
                Err(_) => true,
            };
            if changed {
                effective.insert(pattern);
            }
        }
    }
    let dead: Vec<_> = rows()
        .into_iter()
        .filter(|row| matches!(row.field.support, Support::Done | Support::Policy))
        .map(|row| row.path)
        .filter(|path| !effective.contains(path))
        .filter(|path| !SAME_AS_DEFAULT.contains(&path.as_str()))
        .collect();
    assert_eq!(dead, Vec::<String>::new());
}

/// Fields whose only accepted value is the default.
const SAME_AS_DEFAULT: [&str; 12] = [
    "spec.initContainers[].resources.requests.<domain>/<name>",
    "spec.containers[].resources.requests.<domain>/<name>",
    "spec.initContainers[].securityContext.appArmorProfile",
    "spec.initContainers[].securityContext.appArmorProfile.type",
    "spec.containers[].securityContext.appArmorProfile",
    "spec.containers[].securityContext.appArmorProfile.type",
    "spec.ephemeralContainers[].securityContext.appArmorProfile",
    "spec.ephemeralContainers[].securityContext.appArmorProfile.type",
    "spec.securityContext.appArmorProfile",
    "spec.securityContext.appArmorProfile.type",
    "spec.os",
    "spec.os.name",
];

#[test]
fn a_source_is_a_fixed_point() {
    let policy = permissive();
    for manifest in [yaml(WEB), yaml(HOST), yaml(POD)] {
        let first = translate_with(&policy, &manifest).unwrap();
        let second = translate_with(&policy, &first.source).unwrap();
        assert_eq!(second.spec, first.spec);
        assert_eq!(second.source, first.source);
    }
}

#[test]
fn what_was_accepted_stays_accepted() {
    for manifest in [yaml(WEB), yaml(HOST)] {
        let accepted = translate_with(&permissive(), &manifest).unwrap();
        let again = translate_with(&Policy::unrestricted(), &accepted.source).unwrap();
        assert_eq!(again.spec, accepted.spec);
    }
}

#[test]
fn a_pod_is_a_group() {
    let pod = translate_with(&permissive(), &yaml(POD)).unwrap();
    insta::assert_snapshot!("pod_findings", findings(&pod.findings));
    insta::assert_debug_snapshot!("pod_spec", pod.spec);
    let again = translate_with(&permissive(), &to_pod(&pod.source).manifest).unwrap();
    assert_eq!(again.spec, pod.spec);
}

#[test]
fn translates_everything() {
    let web = translate_with(&permissive(), &yaml(WEB)).unwrap();
    insta::assert_debug_snapshot!("web_spec", web.spec);
    let host = translate_with(&permissive(), &yaml(HOST)).unwrap();
    insta::assert_debug_snapshot!("host_spec", host.spec);
}

#[test]
fn exports() {
    let web = translate_with(&permissive(), &yaml(WEB)).unwrap();
    insta::assert_json_snapshot!("web_group", redact(&web.source));
    let pod = to_pod(&web.source);
    insta::assert_json_snapshot!("web_pod", pod.manifest);
    insta::assert_snapshot!("web_pod_notes", pod.notes.join("\n"));
}

#[test]
fn shows_no_secret() {
    let web = translate_with(&permissive(), &yaml(WEB)).unwrap();
    let shown = [
        redact(&web.source).to_string(),
        to_wire(&web.source).to_string(),
        to_pod(&web.source).manifest.to_string(),
        format!("{:?}", web.spec),
    ];
    let secrets = ["s3cret", "c2VjcmV0", "secret-key"];
    for text in shown {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

fn findings(findings: &[burstlet_manifest::Finding]) -> String {
    let lines: Vec<_> = findings
        .iter()
        .map(|f| format!("{} {} {f}", f.level.as_str(), f.rule.as_str()))
        .collect();
    lines.join("\n")
}
