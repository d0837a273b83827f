#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;
use crate::store::image::{Access, LayerDir};
use crate::{ImageConfig, digest_of};

fn digest(name: &str) -> Digest {
    digest_of(name.as_bytes())
}

fn reference(text: &str) -> ImageRef {
    text.parse().unwrap()
}

fn config(layers: &[&str]) -> ImageConfig {
    let diff_ids: Vec<_> = layers
        .iter()
        .map(|layer| digest(layer).to_string())
        .collect();
    let json = serde_json::json!({"rootfs": {"type": "layers", "diff_ids": diff_ids}});
    ImageConfig::parse(json.to_string().as_bytes(), layers.len()).unwrap()
}

/// An image called `name`, tagged `tags`, last used at `used_at` seconds.
fn image(name: &str, tags: &[&str], layers: &[&str], used_at: i64) -> Arc<Image> {
    let used_at = WallTime(used_at * 1_000_000_000);
    let dirs = layers.iter().map(|layer| LayerDir {
        diff_id: digest(layer),
        path: layer.into(),
    });
    Arc::new(Image {
        id: digest(name),
        manifest_digest: digest(&format!("manifest of {name}")),
        chain: [digest(&format!("manifest of {name}"))].into(),
        references: tags.iter().map(|tag| (reference(tag), used_at)).collect(),
        config: config(layers),
        layers: dirs.collect(),
        size_bytes: 1,
        pulled_at: used_at,
        used_at,
        access: Access::Everyone,
        origins: ["r.io".to_owned()].into(),
        signed: Default::default(),
    })
}

fn state(images: &[Arc<Image>]) -> State {
    let mut state = State::default();
    for image in images {
        for layer in &image.layers {
            let record = LayerRecord {
                disk_bytes: 10,
                ..LayerRecord::default()
            };
            state.layers.insert(layer.diff_id.clone(), record);
        }
    }
    state.put(images.iter().cloned());
    state
}

fn uid(text: &str) -> GroupUid {
    GroupUid::new(text).unwrap()
}

#[test]
fn names_and_ids() {
    let (a, b) = (
        image("a", &["r.io/app:1", "busybox"], &[], 0),
        image("b", &["r.io/app:2"], &[], 0),
    );
    let state = state(&[a.clone(), b.clone()]);
    for text in ["r.io/app:1", "busybox", "docker.io/library/busybox:latest"] {
        assert_eq!(state.find(text).unwrap(), a, "{text}");
    }
    for text in [
        b.id.as_str(),
        b.id.hex(),
        &b.id.hex()[..12],
        &format!("sha256:{}", &b.id.hex()[..8]),
    ] {
        assert_eq!(state.find(text).unwrap(), b, "{text}");
    }
    let pinned = format!("r.io/app@{}", b.manifest_digest);
    assert_eq!(state.find(&pinned).unwrap(), b);
    let elsewhere = format!("r.io/other@{}", b.manifest_digest);
    for text in ["r.io/app", "nothing", "", &b.id.hex()[..5], "!", &elsewhere] {
        assert!(
            matches!(state.find(text), Err(StoreError::NotFound(_))),
            "{text}"
        );
    }
}

#[test]
fn a_name_moves_to_the_image_pulled_last() {
    let old = image("old", &["app:1", "app:2"], &[], 0);
    let mut state = state(&[old]);
    let changed = state.changed_by(&image("new", &["app:2"], &[], 1));
    assert_eq!(changed.len(), 2);
    state.put(changed);
    assert_eq!(state.find("app:2").unwrap().id, digest("new"));
    assert_eq!(state.find("app:1").unwrap().id, digest("old"));
    assert_eq!(state.find("app:1").unwrap().references.len(), 1);
}

#[test]
fn what_is_needed_is_not_removed() {
    let mut state = state(&[image("a", &["a"], &["base", "top"], 0)]);
    assert!(state.may_remove(&digest("a")).is_ok());
    state
        .leases
        .insert(uid("g1"), Lease::Known([digest("a")].into()));
    let refused = state.may_remove(&digest("a")).unwrap_err();
    assert!(refused.to_string().contains("group g1"), "{refused}");
    state.leases.clear();
    state.pin(&digest("a"));
    state.pin(&digest("a"));
    state.unpin(&digest("a"));
    assert!(state.may_remove(&digest("a")).is_err());
    state.unpin(&digest("a"));
    assert!(state.may_remove(&digest("a")).is_ok());
    state.leases.insert(uid("g2"), Lease::Unknown);
    assert!(matches!(
        state.may_remove(&digest("a")),
        Err(StoreError::LeaseUnknown(_))
    ));
    assert_eq!(state.next_to_prune(EVERYTHING, WallTime(0)), None);
}

const EVERYTHING: PrunePolicy = PrunePolicy {
    unused_for: Some(Duration::ZERO),
    disk_bytes_max: None,
};

#[test]
fn only_layers_that_nobody_has_go() {
    let (a, b) = (
        image("a", &[], &["base", "a"], 0),
        image("b", &[], &["base", "b"], 0),
    );
    let mut state = state(&[a, b]);
    state.pin(&digest("a"));
    assert_eq!(state.forget(&digest("a")), []);
    state.unpin(&digest("a"));
    assert_eq!(state.forget_unused_layers(), [digest("a")]);
    let mut gone = state.forget(&digest("b"));
    gone.sort();
    let mut expected = [digest("b"), digest("base")];
    expected.sort();
    assert_eq!(gone, expected);
    assert_eq!(state.disk_bytes(), 0);
}

/// Removes by `policy` as the store does; the names of what goes, in order.
fn prune(mut state: State, policy: PrunePolicy, now: i64) -> Vec<Digest> {
    let mut gone = Vec::new();
    while let Some(id) = state.next_to_prune(policy, WallTime(now * 1_000_000_000)) {
        state.forget(&id);
        gone.push(id);
    }
    gone
}

#[test]
fn the_longest_unused_goes_first() {
    let images = [
        image("mid", &[], &["m"], 20),
        image("old", &[], &["o"], 10),
        image("new", &[], &["n"], 30),
    ];
    let age = |seconds| PrunePolicy {
        unused_for: Some(Duration::from_secs(seconds)),
        disk_bytes_max: None,
    };
    let size = |bytes| PrunePolicy {
        unused_for: None,
        disk_bytes_max: Some(bytes),
    };
    for (policy, gone) in [
        (PrunePolicy::default(), &[][..]),
        (age(100), &[]),
        (age(15), &["old", "mid"]),
        (age(0), &["old", "mid", "new"]),
        (size(30), &[]),
        (size(29), &["old"]),
        (size(0), &["old", "mid", "new"]),
    ] {
        let expected: Vec<_> = gone.iter().map(|name| digest(name)).collect();
        assert_eq!(prune(state(&images), policy, 35), expected, "{policy:?}");
    }
}

proptest! {
    /// Whatever is leased, its image and layers stay, and pruning ends.
    #[test]
    fn pruning_never_takes_what_is_leased(
        layers in proptest::collection::vec(proptest::collection::vec(0u8..6, 0..4), 1..8),
        leased in proptest::collection::vec(0usize..8, 0..4),
        max in 0u64..100,
    ) {
        let images: Vec<_> = layers.iter().enumerate().map(|(n, layers)| {
            let names: Vec<_> = layers.iter().map(|layer| format!("layer {layer}")).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            image(&format!("image {n}"), &[], &names, n as i64)
        }).collect();
        let mut state = state(&images);
        let leased: BTreeSet<_> =
            leased.iter().filter_map(|n| images.get(*n)).map(|image| image.id.clone()).collect();
        state.leases.insert(uid("g"), Lease::Known(leased.clone()));
        let policy = PrunePolicy { unused_for: Some(Duration::ZERO), disk_bytes_max: Some(max) };
        while let Some(id) = state.next_to_prune(policy, WallTime(i64::MAX)) {
            prop_assert!(!leased.contains(&id));
            state.forget(&id);
        }
        prop_assert_eq!(state.images.keys().cloned().collect::<BTreeSet<_>>(), leased);
        for image in state.images.values() {
            for layer in &image.layers {
                prop_assert!(state.layers.contains_key(&layer.diff_id));
            }
        }
    }
}
