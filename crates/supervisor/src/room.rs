//! The machine's room, shared: the pure [`Queue`] under one lock, and a seat for each group that
//! waits or may be outbid, by which it learns where it stands.
//!
//! Who is let in or has to go is told at once. How far the others have come is told to all of them
//! together, and the more seldom the more they are: each change of what is free concerns everybody.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use burstlet_model::spec::{GroupSpec, Scheduling};
use burstlet_model::{GroupUid, Lease};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::capacity::{Capacity, Place, Queue, QueueFull, RoomUse, TooLittle};

/// The pause after those who wait were told where they stand, for each of them: what follows from being
/// told takes a small part of it.
const PAUSE_EACH: Duration = Duration::from_millis(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Tells a group where it stands. Ends with [`Place::Admitted`] for a group on demand, and with
/// [`Place::Outbid`] for one that may be.
pub(crate) type Seat = watch::Receiver<Place>;

#[derive(Debug)]
pub(crate) struct Room {
    inner: Mutex<Inner>,
    /// Somebody who waits may stand elsewhere than he was told.
    moved: Notify,
}

#[derive(Debug)]
struct Inner {
    queue: Queue,
    /// Groups that wait have one, and spot groups.
    seats: HashMap<GroupUid, watch::Sender<Place>>,
    /// Counts when somebody who waits for more may ask again.
    freed: watch::Sender<u64>,
}

impl Room {
    pub(crate) fn new(capacity: Capacity) -> Self {
        let inner = Inner {
            queue: Queue::new(capacity),
            seats: HashMap::new(),
            freed: watch::Sender::new(0),
        };
        Self {
            inner: Mutex::new(inner),
            moved: Notify::new(),
        }
    }

    /// Asks for room. The seat's first value is where the group stands already now.
    pub(crate) fn enter(&self, uid: &GroupUid, spec: &GroupSpec) -> Result<Seat, QueueFull> {
        let mut inner = self.lock();
        inner.queue.enter(uid, spec.into(), spec)?;
        let seat = inner.seat(uid);
        self.tell(&mut inner);
        Ok(seat)
    }

    /// Asks for room for a group that was accepted by an earlier agent.
    pub(crate) fn reenter(&self, uid: &GroupUid, spec: &GroupSpec) -> Seat {
        let mut inner = self.lock();
        inner.queue.reenter(uid, spec.into(), spec);
        let seat = inner.seat(uid);
        self.tell(&mut inner);
        seat
    }

    /// Takes note of a group that has its room already, and maybe has to leave it. One on demand has
    /// no seat.
    pub(crate) fn hold(&self, uid: &GroupUid, spec: &GroupSpec, is_leaving: bool) -> Option<Seat> {
        let mut inner = self.lock();
        inner.queue.hold(uid, spec.into(), spec, is_leaving);
        let seat = match spec.scheduling {
            Scheduling::OnDemand => None,
            Scheduling::Spot => Some(inner.seat(uid)),
        };
        self.tell(&mut inner);
        seat
    }

    /// Gives a group what it asks for by now; see [`Queue::resize`].
    pub(crate) fn resize(&self, uid: &GroupUid, spec: &GroupSpec) -> Result<(), TooLittle> {
        let mut inner = self.lock();
        let resized = inner.queue.resize(uid, spec.into(), spec.requested());
        self.tell(&mut inner);
        // Who is refused for now would be told of himself, and ask again.
        if resized.is_ok() || resized.is_err_and(|short| short.is_for_good()) {
            inner.tell_growing();
        }
        resized
    }

    /// A group that asked for more does not any longer.
    pub(crate) fn stay(&self, uid: &GroupUid) {
        let mut inner = self.lock();
        inner.queue.stay(uid);
        self.tell(&mut inner);
        inner.tell_growing();
    }

    /// Changes when somebody who waits for more may ask again.
    pub(crate) fn freed(&self) -> watch::Receiver<u64> {
        self.lock().freed.subscribe()
    }

    /// Takes note of devices that a group has already: before anybody asks for room.
    pub(crate) fn keep(&self, uid: &GroupUid, lease: Lease) {
        self.lock().queue.keep(uid, lease);
    }

    /// The devices that a group was given with its room.
    pub(crate) fn lease(&self, uid: &GroupUid) -> Option<Lease> {
        self.lock().queue.lease(uid).cloned()
    }

    /// Gives a group's room or place back.
    pub(crate) fn leave(&self, uid: &GroupUid) {
        let mut inner = self.lock();
        inner.queue.leave(uid);
        inner.seats.remove(uid);
        self.tell(&mut inner);
        inner.tell_growing();
    }

    /// Tells those who wait where they stand whenever that changes; never ends.
    pub(crate) async fn usher(&self) {
        loop {
            self.moved.notified().await;
            let waiting = self.lock().tell_waiting();
            sleep(pause_after(waiting)).await;
        }
    }

    /// Tells those who are let in and those who have to go; the others are told soon.
    fn tell(&self, inner: &mut Inner) {
        inner.tell_tenants();
        self.moved.notify_one();
    }

    pub(crate) fn usage(&self) -> RoomUse {
        self.lock().queue.usage()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn seat(&mut self, uid: &GroupUid) -> Seat {
        let place = self.queue.place(uid).unwrap_or(Place::Admitted);
        let (sender, seat) = watch::channel(place);
        self.seats.insert(uid.clone(), sender);
        seat
    }

    fn tell_growing(&self) {
        if self.queue.is_anybody_growing() {
            self.freed.send_modify(|times| *times += 1);
        }
    }

    /// Tells those who have room and a seat where they stand, and whether they have to go. Who cannot
    /// be outbid has no seat any more.
    fn tell_tenants(&mut self) {
        for uid in self.queue.outbid() {
            tracing::info!(group = %uid, "its room is given to groups on demand");
        }
        for (uid, place) in self.queue.tenants() {
            let Some(seat) = self.seats.get(uid) else {
                continue;
            };
            move_to(seat, place);
            if !self.queue.may_be_outbid(uid) {
                self.seats.remove(uid);
            }
        }
    }

    /// Tells those who wait how far they have come. Gives how many they are.
    fn tell_waiting(&self) -> usize {
        let told = self.queue.places().map(|(uid, place)| {
            if let Some(seat) = self.seats.get(uid) {
                move_to(seat, place);
            }
        });
        told.count()
    }
}

/// How long those who wait are not told again.
fn pause_after(waiting: usize) -> Duration {
    let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
    PAUSE_EACH.saturating_mul(waiting).min(PAUSE_MAX)
}

/// Tells a group where it stands, if that is not where it stood.
fn move_to(seat: &watch::Sender<Place>, place: Place) {
    seat.send_if_modified(|old| {
        let moved = *old != place;
        *old = place;
        moved
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
