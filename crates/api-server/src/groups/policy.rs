//! PolicyReport: what is there and would not be accepted by the rules of today. What was accepted
//! stays, so that whoever makes the rules stricter must be told what they do not reach.

use burstlet_manifest::{Level, Refused};
use burstlet_model::status::Phase;
use burstlet_proto::v1;
use burstlet_supervisor::Snapshot;
use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::Origin;
use tonic::Status;

use super::query::after;
use super::resolve::Scope;
use crate::access::Asked;
use crate::convert;
use crate::machine::Machine;
use crate::pages::{self, Place};

/// A page of groups that are not over and would not be accepted.
pub(crate) fn report<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: &v1::PolicyReportRequest,
) -> Result<v1::PolicyReportResponse, Status> {
    let scope = Scope::new(api, &request.namespace, "", None)?;
    let after = after(&request.page_token)?;
    let mut all = scope.select(api.groups().list().groups);
    all.retain(|snapshot| {
        let place = Place::of(snapshot);
        let later = after.as_ref().is_none_or(|after| place > *after);
        later && !matches!(snapshot.status.phase, Phase::Succeeded | Phase::Failed)
    });
    // Judged one by one while the page has room: most groups are fine, and the node may be full.
    let mut broken = None;
    let entries = all.iter().map_while(|snapshot| {
        let entry = entry(api, snapshot);
        entry.map_err(|status| broken = Some(status)).ok()
    });
    let (groups, more) = pages::page(entries.flatten(), request.page_size);
    if let Some(status) = broken {
        return Err(status);
    }
    let last = groups.last().and_then(|entry| entry.group.as_ref());
    let last = last.filter(|_| more).and_then(|last| {
        let mut all = all.iter();
        all.find(|snapshot| snapshot.uid.as_str() == last.uid)
    });
    Ok(v1::PolicyReportResponse {
        next_page_token: last.map_or_else(String::new, |last| Place::of(last).token()),
        groups,
    })
}

/// What is told of a group; nothing if it would be accepted.
fn entry<H: Host, M: Machine>(
    api: &Asked<H, M>,
    snapshot: &Snapshot,
) -> Result<Option<v1::PolicyReportEntry>, Status> {
    let Some(refused) = refused(api, snapshot)? else {
        return Ok(None);
    };
    let of_rules = refused
        .findings
        .iter()
        .filter(|f| f.level == Level::Refused);
    Ok(Some(v1::PolicyReportEntry {
        group: Some(convert::group_ref(snapshot)),
        origin: snapshot.definition.origin.as_str().to_owned(),
        phase: snapshot.status.phase.as_str().to_owned(),
        findings: of_rules.map(convert::finding).collect(),
    }))
}

/// Why a group would not be accepted.
fn refused<H: Host, M: Machine>(
    api: &Asked<H, M>,
    snapshot: &Snapshot,
) -> Result<Option<Refused>, Status> {
    let source = convert::parse_source(&snapshot.definition.source)?;
    let settings = api.settings();
    let translated = match snapshot.definition.origin {
        Origin::Direct => api.translate(&source, &snapshot.uid, ""),
        Origin::Kubernetes => {
            let namespace = snapshot.name().namespace.as_str();
            let judgement = settings.pods.judge(namespace, &source);
            let translated = api.translate_by(&settings.pods, &source, &snapshot.uid, "");
            judgement.over(translated)
        }
    };
    Ok(translated.err())
}
