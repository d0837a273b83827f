//! What the levels of the Pod Security Standards come to in a translation.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use burstlet_manifest::{Door, Finding, Level, Modes, Policy, Rule, Standard, Standards};
use common::{container, group, merge, permissive, spec, translate_with};
use serde_json::{Value, json};

fn at(level: Standard) -> Policy {
    Policy {
        standards: Standards::enforcing(Door::Direct, level),
        ..Policy::default()
    }
}

/// What is refused: the field, the rule and the control.
fn refused(policy: &Policy, manifest: &Value) -> Vec<(String, Rule, &'static str)> {
    let findings = match translate_with(policy, manifest) {
        Ok(_) => return Vec::new(),
        Err(refused) => refused.findings,
    };
    let refused = findings.into_iter().filter(|f| f.level == Level::Refused);
    refused.map(|f| (f.path, f.rule, f.control)).collect()
}

/// Everything that the operator can allow by name.
fn daring() -> Value {
    let context = json!({
        "privileged": true, "capabilities": {"add": ["NET_ADMIN"]},
        "seccompProfile": {"type": "Unconfined"},
    });
    let mut manifest = container(json!({"securityContext": context}));
    let more = json!({"spec": {
        "hostNetwork": true, "hostUsers": true,
        "volumes": [{"name": "v", "hostPath": {"path": "/srv/data"}}],
    }});
    merge(&mut manifest, more);
    manifest
}

#[test]
fn what_is_refused_is_told_once_and_with_its_control() {
    let context = "spec.containers[0].securityContext";
    let volume = "spec.volumes[0].hostPath.path".to_owned();
    let one = |path: &str, control| (path.to_owned(), Rule::NotAllowed, control);
    let mut told = refused(&at(Standard::Baseline), &daring());
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        one(
            &format!("{context}.capabilities.add"),
            "capabilities_baseline",
        ),
        one(&format!("{context}.privileged"), "privileged"),
        one(
            &format!("{context}.seccompProfile.type"),
            "seccompProfile_baseline",
        ),
        one("spec.hostNetwork", "hostNamespaces"),
        one("spec.hostUsers", ""),
        (volume, Rule::NotAllowed, "hostPathVolumes"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn each_level_takes_what_it_admits() {
    let by_name = Policy {
        standards: Standards::default(),
        ..permissive()
    };
    assert_eq!(refused(&by_name, &daring()), [], "allowed by name");
    assert_eq!(refused(&at(Standard::Privileged), &daring()), []);
    let strict = Policy {
        standards: Standards::enforcing(Door::Direct, Standard::Restricted),
        ..permissive()
    };
    let told = refused(&strict, &daring());
    assert!(told.iter().all(|(_, rule, _)| *rule == Rule::PodSecurity));
    let controls: Vec<&str> = told.iter().map(|(_, _, control)| *control).collect();
    for control in [
        "privileged",
        "hostNamespaces",
        "restrictedVolumes",
        "runAsNonRoot",
    ] {
        assert!(controls.contains(&control), "{control}: {controls:?}");
    }
    assert_eq!(refused(&at(Standard::Baseline), &group(json!({}))), []);
    let hardened = container(json!({"securityContext": {
        "allowPrivilegeEscalation": false, "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    }}));
    assert_eq!(refused(&at(Standard::Restricted), &hardened), []);
}

/// What the node itself must have stays its operator's to say.
#[test]
fn no_level_opens_what_is_the_nodes_own() {
    let policy = at(Standard::Privileged);
    let sysctl = json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}});
    let profile = json!({"type": "Localhost", "localhostProfile": "none"});
    for (manifest, path) in [
        (spec(sysctl), "spec.securityContext.sysctls[0].name"),
        (
            spec(json!({"securityContext": {"seccompProfile": profile}})),
            "spec.securityContext.seccompProfile.localhostProfile",
        ),
        (
            spec(json!({"networkIsolation": "Cluster"})),
            "spec.networkIsolation",
        ),
    ] {
        let told = refused(&policy, &manifest);
        assert_eq!(told.len(), 1, "{manifest}");
        assert_eq!((told[0].0.as_str(), told[0].1), (path, Rule::NotAllowed));
    }
}

#[test]
fn levels_of_a_namespace_count_in_it_alone() {
    let mut policy = at(Standard::Baseline);
    let open = Modes::enforcing(Standard::Privileged);
    policy.standards.namespaces.insert("ops".to_owned(), open);
    let mut manifest = daring();
    assert!(!refused(&policy, &manifest).is_empty());
    merge(&mut manifest, json!({"metadata": {"namespace": "ops"}}));
    assert_eq!(refused(&policy, &manifest), []);
}

#[test]
fn what_is_only_warned_about_or_audited_runs() {
    let mut policy = at(Standard::Privileged);
    policy.standards.modes.warn = Standard::Baseline;
    policy.standards.modes.audit = Standard::Restricted;
    let manifest = spec(json!({"hostNetwork": true, "hostUsers": true}));
    let translation = translate_with(&policy, &manifest).unwrap();
    let [finding]: [Finding; 1] = translation.findings.try_into().unwrap();
    assert_eq!(
        (finding.level, finding.control),
        (Level::Warned, "hostNamespaces")
    );
    assert_eq!(finding.path, "spec.hostNetwork");
    let audited: Vec<&str> = translation.audited.iter().map(|v| v.control).collect();
    assert!(audited.contains(&"runAsNonRoot") && audited.contains(&"hostNamespaces"));
}

/// A number may be written as text, and is the same number.
#[test]
fn no_other_spelling_passes_by_a_level() {
    let context = |user: Value| {
        container(json!({"securityContext": {
            "runAsUser": user, "capabilities": {"add": ["cap_net_admin"]},
        }}))
    };
    for user in [json!(0), json!("0")] {
        let told = refused(&at(Standard::Restricted), &context(user));
        assert!(told.iter().any(|(_, _, control)| *control == "runAsUser"));
        let added = |told: &&(String, Rule, &str)| told.2 == "capabilities_restricted";
        assert!(told.iter().filter(added).count() > 1, "{told:?}");
    }
}

#[test]
fn where_user_namespaces_are_required_nothing_goes_without() {
    let policy = Policy {
        user_namespaces_required: true,
        ..at(Standard::Privileged)
    };
    let told = refused(&policy, &spec(json!({"hostUsers": true})));
    let expected = ("spec.hostUsers".to_owned(), Rule::NotAllowed, "");
    assert_eq!(told, [expected]);
    let told = refused(&policy, &spec(json!({"hostNetwork": true})));
    assert_eq!(told[0].0, "spec.hostNetwork");
    assert_eq!(refused(&policy, &spec(json!({"hostUsers": false}))), []);
}
