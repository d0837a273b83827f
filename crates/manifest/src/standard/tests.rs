//! The controls, held against what Kubernetes' own library says; and what becomes of violations.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

/// Pods, one on a line, and the controls that forbid them by `k8s.io/pod-security-admission` v0.36.3,
/// at both levels.
const VERDICTS: &str = include_str!("../../tests/data/standards.jsonl");
const KINDS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
/// Controls that say nothing about a single container.
const OF_PODS: [&str; 4] = [
    "hostNamespaces",
    "hostPathVolumes",
    "restrictedVolumes",
    "sysctls",
];

struct Verdict {
    what: String,
    pod: Value,
    baseline: BTreeSet<String>,
    restricted: BTreeSet<String>,
}

fn verdicts() -> Vec<Verdict> {
    let verdict = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let controls = |list: &Value| {
            let list = list.as_array().unwrap().iter();
            list.map(|id| id.as_str().unwrap().to_owned()).collect()
        };
        Verdict {
            what: line["what"].as_str().unwrap().to_owned(),
            baseline: controls(&line["baseline"]),
            restricted: controls(&line["restricted"]),
            pod: line["pod"].take(),
        }
    };
    VERDICTS.lines().map(verdict).collect()
}

fn controls(level: Standard, pod: &Value) -> BTreeSet<String> {
    let violations = violations(level, pod);
    violations.iter().map(|v| v.control.to_owned()).collect()
}

#[test]
fn every_verdict_is_kubernetes_own() {
    for verdict in verdicts() {
        let Verdict { what, pod, .. } = &verdict;
        let baseline = controls(Standard::Baseline, pod);
        assert_eq!(baseline, verdict.baseline, "baseline, {what}");
        let restricted = controls(Standard::Restricted, pod);
        assert_eq!(restricted, verdict.restricted, "restricted, {what}");
        assert!(violations(Standard::Privileged, pod).is_empty(), "{what}");
    }
}

/// What the verdicts are worth: every control forbids something in each kind of container, and the
/// same field with another value is admitted somewhere.
#[test]
fn every_control_is_tried() {
    let verdicts = verdicts();
    for control in CONTROLS {
        let forbids = |verdict: &&Verdict| {
            verdict.baseline.contains(control.id) || verdict.restricted.contains(control.id)
        };
        let mut kinds: BTreeSet<&str> = BTreeSet::new();
        for verdict in verdicts.iter().filter(forbids) {
            kinds.extend(KINDS.iter().filter(|kind| verdict.what.starts_with(*kind)));
        }
        let wanted = if OF_PODS.contains(&control.id) { 0 } else { 3 };
        assert_eq!(kinds.len(), wanted, "{}: {kinds:?}", control.id);
        assert!(verdicts.iter().any(|v| forbids(&v)), "{}", control.id);
    }
    let clean = |verdict: &&Verdict| verdict.restricted.is_empty();
    assert!(verdicts.iter().filter(clean).count() > 40);
}

/// A place of each control, with what is told of it.
#[test]
fn every_violation_names_its_field() {
    let context = json!({
        "privileged": true, "procMount": "Unmasked", "runAsUser": 0, "runAsNonRoot": false,
        "capabilities": {"add": ["CAP_net_admin"]},
        "appArmorProfile": {"type": "Unconfined"},
        "seLinuxOptions": {"type": "spc_t", "user": "u"},
        "windowsOptions": {"hostProcess": true},
    });
    let pod = json!({
        "metadata": {"annotations": {
            "container.apparmor.security.beta.kubernetes.io/main": "unconfined",
        }},
        "spec": {
            "hostNetwork": true, "hostPID": true,
            "securityContext": {
                "seccompProfile": {"type": "Unconfined"},
                "sysctls": [{"name": "kernel/msgmax", "value": "1"}],
            },
            "containers": [
                {"name": "main", "securityContext": context, "ports": [{"hostPort": "80"}]},
            ],
            "initContainers": [
                {"name": "init", "livenessProbe": {"httpGet": {"host": "192.0.2.1", "port": 1}}},
            ],
            "volumes": [
                {"name": "a", "hostPath": {"path": "/srv"}},
                {"name": "b", "emptyDir": {}},
                {"name": "c", "nfs": {"server": "s", "path": "/"}},
                {"name": "d"},
            ],
        },
    });
    let told = [Standard::Baseline, Standard::Restricted].map(|level| {
        let violations = violations(level, &pod);
        let lines: Vec<String> = violations
            .iter()
            .map(|violation| violation.finding(Level::Refused, level, ""))
            .map(|finding| finding.to_string())
            .collect();
        lines.join("\n")
    });
    insta::assert_snapshot!(told.join("\n\n"));
}

fn of(door: Door, modes: Modes) -> Policy {
    Policy {
        standards: Standards {
            modes,
            ..Standards::enforcing(door, Standard::Privileged)
        },
        ..Policy::default()
    }
}

#[test]
fn each_mode_has_its_level() {
    let modes = Modes {
        enforce: Standard::Baseline,
        warn: Standard::Restricted,
        audit: Standard::Baseline,
    };
    let policy = of(Door::Kubernetes, modes);
    let pod = json!({"spec": {"hostPID": true, "hostUsers": false, "containers": [{
        "name": "main",
        "securityContext": {
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        },
    }]}});
    let judgement = policy.judge("shop", &pod);
    let paths =
        |findings: &[Finding]| -> Vec<String> { findings.iter().map(|f| f.path.clone()).collect() };
    assert_eq!(paths(&judgement.refused), ["spec.hostPID"]);
    let hardening = "spec.containers[0].securityContext.allowPrivilegeEscalation";
    assert_eq!(paths(&judgement.warned), [hardening], "nothing twice");
    let audited: Vec<String> = judgement.audited.iter().map(ToString::to_string).collect();
    assert_eq!(audited, ["hostNamespaces spec.hostPID"]);
    let all = (Level::Refused, Rule::PodSecurity, "hostNamespaces");
    let first = &judgement.refused[0];
    assert_eq!((first.level, first.rule, first.control), all);
    let way_out = "ask the operator for a wider level, by policy.kubernetes or policy.namespaces";
    assert_eq!(first.way_out, way_out);
    assert_eq!(judgement.warned[0].way_out, "", "it runs");
}

#[test]
fn a_namespace_may_have_levels_of_its_own() {
    let mut policy = of(Door::Kubernetes, Modes::enforcing(Standard::Restricted));
    let open = Modes::enforcing(Standard::Privileged);
    policy.standards.namespaces.insert("ops".to_owned(), open);
    let pod = json!({"spec": {"hostPID": true, "containers": []}});
    assert!(!policy.judge("shop", &pod).refused.is_empty());
    assert_eq!(policy.judge("ops", &pod), Judgement::default());
}

#[test]
fn what_is_audited_is_bounded() {
    let modes = Modes {
        audit: Standard::Restricted,
        ..Modes::enforcing(Standard::Privileged)
    };
    let containers: Vec<Value> = (0..100).map(|i| json!({"name": format!("c{i}")})).collect();
    let pod = json!({"spec": {"containers": containers}});
    let judgement = of(Door::Direct, modes).judge("shop", &pod);
    assert_eq!(judgement.audited.len(), AUDITED_MAX);
    assert!(judgement.refused.is_empty() && judgement.warned.is_empty());
}

/// What the operator names counts at baseline, and only what he names.
#[test]
fn what_is_allowed_by_name_is_an_exception_from_baseline() {
    let with = |context: Value| json!({"containers": [{"name": "a", "securityContext": context}]});
    let all = Policy {
        privileged: true,
        host_network: true,
        host_ports: true,
        unconfined_seccomp: true,
        host_paths: ["/srv".to_owned()].into(),
        sysctls: ["kernel.msg*".to_owned()].into(),
        capabilities: ["NET_ADMIN".to_owned()].into(),
        ..Policy::default()
    };
    let network = json!({"hostNetwork": true, "containers": [{"ports": [{"hostPort": 80}]}]});
    let path = |path: &str| json!({"volumes": [{"name": "v", "hostPath": {"path": path}}]});
    let sysctl = |name: &str| json!({"securityContext": {"sysctls": [{"name": name}]}});
    let cases = [
        (with(json!({"privileged": true})), true),
        (network.clone(), true),
        (json!({"containers": [{"ports": [{"hostPort": 80}]}]}), true),
        (
            with(json!({"seccompProfile": {"type": "Unconfined"}})),
            true,
        ),
        (path("/srv/data"), true),
        (sysctl("kernel.msgmax"), true),
        (
            with(json!({"capabilities": {"add": ["CAP_NET_ADMIN"]}})),
            true,
        ),
        (json!({"hostPID": true}), false),
        (with(json!({"procMount": "Unmasked"})), false),
        (path("/etc"), false),
        (sysctl("kernel.shmmax"), false),
        (with(json!({"capabilities": {"add": ["SYS_ADMIN"]}})), false),
        (with(json!({"seccompProfile": {"type": "Odd"}})), false),
    ];
    let refuses = |policy: &Policy, level, spec: &Value| {
        let standards = Standards::enforcing(Door::Kubernetes, level);
        let policy = Policy {
            standards,
            ..policy.clone()
        };
        let judgement = policy.judge("shop", &json!({"spec": spec}));
        !judgement.refused.is_empty()
    };
    for (spec, excepted) in cases {
        let none = Policy::default();
        assert!(refuses(&none, Standard::Baseline, &spec), "{spec}");
        let refused = refuses(&all, Standard::Baseline, &spec);
        assert_eq!(refused, !excepted, "{spec}");
        assert!(refuses(&all, Standard::Restricted, &spec), "{spec}");
    }
    // The ports of a pod that may use the host's network are the host's.
    let host_ports = Policy {
        host_ports: false,
        ..all.clone()
    };
    assert!(!refuses(&host_ports, Standard::Baseline, &network));
}

#[test]
fn ports_and_probes_of_groups_are_their_own() {
    let http = json!({"httpGet": {"host": "localhost", "port": 80}});
    let spec = json!({"containers": [{"ports": [{"hostPort": 80}], "livenessProbe": http}]});
    let at = |door, level| {
        let judgement = of(door, Modes::enforcing(level)).judge("shop", &json!({"spec": spec}));
        let refused = judgement.refused.iter().map(|finding| finding.control);
        let of_host = |control: &&str| control.starts_with("host");
        refused.filter(of_host).collect::<Vec<_>>()
    };
    for level in [Standard::Baseline, Standard::Restricted] {
        let both = ["hostPorts", "hostProbesAndHostLifecycle"];
        assert_eq!(at(Door::Kubernetes, level), both);
        assert!(at(Door::Direct, level).is_empty());
    }
}

#[test]
fn who_was_added_to_look_may_trace_where_there_are_own_users() {
    let pod = |list: &str, host_users: bool| {
        let context = json!({"capabilities": {"add": ["SYS_PTRACE"]}});
        let mut spec = json!({"hostUsers": host_users});
        spec[list] = json!([{"name": "look", "securityContext": context}]);
        json!({"spec": spec})
    };
    let policy = of(Door::Kubernetes, Modes::enforcing(Standard::Baseline));
    let refused = |list, users| !policy.judge("shop", &pod(list, users)).refused.is_empty();
    assert!(!refused("ephemeralContainers", false));
    assert!(refused("ephemeralContainers", true));
    assert!(refused("containers", false));
}
