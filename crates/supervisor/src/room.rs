//! The machine's room, shared: the pure [`Queue`] under one lock, and a seat for each group that
//! waits, by which it learns where it stands.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burstlet_model::GroupUid;
use burstlet_model::spec::{GroupSpec, ResourceList};
use tokio::sync::watch;

use crate::capacity::{Capacity, Place, Queue, QueueFull, RoomUse, TooLittle};

/// Tells a group where it stands. Ends with [`Place::Admitted`].
pub(crate) type Seat = watch::Receiver<Place>;

#[derive(Debug)]
pub(crate) struct Room {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Queue,
    /// Only groups that wait have one.
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
        }
    }

    /// Asks for room. The seat's first value is where the group stands already now.
    pub(crate) fn enter(&self, uid: &GroupUid, spec: &GroupSpec) -> Result<Seat, QueueFull> {
        let mut inner = self.lock();
        inner.queue.enter(uid, spec.priority, spec.requested())?;
        Ok(inner.seat(uid))
    }

    /// Asks for room for a group that was accepted by an earlier agent.
    pub(crate) fn reenter(&self, uid: &GroupUid, spec: &GroupSpec) -> Seat {
        let mut inner = self.lock();
        inner.queue.reenter(uid, spec.priority, spec.requested());
        inner.seat(uid)
    }

    /// Takes note of a group that has its room already.
    pub(crate) fn hold(&self, uid: &GroupUid, requested: ResourceList) {
        let mut inner = self.lock();
        inner.queue.hold(uid, requested);
        inner.tell();
    }

    /// Gives a group what it asks for by now; see [`Queue::resize`].
    pub(crate) fn resize(&self, uid: &GroupUid, spec: &GroupSpec) -> Result<(), TooLittle> {
        let mut inner = self.lock();
        let resized = inner.queue.resize(uid, spec.priority, spec.requested());
        if resized.is_ok() {
            inner.tell();
            inner.tell_growing();
        }
        resized
    }

    /// A group that asked for more does not any longer.
    pub(crate) fn stay(&self, uid: &GroupUid) {
        let mut inner = self.lock();
        inner.queue.stay(uid);
        inner.tell();
        inner.tell_growing();
    }

    /// Changes when somebody who waits for more may ask again.
    pub(crate) fn freed(&self) -> watch::Receiver<u64> {
        self.lock().freed.subscribe()
    }

    /// Gives a group's room or place back.
    pub(crate) fn leave(&self, uid: &GroupUid) {
        let mut inner = self.lock();
        inner.queue.leave(uid);
        inner.seats.remove(uid);
        inner.tell();
        inner.tell_growing();
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
        self.tell();
        seat
    }

    fn tell_growing(&self) {
        if self.queue.is_anybody_growing() {
            self.freed.send_modify(|times| *times += 1);
        }
    }

    /// Tells everybody who waits, or waited until now, where he stands.
    fn tell(&mut self) {
        for (uid, place) in self.queue.places() {
            if let Some(seat) = self.seats.get(uid) {
                seat.send_if_modified(|old| {
                    let moved = *old != place;
                    *old = place;
                    moved
                });
            }
        }
        let queue = &self.queue;
        self.seats.retain(|uid, seat| {
            let admitted = queue.is_admitted(uid);
            if admitted {
                seat.send_replace(Place::Admitted);
            }
            !admitted
        });
    }
}
