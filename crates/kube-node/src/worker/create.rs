//! From a pod to its group: fetch what it refers to, translate, create.

use std::sync::Arc;

use burstlet_manifest::{Context, Finding, Policy, Refused, Rule, Translation, Violation};
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::{Definition, Origin};
use burstlet_supervisor::{CreateRequest, Refusal};
use serde_json::Value;

use super::hindrance::{Hindrance, expected, for_good, sentences};
use super::{Local, Retry, Worker};
use crate::config::Audited;
use crate::events::Telling;
use crate::pod::daemon;
use crate::pod::inline::Missing;
use crate::pod::needs::items;
use crate::pod::seen::Pod;

/// Kubernetes' word for what was lost without an end that anybody saw.
const LOST: &str = "ContainerStatusUnknown";

/// Where findings about tags are.
const TAGS_PATH: &str = "metadata.tags";
/// Our word for a pod that came here though it was not meant to.
const DECLINED: &str = "NotMeantForThisNode";

impl<H: Host> Worker<H> {
    pub(super) async fn create(&mut self, pod: &Pod) {
        match self.make(pod).await {
            Ok(local) => {
                self.local = local;
                self.retry = Retry::new();
            }
            Err(hindrance) => {
                self.tell_hindrance(pod, &hindrance);
                self.local = Local::None(Some(hindrance));
                self.retry.failed();
            }
        }
    }

    /// Tells by an event why the pod is not what it should be.
    pub(super) fn tell_hindrance(&mut self, pod: &Pod, hindrance: &Hindrance) {
        let (reason, message, container) = hindrance.telling();
        self.warn(pod, reason, message, container);
    }

    /// Tells something by an event, counting how often.
    pub(super) fn warn(
        &mut self,
        pod: &Pod,
        reason: &str,
        message: String,
        container: Option<String>,
    ) {
        let telling = Telling {
            warning: true,
            reason: reason.to_owned(),
            message,
            container,
            count: 1,
            at: self.shared.now(),
        };
        self.teller.tell_again(&self.shared.events, pod, telling);
    }

    async fn make(&mut self, pod: &Pod) -> Result<Local, Hindrance> {
        if has_run_for_good(pod) {
            return Err(Hindrance::Refused {
                reason: LOST,
                message: "the pod ran here, and nothing of it is left".to_owned(),
            });
        }
        if let Some(why) = self.declined(pod) {
            return Err(Hindrance::Declined(why));
        }
        let rendered = self.render(pod, None).await?;
        let translation = self.admit(pod, &rendered.group)?;
        self.tell_findings(pod, &translation.findings);
        self.audit(pod, &translation.audited);
        let request = CreateRequest {
            uid: self.uid.clone(),
            definition: Definition {
                spec: Arc::new(translation.spec),
                source: translation.source.to_string().into(),
                origin: Origin::Kubernetes,
            },
            request_id: None,
        };
        match self.shared.groups.create(request).await {
            Ok(_) | Err(Refusal::UidTaken(_)) => {}
            Err(refusal) => return Err(Hindrance::later(refusal.to_string())),
        }
        let handle = self.shared.groups.get(&self.uid);
        let handle = handle.map_err(|refusal| Hindrance::later(refusal.to_string()))?;
        self.renewal.begin(&self.shared.watching, rendered);
        Ok(Local::group(handle))
    }

    /// Tells what of the pod does not count, which tags the operator misses, and what the standards
    /// that are warned about have against it.
    pub(super) fn tell_findings(&mut self, pod: &Pod, findings: &[Finding]) {
        let subject = |finding: &Finding| match finding.rule {
            Rule::PodSecurity => "PodSecurityWarning",
            _ if finding.path.starts_with(TAGS_PATH) => "TagsRequired",
            _ => "FieldNotSupported",
        };
        for reason in ["FieldNotSupported", "TagsRequired", "PodSecurityWarning"] {
            let mut of_it = findings.iter().filter(|finding| subject(finding) == reason);
            if let Some(first) = of_it.next() {
                let text = sentences(std::iter::once(first).chain(of_it));
                self.warn(pod, reason, text, None);
            }
        }
    }

    pub(super) fn audit(&self, pod: &Pod, violations: &[Violation]) {
        if !violations.is_empty() {
            self.shared.config.auditor.tell(Audited {
                pod: format!("{}/{}", pod.namespace, pod.name),
                uid: self.uid.to_string(),
                violations: violations.iter().map(ToString::to_string).collect(),
            });
        }
    }

    fn declined(&self, pod: &Pod) -> Option<Missing> {
        let config = &self.shared.config;
        let rule = (config.daemon_sets, &*config.node.taints);
        let why = daemon::declined(pod.owner().as_deref(), &pod.spec(), rule);
        why.map(|message| Missing {
            reason: DECLINED,
            message,
            container: None,
        })
    }

    /// A new pod's manifest, under the rules that are in force.
    fn admit(&self, pod: &Pod, group: &Value) -> Result<Translation, Hindrance> {
        let policy = &self.shared.config.policy;
        let judgement = policy.judge(&pod.namespace, &pod.object());
        let translated = self.translate(group, policy);
        judgement
            .over(translated)
            .map_err(|refused| expected(&refused, group).unwrap_or_else(|| for_good(&refused)))
    }

    /// The manifest of a pod that runs: what was accepted stays accepted, whatever the rules have
    /// become since.
    pub(super) fn translate_again(&self, group: &Value) -> Result<Translation, Hindrance> {
        let policy = Policy {
            privilege_escalation_default: self.shared.config.policy.privilege_escalation_default,
            ..Policy::unrestricted()
        };
        let translated = self.translate(group, &policy);
        translated.map_err(|refused| for_good(&refused))
    }

    /// The manifest under these rules.
    pub(super) fn translate(&self, group: &Value, policy: &Policy) -> Result<Translation, Refused> {
        let config = &self.shared.config;
        let context = Context {
            policy,
            uid: &self.uid,
            name_suffix: "",
            allocatable: config.allocatable,
            domain: &config.cluster.domain,
        };
        burstlet_manifest::translate(group, &context)
    }
}

/// A pod that must not run twice, and has run.
fn has_run_for_good(pod: &Pod) -> bool {
    let never_again = pod
        .spec()
        .get("restartPolicy")
        .is_some_and(|policy| policy == "Never");
    let status = pod.status();
    let mut statuses = items(status.get("containerStatuses"));
    // What a mirror shows may be of an earlier pod of the file.
    never_again && !pod.from_file && statuses.any(|container| container["containerID"].is_string())
}
