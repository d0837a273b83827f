//! What clients ask of the group: judged by the table of verbs, answered once it is written down.

use std::sync::Arc;
use std::time::Duration;

use burstlet_model::ContainerName;
use burstlet_model::spec::ContainerKind;
use burstlet_model::status::Phase;
use tracing::info;

use super::GroupLoop;
use crate::change;
use crate::handle::{Ask, Command};
use crate::host::Host;
use crate::record::{Definition, Origin};
use crate::refusal::Refusal;
use crate::seen::{Cause, Run};
use crate::snapshot::Snapshot;
use crate::verb::{Admission, Verb};

/// Sessions kept of one group; it cannot be started more often.
const SESSIONS_MAX: usize = 1000;

impl<H: Host> GroupLoop<H> {
    /// Judges a command and begins what it asks for.
    pub(super) fn answer(&mut self, command: Command) {
        let verb = command.ask.verb();
        let phase = self.seen.phase();
        info!(%verb, phase = phase.as_str(), "asked");
        let judged = match verb.admit(phase) {
            Admission::Accept => self.obey(command.ask).map(|()| true),
            Admission::AlreadySo => Ok(false),
            Admission::Refuse(why) => Err(self.refuse(verb, why)),
        };
        match judged {
            Ok(true) => {
                self.saver.changed();
                let version = self.saver.urge();
                info!(%verb, "accepted");
                self.acks.push((version, command.reply));
            }
            Ok(false) => {
                info!(%verb, "is so already");
                // Whoever asked may have gone; the same below.
                let _ = command.reply.send(Ok(Arc::clone(&self.published.borrow())));
            }
            Err(refusal) => {
                info!(%verb, reason = refusal.reason(), "refused");
                let _ = command.reply.send(Err(refusal));
            }
        }
    }

    fn obey(&mut self, ask: Ask) -> Result<(), Refusal> {
        let now = self.shared.host.now();
        match ask {
            Ask::Start => self.start_again(),
            Ask::Stop { grace } => {
                let grace = self.grace(grace);
                self.seen.end(Cause::Stop, grace, now);
                Ok(())
            }
            Ask::Restart { container: None } if self.seen.phase().is_at_rest() => {
                self.start_again()
            }
            Ask::Restart { container: None } if self.is_outbid() => {
                let why = "its room is given to groups on demand; start it again once it has ended";
                Err(self.refuse(Verb::Restart, why))
            }
            Ask::Restart { container: None } => {
                self.seen.end(Cause::Restart, self.grace(None), now);
                Ok(())
            }
            Ask::Restart {
                container: Some(name),
            } => self.restart_container(&name),
            Ask::Delete { grace } => {
                let grace = self.grace(grace);
                self.seen.end(Cause::Delete, grace, now);
                Ok(())
            }
            Ask::Update {
                definition,
                expected_version,
            } => self.update(definition, expected_version),
        }
    }

    fn start_again(&mut self) -> Result<(), Refusal> {
        if self.seen.sessions.len() >= SESSIONS_MAX {
            return Err(Refusal::TooManySessions {
                group: self.origin.definition.spec.name.clone(),
                sessions_max: SESSIONS_MAX,
            });
        }
        let spec = &self.origin.definition.spec;
        self.shared.host.admit(spec)?;
        let seat = self.shared.room.enter(&self.origin.uid, spec);
        let seat = seat.map_err(|_| Refusal::QueueFull {
            waiting_max: self.shared.waiting_max(),
        })?;
        self.seen.start_again(self.shared.host.now());
        self.seen.place = Some(seat.borrow().clone());
        self.seat = Some(seat);
        self.returning = None;
        Ok(())
    }

    fn restart_container(&mut self, name: &ContainerName) -> Result<(), Refusal> {
        let index = self.seen.container_index(name);
        let index = index.ok_or_else(|| Refusal::NoContainer {
            group: self.origin.definition.spec.name.clone(),
            container: name.clone(),
        })?;
        if self.seen.ending.is_some() {
            return Err(self.refuse(Verb::RestartContainer, "it is coming to its end"));
        }
        let container = self.seen.containers.get(index);
        let why_not = container.and_then(|container| match (container.kind, &container.run) {
            (ContainerKind::Init, Run::Ended(_)) if self.seen.is_initialized() => {
                Some("an init container that is done; restart the group instead")
            }
            (ContainerKind::Ephemeral, _) => Some("an ephemeral container, which runs once"),
            _ => None,
        });
        if let Some(why_not) = why_not {
            return Err(Refusal::NotRunning {
                group: self.origin.definition.spec.name.clone(),
                container: name.clone(),
                state: why_not.to_owned(),
            });
        }
        let spec = Arc::clone(&self.origin.definition.spec);
        let (grace, now) = (self.grace(None), self.shared.host.now());
        self.seen.restart_container(&spec, index, grace, now);
        Ok(())
    }

    fn update(&mut self, new: Definition, expected: Option<u64>) -> Result<(), Refusal> {
        let snapshot: Arc<Snapshot> = Arc::clone(&self.published.borrow());
        if let Some(expected) = expected.filter(|e| *e != snapshot.resource_version) {
            return Err(Refusal::Changed {
                group: snapshot.name().clone(),
                expected,
                now: snapshot.resource_version,
            });
        }
        let (old, standing) = (&self.origin.definition.spec, &new.spec);
        let change = match self.origin.definition.origin {
            Origin::Direct => change::of_direct(old, standing),
            Origin::Kubernetes => change::of_pod(old, standing),
        };
        let change = change.ok_or_else(|| Refusal::Immutable(snapshot.name().clone()))?;
        if change.resized {
            if self.seen.processors.is_some() && standing.whole_processors().is_none() {
                return Err(Refusal::OwnProcessors(snapshot.name().clone()));
            }
            let given = self.shared.room.resize(&self.origin.uid, &new.spec);
            given.map_err(|short| Refusal::TooLittleRoom {
                group: snapshot.name().clone(),
                short,
            })?;
        }
        self.origin.definition = new;
        let now = self.shared.host.now();
        self.seen.change(&self.origin.definition.spec, &change, now);
        Ok(())
    }

    /// Whether the group has to leave its room to others.
    fn is_outbid(&self) -> bool {
        let ending = self.seen.ending.as_ref();
        ending.is_some_and(|ending| ending.cause == Cause::SpotEvicted)
    }

    fn grace(&self, asked: Option<Duration>) -> Duration {
        let own = self.origin.definition.spec.termination_grace_period_s;
        asked.unwrap_or_else(|| Duration::from_secs(own.into()))
    }

    fn refuse(&self, verb: Verb, why: &'static str) -> Refusal {
        let phase: Phase = self.seen.phase();
        Refusal::WrongPhase {
            verb,
            group: self.origin.definition.spec.name.clone(),
            phase,
            why,
        }
    }
}

impl Ask {
    const fn verb(&self) -> Verb {
        match self {
            Self::Start => Verb::Start,
            Self::Stop { .. } => Verb::Stop,
            Self::Restart { container: None } => Verb::Restart,
            Self::Restart { container: Some(_) } => Verb::RestartContainer,
            Self::Delete { .. } => Verb::Delete,
            Self::Update { .. } => Verb::Update,
        }
    }
}
