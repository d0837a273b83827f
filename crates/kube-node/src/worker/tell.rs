//! Tells the API server how the pod is: its status, its events, and that it has ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use burstlet_model::status::{Event, Severity};
use burstlet_model::{GroupUid, WallTime};
use burstlet_supervisor::Snapshot;
use burstlet_supervisor::host::Host;
use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Error};
use serde_json::Value;
use tokio::time::Instant;

use super::account::Asked;
use super::hindrance::Hindrance;
use super::{Local, RETRY_MAX, RETRY_MIN, Worker};
use crate::deletion::delete;
use crate::error::is_code;
use crate::events::{Events, Telling};
use crate::pod::containers::Told;
use crate::pod::patch::patch;
use crate::pod::patience::{Difference, patience};
use crate::pod::seen::Pod;
use crate::pod::status::{self, Had, Status};

/// How long the watch may take to show what was written.
const ECHO_MAX: Duration = Duration::from_secs(5);

/// What was told, and when to tell more.
pub(super) struct Teller {
    /// Events from before are told already.
    since: WallTime,
    told: HashMap<(String, String, Option<String>), u32>,
    /// The last write, until the watch shows it.
    written: Option<Written>,
    /// What there is to tell, and by when.
    differs: Option<Difference>,
    /// After a write that failed.
    retry: Option<Instant>,
    pause: Duration,
}

/// What was written, and when.
struct Written {
    /// The uid that it was written of: of a file's pod there may be another mirror by now.
    uid: GroupUid,
    status: Value,
    at: Instant,
}

impl Teller {
    pub(super) fn new(since: WallTime) -> Self {
        Self {
            since,
            told: HashMap::new(),
            written: None,
            differs: None,
            retry: None,
            pause: RETRY_MIN,
        }
    }

    /// When there is something to tell without anything having changed.
    pub(super) fn due(&self) -> Option<Instant> {
        let told_by = self.differs.map(Difference::due);
        self.retry.or(told_by)
    }

    /// There is nothing more to tell for now.
    fn wrote(&mut self, pod: &Pod, status: Status) {
        self.written = pod.told_as().map(|uid| Written {
            uid: uid.clone(),
            status: Value::Object(status),
            at: Instant::now(),
        });
        self.pause = RETRY_MIN;
        self.rest();
    }

    /// Nothing is due: a time that has passed would wake the worker over and over.
    const fn rest(&mut self) {
        self.differs = None;
        self.retry = None;
    }

    /// Tells an event of ours, counting how often.
    pub(super) fn tell_again(&mut self, events: &Events, pod: &Pod, mut telling: Telling) {
        let key = (
            telling.reason.clone(),
            telling.message.clone(),
            telling.container.clone(),
        );
        let count = self.told.entry(key).or_insert(0);
        *count += 1;
        telling.count = *count;
        events.tell(pod, &telling);
    }

    /// Tells those of the group's events that are new.
    fn events(&mut self, events: &Events, pod: &Pod, all: &[Event]) {
        for event in all.iter().filter(|event| event.at.0 >= self.since.0) {
            let container = event.container.as_ref().map(ToString::to_string);
            let key = (
                event.reason.clone(),
                event.message.clone(),
                container.clone(),
            );
            let before = self.told.insert(key, event.count);
            if before == Some(event.count) {
                continue;
            }
            let telling = Telling {
                warning: event.severity == Severity::Warning,
                reason: event.reason.clone(),
                message: event.message.clone(),
                container,
                count: event.count,
                at: event.at,
            };
            events.tell(pod, &telling);
        }
    }
}

impl<H: Host> Worker<H> {
    /// Tells the status where it differs; `true` if the API server has it as it is.
    pub(super) async fn tell(&mut self, pod: &Pod) -> bool {
        let has = pod.status();
        let Some(wanted) = self.status(pod, &has) else {
            return true;
        };
        let Some(uid) = pod.told_as() else {
            // Nobody is there to be told.
            return true;
        };
        let Some(change) = patch(uid, &has, &wanted) else {
            self.teller.written = None;
            self.teller.rest();
            return true;
        };
        let now = Instant::now();
        if self.is_written(uid, &wanted, now) {
            // What the watch shows is from before.
            self.teller.rest();
            return true;
        }
        if self.teller.retry.is_some_and(|at| at > now) {
            return false;
        }
        let patience = patience(&has, &wanted, &change, pod.deletion_grace_s.is_some());
        let difference = Difference::next(self.teller.differs, patience, now);
        self.teller.differs = Some(difference);
        if now < difference.due() {
            return false;
        }
        self.write(pod, wanted, change).await
    }

    /// The API server keeps a deleted pod until its node says that it has ended.
    pub(super) async fn confirm(&mut self, pod: &Pod) {
        let deleted = {
            let _turn = self.shared.requests.acquire().await;
            delete(&self.shared.client, pod).await
        };
        match deleted {
            Ok(()) => {
                self.confirmed = true;
                self.teller.rest();
            }
            Err(error) => self.failed("confirm that the pod has ended", &error),
        }
    }

    fn is_written(&self, uid: &GroupUid, wanted: &Status, now: Instant) -> bool {
        let written = self.teller.written.as_ref();
        let lately = written.filter(|written| written.uid == *uid && now < written.at + ECHO_MAX);
        lately.is_some_and(|written| patch(uid, &written.status, wanted).is_none())
    }

    async fn write(&mut self, pod: &Pod, wanted: Status, change: Value) -> bool {
        let pods: Api<ApiPod> = Api::namespaced(self.shared.client.clone(), &pod.namespace);
        let written = {
            let _turn = self.shared.requests.acquire().await;
            let params = PatchParams::default();
            pods.patch_status(&pod.name, &params, &Patch::Strategic(change))
                .await
        };
        match written {
            Ok(_) => {
                self.teller.wrote(pod, wanted);
                true
            }
            // It is gone, or its name is another's: nobody is there to be told, which is news for the
            // watch to bring.
            Err(error) if is_code(&error, 404) || is_code(&error, 409) => {
                self.teller.wrote(pod, wanted);
                true
            }
            Err(error) => {
                self.failed("tell the pod's status", &error);
                false
            }
        }
    }

    fn failed(&mut self, doing: &str, error: &Error) {
        if is_code(error, 422) {
            tracing::error!(%error, "cannot {doing}");
        } else {
            tracing::warn!(%error, "cannot {doing}; trying again");
        }
        self.teller.retry = Some(Instant::now() + self.teller.pause);
        self.teller.pause = (self.teller.pause * 2).min(RETRY_MAX);
    }

    /// The status to tell, of a pod whose status the API server `has`.
    fn status(&mut self, pod: &Pod, has: &Value) -> Option<Status> {
        let (snapshot, gone) = match &self.local {
            Local::Group { snapshots, .. } => (Arc::clone(&snapshots.borrow()), false),
            Local::Gone(snapshot) => (Arc::clone(snapshot), true),
            Local::None(hindrance) => return self.status_of_none((pod, has), hindrance.as_ref()),
        };
        self.teller
            .events(&self.shared.events, pod, &snapshot.events);
        Some(self.status_of_group((pod, has), &snapshot, gone))
    }

    fn status_of_group(&mut self, had: Had<'_>, snapshot: &Snapshot, gone: bool) -> Status {
        let (pod, has) = had;
        let shared = &self.shared;
        let mut told = Told {
            uid: &snapshot.uid,
            spec: &snapshot.definition.spec,
            status: &snapshot.status,
            gone,
            generation: self.renewal.observed(pod),
            pending: self.renewal.pending.as_ref(),
            withheld: &self.renewal.withheld,
            cost: None,
            now: shared.now(),
        };
        let asked = Asked {
            costs: shared.config.costs.as_ref(),
            turns: &shared.turns,
            now: Instant::now(),
        };
        let phase = status::phase(pod, &told);
        self.account.look(asked, &snapshot.uid, has, phase);
        told.cost = self.account.said();
        status::of_group(had, &told, &shared.config.node.addresses)
    }

    fn status_of_none(&self, had: Had<'_>, hindrance: Option<&Hindrance>) -> Option<Status> {
        let (pod, now) = (had.0, self.shared.now());
        match hindrance {
            _ if pod.is_terminal() => None,
            Some(Hindrance::Refused { reason, message }) => {
                Some(status::of_failed(had, reason, message, now))
            }
            _ if pod.deletion_grace_s.is_some() => {
                let message = "the pod was deleted before anything of it ran";
                Some(status::of_failed(had, "", message, now))
            }
            Some(Hindrance::Missing(missing) | Hindrance::Declined(missing)) => {
                let addresses = &self.shared.config.node.addresses;
                Some(status::of_waiting(had, missing, addresses, now))
            }
            None => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::seen::tests::pod;

    #[test]
    fn nothing_is_due_when_nothing_is_to_be_told() {
        let now = Instant::now();
        let failed = || {
            let mut teller = Teller::new(WallTime(0));
            teller.differs = Some(Difference::next(None, ECHO_MAX, now));
            assert_eq!(teller.due(), Some(now + ECHO_MAX));
            teller.retry = Some(now + RETRY_MIN);
            assert_eq!(teller.due(), teller.retry);
            teller
        };
        let mut rests = failed();
        rests.rest();
        assert_eq!(rests.due(), None);
        let mut wrote = failed();
        let pod = pod(json!({"metadata": {"name": "web-1"}, "spec": {}}));
        wrote.wrote(&pod, Status::new());
        assert_eq!(wrote.due(), None);
        assert_eq!(wrote.written.unwrap().uid, *pod.told_as().unwrap());
    }
}
