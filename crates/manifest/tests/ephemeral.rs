//! Ephemeral containers: who may have them, and what they may say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

mod common;

use burstlet_manifest::{Level, Policy, Rule};
use common::{check_with, group, merge, refused, translate_with};
use serde_json::{Value, json};

#[test]
fn ephemeral_containers() {
    let with = |ephemeral: Value| {
        let mut manifest = group(json!({}));
        manifest["spec"]["ephemeralContainers"] = json!([ephemeral]);
        manifest
    };
    let path = "spec.ephemeralContainers";
    let look = |patch: Value| {
        let mut look = json!({"name": "look", "image": "i"});
        merge(&mut look, patch);
        with(look)
    };
    refused(&look(json!({})), Rule::NotAllowed, path);
    let policy = Policy {
        ephemeral_containers: true,
        ..Policy::default()
    };
    let first = group(json!({}))["spec"]["containers"][0]["name"].clone();
    let added = translate_with(&policy, &look(json!({"targetContainerName": first})));
    let added = added.unwrap().spec.ephemeral_containers;
    assert_eq!(added[0].target.as_ref().unwrap().as_str(), first);
    let probe = json!({"exec": {"command": ["a"]}});
    for (patch, rule, field) in [
        (
            json!({"targetContainerName": "x"}),
            Rule::Invalid,
            ".targetContainerName",
        ),
        (
            json!({"targetContainerName": "look"}),
            Rule::Invalid,
            ".targetContainerName",
        ),
        (json!({"name": first}), Rule::Duplicate, ".name"),
        (
            json!({"ports": [{"containerPort": 1}]}),
            Rule::Unsupported,
            ".ports",
        ),
        (
            json!({"resources": {"limits": {"cpu": 1}}}),
            Rule::Unsupported,
            ".resources",
        ),
        (
            json!({"livenessProbe": probe}),
            Rule::Unsupported,
            ".livenessProbe",
        ),
        (
            json!({"securityContext": {"privileged": true}}),
            Rule::NotAllowed,
            ".securityContext.privileged",
        ),
    ] {
        let finding = (Level::Refused, rule, format!("{path}[0]{field}"));
        let finding = [(finding.0, finding.1, finding.2.as_str())];
        check_with(&policy, &look(patch), &finding);
    }
    let many: Vec<_> = (0..101)
        .map(|i| json!({"name": format!("c{i}"), "image": "i"}))
        .collect();
    let mut crowd = with(json!({}));
    crowd["spec"]["ephemeralContainers"] = many.into();
    check_with(&policy, &crowd, &[(Level::Refused, Rule::TooLarge, path)]);
}

/// `kubectl debug` asks for it by default.
#[test]
fn who_may_trace() {
    let traces = json!({"name": "look", "image": "i",
        "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}});
    let alone = Policy {
        ephemeral_containers: true,
        ..Policy::default()
    };
    let shared = Policy {
        host_users: true,
        ..alone.clone()
    };
    let path = |list: &str| format!("spec.{list}[0].securityContext.capabilities.add");
    let ephemeral = path("ephemeralContainers");
    let main = path("containers");
    let refused = |path| vec![(Level::Refused, Rule::NotAllowed, path)];
    for (policy, list, host_users, expected) in [
        (&alone, "ephemeralContainers", false, vec![]),
        // There it would reach more than its group.
        (
            &shared,
            "ephemeralContainers",
            true,
            refused(ephemeral.as_str()),
        ),
        (&alone, "containers", false, refused(main.as_str())),
    ] {
        let mut manifest = group(json!({"spec": {"hostUsers": host_users}}));
        manifest["spec"][list] = json!([traces]);
        check_with(policy, &manifest, &expected);
    }
}
