//! The loop of one group: the only owner of its state.
//!
//! It sleeps until it is woken, takes note of why, and then asks [`decide::next`] what to do until
//! there is nothing to do. Effects are tasks of their own whose outcomes come back as wakes, so
//! that a request is answered at once whatever hangs. What must survive a crash is written before
//! its effect begins and durable before anybody is told; the rest is saved a little later, together.

mod birth;
mod commands;
mod effects;
mod publish;
mod saver;
mod teller;

use std::sync::Arc;
use std::time::Duration;

use burstlet_model::spec::GroupSpec;
use burstlet_model::{BootTime, Stamp};
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use crate::capacity::Place;
use crate::decide;
use crate::groups::{Birth, Shared};
use crate::handle::{Command, Reply};
use crate::host::{GroupRef, Host, HostError, HostEvent};
use crate::record;
use crate::room::Seat;
use crate::seen::{Outcome, SandboxState, Seen, Stage, container_spec};
use crate::snapshot::Snapshot;
use birth::Origin;
use effects::Effects;
use saver::{Reached, Saver, Saving};
use teller::Teller;

pub(crate) use birth::{adopt, create};

/// Rounds of judging after one wake; more would be a defect that must not stop the agent.
const ROUNDS_MAX: usize = 64;
/// The pause after such a defect.
const PAUSE_AFTER_DEFECT: Duration = Duration::from_secs(1);

struct GroupLoop<H> {
    shared: Arc<Shared<H>>,
    origin: Origin,
    seen: Seen,
    seat: Option<Seat>,
    asked: mpsc::Receiver<Box<Command>>,
    events: mpsc::Receiver<Box<HostEvent>>,
    effects: Effects<H>,
    saver: Saver,
    teller: Teller,
    /// Answers that wait until the version that they speak of is saved.
    acks: Vec<(u64, Reply)>,
    published: watch::Sender<Arc<Snapshot>>,
    published_revision: u64,
    born: watch::Sender<Birth>,
    /// Still counts among those that [`Shared::unadopted`] waits for.
    unadopted: bool,
    wake_at: Option<BootTime>,
    /// The version of the record from which on the group's devices are not its own any more, while its
    /// room waits for that.
    returning: Option<u64>,
}

/// Everything that can wake the loop.
enum Wake {
    Asked(Command),
    Happened(HostEvent),
    Done(Outcome),
    Seated(Place),
    Saved(Saving),
    Told(Result<(), HostError>),
    Time,
    Shutdown,
}

impl<H: Host> GroupLoop<H> {
    /// Boxed, as the task of a group that waits is otherwise several times as large as what it knows.
    async fn run(mut self: Box<Self>) {
        loop {
            self.advance();
            if self.seen.stage == Stage::Gone {
                return self.vanish();
            }
            match self.wake().await {
                Wake::Asked(command) => self.answer(command),
                Wake::Happened(event) => self.happened(event),
                Wake::Done(outcome) => self.learn(outcome),
                Wake::Seated(place) => self.seated(place),
                Wake::Saved(Saving::Written) => self.saver.wrote(),
                Wake::Saved(Saving::Ended(result)) => {
                    if !self.saved(result) {
                        return;
                    }
                }
                Wake::Told(result) => {
                    self.teller.ended(result);
                    self.acknowledge();
                }
                Wake::Time => {}
                Wake::Shutdown => return Box::pin(self.leave()).await,
            }
        }
    }

    /// Waits for a reason to go on. Every arm is cancel-safe: what is not taken stays where it is.
    async fn wake(&mut self) -> Wake {
        let now = self.shared.host.now().boot;
        let judged = self.wake_at.map(|at| at.since(now));
        let saving = self.saver.wait();
        let telling = self.teller.wait();
        let nap = judged.into_iter().chain(saving).chain(telling).min();
        tokio::select! {
            biased;
            () = self.shared.shutdown.cancelled() => Wake::Shutdown,
            Some(event) = self.events.recv() => Wake::Happened(*event),
            Some(outcome) = self.effects.next() => Wake::Done(outcome),
            Some(saving) = self.saver.next() => Wake::Saved(saving),
            Some(result) = self.teller.next() => Wake::Told(result),
            Some(command) = self.asked.recv() => Wake::Asked(*command),
            Some(place) = moved(&mut self.seat) => Wake::Seated(place),
            () = sleep(nap) => Wake::Time,
        }
    }

    /// Does what is to be done until there is nothing more, tells and saves what came of it.
    fn advance(&mut self) {
        let spec = Arc::clone(&self.origin.definition.spec);
        let now = self.shared.host.now();
        for _ in 0..ROUNDS_MAX {
            let decision = decide::next(&spec, &self.seen, now.boot);
            self.wake_at = decision.wake_at;
            if decision.actions.is_empty() {
                return self.tell(&spec);
            }
            for action in decision.actions {
                self.act(&spec, &action, now);
            }
        }
        error!("the group does not come to a decision; pausing");
        self.wake_at = Some(now.boot + PAUSE_AFTER_DEFECT);
        self.tell(&spec);
    }

    fn act(&mut self, spec: &Arc<GroupSpec>, action: &decide::Action, now: Stamp) {
        let stage = self.seen.stage;
        self.seen.begin(spec, action, now);
        if matches!(action, decide::Action::Admit) {
            self.seen.lease = self.shared.room.lease(&self.origin.uid);
        }
        self.saver.changed();
        if action.is_intent() {
            self.saver.urge();
        }
        if stage != self.seen.stage {
            self.stage_changed();
        }
        let needed = self.saver.needed();
        self.effects.begin(spec, &self.seen, action, needed);
    }

    fn stage_changed(&mut self) {
        match self.seen.stage {
            Stage::Queued => {}
            // A spot group may lose its room; on demand there was nothing more to be told.
            Stage::Live => {}
            Stage::Resting(phase) => {
                info!(phase = phase.as_str(), "the group came to rest");
                self.seat = None;
                match self.seen.lease.take() {
                    Some(_) => self.returning = Some(self.saver.urge()),
                    None => self.release(),
                }
            }
            Stage::Removing => {
                self.saver.close();
                self.release();
            }
            Stage::Gone => {}
        }
    }

    /// Where the group stands. One that lives already has its room, until it is told otherwise.
    fn seated(&mut self, place: Place) {
        if self.seen.stage == Stage::Queued || place == Place::Outbid {
            // A later agent asks the queue again where its groups wait.
            if !matches!(place, Place::Waiting { .. }) {
                self.saver.changed();
            }
            self.seen.place = Some(place);
        }
    }

    /// Lets others have the group's room. Its devices are theirs only once no crash makes it run with
    /// them again.
    fn release(&mut self) {
        self.seat = None;
        self.returning = None;
        self.shared.room.leave(&self.origin.uid);
    }

    fn happened(&mut self, event: HostEvent) {
        let outcome = match event {
            HostEvent::Exited {
                container,
                attempt,
                exit,
            } => match self.seen.container_index(&container) {
                Some(container) => Outcome::Exited {
                    container,
                    attempt,
                    exit,
                },
                None => return,
            },
            HostEvent::KeeperLost => Outcome::KeeperLost,
            HostEvent::Evicted { message, grace } => Outcome::Evicted { message, grace },
            HostEvent::Warned { reason, message } => Outcome::Warned { reason, message },
        };
        self.learn(outcome);
    }

    fn learn(&mut self, outcome: Outcome) {
        let spec = Arc::clone(&self.origin.definition.spec);
        self.count(&spec, &outcome);
        self.seen.apply(&spec, outcome, self.shared.host.now());
        self.saver.changed();
        if self.unadopted && self.seen.sandbox.state != SandboxState::Adopting {
            self.count_adopted();
            // An earlier agent may have gone between a change and what follows from it.
            self.seen.renewal.due = self.origin.definition.origin == record::Origin::Kubernetes;
        }
    }

    fn count(&self, spec: &GroupSpec, outcome: &Outcome) {
        if let Outcome::Probed {
            container,
            probe,
            result,
            ..
        } = outcome
            && let Some(spec) = container_spec(spec, *container)
        {
            let counts = &self.shared.probe_counts;
            counts.count(&self.origin.uid, (&spec.name, *probe), result);
        }
    }

    /// One try of taking over is over; whoever waits for that need not wait for a failed one.
    fn count_adopted(&mut self) {
        self.unadopted = false;
        self.shared
            .unadopted
            .send_modify(|left| *left = left.saturating_sub(1));
    }

    /// Publishes the status if it changed, starts a save if one is due.
    fn tell(&mut self, spec: &GroupSpec) {
        self.effects.drop_stale(&self.seen);
        let now = self.shared.host.now();
        self.teller.look(&self.seen, now, self.saver.needed());
        self.let_go();
        if self.seen.stage == Stage::Gone {
            return;
        }
        if matches!(*self.born.borrow(), Birth::Alive(_)) {
            self.publish(spec);
        }
        if self.saver.is_due() {
            let record = self.record();
            self.saver.begin(&self.shared.host, record);
        }
    }

    /// Begins what waited for the record and the ledger.
    fn let_go(&mut self) {
        let group = (&self.origin.uid, &self.origin.definition.spec);
        let reached = self.saver.reached();
        self.teller.begin(&self.shared.host, group, reached.written);
        let is_told = self.teller.is_settled();
        self.effects.release(Reached { is_told, ..reached });
    }

    /// A save ended. Gives `false` if nothing is left to do because of it.
    fn saved(&mut self, result: Result<(), HostError>) -> bool {
        let unborn = matches!(*self.born.borrow(), Birth::Saving);
        if let (true, Err(error)) = (unborn && !self.saver.is_durable(), &result) {
            return self.fail_birth(error);
        }
        self.saver.ended(result);
        let durable = self.saver.durable();
        if self.returning.is_some_and(|version| version <= durable) {
            self.release();
        }
        self.let_go();
        self.acknowledge();
        true
    }

    /// Shows the group as it is, and answers who waited for that, once record and ledger have it.
    fn acknowledge(&mut self) {
        if !self.teller.is_settled() {
            return;
        }
        if matches!(*self.born.borrow(), Birth::Saving) {
            if !self.saver.is_durable() {
                return;
            }
            self.be_born();
        }
        let spec = Arc::clone(&self.origin.definition.spec);
        if matches!(*self.born.borrow(), Birth::Alive(_)) {
            self.publish(&spec);
        }
        let settled = self.saver.settled();
        for (_, reply) in self.acks.extract_if(.., |(version, _)| *version <= settled) {
            // Whoever asked may have gone; the group goes on.
            let _ = reply.send(Ok(Arc::clone(&self.published.borrow())));
        }
    }

    /// The agent goes, the group stays: only the record is brought up to date.
    async fn leave(mut self) {
        let is_alive = matches!(*self.born.borrow(), Birth::Alive(_));
        if self.seen.stage == Stage::Removing || !is_alive {
            return;
        }
        self.effects.abandon();
        let (record, host) = (self.record(), &self.shared.host);
        if let Err(error) = self.saver.finish(host, record).await {
            error!(%error, "the last state of the group could not be written down");
        }
        let group = GroupRef {
            uid: &self.origin.uid,
            spec: &self.origin.definition.spec,
        };
        if let Err(error) = self.teller.finish(host, group).await {
            error!(%error, "the last state of the group could not be told to the ledger");
        }
    }
}

/// The group's next place in the queue, if it has a seat there.
async fn moved(seat: &mut Option<Seat>) -> Option<Place> {
    let seat = seat.as_mut()?;
    match seat.changed().await {
        Ok(()) => Some(seat.borrow_and_update().clone()),
        // Admitted was the last word, and has been read.
        Err(_) => std::future::pending().await,
    }
}

async fn sleep(nap: Option<Duration>) {
    match nap {
        Some(nap) => tokio::time::sleep(nap).await,
        None => std::future::pending().await,
    }
}
