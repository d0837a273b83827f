//! The machine's room, shared: the pure [`Queue`] under one lock, and a seat for each group that
//! waits or may be outbid, by which it learns where it stands.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burstlet_model::spec::{GroupSpec, Scheduling};
use burstlet_model::{GroupUid, Lease};
use tokio::sync::watch;

use crate::capacity::{Capacity, Place, Queue, QueueFull, RoomUse, TooLittle};

/// Tells a group where it stands. Ends with [`Place::Admitted`] for a group on demand, and with
/// [`Place::Outbid`] for one that may be.
pub(crate) type Seat = watch::Receiver<Place>;

#[derive(Debug)]
pub(crate) struct Room {
    inner: Mutex<Inner>,
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
        }
    }

    /// Asks for room. The seat's first value is where the group stands already now.
    pub(crate) fn enter(&self, uid: &GroupUid, spec: &GroupSpec) -> Result<Seat, QueueFull> {
        let mut inner = self.lock();
        inner.queue.enter(uid, spec.into(), spec)?;
        Ok(inner.seat(uid))
    }

    /// Asks for room for a group that was accepted by an earlier agent.
    pub(crate) fn reenter(&self, uid: &GroupUid, spec: &GroupSpec) -> Seat {
        let mut inner = self.lock();
        inner.queue.reenter(uid, spec.into(), spec);
        inner.seat(uid)
    }

    /// Takes note of a group that has its room already, and maybe has to leave it. One on demand has
    /// no seat.
    pub(crate) fn hold(&self, uid: &GroupUid, spec: &GroupSpec, is_leaving: bool) -> Option<Seat> {
        let mut inner = self.lock();
        inner.queue.hold(uid, spec.into(), spec, is_leaving);
        match spec.scheduling {
            Scheduling::OnDemand => {
                inner.tell();
                None
            }
            Scheduling::Spot => Some(inner.seat(uid)),
        }
    }

    /// Gives a group what it asks for by now; see [`Queue::resize`].
    pub(crate) fn resize(&self, uid: &GroupUid, spec: &GroupSpec) -> Result<(), TooLittle> {
        let mut inner = self.lock();
        let resized = inner.queue.resize(uid, spec.into(), spec.requested());
        inner.tell();
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
        inner.tell();
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

    /// Tells everybody who has a seat where he stands, and those of them who have to go.
    fn tell(&mut self) {
        for uid in self.queue.outbid() {
            tracing::info!(group = %uid, "its room is given to groups on demand");
        }
        for (uid, place) in self.queue.places() {
            if let Some(seat) = self.seats.get(uid) {
                move_to(seat, place);
            }
        }
        let queue = &self.queue;
        self.seats.retain(|uid, seat| {
            let Some(place) = queue.place_of_tenant(uid) else {
                return true;
            };
            move_to(seat, place);
            queue.may_be_outbid(uid)
        });
    }
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
mod tests {
    use std::collections::BTreeMap;

    use burstlet_model::MilliCpu;
    use burstlet_model::spec::ResourceList;
    use burstlet_testkit::spec::{container, group};

    use super::*;

    fn cpu(milli: u64) -> ResourceList {
        ResourceList {
            cpu: Some(MilliCpu(milli)),
            ..ResourceList::default()
        }
    }

    fn asking(name: &str, milli: u64) -> (GroupUid, GroupSpec) {
        let mut web = container("web");
        web.resources.requests = cpu(milli);
        (name.parse().unwrap(), group(name, vec![web]))
    }

    #[test]
    fn who_is_let_in_by_a_refusal_is_told() {
        let room = Room::new(Capacity {
            machine: cpu(1000),
            reserved: ResourceList::default(),
            overcommit_percent: 100,
            default_request: ResourceList::default(),
            waiting_max: usize::MAX,
            devices: BTreeMap::new(),
        });
        let enter = |(uid, spec): (GroupUid, GroupSpec)| room.enter(&uid, &spec).unwrap();
        let resize = |(uid, spec): (GroupUid, GroupSpec)| room.resize(&uid, &spec);
        enter(asking("first", 600));
        enter(asking("grows", 100));
        assert!(resize(asking("grows", 1000)).is_err());
        room.leave(&asking("first", 600).0);
        let waits = enter(asking("waits", 400));
        assert!(matches!(*waits.borrow(), Place::Waiting { .. }));
        // There is not so much at all: what was kept is given to who waits.
        assert!(resize(asking("grows", 1001)).is_err());
        assert_eq!(*waits.borrow(), Place::Admitted);
    }
}
