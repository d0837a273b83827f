//! What people read in the golden files.

use std::collections::BTreeSet;

use burstlet_bundle::{Facts, ImageDefaults, Inputs, User, container_spec, user_to_resolve};
use burstlet_manifest::standard::violations;
use burstlet_manifest::{Standard, Translation};
use burstlet_model::Bytes;
use burstlet_model::spec::{ContainerSpec, GroupSpec};
use serde_json::{Map, Value, json};

use super::PLAIN;
use super::cluster::uid;

/// The group as it is read by people: its level, what is warned about, what is not at its default.
pub(super) fn group_text(golden: &Value, translation: &Translation) -> String {
    let controls = |level| {
        let all = violations(level, golden).into_iter();
        all.map(|violation| violation.control)
            .collect::<BTreeSet<&str>>()
    };
    let mut text = String::new();
    for level in [Standard::Baseline, Standard::Restricted] {
        let against = controls(level).into_iter().collect::<Vec<_>>().join(", ");
        let verdict = if against.is_empty() {
            "admits it"
        } else {
            &against
        };
        text.push_str(&format!("{}: {verdict}\n", level.as_str()));
    }
    for finding in &translation.findings {
        text.push_str(&format!("warned: {finding}\n"));
    }
    text + &short(&format!("{:#?}", translation.spec))
}

/// A specification's text without what is at its default, and with what is one value on one line.
fn short(spec: &str) -> String {
    let is_default = |line: &str| {
        let ends = [": None,", ": [],", ": {},", ": false,", ": \"\","];
        ends.iter().any(|end| line.ends_with(end))
    };
    let is_value = |line: &str| !line.ends_with(['(', '{', '[']) && line.ends_with(',');
    let mut lines: Vec<String> = Vec::new();
    for line in spec.lines().filter(|line| !is_default(line)) {
        match (line.trim(), lines.as_slice()) {
            ("),", [.., open, value]) if open.ends_with('(') && is_value(value) => {
                let value = value.trim().trim_end_matches(',');
                let whole = format!("{open}{value}),");
                lines.truncate(lines.len() - 2);
                lines.push(whole);
            }
            // All of it is at its default.
            ("},", [.., open]) if open.ends_with('{') => drop(lines.pop()),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

/// The OCI specification of a container.
pub(super) fn oci(group: &GroupSpec, container: &ContainerSpec) -> Value {
    let image = ImageDefaults {
        entrypoint: vec!["/entry".to_owned()],
        cmd: vec!["default".to_owned()],
        env: vec![("LANG".to_owned(), "C".to_owned())],
        working_dir: "/srv".to_owned(),
        stop_signal: None,
    };
    // An image without accounts: who is not named is root.
    let user = user_to_resolve(container, "");
    let (user_id, group_id) = user.split_once(':').unwrap_or((&user, "0"));
    let user = User {
        uid: user_id.parse().unwrap_or(0),
        gid: group_id.parse().unwrap_or(0),
        groups: Vec::new(),
        home: None,
    };
    let facts = Facts {
        group_uid: uid(),
        group_ip: Some([10, 88, 0, 2].into()),
        host_ip: Some([192, 0, 2, 1].into()),
        node_name: "edge-1".to_owned(),
        shm: None,
        memory: Bytes(8 << 30),
        oom_score_min: -999,
        capabilities: u64::MAX,
        devices_listed: true,
        masked_paths: Vec::new(),
    };
    let inputs = Inputs {
        group,
        container,
        image: &image,
        user: &user,
        facts: &facts,
    };
    let spec = container_spec(&inputs).unwrap();
    let mut spec = serde_json::to_value(spec).unwrap();
    let sets = spec["process"]["capabilities"].as_object_mut();
    for set in sets.into_iter().flat_map(Map::values_mut) {
        let set = set.as_array_mut().into_iter();
        set.for_each(|set| set.sort_by_key(ToString::to_string));
    }
    spec
}

/// What `value` has that `plain` has not; null for what it lacks. Lists are one thing.
fn difference(plain: &Value, value: &Value) -> Option<Value> {
    match (plain, value) {
        _ if plain == value => None,
        (Value::Object(plain), Value::Object(value)) => {
            let names: BTreeSet<&String> = plain.keys().chain(value.keys()).collect();
            let differing = names.into_iter().filter_map(|name| {
                let has = value.get(name).unwrap_or(&Value::Null);
                let had = plain.get(name).unwrap_or(&Value::Null);
                Some((name.clone(), difference(had, has)?))
            });
            Some(Value::Object(differing.collect()))
        }
        _ => Some(value.clone()),
    }
}

pub(super) fn oci_text(name: &str, group: &GroupSpec, plain: &Value) -> String {
    let mut all = Map::new();
    for (_, container) in group.all_containers() {
        let spec = oci(group, container);
        let shown = match name == PLAIN {
            true => spec,
            false => difference(plain, &spec).unwrap_or_else(|| json!({})),
        };
        all.insert(container.name.to_string(), shown);
    }
    serde_json::to_string_pretty(&all).unwrap()
}
