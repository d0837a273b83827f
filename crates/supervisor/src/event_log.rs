//! The latest events of a group, bounded, repeats counted instead of kept.

use std::collections::VecDeque;
use std::sync::Arc;

use burstlet_model::status::{Event, Severity};
use burstlet_model::{ContainerName, WallTime};

/// Events kept per group; older ones go first.
pub(crate) const EVENTS_MAX: usize = 100;
/// Bytes kept of an event's message.
pub(crate) const EVENT_MESSAGE_BYTES_MAX: usize = 1024;

#[derive(Clone, Debug, Default)]
pub(crate) struct EventLog {
    events: VecDeque<Event>,
    /// Grows with every event, so that a change is seen without comparing.
    revision: u64,
}

impl EventLog {
    /// Goes on with the events of a record.
    pub(crate) fn restore(events: Vec<Event>) -> Self {
        let skip = events.len().saturating_sub(EVENTS_MAX);
        Self {
            events: events.into_iter().skip(skip).collect(),
            revision: 0,
        }
    }

    pub(crate) fn push(
        &mut self,
        at: WallTime,
        severity: Severity,
        reason: &str,
        message: &str,
        container: Option<&ContainerName>,
    ) {
        self.revision += 1;
        let message = shorten(message);
        let same = |e: &Event| {
            e.reason == reason && e.container.as_ref() == container && e.message == message
        };
        if let Some(index) = self.events.iter().position(same)
            && let Some(mut event) = self.events.remove(index)
        {
            event.at = at;
            event.count = event.count.saturating_add(1);
            self.events.push_back(event);
            return;
        }
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(Event {
            at,
            severity,
            reason: reason.to_owned(),
            message: message.to_owned(),
            container: container.cloned(),
            count: 1,
        });
    }

    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn to_shared(&self) -> Arc<[Event]> {
        self.events.iter().cloned().collect()
    }
}

/// The longest prefix within the bound that ends at a character.
fn shorten(message: &str) -> &str {
    let mut end = message.len().min(EVENT_MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_counted_and_the_oldest_go() {
        let mut log = EventLog::default();
        for at in 0..3 {
            log.push(WallTime(at), Severity::Warning, "BackOff", "again", None);
        }
        let events = log.to_shared();
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].count, events[0].at), (3, WallTime(2)));

        for n in 0..EVENTS_MAX {
            log.push(
                WallTime(9),
                Severity::Normal,
                "Pulled",
                &n.to_string(),
                None,
            );
        }
        let events = log.to_shared();
        assert_eq!(events.len(), EVENTS_MAX);
        assert!(events.iter().all(|event| event.reason == "Pulled"));
        assert_eq!(log.revision(), 3 + EVENTS_MAX as u64);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let long = "ä".repeat(EVENT_MESSAGE_BYTES_MAX);
        assert_eq!(shorten(&long).len(), EVENT_MESSAGE_BYTES_MAX);
        assert_eq!(
            shorten(&format!("x{long}")).len(),
            EVENT_MESSAGE_BYTES_MAX - 1
        );
        assert_eq!(shorten("short"), "short");
    }
}
