//! `/metrics/probes`: how often the pods' probes said what.

use std::sync::Arc;

use burstlet_model::GroupUid;
use burstlet_supervisor::record::Origin;
use burstlet_supervisor::{ProbeCount, Snapshot};

use super::exposition::{Kind, Page};

const NAME: &str = "prober_probe_total";

/// The page; `counts` tells what was counted of a group.
pub(super) fn page(
    groups: &[Arc<Snapshot>],
    counts: impl Fn(&GroupUid) -> Vec<ProbeCount>,
) -> String {
    let mut page = Page::default();
    let help = "Results of the probes of a container, by its kind.";
    page.family(NAME, Kind::Counter, help);
    let pods = groups
        .iter()
        .filter(|group| group.definition.origin == Origin::Kubernetes);
    for pod in pods {
        for count in counts(&pod.uid) {
            results(&mut page, pod, &count);
        }
    }
    page.text()
}

fn results(page: &mut Page, pod: &Snapshot, count: &ProbeCount) {
    let name = pod.name();
    for (result, times) in [
        ("failed", count.failed),
        ("successful", count.successful),
        ("unknown", count.unknown),
    ] {
        let labels = [
            ("container", count.container.as_str()),
            ("namespace", name.namespace.as_str()),
            ("pod", name.name.as_str()),
            ("pod_uid", pod.uid.as_str()),
            ("probe_type", count.kind),
            ("result", result),
        ];
        page.sample(NAME, &labels, times, None);
    }
}
