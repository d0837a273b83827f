//! Why a pod has no group, and what is told of that.

use burstlet_manifest::{Finding, Level, Refused, Rule};
use serde_json::Value;

use crate::pod::claims::Unusable;
use crate::pod::env::CONFIG_ERROR;
use crate::pod::inline::Missing;
use crate::pod::volumes::MOUNT_ERROR;

/// Kubernetes' word for a sandbox that cannot be made yet.
const SANDBOX_ERROR: &str = "FailedCreatePodSandBox";
/// Our word for what this node does not do.
const NOT_SUPPORTED: &str = "NotSupported";
/// Where a pod asks for sysctls.
const SYSCTLS_PATH: &str = "spec.securityContext.sysctls";
/// Ends of the paths of fields that a kubelet looks at for each start of a container: a path that is
/// made of variables, and a root where none may be.
const OF_STARTS: [&str; 2] = [".subPathExpr", ".securityContext.runAsNonRoot"];
/// Kubernetes' word for an event of a container that did not start.
const NOT_STARTED: &str = "Failed";

/// Why there is no group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// Something is missing, and may come.
    Missing(Missing),
    /// It is not meant for this node, and stays as it is.
    Declined(Missing),
    /// It will never be run here.
    Refused {
        reason: &'static str,
        message: String,
    },
}

impl Hindrance {
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Declined(_))
    }

    pub(super) fn later(message: impl Into<String>) -> Self {
        Self::Missing(Missing {
            reason: SANDBOX_ERROR,
            message: message.into(),
            container: None,
        })
    }

    /// A claim that cannot be mounted.
    pub(super) fn of_claim(claim: Unusable) -> Self {
        match claim {
            Unusable::Yet(message) => Self::Missing(Missing {
                reason: MOUNT_ERROR,
                message,
                container: None,
            }),
            Unusable::Ever(message) => Self::Refused {
                reason: NOT_SUPPORTED,
                message,
            },
        }
    }

    /// The event's word and text, and the container that it is of.
    pub(super) fn telling(&self) -> (&'static str, String, Option<String>) {
        match self {
            Self::Missing(Missing {
                message,
                container: Some(container),
                ..
            }) => {
                let text = format!("Error: {message}");
                (NOT_STARTED, text, Some(container.clone()))
            }
            Self::Missing(missing) | Self::Declined(missing) => {
                (missing.reason, missing.message.clone(), None)
            }
            Self::Refused { reason, message } => (reason, message.clone(), None),
        }
    }
}

/// A pod that will never be what can be run here.
pub(super) fn for_good(refused: &Refused) -> Hindrance {
    Hindrance::Refused {
        reason: reason(refused),
        message: refusal(refused),
    }
}

/// The container that waits for what it cannot be started with: on a kubelet it waits, too, and what
/// is made of the pod's labels and annotations may become another. `None` if anything else is wrong.
pub(super) fn expected(refused: &Refused, group: &Value) -> Option<Hindrance> {
    let wrong = || {
        let findings = refused.findings.iter();
        findings.filter(|finding| finding.level == Level::Refused)
    };
    let is_of_start = |finding: &Finding| {
        // What a level asks for does not come by waiting.
        let ends = OF_STARTS.iter().any(|end| finding.path.ends_with(end));
        ends && finding.rule != Rule::PodSecurity
    };
    if !wrong().all(is_of_start) {
        return None;
    }
    let first = &wrong().next()?.path;
    // spec.containers[2].volumeMounts[0].subPathExpr
    let (list, rest) = first.strip_prefix("spec.")?.split_once('[')?;
    let index: usize = rest.split_once(']')?.0.parse().ok()?;
    let container = group["spec"][list][index]["name"].as_str()?;
    Some(Hindrance::Missing(Missing {
        reason: CONFIG_ERROR,
        message: sentences(wrong()),
        container: Some(container.to_owned()),
    }))
}

/// A word for what is wrong, of the first that is.
fn reason(refused: &Refused) -> &'static str {
    let first = refused
        .findings
        .iter()
        .find(|finding| finding.level == Level::Refused);
    let of_standards = first.is_some_and(|finding| !finding.control.is_empty());
    match first.map(|finding| (finding.rule, finding.path.as_str())) {
        // A kubelet's words, which tests and people look for.
        Some((_, "spec.os.name")) => "PodOSNotSupported",
        Some((Rule::NotAllowed, path)) if path.starts_with(SYSCTLS_PATH) => "SysctlForbidden",
        Some((Rule::Unsupported | Rule::UnknownField, _)) => NOT_SUPPORTED,
        Some(_) if of_standards => "PodSecurityViolation",
        Some((Rule::NotAllowed, _)) => "NotAllowed",
        _ => "InvalidPodSpec",
    }
}

fn refusal(refused: &Refused) -> String {
    let wrong = refused
        .findings
        .iter()
        .filter(|finding| finding.level == Level::Refused);
    format!("Pod was rejected: {}", sentences(wrong))
}

pub(super) fn sentences<'f>(findings: impl Iterator<Item = &'f Finding>) -> String {
    findings
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn finding(path: &str, level: Level, rule: Rule) -> Finding {
        let of_standards = rule == Rule::PodSecurity;
        Finding {
            path: path.to_owned(),
            level,
            rule,
            control: if of_standards { "sysctls" } else { "" },
            message: "it is wrong".to_owned(),
            way_out: String::new(),
        }
    }

    #[test]
    fn what_a_container_may_wait_for() {
        let group = json!({"spec": {"initContainers": [{"name": "first"}, {"name": "second"}]}});
        let path = "spec.initContainers[1].volumeMounts[0].subPathExpr";
        let wrong = finding(path, Level::Refused, Rule::Invalid);
        let warned = finding("spec.new", Level::Warned, Rule::UnknownField);
        let mut findings = vec![warned, wrong];
        let refused = |findings: &[Finding]| Refused {
            findings: findings.to_vec(),
        };
        let Some(Hindrance::Missing(missing)) = expected(&refused(&findings), &group) else {
            panic!("it is not waited for");
        };
        let (word, text, container) = Hindrance::Missing(missing.clone()).telling();
        assert_eq!((word, container.as_deref()), ("Failed", Some("second")));
        assert!(text.starts_with("Error: "), "{text}");
        assert_eq!(missing.reason, "CreateContainerConfigError");
        assert_eq!(missing.container.as_deref(), Some("second"));
        assert!(missing.message.contains(path), "{}", missing.message);
        assert!(!missing.message.contains("spec.new"), "{}", missing.message);
        let root = "spec.initContainers[0].securityContext.runAsNonRoot";
        findings.push(finding(root, Level::Refused, Rule::Invalid));
        assert!(expected(&refused(&findings), &group).is_some());
        findings.push(finding("spec.hostPID", Level::Refused, Rule::NotAllowed));
        assert_eq!(expected(&refused(&findings), &group), None);
    }

    #[test]
    fn what_is_wrong_in_a_word() {
        let warned = finding("spec.containers[0].new", Level::Warned, Rule::UnknownField);
        for (path, rule, word) in [
            ("spec.os.name", Rule::Unsupported, "PodOSNotSupported"),
            (
                "spec.securityContext.sysctls[1].name",
                Rule::NotAllowed,
                "SysctlForbidden",
            ),
            (
                "spec.securityContext.sysctls[1].name",
                Rule::Invalid,
                "InvalidPodSpec",
            ),
            ("spec.hostNetwork", Rule::NotAllowed, "NotAllowed"),
            ("spec.hostPID", Rule::PodSecurity, "PodSecurityViolation"),
            ("spec.volumes[0].csi", Rule::Unsupported, "NotSupported"),
            ("spec.volumes[0].cis", Rule::UnknownField, "NotSupported"),
        ] {
            let findings = vec![warned.clone(), finding(path, Level::Refused, rule)];
            assert_eq!(reason(&Refused { findings }), word, "{path}: {rule:?}");
        }
    }
}
