//! What of a group's manifest follows its pod while it runs. The rest stays as it was when the group
//! was made, whatever has become of the node's configuration since.

use serde_json::{Map, Value};

use super::needs::items;

/// Fields of a container that follow.
const OF_CONTAINER: [&str; 2] = ["env", "image"];
/// Fields of the specification that follow.
const OF_SPEC: [&str; 2] = ["activeDeadlineSeconds", "registryCredentials"];
/// What follows where there is room for it, of containers and of the whole.
const RESOURCES: &str = "resources";
/// Volumes whose contents follow.
const VOLUMES: [&str; 4] = ["configMap", "downwardAPI", "projected", "secret"];

/// The group's manifest `old` with what follows its pod, of which `new` was made, but for resources.
pub(crate) fn renewed(old: &Value, new: &Value) -> Value {
    let mut renewed = old.clone();
    for field in ["labels", "annotations"] {
        follow(&mut renewed["metadata"], &new["metadata"], field);
    }
    for field in OF_SPEC {
        follow(&mut renewed["spec"], &new["spec"], field);
    }
    for list in ["initContainers", "containers"] {
        each(&mut renewed, new, list, |container, new| {
            OF_CONTAINER
                .iter()
                .for_each(|field| follow(container, new, field));
        });
    }
    each(&mut renewed, new, "volumes", |volume, new| {
        if VOLUMES.iter().any(|kind| volume.get(kind).is_some()) {
            volume.clone_from(new);
        }
    });
    renewed
}

/// The group's manifest `old` with the resources of `new`.
pub(crate) fn resized(old: &Value, new: &Value) -> Value {
    let mut resized = old.clone();
    follow(&mut resized["spec"], &new["spec"], RESOURCES);
    for list in ["initContainers", "containers"] {
        each(&mut resized, new, list, |container, new| {
            follow(container, new, RESOURCES);
        });
    }
    resized
}

/// Every item of a list of the specification with the new one of its name.
fn each(old: &mut Value, new: &Value, list: &str, change: impl Fn(&mut Value, &Value)) {
    let olds = old["spec"].get_mut(list).and_then(Value::as_array_mut);
    for old in olds.into_iter().flatten() {
        let mut news = items(new["spec"].get(list));
        if let Some(new) = news.find(|new| new["name"] == old["name"]) {
            change(old, new);
        }
    }
}

fn follow(old: &mut Value, new: &Value, field: &str) {
    let Some(old): Option<&mut Map<String, Value>> = old.as_object_mut() else {
        return;
    };
    match new.get(field) {
        Some(value) => drop(old.insert(field.to_owned(), value.clone())),
        None => drop(old.remove(field)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_pod_may_change_follows_and_the_rest_stays() {
        let old = json!({
            "metadata": {"name": "g", "labels": {"a": "1"}, "annotations": {"gone": "x"}, "tags": {"t": "1"}},
            "spec": {
                "activeDeadlineSeconds": 60,
                "dnsPolicy": "Default",
                "containers": [
                    {"name": "web", "image": "one", "env": [{"name": "A", "value": "1"}], "tty": true},
                    {"name": "log", "image": "one"},
                ],
                "volumes": [
                    {"name": "config", "configMap": {"data": {"k": "1"}}},
                    {"name": "scratch", "emptyDir": {}},
                ],
            },
        });
        let new = json!({
            "metadata": {"name": "g", "labels": {"a": "2"}, "tags": {"t": "2"}},
            "spec": {
                "dnsPolicy": "None",
                "containers": [
                    {"name": "log", "image": "two", "env": [{"name": "B", "value": "2"}]},
                    {"name": "web", "image": "one", "tty": false},
                ],
                "volumes": [
                    {"name": "config", "configMap": {"data": {"k": "2"}}},
                    {"name": "scratch", "emptyDir": {"medium": "Memory"}},
                ],
            },
        });
        let expected = json!({
            "metadata": {"name": "g", "labels": {"a": "2"}, "tags": {"t": "1"}},
            "spec": {
                "dnsPolicy": "Default",
                "containers": [
                    {"name": "web", "image": "one", "tty": true},
                    {"name": "log", "image": "two", "env": [{"name": "B", "value": "2"}]},
                ],
                "volumes": [
                    {"name": "config", "configMap": {"data": {"k": "2"}}},
                    {"name": "scratch", "emptyDir": {}},
                ],
            },
        });
        assert_eq!(renewed(&old, &new), expected);
    }

    #[test]
    fn resources_follow_by_themselves() {
        let old = json!({"spec": {
            "resources": {"limits": {"cpu": "1"}},
            "initContainers": [{"name": "first", "resources": {"limits": {"cpu": "1"}}}],
            "containers": [{"name": "web", "image": "one"}, {"name": "log"}],
        }});
        let new = json!({"spec": {
            "initContainers": [{"name": "first", "resources": {"limits": {"cpu": "2"}}}],
            "containers": [
                {"name": "log"},
                {"name": "web", "image": "two", "resources": {"requests": {"memory": "1Mi"}}},
            ],
        }});
        let expected = json!({"spec": {
            "initContainers": [{"name": "first", "resources": {"limits": {"cpu": "2"}}}],
            "containers": [
                {"name": "web", "image": "one", "resources": {"requests": {"memory": "1Mi"}}},
                {"name": "log"},
            ],
        }});
        assert_eq!(resized(&old, &new), expected);
        assert_eq!(
            renewed(&old, &new)["spec"]["resources"],
            old["spec"]["resources"]
        );
    }
}
