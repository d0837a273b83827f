//! Golden files: what becomes of pods as people write them, from the pod to the group and on to the
//! OCI specification of each of its containers.
//!
//! `tests/golden/NAME.pod.yaml` is a pod, and what it is changed to later if it has a `later`.
//! `NAME.group.snap` is its group without what is at its default, `NAME.oci.snap` what its containers
//! have that the container of `plain` has not. `INSTA_UPDATE=always` writes them anew.

mod cluster;
mod text;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use burstlet_manifest::Support;
use burstlet_manifest::matrix::rows;
use serde_json::Value;

use self::cluster::Cluster;
use self::text::{group_text, oci, oci_text};

const POD: &str = ".pod.yaml";
/// The container that others are held against.
const PLAIN: &str = "plain";
/// Pods that there must be at least.
const PODS_MIN: usize = 40;
/// Fields of the matrix that no pod can have a say in.
const NOT_OF_PODS: [&str; 3] = [
    "metadata.generateName",
    "spec.resources.requests.ephemeral-storage",
    "spec.resources.limits.ephemeral-storage",
];

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn yaml(name: &str) -> Value {
    let text = fs::read_to_string(dir().join(name)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names of the golden pods.
fn names() -> Vec<String> {
    let entries = fs::read_dir(dir()).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.strip_suffix(POD)?.to_owned()))
        .collect();
    names.sort();
    names
}

fn hold(name: &str, kind: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => dir(),
        prepend_module_to_snapshot => false,
        omit_expression => true,
        description => format!("{name}{POD}"),
    }, {
        insta::assert_snapshot!(format!("{name}.{kind}"), text);
    });
}

#[test]
fn pods_as_people_write_them() {
    let (cluster, names) = (Cluster::new(), names());
    assert!(names.len() >= PODS_MIN, "{names:?}");
    let translated = |name: &str| {
        let golden = yaml(&format!("{name}{POD}"));
        let manifest = cluster.manifest(&golden);
        let translated = cluster.translate(&manifest);
        let translation = translated.unwrap_or_else(|problem| panic!("{name}: {problem}"));
        (golden, translation)
    };
    let plain = translated(PLAIN).1.spec;
    let plain = oci(&plain, &plain.containers[0]);
    for name in &names {
        let (golden, translation) = translated(name);
        hold(name, "group", &group_text(&golden, &translation));
        hold(name, "oci", &oci_text(name, &translation.spec, &plain));
    }
}

/// What is held for a pod that is no more would never be looked at again.
#[test]
fn every_golden_file_is_of_a_pod() {
    let mut wanted: BTreeSet<String> = ["cluster.yaml".to_owned()].into();
    for name in names() {
        wanted.extend([POD, ".group.snap", ".oci.snap"].map(|end| format!("{name}{end}")));
    }
    let entries = fs::read_dir(dir()).unwrap();
    let there: BTreeSet<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".snap.new"))
        .collect();
    let odd: Vec<&String> = there.symmetric_difference(&wanted).collect();
    assert_eq!(odd, Vec::<&String>::new());
}

/// The paths of a value's fields, as the matrix writes them.
fn fields(value: &Value, path: &str, found: &RefCell<BTreeSet<String>>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let dot = if path.is_empty() { "" } else { "." };
                let extended = path.contains("resources") && name.contains('/');
                let name = if extended { "<domain>/<name>" } else { name };
                let path = format!("{path}{dot}{name}");
                found.borrow_mut().insert(path.clone());
                fields(value, &path, found);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| fields(item, &format!("{path}[]"), found)),
        _ => {}
    }
}

#[test]
fn no_supported_field_is_without_a_golden_pod() {
    let (cluster, used) = (Cluster::new(), RefCell::default());
    for name in names() {
        let golden = yaml(&format!("{name}{POD}"));
        fields(&golden, "", &used);
        fields(&cluster.manifest(&golden), "", &used);
    }
    let used = used.into_inner();
    let is_supported = |support| matches!(support, Support::Done | Support::Policy);
    let unused: Vec<String> = rows()
        .into_iter()
        .filter(|row| is_supported(row.field.support) && !row.field.own)
        .map(|row| row.path)
        .filter(|path| !used.contains(path) && !NOT_OF_PODS.contains(&path.as_str()))
        .collect();
    assert_eq!(unused, Vec::<String>::new());
}
