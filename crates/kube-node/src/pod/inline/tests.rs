use burstlet_manifest::{Context, Policy, translate};
use burstlet_model::GroupUid;
use burstlet_model::spec::ResourceList;
use insta::{assert_debug_snapshot, assert_json_snapshot};

use super::*;
use crate::config::UserNamespaces;
use crate::pod::seen::tests::pod;

fn cluster() -> ClusterFacts {
    ClusterFacts {
        dns: vec![std::net::Ipv4Addr::new(10, 96, 0, 10).into()],
        domain: "cluster.local".to_owned(),
        host_searches: Vec::new(),
        selinux: false,
        user_namespaces: UserNamespaces::Prefer,
    }
}

/// What the API server has, for pods that refer to it.
fn fetched() -> Fetched {
    let mut fetched = Fetched::default();
    let settings = json!({"data": {"mode": "fast", "price": "$5"}, "binaryData": {"blob": "AAEC"}});
    fetched.config_maps.insert("settings".to_owned(), settings);
    let ca = json!({"data": {"ca.crt": "PEM"}});
    fetched
        .config_maps
        .insert("kube-root-ca.crt".to_owned(), ca);
    let login = json!({"data": {"user": "YW5u", "password": "cyRjcmV0"}});
    fetched.secrets.insert("login".to_owned(), login);
    let auths = json!({"auths": {
        "https://index.docker.io/v1/": {"auth": "YW5uOnBhc3M="},
        "registry.example.com:5000": {"username": "bob", "password": "word"},
    }});
    let auths = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        auths.to_string(),
    );
    fetched.secrets.insert(
        "pull".to_owned(),
        json!({"data": {".dockerconfigjson": auths}}),
    );
    let need = crate::pod::needs::TokenNeed {
        audience: String::new(),
        expiration_s: 3607,
    };
    fetched.tokens.insert(need, "a.b.c".to_owned());
    fetched
}

fn made(spec: &Value) -> Result<Value, Missing> {
    let pod = pod(json!({
        "metadata": {
            "name": "web-1", "labels": {"app": "web"}, "annotations": {"note": "kept"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "2", "controller": true}],
        },
        "spec": spec,
    }));
    let services = [("KUBERNETES_SERVICE_HOST".to_owned(), "10.96.0.1".to_owned())];
    group(&pod, &fetched(), &services, &cluster())
}

/// What the API server makes of a small pod: every default filled in.
fn defaulted() -> Value {
    json!({
        "containers": [{
            "name": "main", "image": "busybox:1", "imagePullPolicy": "IfNotPresent", "resources": {},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "volumeMounts": [{"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}],
            "env": [
                {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
                {"name": "ABSENT", "valueFrom": {"secretKeyRef": {"name": "none", "key": "x", "optional": true}}},
                {"name": "ACCOUNT", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.serviceAccountName"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
            ],
            "envFrom": [{"prefix": "S_", "configMapRef": {"name": "settings"}}, {"secretRef": {"name": "login"}}],
            "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
        }],
        "volumes": [
            {"name": "kube-api-access-x", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
            ]}},
            {"name": "some", "configMap": {"name": "settings", "defaultMode": 420, "items": [{"key": "mode", "path": "m"}]}},
            {"name": "hidden", "secret": {"secretName": "login", "defaultMode": 256}},
            {"name": "absent", "configMap": {"name": "none", "optional": true}},
        ],
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "builder", "serviceAccount": "builder", "nodeName": "edge-1",
        "securityContext": {}, "schedulerName": "default-scheduler", "priority": 2_000_001_000,
        "preemptionPolicy": "PreemptLowerPriority", "enableServiceLinks": true,
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        "imagePullSecrets": [{"name": "pull"}, {"name": "absent"}],
    })
}

#[test]
fn a_pod_with_the_api_servers_defaults() {
    let group = made(&defaulted()).unwrap();
    assert_json_snapshot!(group);
    let uid = GroupUid::new("u-1").unwrap();
    let policy = Policy {
        cluster_network: true,
        ..Policy::default()
    };
    let context = Context {
        policy: &policy,
        uid: &uid,
        name_suffix: "",
        allocatable: ResourceList::default(),
        domain: "cluster.local",
    };
    let translation = translate(&group, &context).unwrap();
    assert_eq!(
        translation.findings,
        [],
        "what every pod has is not worth a warning"
    );
    assert_debug_snapshot!(translation.spec);
}

#[test]
fn labels_count_where_the_kernel_has_them() {
    let context = json!({"runAsUser": 1, "seLinuxOptions": {"level": "s0"}});
    let spec = json!({
        "containers": [{"name": "a", "image": "b", "securityContext": context}],
        "securityContext": context,
    });
    let pod = pod(json!({"metadata": {"name": "web-1"}, "spec": spec}));
    let with = |selinux| {
        let cluster = ClusterFacts {
            selinux,
            ..cluster()
        };
        let spec = group(&pod, &fetched(), &[], &cluster).unwrap()["spec"].clone();
        let contexts = [&spec, &spec["containers"][0]].map(|of| of["securityContext"].clone());
        contexts.map(|context| {
            (
                context["runAsUser"] == 1,
                context["seLinuxOptions"].is_object(),
            )
        })
    };
    assert_eq!(with(false), [(true, false); 2]);
    assert_eq!(with(true), [(true, true); 2]);
}

#[test]
fn the_hosts_network_has_the_hosts_resolver() {
    let spec = json!({"containers": [{"name": "a", "image": "b"}], "hostNetwork": true, "dnsPolicy": "ClusterFirst"});
    assert_eq!(made(&spec).unwrap()["spec"]["dnsPolicy"], "ClusterFirst");
}

#[test]
fn what_is_missing_is_said_as_a_kubelet_does() {
    let container = |source: Value| json!({"containers": [{"name": "a", "env": [{"name": "X", "valueFrom": source}]}]});
    let volume = |source: Value| json!({"containers": [], "volumes": [source]});
    let of_config = "CreateContainerConfigError";
    let cases = [
        (
            container(json!({"configMapKeyRef": {"name": "none", "key": "k"}})),
            of_config,
            "configmap \"none\" not found",
        ),
        (
            container(json!({"secretKeyRef": {"name": "none", "key": "k"}})),
            of_config,
            "secret \"none\" not found",
        ),
        (
            container(json!({"configMapKeyRef": {"name": "settings", "key": "k"}})),
            of_config,
            "couldn't find key k in ConfigMap shop/settings",
        ),
        (
            json!({"containers": [{"name": "a", "envFrom": [{"secretRef": {"name": "none"}}]}]}),
            of_config,
            "secret \"none\" not found",
        ),
        (
            volume(json!({"name": "v", "secret": {"secretName": "none"}})),
            "FailedMount",
            "MountVolume.SetUp failed for volume \"v\" : secret \"none\" not found",
        ),
        (
            volume(
                json!({"name": "v", "configMap": {"name": "settings", "items": [{"key": "k", "path": "p"}]}}),
            ),
            "FailedMount",
            "MountVolume.SetUp failed for volume \"v\" : configmap references non-existent key: k",
        ),
    ];
    for (spec, reason, message) in cases {
        let missing = made(&spec).unwrap_err();
        assert_eq!(
            (missing.reason, missing.message.as_str()),
            (reason, message),
            "{spec}"
        );
    }
}

#[test]
fn an_optional_volume_has_what_there_is() {
    let spec = json!({"containers": [], "volumes": [
        {"name": "v", "configMap": {"name": "settings", "optional": true,
            "items": [{"key": "none", "path": "p"}, {"key": "mode", "path": "m"}]}},
        {"name": "w", "configMap": {"name": "settings", "optional": true, "items": [{"key": "none", "path": "p"}]}},
    ]});
    let volumes = made(&spec).unwrap()["spec"]["volumes"].clone();
    assert_eq!(
        volumes[0]["configMap"]["items"],
        json!([{"key": "mode", "path": "m"}])
    );
    assert_eq!(volumes[1]["configMap"], json!({}));
}

#[test]
fn an_annotation_says_how_a_pod_is_scheduled() {
    let made = |annotations: Value| {
        let pod = pod(json!({
            "metadata": {"name": "web-0", "annotations": annotations},
            "spec": {"containers": []},
        }));
        let group = group(&pod, &fetched(), &[], &cluster()).unwrap();
        group["spec"]["scheduling"].clone()
    };
    let annotated = |word: &str| made(json!({"burstlet.dev/scheduling": word}));
    assert_eq!(made(json!({})), "OnDemand");
    assert_eq!(annotated("OnDemand"), "OnDemand");
    assert_eq!(annotated("Spot"), "Spot");
    // The translator says what is wrong with it.
    assert_eq!(annotated("spot"), Value::Null);
}
