//! From a pod to its group: fetch what it refers to, translate, create.

use std::sync::Arc;

use burstlet_manifest::{Context, Finding, Level, Refused, Rule, Translation};
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::{Definition, Origin};
use burstlet_supervisor::{CreateRequest, Refusal};
use serde_json::Value;

use super::{Local, Worker};
use crate::events::Telling;
use crate::fetch::fetch;
use crate::pod::inline::{self, Missing};
use crate::pod::needs::{items, needs};
use crate::pod::seen::Pod;

/// Kubernetes' word for a sandbox that cannot be made yet.
const SANDBOX_ERROR: &str = "FailedCreatePodSandBox";
/// Kubernetes' word for what was lost without an end that anybody saw.
const LOST: &str = "ContainerStatusUnknown";

/// Where findings about tags are.
const TAGS_PATH: &str = "metadata.tags";

/// Why there is no group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// Something is missing, and may come.
    Missing(Missing),
    /// It will never be run here.
    Refused {
        reason: &'static str,
        message: String,
    },
}

impl Hindrance {
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    fn later(message: impl Into<String>) -> Self {
        Self::Missing(Missing {
            reason: SANDBOX_ERROR,
            message: message.into(),
            container: None,
        })
    }

    fn telling(&self) -> (&str, &str, Option<String>) {
        match self {
            Self::Missing(missing) => (missing.reason, &missing.message, missing.container.clone()),
            Self::Refused { reason, message } => (reason, message, None),
        }
    }
}

impl<H: Host> Worker<H> {
    pub(super) async fn create(&mut self, pod: &Pod) {
        match self.make(pod).await {
            Ok(local) => self.local = local,
            Err(hindrance) => {
                let (reason, message, container) = hindrance.telling();
                let telling = Telling {
                    warning: true,
                    reason: reason.to_owned(),
                    message: message.to_owned(),
                    container,
                    count: 1,
                    at: self.shared.now(),
                };
                self.teller.tell_again(&self.shared.events, pod, telling);
                self.local = Local::None(Some(hindrance));
                self.retry.failed();
            }
        }
    }

    async fn make(&mut self, pod: &Pod) -> Result<Local, Hindrance> {
        if has_run_for_good(pod) {
            return Err(Hindrance::Refused {
                reason: LOST,
                message: "the pod ran here, and nothing of it is left".to_owned(),
            });
        }
        let group = self.group(pod).await?;
        let translation = self.translate(&group)?;
        self.tell_findings(pod, &translation.findings);
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
        handle
            .map(Local::group)
            .map_err(|refusal| Hindrance::later(refusal.to_string()))
    }

    /// Tells what of the pod does not count, and which tags the operator misses.
    fn tell_findings(&self, pod: &Pod, findings: &[Finding]) {
        let is_of_tags = |finding: &&Finding| finding.path.starts_with(TAGS_PATH);
        let (tags, fields): (Vec<_>, Vec<_>) = findings.iter().partition(is_of_tags);
        for (reason, findings) in [("FieldNotSupported", fields), ("TagsRequired", tags)] {
            if findings.is_empty() {
                continue;
            }
            let telling = Telling {
                warning: true,
                reason: reason.to_owned(),
                message: sentences(findings.into_iter()),
                container: None,
                count: 1,
                at: self.shared.now(),
            };
            self.shared.events.tell(pod, &telling);
        }
    }

    /// The pod as a group's manifest.
    async fn group(&self, pod: &Pod) -> Result<Value, Hindrance> {
        let spec = pod.spec();
        let fetched = {
            let _turn = self.shared.requests.acquire().await;
            fetch(&self.shared.client, pod, &needs(&spec)).await
        };
        // Right after the binding the authorizer may not know of it yet: that passes.
        let fetched = fetched
            .map_err(|error| Hindrance::later(format!("fetch what the pod refers to: {error}")))?;
        let links = spec.get("enableServiceLinks") != Some(&Value::Bool(false));
        let services = self.shared.services.variables(&pod.namespace, links).await;
        inline::group(pod, &fetched, &services, &self.shared.config.cluster)
            .map_err(Hindrance::Missing)
    }

    fn translate(&self, group: &Value) -> Result<Translation, Hindrance> {
        let config = &self.shared.config;
        let context = Context {
            policy: &config.policy,
            uid: &self.uid,
            name_suffix: "",
            allocatable: config.allocatable,
            domain: &config.cluster.domain,
        };
        burstlet_manifest::translate(group, &context).map_err(|refused| Hindrance::Refused {
            reason: reason(&refused),
            message: refusal(&refused),
        })
    }
}

/// A pod that must not run twice, and has run.
fn has_run_for_good(pod: &Pod) -> bool {
    let never_again = pod
        .spec()
        .get("restartPolicy")
        .is_some_and(|policy| policy == "Never");
    let mut statuses = items(pod.status.get("containerStatuses"));
    never_again && statuses.any(|container| container["containerID"].is_string())
}

/// A word for what is wrong, of the first that is.
fn reason(refused: &Refused) -> &'static str {
    let first = refused
        .findings
        .iter()
        .find(|finding| finding.level == Level::Refused);
    match first.map(|finding| finding.rule) {
        Some(Rule::Unsupported | Rule::UnknownField) => "NotSupported",
        Some(Rule::NotAllowed) => "NotAllowed",
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

fn sentences<'f>(findings: impl Iterator<Item = &'f Finding>) -> String {
    findings
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
