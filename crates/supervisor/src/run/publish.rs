//! What others are told of the group: snapshots, changes, records; and its birth and its end.

use std::sync::Arc;
use std::time::Duration;

use burstlet_model::spec::GroupSpec;
use tracing::{error, info};

use super::GroupLoop;
use crate::groups::Birth;
use crate::host::{Host, HostError};
use crate::journal::ChangeKind;
use crate::record::GroupRecord;
use crate::refusal::Refusal;
use crate::seen::Cause;
use crate::snapshot::Snapshot;

impl<H: Host> GroupLoop<H> {
    pub(super) fn publish(&mut self, spec: &GroupSpec) {
        // Nothing is shown before the ledger has it.
        if !self.teller.is_settled() {
            return;
        }
        let status = self.seen.status(spec);
        // That a group came to rest is told only once it is written down.
        if status.phase.is_at_rest() && !self.saver.is_settled() {
            return;
        }
        let revision = self.seen.events.revision();
        let last = Arc::clone(&self.published.borrow());
        let same_definition = Arc::ptr_eq(&last.definition.spec, &self.origin.definition.spec);
        if same_definition && revision == self.published_revision && last.status == status {
            return;
        }
        let events = match revision == self.published_revision {
            true => Arc::clone(&last.events),
            false => self.seen.events.to_shared(),
        };
        self.published_revision = revision;
        let snapshot = self.shared.journal.push(
            ChangeKind::Modified,
            Some(Arc::clone(&last.definition.spec)),
            Snapshot {
                uid: self.origin.uid.clone(),
                definition: self.origin.definition.clone(),
                status,
                events,
                resource_version: 0,
                request_id: self.origin.request_id.clone(),
            },
        );
        self.published.send_replace(snapshot);
    }

    pub(super) fn record(&self) -> GroupRecord {
        let mut status = self.seen.status(&self.origin.definition.spec);
        let statuses = status.all_containers_mut();
        for (container, attempt) in statuses.zip(self.seen.attempts()) {
            container.restart_count = attempt;
        }
        GroupRecord {
            uid: self.origin.uid.clone(),
            definition: self.origin.definition.clone(),
            request_id: self.origin.request_id.clone(),
            created: self.origin.created,
            status,
            ends_by: self.seen.ending.as_ref().map(|ending| ending.deadline),
            events: self.seen.events.to_shared().to_vec(),
        }
    }

    pub(super) fn be_born(&mut self) {
        self.published_revision = self.seen.events.revision();
        let first = self.origin.snapshot(&self.seen);
        let snapshot = self.shared.journal.push(ChangeKind::Added, None, first);
        self.published.send_replace(Arc::clone(&snapshot));
        self.born.send_replace(Birth::Alive(snapshot));
        info!("the group is created");
    }

    /// The group does not come to be. What was begun for it is undone first, for which it lives on
    /// unseen. Gives `false` if nothing was begun.
    pub(super) fn fail_birth(&mut self, source: &HostError) -> bool {
        error!(error = %source, "the group could not be written down; it is not created");
        self.release();
        self.born.send_replace(Birth::Failed(Refusal::NotSaved {
            group: self.origin.definition.spec.name.clone(),
            source: source.clone(),
        }));
        if !self.saver.is_written() {
            self.shared.forget(&self.origin.uid);
            return false;
        }
        self.saver.abandon();
        self.effects.refuse_starts(source);
        let now = self.shared.host.now();
        self.seen.end(Cause::Delete, Duration::ZERO, now);
        true
    }

    /// Nothing is left of the group: its name is free again, and whoever follows it is told.
    pub(super) fn vanish(mut self) {
        info!("the group is gone");
        if self.unadopted {
            self.count_adopted();
        }
        self.shared.forget(&self.origin.uid);
        if !matches!(*self.born.borrow(), Birth::Alive(_)) {
            return;
        }
        let last = self.origin.snapshot(&self.seen);
        let before = Arc::clone(&self.published.borrow().definition.spec);
        let last = self
            .shared
            .journal
            .push(ChangeKind::Deleted, Some(before), last);
        for (_, reply) in self.acks.drain(..) {
            // Whoever asked may have gone.
            let _ = reply.send(Ok(Arc::clone(&last)));
        }
        self.published.send_replace(last);
    }
}
