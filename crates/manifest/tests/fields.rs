//! One line for each rule of documents, their metadata and tags: what is written, and what is found.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use burstlet_manifest::{Level, Policy, Rule};
use common::{check_with, container, fine, group, refused, spec, translate_with};
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
