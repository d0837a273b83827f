//! One session: contiguous spans from its opening to its close, and what was counted in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use burstlet_model::{BootTime, ContainerName, Stamp, WallTime};

use super::hours::Hours;
use super::{Oddities, Piece, Quantities, Window};
use crate::record::{
    Allocation, BootId, Close, Gap, Moment, Opened, Pull, Samples, SessionFact, SessionId, State,
    Used,
};

/// One launch of a group, as the records tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    id: SessionId,
    opened: Opened,
    opened_at: Moment,
    has_book: bool,
    /// Contiguous: each begins where the one before ended.
    spans: Vec<Span>,
    last: Last,
    closed: Option<Closed>,
    readings: Vec<Reading>,
    samples: Hours,
    pulls: Vec<Pull>,
    restarts: BTreeMap<ContainerName, u32>,
    gaps: Vec<Gap>,
}

/// A time in which neither state nor allocation changed, nor the wall clock was set. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The state.
    pub state: State,
    /// The allocation.
    pub allocation: Arc<Allocation>,
    /// When it began.
    pub from: Stamp,
    /// When it ended, on the same boot.
    pub to: BootTime,
}

/// The span that has not ended, or where the last one would begin.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Last {
    state: State,
    allocation: Arc<Allocation>,
    from: Stamp,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When the last process was gone.
    pub at: Stamp,
    /// Why.
    pub reason: Close,
}

/// What had been used at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When the counters were read.
    pub at: Stamp,
    /// Totals since the session was opened; they never fall from one reading to the next.
    pub used: Used,
}

impl Session {
    pub(super) fn open(id: SessionId, opened: &Opened, at: Moment, has_book: bool) -> Self {
        Self {
            id,
            has_book,
            last: Last {
                state: State::Queued,
                allocation: Arc::new(opened.allocation.clone()),
                from: at.stamp,
            },
            opened: opened.clone(),
            opened_at: at,
            spans: Vec::new(),
            closed: None,
            readings: Vec::new(),
            samples: Hours::default(),
            pulls: Vec::new(),
            restarts: BTreeMap::new(),
            gaps: Vec::new(),
        }
    }

    /// Which launch of which group.
    #[must_use]
    pub const fn id(&self) -> &SessionId {
        &self.id
    }

    /// What was frozen at the opening.
    #[must_use]
    pub const fn opened(&self) -> &Opened {
        &self.opened
    }

    /// When it was opened.
    #[must_use]
    pub const fn opened_at(&self) -> Moment {
        self.opened_at
    }

    /// Whether a price book had come into force when it was opened, by the order of the records. What
    /// of it is labelled before that book is labelled by a clock that was set back.
    #[must_use]
    pub const fn has_book(&self) -> bool {
        self.has_book
    }

    /// The boot that it lived in: a session does not outlive its machine.
    #[must_use]
    pub const fn boot_id(&self) -> BootId {
        self.opened_at.boot_id
    }

    /// How it ended, if it did.
    #[must_use]
    pub const fn closed(&self) -> Option<Closed> {
        self.closed
    }

    /// The state it is in, or was in last.
    #[must_use]
    pub const fn state(&self) -> State {
        self.last.state
    }

    /// When it changed last, as far as is written down.
    #[must_use]
    pub const fn changed_at(&self) -> Stamp {
        self.last.from
    }

    /// How often each of its containers was started again.
    #[must_use]
    pub const fn restarts_by_container(&self) -> &BTreeMap<ContainerName, u32> {
        &self.restarts
    }

    /// What is set aside for it, or was last.
    #[must_use]
    pub fn allocation(&self) -> &Allocation {
        &self.last.allocation
    }

    /// The spans that are over, oldest first.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// What had been used, at each moment that was written down, oldest first.
    #[must_use]
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// What has been used as far as is written down.
    #[must_use]
    pub fn used(&self) -> Used {
        self.readings.last().map(|r| r.used).unwrap_or_default()
    }

    /// How often how much was used, in the hours that a window touches.
    #[must_use]
    pub fn samples_within(&self, window: Window) -> Samples {
        self.samples.within(window)
    }

    /// The same, since the opening.
    #[must_use]
    pub fn samples(&self) -> Samples {
        self.samples.all()
    }

    /// The images that were pulled for it.
    #[must_use]
    pub fn pulls(&self) -> &[Pull] {
        &self.pulls
    }

    /// How often its containers were started again.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts.values().map(|count| u64::from(*count)).sum()
    }

    /// The times that are not known, and not charged.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Everything from the opening to the close, piece by piece. What lasts is counted up to
    /// `now`, if that is of the same boot; else up to the last change that is known.
    pub fn pieces(&self, now: Moment) -> impl Iterator<Item = Piece<'_>> {
        let origin = self.opened_at.stamp.boot;
        let over = self.spans.iter().map(move |span| Piece {
            state: span.state,
            allocation: &span.allocation,
            from: span.from.wall,
            offset_ns: nanos(origin, span.from.boot),
            ns: nanos(span.from.boot, span.to),
        });
        let lasts = self.closed.is_none() && now.boot_id == self.boot_id();
        let last = lasts.then(|| Piece {
            state: self.last.state,
            allocation: &self.last.allocation,
            from: self.last.from.wall,
            offset_ns: nanos(origin, self.last.from.boot),
            ns: nanos(self.last.from.boot, now.stamp.boot),
        });
        over.chain(last.filter(|piece| piece.ns > 0))
    }

    /// What the wall clock said at a moment of its life, as its pieces have it: it may have been set
    /// before anybody noticed. What comes later counts in its last nanosecond.
    #[must_use]
    pub fn label(&self, at: BootTime) -> WallTime {
        let after = |from: Stamp, ns: u64| WallTime(from.wall.0.saturating_add_unsigned(ns));
        let before = self.spans.partition_point(|span| span.to <= at);
        match (self.spans.get(before), self.spans.last()) {
            (Some(span), _) => after(span.from, nanos(span.from.boot, at)),
            (None, Some(last)) if self.closed.is_some() => {
                after(last.from, nanos(last.from.boot, last.to) - 1)
            }
            _ => after(self.last.from, nanos(self.last.from.boot, at)),
        }
    }

    /// What it had in the states that `counts` names, up to `now` while it lasts.
    pub fn quantities(&self, now: Moment, counts: impl Fn(State) -> bool) -> Quantities {
        self.pieces(now)
            .filter(|piece| counts(piece.state))
            .map(|piece| piece.quantities())
            .sum()
    }

    pub(super) fn apply(&mut self, fact: &SessionFact, at: Moment, odd: &mut Oddities) {
        if at.boot_id != self.boot_id() {
            return self.of_other_boot(fact, odd);
        }
        match fact {
            SessionFact::Opened(_) | SessionFact::Adopted => {}
            SessionFact::Used(used) => self.read(*used, at.stamp, odd),
            SessionFact::Sampled(samples) => self.samples.tell(samples, at.stamp.wall),
            SessionFact::Missed(gap) => self.missed(*gap, odd),
            SessionFact::Pulled(pull) => self.pulled(pull, odd),
            SessionFact::Restarted(restart) => {
                let known = self.restarts.entry(restart.container.clone()).or_default();
                match restart.number > *known {
                    true => *known = restart.number,
                    false => odd.late += 1,
                }
            }
            _ if self.closed.is_some() => odd.late += 1,
            SessionFact::Entered(state) if *state == self.last.state => odd.late += 1,
            SessionFact::Entered(state) => {
                self.cut(at.stamp, odd);
                self.last.state = *state;
            }
            SessionFact::Resized(allocation) => {
                self.cut(at.stamp, odd);
                self.last.allocation = Arc::new(allocation.clone());
            }
            SessionFact::Closed(reason) => self.close(at.stamp, *reason),
        }
    }

    pub(super) fn relabel(&mut self, at: Moment) {
        if at.boot_id == self.boot_id() && at.stamp.boot >= self.last.from.boot {
            self.cut(at.stamp, &mut Oddities::default());
        }
    }

    /// How long a session went on can only be told on its own boot; that it ended can be told
    /// later, and then it ended when it was last known to change.
    fn of_other_boot(&mut self, fact: &SessionFact, odd: &mut Oddities) {
        odd.other_boot += 1;
        if let (SessionFact::Closed(reason), None) = (fact, self.closed) {
            self.close(self.last.from, *reason);
        }
    }

    /// The end is learnt of late: what was entered since the last process was gone never was.
    fn close(&mut self, at: Stamp, reason: Close) {
        let at = at.max(self.opened_at.stamp);
        while let Some(span) = self.spans.last_mut().filter(|span| span.to > at.boot) {
            self.last.state = span.state;
            self.last.allocation = Arc::clone(&span.allocation);
            self.last.from = span.from;
            self.spans.pop();
        }
        self.last.from = self.last.from.min(at);
        self.cut(at, &mut Oddities::default());
        self.closed = Some(Closed {
            at: self.last.from,
            reason,
        });
    }

    /// Ends the span that lasts, and begins the next where it ended: not before its begin.
    fn cut(&mut self, at: Stamp, odd: &mut Oddities) {
        if at.boot < self.last.from.boot {
            odd.backwards += 1;
            return;
        }
        if at.boot > self.last.from.boot {
            self.spans.push(Span {
                state: self.last.state,
                allocation: Arc::clone(&self.last.allocation),
                from: self.last.from,
                to: at.boot,
            });
        }
        self.last.from = at;
    }

    /// Totals only grow: where a reading says less than one before it, the larger stands.
    fn read(&mut self, new: Used, at: Stamp, odd: &mut Oddities) {
        let known = self.used();
        let used = new.join(&known);
        if used == known && !self.readings.is_empty() {
            odd.late += 1;
            return;
        }
        if used != new {
            odd.backwards += 1;
        }
        self.readings.push(Reading { at, used });
    }

    fn missed(&mut self, gap: Gap, odd: &mut Oddities) {
        match self.gaps.last() {
            Some(last) if gap.from < last.to || gap == *last => odd.late += 1,
            _ => self.gaps.push(gap),
        }
    }

    fn pulled(&mut self, pull: &Pull, odd: &mut Oddities) {
        match self.pulls.last() {
            Some(last) if pull.number <= last.number => odd.late += 1,
            _ => self.pulls.push(pull.clone()),
        }
    }
}

const fn nanos(from: BootTime, to: BootTime) -> u64 {
    to.0.saturating_sub(from.0)
}
