//! What the groups' loops say, in the ledger's words, and back.

use std::collections::BTreeSet;

use burstlet_metering::ledger::AppendError;
use burstlet_metering::record::{
    Allocation, Close, Entry, Fact, Gap, Moment, Opened, Pull, Restart, SessionFact, SessionId,
};
use burstlet_model::GroupUid;
use burstlet_model::metering::{Allocated, Event, Known, Mark};
use burstlet_supervisor::host::GroupRef;

use super::Metering;

impl Metering {
    /// Tells the ledger what happened in a group's sessions: when this returns it is durable.
    pub(crate) async fn tell(
        &self,
        group: GroupRef<'_>,
        marks: &[Mark],
    ) -> Result<(), AppendError> {
        let entries = marks.iter().map(|mark| self.entry(group, mark));
        self.append(entries.collect()).await
    }

    /// What the ledger knows of a group's latest session.
    pub(crate) fn known(&self, uid: &GroupUid) -> Option<Known> {
        self.meter.look(|sessions| {
            let session = sessions.of_group(uid).last()?;
            let lasts = session.closed().is_none();
            let proof = self
                .last_mark
                .filter(|mark| lasts && mark.at.boot_id == session.boot_id());
            Some(Known {
                session: session.id().start,
                state: lasts.then(|| (session.state(), session.changed_at())),
                closed: session.closed().map(|closed| closed.at),
                allocated: Some(Allocated {
                    cpu: session.allocation().cpu,
                    memory: session.allocation().memory,
                }),
                pulls: session.pulls().last().map_or(0, |pull| pull.number),
                restarts: session.restarts_by_container().clone(),
                proof: proof.map(|mark| mark.at.stamp),
            })
        })
    }

    /// Closes the sessions of groups that nobody knows any more, when they were last known to
    /// change.
    pub(crate) async fn close_orphans(
        &self,
        known: &BTreeSet<GroupUid>,
    ) -> Result<(), AppendError> {
        let orphans: Vec<Entry> = self.meter.look(|sessions| {
            let orphans = sessions.open().filter(|s| !known.contains(&s.id().uid));
            let closed = orphans.map(|session| Entry {
                at: Moment {
                    boot_id: session.boot_id(),
                    stamp: session.changed_at(),
                },
                fact: Fact::Session {
                    id: session.id().clone(),
                    fact: SessionFact::Closed(Close::Lost),
                },
            });
            closed.collect()
        });
        for orphan in orphans {
            tracing::warn!(fact = ?orphan.fact, "closing the session of a group that is gone");
            self.append(vec![orphan]).await?;
        }
        Ok(())
    }

    fn entry(&self, group: GroupRef<'_>, mark: &Mark) -> Entry {
        let id = SessionId {
            uid: group.uid.clone(),
            start: mark.session,
        };
        // What is told of a session after its machine was started anew happened before.
        let boot_id = self
            .meter
            .look(|sessions| Some(sessions.get(&id)?.boot_id()));
        let boot_id = boot_id.unwrap_or(self.boot_id);
        let fact = match &mark.what {
            Event::Opened => {
                let arch = burstlet_image::Platform::host().architecture;
                SessionFact::Opened(Box::new(Opened::of(group.spec, &arch)))
            }
            Event::Entered(state) => SessionFact::Entered(*state),
            Event::Resized(allocated) => SessionFact::Resized(Allocation {
                cpu: allocated.cpu,
                memory: allocated.memory,
                ..Allocation::of(group.spec)
            }),
            Event::Pulled(number, pull) => SessionFact::Pulled(Pull {
                number: *number,
                image: pull.image.clone(),
                ns: u64::try_from(pull.duration.as_nanos()).unwrap_or(u64::MAX),
                bytes: pull.bytes,
            }),
            Event::Restarted(container, number) => SessionFact::Restarted(Restart {
                container: container.clone(),
                number: *number,
            }),
            Event::Adopted => SessionFact::Adopted,
            Event::Missed(reason, until) => SessionFact::Missed(Gap {
                from: mark.at.boot,
                to: match boot_id == self.boot_id {
                    true => until.boot,
                    false => mark.at.boot,
                },
                reason: *reason,
            }),
            Event::Closed(why) => SessionFact::Closed(*why),
        };
        Entry {
            at: Moment {
                boot_id,
                stamp: mark.at,
            },
            fact: Fact::Session { id, fact },
        }
    }
}
