//! What the ledger has to be told: the difference between what is seen of a group and what the
//! ledger knows of it.
//!
//! As the ledger says itself what it knows, a crash between telling and remembering costs nothing:
//! the next agent asks, and tells the rest. Moments come from the keeper where it was there: a
//! start, an exit. A session is told of only once the record that numbers it is written. Should a
//! power cut lose that record all the same, the ledger is ahead, and the next number is beyond both.

use std::collections::BTreeMap;

use burstlet_model::metering::{Allocated, Close, Event, Known, Mark, State};
use burstlet_model::spec::ContainerKind;
use burstlet_model::status::Session;
use burstlet_model::{ContainerName, Stamp};

use crate::seen::{Cause, ContainerSeen, ImageSeen, ImageState, Run, SandboxState, Seen, Stage};

/// What the ledger knows of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The latest session that it knows, from 1; 0 if it knows none.
    session: u32,
    /// Sessions that it knows and the group's record does not.
    ahead: u32,
    /// What it knows of that session while it is open.
    open: Option<Open>,
    /// When the latest session was closed.
    closed: Stamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    state: State,
    since: Stamp,
    allocated: Allocated,
    pulls: u32,
    restarts: BTreeMap<ContainerName, u32>,
    /// The run of each container, in the order of [`Seen::containers`], that was taken note of.
    runs: Vec<Option<u32>>,
    /// An earlier agent told of it.
    inherited: bool,
}

impl Told {
    /// A new group's.
    pub(crate) fn nothing() -> Self {
        Self {
            session: 0,
            ahead: 0,
            open: None,
            closed: Stamp::default(),
        }
    }

    /// What an earlier agent told of a group. Sessions that were over before there was a ledger
    /// are not told of.
    pub(crate) fn before(seen: &Seen, known: Option<Known>) -> Self {
        let sessions = u32::try_from(seen.sessions.len()).unwrap_or(u32::MAX);
        let Some(known) = known else {
            let lasts = seen.sessions.last().is_some_and(|s| s.closed.is_none());
            return Self {
                session: sessions - u32::from(lasts),
                ..Self::nothing()
            };
        };
        let runs = seen.containers.iter().map(|c| match c.run {
            Run::Running(_) | Run::Ended(_) => c.attempt.filter(|_| c.ran),
            // The number is taken, and nothing may have begun under it.
            Run::Waiting | Run::Starting { .. } => {
                let begun = c.attempt.filter(|_| c.ran)?;
                Some(begun.saturating_sub(1))
            }
        });
        Self {
            session: known.session,
            ahead: known.session.saturating_sub(sessions),
            closed: known.closed.unwrap_or_default(),
            open: known.state.map(|(state, since)| Open {
                state,
                since,
                allocated: known.allocated.unwrap_or(seen.sizing.allocated),
                pulls: known.pulls,
                restarts: known.restarts,
                runs: runs.collect(),
                inherited: true,
            }),
        }
    }

    /// What it has to be told now, in order; it counts as told.
    pub(crate) fn catch_up(&mut self, seen: &Seen, now: Stamp) -> Vec<Mark> {
        let mut marks = Vec::new();
        let unknown = matches!(
            seen.sandbox.state,
            SandboxState::Unknown | SandboxState::Adopting
        );
        if seen.stage == Stage::Live && unknown {
            return marks;
        }
        loop {
            self.follow(seen, now, &mut marks);
            // The next session, if this one is over.
            let next = self.session - self.ahead;
            let session = usize::try_from(next)
                .ok()
                .and_then(|n| seen.sessions.get(n));
            match session {
                Some(session) if self.open.is_none() => self.open(seen, session, &mut marks),
                _ => return marks,
            }
        }
    }

    /// Brings what is known of the open session up to what is seen.
    fn follow(&mut self, seen: &Seen, now: Stamp, marks: &mut Vec<Mark>) {
        let Some(open) = &mut self.open else {
            return;
        };
        let index = self.session.checked_sub(self.ahead + 1);
        let index = index.and_then(|index| usize::try_from(index).ok());
        let session = index.and_then(|index| seen.sessions.get(index));
        let is_last = index == seen.sessions.len().checked_sub(1);
        let mut note = |at, what| {
            let session = self.session;
            marks.push(Mark { session, at, what });
        };
        if std::mem::take(&mut open.inherited) && session.is_some_and(|s| s.closed.is_none()) {
            note(now, Event::Adopted);
        }
        if is_last {
            open.count(seen, now, &mut note);
            open.pass(seen, &mut note);
            open.resize(seen, now, &mut note);
        }
        // A session that the record has lost is over as far as anybody knows.
        let closed = session.map_or(Some(open.since), |session| session.closed);
        if let Some(at) = closed {
            let end = seen.end_of.filter(|end| Some(end.session) == index);
            let why = end.map_or(Close::Lost, |end| end.why);
            note(at, Event::Closed(why));
            if let Some(reason) = end.and_then(|end| end.missed) {
                note(at, Event::Missed(reason, now));
            }
            self.closed = at;
            self.open = None;
        } else if is_last {
            open.enter(seen, now, &mut note);
        }
    }

    /// A session that the ledger does not know begins.
    fn open(&mut self, seen: &Seen, session: &Session, marks: &mut Vec<Mark>) {
        self.session += 1;
        let asked = seen.timeline.accepted.unwrap_or(session.opened);
        let asked = match asked >= self.closed && asked <= session.opened {
            true => asked,
            false => session.opened,
        };
        for (at, what) in [
            (asked, Event::Opened),
            (session.opened, Event::Entered(State::Pulling)),
        ] {
            let session = self.session;
            marks.push(Mark { session, at, what });
        }
        self.open = Some(Open {
            state: State::Pulling,
            since: session.opened,
            allocated: seen.sizing.allocated,
            pulls: 0,
            restarts: BTreeMap::new(),
            runs: vec![None; seen.containers.len()],
            inherited: false,
        });
    }
}

impl Open {
    /// Pulls and restarts.
    fn count(&mut self, seen: &Seen, now: Stamp, note: &mut impl FnMut(Stamp, Event)) {
        let known = usize::try_from(self.pulls).unwrap_or(usize::MAX);
        for pull in seen.timeline.pulls.iter().skip(known) {
            self.pulls += 1;
            note(now, Event::Pulled(self.pulls, pull.clone()));
        }
        self.runs.resize(seen.containers.len(), None);
        for (container, known) in seen.containers.iter().zip(&mut self.runs) {
            let run = container.attempt.filter(|_| container.ran);
            let Some(begun) = began(container).filter(|_| run > *known) else {
                continue;
            };
            if known.is_some() {
                let count = self.restarts.entry(container.name.clone()).or_default();
                *count += 1;
                note(begun, Event::Restarted(container.name.clone(), *count));
            }
            *known = run;
        }
    }

    /// Runs that began and ended since the last look were states too.
    fn pass(&mut self, seen: &Seen, note: &mut impl FnMut(Stamp, Event)) {
        for (is_main, state) in [(false, State::Init), (true, State::Running)] {
            if self.state == state || (!is_main && seen.has_run_main()) {
                continue;
            }
            let runs = seen
                .containers
                .iter()
                .filter(|c| is_main == (c.kind == ContainerKind::Main) && c.in_round);
            let begun = runs.filter_map(began_last);
            let begun = begun.filter(|at| *at > self.since).min();
            if let Some(at) = begun {
                (self.state, self.since) = (state, at);
                note(at, Event::Entered(state));
            }
        }
    }

    /// Other resources count from when the cgroups had them.
    fn resize(&mut self, seen: &Seen, now: Stamp, note: &mut impl FnMut(Stamp, Event)) {
        let sizing = &seen.sizing;
        if sizing.allocated != self.allocated {
            self.allocated = sizing.allocated;
            let at = sizing.since.clamp(self.since, now.max(self.since));
            note(at, Event::Resized(self.allocated));
        }
    }

    fn enter(&mut self, seen: &Seen, now: Stamp, note: &mut impl FnMut(Stamp, Event)) {
        let state = state(seen);
        if state == self.state {
            return;
        }
        let at = match state {
            State::BackOff => seen.containers.iter().filter_map(ended).max(),
            State::Starting => seen.timeline.pulled,
            _ => None,
        };
        let at = at.unwrap_or(now).clamp(self.since, now.max(self.since));
        (self.state, self.since) = (state, at);
        note(at, Event::Entered(state));
    }
}

/// Where a group that lives is in its session.
fn state(seen: &Seen) -> State {
    let runs = |c: &&ContainerSeen| c.running().is_some();
    if seen.ending.is_some() {
        return State::Terminating;
    }
    let mut running = seen.containers.iter().filter(runs);
    if running.clone().any(|c| c.kind == ContainerKind::Main) {
        return State::Running;
    }
    let failed = |c: &ContainerSeen| matches!(&c.run, Run::Ended(exit) if !exit.success());
    let pulled = |image: &ImageSeen| matches!(image.state, ImageState::Here(_));
    match seen.containers.iter().any(|c| c.ran) {
        _ if seen.has_run_main() => State::BackOff,
        true if running.next().is_none() && seen.containers.iter().any(failed) => State::BackOff,
        true => State::Init,
        false if seen.images.iter().all(pulled) => State::Starting,
        false => State::Pulling,
    }
}

/// When a container's latest run began.
fn began(container: &ContainerSeen) -> Option<Stamp> {
    match &container.run {
        Run::Running(running) => Some(running.started.started),
        Run::Ended(exit) => exit.started_at,
        Run::Waiting | Run::Starting { .. } => None,
    }
}

/// The same; while the next run is being started, of the one before.
fn began_last(container: &ContainerSeen) -> Option<Stamp> {
    match &container.run {
        Run::Starting { .. } => container.last_exit.as_ref()?.started_at,
        _ => began(container),
    }
}

/// When a container's latest run ended; while the next is being started, the one before.
fn ended(container: &ContainerSeen) -> Option<Stamp> {
    match &container.run {
        Run::Ended(exit) => Some(exit.finished_at),
        Run::Starting { .. } if container.ran => Some(container.last_exit.as_ref()?.finished_at),
        Run::Waiting | Run::Starting { .. } | Run::Running(_) => None,
    }
}

impl Seen {
    /// Why the session that is being closed ends.
    pub(crate) fn close_reason(&self) -> Close {
        match self.ending.as_ref().map(|ending| &ending.cause) {
            Some(Cause::Completed) if self.has_succeeded() => Close::Succeeded,
            Some(Cause::Completed | Cause::InitFailed) => Close::Failed,
            Some(Cause::DeadlineExceeded) => Close::DeadlineExceeded,
            Some(Cause::Unrunnable(_)) => Close::Unrunnable,
            Some(Cause::Evicted(_)) => Close::Evicted,
            Some(Cause::SpotEvicted) => Close::SpotEvicted,
            Some(Cause::Restart) => Close::Restarted,
            Some(Cause::Stop) => Close::Stopped,
            Some(Cause::Delete) => Close::Deleted,
            Some(Cause::KeeperLost) | None => Close::Lost,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(crate) mod rules;
