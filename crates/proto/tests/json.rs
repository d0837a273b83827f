//! The proto3 JSON form of a group uses exactly the words of a PodSpec.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burstlet_proto::v1::ContainerGroup;

const GROUP: &str = r#"{
  "metadata": {"name": "web", "labels": {"app": "web"}, "tags": {"team": "a"}},
  "spec": {
    "containers": [{
      "name": "web",
      "image": "nginx",
      "env": [
        {"name": "EMPTY", "value": ""},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
      ],
      "ports": [{"containerPort": 80, "hostIP": "127.0.0.1"}],
      "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}},
      "livenessProbe": {"httpGet": {"path": "/", "port": "80"}, "initialDelaySeconds": 0},
      "securityContext": {"runAsUser": 0, "capabilities": {"drop": ["ALL"]}}
    }],
    "volumes": [
      {"name": "tmp", "emptyDir": {"medium": "Memory"}},
      {"name": "key", "secret": {"data": {"k": "AAE="}}},
      {"name": "info", "downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]}}
    ],
    "setHostnameAsFQDN": false,
    "hostUsers": false
  }
}"#;

#[test]
fn speaks_pod_spec() {
    let given: serde_json::Value = serde_json::from_str(GROUP).unwrap();
    let group: ContainerGroup = serde_json::from_value(given.clone()).unwrap();
    assert_eq!(serde_json::to_value(&group).unwrap(), given);
}

#[test]
fn refuses_two_sources_of_one_volume() {
    let both = r#"{"spec": {"volumes": [{"name": "v", "emptyDir": {}, "secret": {}}]}}"#;
    assert!(serde_json::from_str::<ContainerGroup>(both).is_err());
}
