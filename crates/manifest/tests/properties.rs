//! What holds for any manifest at all.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

mod common;

use burstlet_manifest::{FINDINGS_MAX, Level, Policy};
use common::{merge, permissive, spec, translate_with};
use proptest::prelude::*;
use serde_json::{Value, json};

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
    assert_eq!(error.findings.len(), FINDINGS_MAX);
    assert!(error.findings.iter().any(|f| f.path == "spec.hostPID"));
}

#[test]
fn a_key_that_stands_twice_counts_neither_way() {
    let text = r#"{"kind": "Pod", "spec": {"hostPID": false, "hostPID": true}}"#;
    let error = burstlet_manifest::parse(text).unwrap_err();
    assert!(
        error.to_string().contains("\"hostPID\" occurs twice"),
        "{error}"
    );
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
