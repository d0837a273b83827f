//! What happens to groups: the events that people see, told as they come.
//!
//! Each change of a group is compared with what was seen of it last. What happened while no agent was
//! there, or no room in the queue, is not told.

use std::collections::HashMap;
use std::sync::Arc;

use burstlet_model::GroupUid;
use burstlet_model::status::{self, Event};
use burstlet_otlp::{Collector, Counts, Entrance, Record, Sender, Severity, Signal, Value, queue};
use burstlet_supervisor::host::Host;
use burstlet_supervisor::{Change, ChangeKind, Groups, Listing, Snapshot};

use crate::following::{self, Follower};

/// The name of such an event.
const NAME: &str = "burstlet.group.event";

struct Seen {
    events: HashMap<GroupUid, Arc<[Event]>>,
    entrance: Entrance,
}

/// Tells of the groups until the agent goes down.
pub(super) async fn follow<H: Host, C: Collector>(
    groups: &Groups<H>,
    counts: &Counts,
    sender: &Sender<C>,
) {
    let (entrance, queue) = queue(Signal::Events, counts.clone());
    let mut seen = Seen {
        events: HashMap::new(),
        entrance,
    };
    let listing = groups.list();
    seen.know(&listing);
    tokio::join!(
        following::follow(groups, &listing, &mut seen),
        queue.follow(sender)
    );
}

impl Follower for Seen {
    fn see(&mut self, change: &Change) {
        let group = &change.snapshot;
        self.tell(group);
        match change.kind {
            ChangeKind::Deleted => drop(self.events.remove(&group.uid)),
            ChangeKind::Added | ChangeKind::Modified => {
                let events = Arc::clone(&group.events);
                self.events.insert(group.uid.clone(), events);
            }
        }
    }

    fn catch_up(&mut self, listing: &Listing) {
        for group in &listing.groups {
            self.tell(group);
        }
        self.know(listing);
    }
}

impl Seen {
    fn know(&mut self, listing: &Listing) {
        let all = listing.groups.iter();
        let events = all.map(|group| (group.uid.clone(), Arc::clone(&group.events)));
        self.events = events.collect();
    }

    fn tell(&self, group: &Snapshot) {
        let before = self.events.get(&group.uid);
        let before = before.map(AsRef::as_ref).unwrap_or_default();
        for event in news(before, &group.events) {
            self.entrance.put(record(group, event));
        }
    }
}

/// What was not there before, or not so often. The latest are last.
fn news<'e>(before: &[Event], now: &'e [Event]) -> &'e [Event] {
    let known = now.iter().rposition(|event| before.contains(event));
    &now[known.map_or(0, |known| known + 1)..]
}

fn record(group: &Snapshot, event: &Event) -> Record {
    let text = |key: &str, text: &str| (format!("burstlet.{key}"), Value::Text(text.to_owned()));
    let name = group.name();
    let mut attributes = vec![
        text("group.uid", group.uid.as_str()),
        text("group.namespace", name.namespace.as_str()),
        text("group.name", name.name.as_str()),
        text("event.reason", &event.reason),
    ];
    if let Some(container) = &event.container {
        attributes.push(text("container.name", container.as_str()));
    }
    let count = Value::Whole(event.count.into());
    attributes.push(("burstlet.event.count".to_owned(), count));
    Record {
        at_ns: u64::try_from(event.at.0).unwrap_or(0),
        severity: match event.severity {
            status::Severity::Normal => Severity::Info,
            status::Severity::Warning => Severity::Warn,
        },
        event: NAME,
        body: event.message.clone(),
        attributes,
    }
}

#[cfg(test)]
mod tests {
    use burstlet_model::WallTime;

    use super::*;

    fn event(reason: &str, count: u32) -> Event {
        Event {
            at: WallTime(i64::from(count)),
            severity: status::Severity::Normal,
            reason: reason.to_owned(),
            message: String::new(),
            container: None,
            count,
        }
    }

    #[test]
    fn what_is_new_is_told_once() {
        let (pulled, started) = (event("Pulled", 1), event("Started", 1));
        let check = |before: &[&Event], now: &[&Event], expected: &[&Event]| {
            let owned = |events: &[&Event]| -> Vec<Event> {
                events.iter().map(|event| (*event).clone()).collect()
            };
            assert_eq!(news(&owned(before), &owned(now)), owned(expected));
        };
        check(&[], &[&pulled], &[&pulled]);
        check(&[&pulled], &[&pulled], &[]);
        check(&[&pulled], &[&pulled, &started], &[&started]);
        let again = event("Pulled", 2);
        check(&[&pulled, &started], &[&started, &again], &[&again]);
        check(&[&pulled], &[&started], &[&started]);
        check(&[&pulled], &[], &[]);
    }
}
