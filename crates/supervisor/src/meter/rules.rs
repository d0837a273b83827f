//! What must hold of all that a ledger is ever told, whatever happens to the group.

use super::*;

/// A ledger of one group, and the one who tells it.
pub(crate) struct Book {
    told: Told,
    marks: Vec<Mark>,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self {
            told: Told::nothing(),
            marks: Vec::new(),
        }
    }

    /// Tells what there is to tell, and judges all that was told.
    pub(crate) fn look(&mut self, seen: &Seen, now: Stamp, runs: bool) {
        self.marks.extend(self.told.catch_up(seen, now));
        let mut sessions: BTreeMap<u32, Vec<&Mark>> = BTreeMap::new();
        for mark in &self.marks {
            sessions.entry(mark.session).or_default().push(mark);
        }
        let numbers: Vec<u32> = sessions.keys().copied().collect();
        let all: Vec<u32> = (1..).take(seen.sessions.len()).collect();
        assert_eq!(numbers, all, "every session is told of, and no other");
        let mut end = Stamp::default();
        for (marks, session) in sessions.values().zip(&seen.sessions) {
            end = one_session(marks, session, end);
        }
        let lasts = self.told.open.is_some();
        assert!(lasts || !runs, "a process runs for free");
        self.heir_has_nothing_to_add(seen, now);
    }

    /// An agent that comes now and asks the ledger comes to the same.
    fn heir_has_nothing_to_add(&self, seen: &Seen, now: Stamp) {
        let mut heir = Told::before(seen, Known::after(&self.marks));
        let more = heir.catch_up(seen, now);
        let news = |mark: &&Mark| mark.what != Event::Adopted;
        assert_eq!(more.iter().find(news), None);
    }
}

/// Gives when the session ended, or changed last.
fn one_session(marks: &[&Mark], session: &Session, end: Stamp) -> Stamp {
    let (first, rest) = marks.split_first().unwrap();
    assert_eq!(first.what, Event::Opened);
    assert!(first.at >= end, "sessions overlap");
    let mut at = first.at;
    let mut closed = None;
    for mark in rest {
        match &mark.what {
            Event::Opened => panic!("opened twice"),
            Event::Entered(_) => {
                assert!(mark.at >= at, "states go back");
                assert_eq!(closed, None, "a state after the end");
                at = mark.at;
            }
            Event::Closed(_) => {
                assert_eq!(closed, None, "closed twice");
                closed = Some(mark.at);
            }
            _ => {}
        }
    }
    assert_eq!(closed, session.closed, "the ledger and the status differ");
    closed.unwrap_or(at)
}
