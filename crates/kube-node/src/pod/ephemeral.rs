//! Ephemeral containers of a pod: added to its group while that runs, one by one, so that one that
//! cannot be does not keep the others away, and nothing else of the pod waits for it.

use std::collections::BTreeMap;

use burstlet_manifest::{Finding, Judgement, Level, Refused, Violation};
use burstlet_model::spec::GroupSpec;
use serde_json::{Map, Value, json};

use super::env::CONFIG_ERROR;
use super::inline::Missing;
use super::needs::items;

/// The list of a specification.
pub(crate) const LIST: &str = "ephemeralContainers";

/// One that the pod asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) name: String,
    /// As a group's manifest has it, unless something that it refers to is missing.
    pub(crate) container: Result<Value, Missing>,
}

/// Why some of those that the pod asks for are not there (yet), by their names.
pub(crate) type Withheld = BTreeMap<String, Missing>;

/// Adds to a group's manifest those of `asked` that it lacks and that `judge` does not object to.
pub(crate) fn add(
    group: &mut Value,
    asked: &[Asked],
    judge: impl Fn(&Value) -> Result<(), String>,
) -> Withheld {
    let mut withheld = Withheld::new();
    for one in asked {
        if items(group["spec"].get(LIST)).any(|has| has["name"] == *one.name) {
            continue;
        }
        match added(group, one, &judge) {
            Ok(with) => *group = with,
            Err(missing) => drop(withheld.insert(one.name.clone(), missing)),
        }
    }
    withheld
}

/// Whether a pod asks for one that its group does not have.
pub(crate) fn is_more_asked(pod: &Map<String, Value>, group: &GroupSpec) -> bool {
    let has = |name: &Value| {
        let mut has = group.ephemeral_containers.iter();
        has.any(|one| one.container.name.as_str() == name)
    };
    items(pod.get(LIST)).any(|asked| !has(&asked["name"]))
}

/// What is wrong with the last ephemeral container of the manifest that was refused; `None` if it is
/// not that. What was accepted before stays so, whatever the rules have become since.
pub(crate) fn objection(group: &Value, refused: &Refused) -> Option<String> {
    let last = items(group["spec"].get(LIST)).count().checked_sub(1)?;
    objections(&refused.findings, last)
}

/// What the standards have against the last ephemeral container of the manifest, of what they have
/// against its pod.
pub(crate) fn of_standards(
    pod: &Map<String, Value>,
    group: &Value,
    refused: &[Finding],
) -> Option<String> {
    let name = &items(group["spec"].get(LIST)).last()?["name"];
    let at = items(pod.get(LIST)).position(|container| container["name"] == *name)?;
    objections(refused, at)
}

/// What is warned about in those of this pod that were `added`, and what the audit trail is told of
/// them.
pub(crate) fn of_added(
    pod: &Map<String, Value>,
    judgement: Judgement,
    added: &[String],
) -> (Vec<Finding>, Vec<Violation>) {
    let is_new = |container: &Value| added.iter().any(|name| container["name"] == **name);
    let all = items(pod.get(LIST)).enumerate();
    let new: Vec<usize> = all.filter(|(_, c)| is_new(c)).map(|(at, _)| at).collect();
    let is_of_new = |path: &str| new.iter().any(|at| is_of(path, *at));
    let Judgement {
        mut warned,
        mut audited,
        ..
    } = judgement;
    warned.retain(|finding| is_of_new(&finding.path));
    audited.retain(|violation| is_of_new(&violation.path));
    (warned, audited)
}

/// The names of those that a group's manifest has.
pub(crate) fn names(group: &Value) -> Vec<String> {
    let all = items(group["spec"].get(LIST));
    let names = all.filter_map(|container| container["name"].as_str());
    names.map(str::to_owned).collect()
}

/// Whether a path is that of one of the list, or lies in it.
fn is_of(path: &str, at: usize) -> bool {
    let rest = path.strip_prefix(&format!("spec.{LIST}[{at}]"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What is refused of one of the list, or of the list as such.
fn objections(findings: &[Finding], at: usize) -> Option<String> {
    let list = format!("spec.{LIST}");
    let of_it = findings.iter().filter(|finding| {
        let concerned = is_of(&finding.path, at) || finding.path == list;
        finding.level == Level::Refused && concerned
    });
    let texts: Vec<String> = of_it.map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// What the API server fills in, or has seen to that it says nothing.
pub(crate) fn without_defaults(container: &mut Map<String, Value>) {
    container.remove("resources");
    container.remove("resizePolicy");
}

fn added(
    group: &Value,
    one: &Asked,
    judge: impl Fn(&Value) -> Result<(), String>,
) -> Result<Value, Missing> {
    let container = one.container.clone()?;
    let mut with = group.clone();
    match with["spec"].get_mut(LIST).and_then(Value::as_array_mut) {
        Some(list) => list.push(container),
        None => with["spec"][LIST] = json!([container]),
    }
    judge(&with).map_err(|message| Missing {
        reason: CONFIG_ERROR,
        message,
        container: Some(one.name.clone()),
    })?;
    Ok(with)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_manifest::{Context, Modes, Policy, Standard, translate};
    use burstlet_model::GroupUid;
    use burstlet_model::spec::ResourceList;

    use super::*;

    fn asked(container: Value) -> Asked {
        Asked {
            name: container["name"].as_str().unwrap().to_owned(),
            container: Ok(container),
        }
    }

    fn missing(name: &str) -> Asked {
        Asked {
            name: name.to_owned(),
            container: Err(Missing {
                reason: CONFIG_ERROR,
                message: "secret \"none\" not found".to_owned(),
                container: Some(name.to_owned()),
            }),
        }
    }

    fn group(ephemeral: &[&str], host_network: bool) -> Value {
        let looks = ephemeral.iter();
        let looks: Vec<_> = looks
            .map(
                |name| json!({"name": name, "image": "i", "securityContext": {"privileged": true}}),
            )
            .collect();
        json!({
            "apiVersion": "burstlet.dev/v1", "kind": "ContainerGroup",
            "metadata": {"name": "g"},
            "spec": {
                "hostNetwork": host_network, "hostUsers": host_network,
                "containers": [{"name": "web", "image": "i"}],
                "ephemeralContainers": looks,
            },
        })
    }

    /// By the rules of a node that allows hardly anything.
    fn judge(group: &Value) -> Result<(), String> {
        let policy = Policy {
            ephemeral_containers: true,
            ..Policy::default()
        };
        let context = Context {
            policy: &policy,
            uid: &GroupUid::new("u").unwrap(),
            name_suffix: "",
            allocatable: ResourceList::default(),
            domain: "",
        };
        match translate(group, &context) {
            Ok(_) => Ok(()),
            Err(refused) => objection(group, &refused).map_or(Ok(()), Err),
        }
    }

    #[test]
    fn each_is_judged_by_itself() {
        // What the group has was allowed once.
        let mut group = group(&["old"], true);
        let privileged =
            json!({"name": "strong", "image": "i", "securityContext": {"privileged": true}});
        let all = [
            asked(json!({"name": "old", "image": "another"})),
            asked(json!({"name": "first", "image": "i", "targetContainerName": "web"})),
            asked(privileged),
            missing("poor"),
            asked(json!({"name": "lost", "image": "i", "targetContainerName": "nobody"})),
            asked(json!({"name": "second", "image": "i"})),
        ];
        let withheld = add(&mut group, &all, judge);
        assert_eq!(names(&group), ["old", "first", "second"]);
        assert_eq!(group["spec"][LIST][0]["image"], "i", "none changes");
        let told: Vec<_> = withheld
            .iter()
            .map(|(name, why)| (&**name, &*why.message))
            .collect();
        let [lost, poor, strong] = told[..] else {
            panic!("{told:?}");
        };
        assert_eq!(poor, ("poor", "secret \"none\" not found"));
        assert!(
            lost.1
                .starts_with("spec.ephemeralContainers[2].targetContainerName"),
            "{lost:?}"
        );
        assert!(
            strong.1.contains("securityContext.privileged"),
            "{strong:?}"
        );
        assert!(withheld.values().all(|why| why.reason == CONFIG_ERROR));
        let again = add(&mut group, &all, judge);
        assert_eq!(again.len(), 3, "and nothing comes twice");
        assert_eq!(names(&group), ["old", "first", "second"]);
    }

    #[test]
    fn what_is_told_is_of_those_that_came() {
        let mut policy = Policy::default();
        policy.standards.modes = Modes {
            enforce: Standard::Privileged,
            warn: Standard::Baseline,
            audit: Standard::Baseline,
        };
        let context = json!({"privileged": true});
        let look = |name: &str| json!({"name": name, "securityContext": context});
        let spec = json!({LIST: [look("old"), look("new"), {"name": "tame"}]});
        let judgement = policy.judge("shop", &json!({"spec": spec}));
        let added = ["new", "tame"].map(str::to_owned);
        let (warned, audited) = of_added(spec.as_object().unwrap(), judgement, &added);
        let path = "spec.ephemeralContainers[1].securityContext.privileged";
        let warned: Vec<_> = warned.iter().map(|finding| &*finding.path).collect();
        let audited: Vec<_> = audited.iter().map(|violation| &*violation.path).collect();
        assert_eq!((warned, audited), (vec![path], vec![path]));
    }

    #[test]
    fn what_a_pod_asks_for_is_compared_by_name() {
        use burstlet_testkit::spec::{container, ephemeral, group};
        let mut has = group("g", vec![container("web")]);
        has.ephemeral_containers = vec![ephemeral("one"), ephemeral("two")];
        for (asked, more) in [
            (json!({}), false),
            (json!({LIST: []}), false),
            (json!({LIST: [{"name": "two"}]}), false),
            (json!({LIST: [{"name": "two"}, {"name": "three"}]}), true),
        ] {
            assert_eq!(
                is_more_asked(asked.as_object().unwrap(), &has),
                more,
                "{asked}"
            );
        }
    }

    #[test]
    fn there_is_a_bound() {
        let mut group = group(&[], false);
        let all: Vec<_> = (0..101)
            .map(|i| asked(json!({"name": format!("look-{i}"), "image": "i"})))
            .collect();
        let withheld = add(&mut group, &all, judge);
        assert_eq!(names(&group).len(), 100);
        assert_eq!(withheld.keys().collect::<Vec<_>>(), ["look-100"]);
    }
}
