//! What no counter tells: memory over time, and how often how much was used. From samples.
//!
//! Between two samples of a session memory counts as the mean of both. Where it rises or falls in
//! between, that is wrong by half of the change for as long as lies between the two at most; so an
//! integral is wrong by half of all changes times the longest pause at most, and never more than the
//! peak times the time that was sampled. Over a pause that is too long nothing counts.

use std::collections::HashMap;

use burstlet_model::{BootTime, Bytes, GroupUid};

use crate::Meter;
use crate::record::{Samples, SessionId};

/// A sample that comes later than this after the one before says nothing of the time between.
pub const SAMPLE_GAP_MAX_NS: u64 = 5_000_000_000;

/// The groups that are sampled.
#[derive(Debug, Default)]
pub struct Sampler {
    groups: HashMap<GroupUid, Sampled>,
}

/// What is seen of a group at once.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// When.
    pub at: BootTime,
    /// All memory charged to the group.
    pub memory: Bytes,
    /// Processor time since the group's cgroup was made, in nanoseconds; not read every time.
    pub cpu_ns: Option<u64>,
}

/// What was seen of one session so far: totals since its opening.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// The integral of memory over time.
    pub byte_ns: u128,
    /// The time that it covers.
    pub sampled_ns: u64,
    /// How often how much was used.
    pub counts: Samples,
    session: u32,
    at: BootTime,
    memory: Bytes,
    /// The latest reading of the processor time.
    cpu: Option<(BootTime, u64)>,
}

impl Sampler {
    /// Takes note of what is seen of a group; nothing of one that the meter knows no session of.
    pub fn note(&mut self, meter: &Meter, uid: &GroupUid, look: Look) {
        let latest = meter.look(|sessions| Some(sessions.of_group(uid).last()?.id().start));
        let Some(session) = latest else {
            return;
        };
        if let Some(sampled) = self.groups.get_mut(uid).filter(|s| s.session == session) {
            return sampled.add(look);
        }
        let mut sampled = Sampled::resume(meter, uid, session, look);
        sampled.add(look);
        self.groups.insert(uid.clone(), sampled);
    }

    /// What was seen of a session.
    #[must_use]
    pub fn of(&self, id: &SessionId) -> Option<&Sampled> {
        let sampled = self.groups.get(&id.uid);
        sampled.filter(|sampled| sampled.session == id.start)
    }

    /// The same, of a session that is not sampled any more.
    pub fn end(&mut self, id: &SessionId) -> Option<Sampled> {
        let sampled = self.groups.remove(&id.uid);
        sampled.filter(|sampled| sampled.session == id.start)
    }
}

impl Sampled {
    /// Goes on from what is written down of a session, if anything is.
    fn resume(meter: &Meter, uid: &GroupUid, start: u32, look: Look) -> Self {
        let uid = uid.clone();
        let written = meter.look(|sessions| {
            let session = sessions.get(&SessionId { uid, start })?;
            Some((session.used(), session.samples()))
        });
        let (used, counts) = written.unwrap_or_default();
        Self {
            byte_ns: used.memory_byte_ns,
            sampled_ns: used.memory_sampled_ns,
            counts,
            session: start,
            at: look.at,
            memory: look.memory,
            cpu: None,
        }
    }

    fn add(&mut self, look: Look) {
        let ns = look.at.0.saturating_sub(self.at.0);
        if ns <= SAMPLE_GAP_MAX_NS {
            let doubled = u128::from(self.memory.0) + u128::from(look.memory.0);
            self.byte_ns = self.byte_ns.saturating_add(doubled * u128::from(ns) / 2);
            self.sampled_ns = self.sampled_ns.saturating_add(ns);
        }
        (self.at, self.memory) = (look.at, look.memory);
        self.counts.memory.count(look.memory.0);
        if let Some(cpu_ns) = look.cpu_ns {
            self.add_cpu(look.at, cpu_ns);
        }
    }

    /// Between two readings the processor counts as used evenly. A counter that went back is
    /// another sandbox's.
    fn add_cpu(&mut self, at: BootTime, cpu_ns: u64) {
        let before = self.cpu.replace((at, cpu_ns));
        let Some((since, before)) = before else {
            return;
        };
        let elapsed = u128::from(at.0.saturating_sub(since.0));
        if let (Some(used), 1..) = (cpu_ns.checked_sub(before), elapsed) {
            let milli = (u128::from(used) * 1000).div_ceil(elapsed);
            let milli = u64::try_from(milli).unwrap_or(u64::MAX);
            self.counts.cpu.count(milli);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::{S, Teller, id, opened};
    use crate::ledger::Shown;
    use crate::record::{Fact, Record, SessionFact, Used};

    const GROUP: &str = "0-a";

    /// A meter that knows the group's session, of which so much is written down.
    fn meter(written: Option<Used>) -> Meter {
        let meter = Meter::default();
        let facts = [opened("team-a", "job", "42")].into_iter();
        for (seq, fact) in (1..).zip(facts.chain(written.map(SessionFact::Used))) {
            let record = Record {
                seq,
                epoch: 1,
                salt: [0; 16],
                at: Teller::new().now(),
                fact: Fact::Session {
                    id: id(GROUP),
                    fact,
                },
            };
            meter.apply(Shown::Record(&record)).unwrap();
        }
        meter
    }

    /// Samples at so many nanoseconds, each of so many bytes and with so much processor time.
    fn sampled(meter: &Meter, looks: &[(u64, u64, Option<u64>)]) -> Sampled {
        let mut sampler = Sampler::default();
        for (at, memory, cpu_ns) in looks {
            let look = Look {
                at: BootTime(*at),
                memory: Bytes(*memory),
                cpu_ns: *cpu_ns,
            };
            sampler.note(meter, &id(GROUP).uid, look);
        }
        sampler.of(&id(GROUP)).unwrap().clone()
    }

    #[test]
    fn memory_is_integrated_between_samples_and_never_over_a_gap() {
        let looks = [
            (0, 100, None),
            (S, 300, None),
            (61 * S, 500, None),
            (62 * S, 500, None),
        ];
        let until = |count: usize| sampled(&meter(None), &looks[..count]);
        assert_eq!(until(2).byte_ns, 200 * u128::from(S));
        assert_eq!(until(3).byte_ns, 200 * u128::from(S), "nobody looked");
        let all = until(4);
        assert_eq!(all.byte_ns, 700 * u128::from(S));
        assert_eq!(all.sampled_ns, 2 * S);
        assert_eq!(all.counts.memory.total(), 4);
        // 500 bytes are in the bucket that ends at 511.
        assert_eq!(all.counts.memory.percentile(95), Some(511));
    }

    #[test]
    fn the_processor_is_counted_by_what_was_used_since_the_last_reading() {
        let looks = [
            (10 * S, 0, Some(5 * S)),
            (20 * S, 0, Some(5 * S + S / 10)),
            (30 * S, 0, Some(3)),
            (40 * S, 0, Some(3)),
        ];
        let cpu = |count: usize| sampled(&meter(None), &looks[..count]).counts.cpu;
        assert!(cpu(1).is_empty(), "one reading says nothing");
        assert_eq!(cpu(2).percentile(100), Some(10), "10 thousandths");
        assert_eq!(cpu(3).total(), 1, "another sandbox's counter");
        assert_eq!(cpu(4).total(), 2);
    }

    #[test]
    fn a_later_agent_goes_on_from_what_is_written_down() {
        let written = Used {
            memory_byte_ns: 1000,
            memory_sampled_ns: 10,
            ..Used::default()
        };
        let looks = [(7 * S, 50, None), (7 * S + 2, 70, None)];
        let all = sampled(&meter(Some(written)), &looks);
        assert_eq!((all.byte_ns, all.sampled_ns), (1120, 12));
        assert!(Sampler::default().of(&id(GROUP)).is_none());
    }

    #[test]
    fn nothing_is_noted_of_a_group_without_a_session() {
        let mut sampler = Sampler::default();
        let look = Look {
            at: BootTime(1),
            memory: Bytes(1),
            cpu_ns: None,
        };
        sampler.note(&Meter::default(), &id(GROUP).uid, look);
        assert!(sampler.end(&id(GROUP)).is_none());
    }

    proptest! {
        /// A load in steps, sampled at any moments that are no gap apart: the integral is as wrong as
        /// half of all steps times the longest pause at most, and at most the peak times the time.
        #[test]
        fn the_error_is_bounded_by_the_steps_and_the_pauses(
            steps in vec((1..4 * S, 0..1_u64 << 30), 1..12),
            pauses in vec(1..2 * S, 1..60),
        ) {
            let mut at = 0;
            let looks: Vec<(u64, u64, Option<u64>)> = std::iter::once(0)
                .chain(pauses.iter().copied())
                .map(|pause| {
                    at += pause;
                    (at, memory_at(&steps, at), None)
                })
                .collect();
            let got = sampled(&meter(None), &looks);
            let truth: u128 = integral(&steps, at);
            let peak = steps.iter().map(|(_, memory)| *memory).max().unwrap();
            let changes: u128 = steps.windows(2).map(|two| u128::from(two[0].1.abs_diff(two[1].1))).sum();
            let longest = u128::from(*pauses.iter().max().unwrap());
            // Each of the trapezoids is rounded down to a byte nanosecond.
            let bound = changes * longest / 2 + pauses.len() as u128 + 1;
            prop_assert!(got.byte_ns.abs_diff(truth) <= bound, "{} for {truth}, {bound}", got.byte_ns);
            prop_assert!(got.byte_ns <= u128::from(peak) * u128::from(got.sampled_ns));
            prop_assert_eq!(got.sampled_ns, at);
        }
    }

    /// What is held at a moment: each step lasts for its time, the last for ever.
    fn memory_at(steps: &[(u64, u64)], at: u64) -> u64 {
        let mut until = 0;
        let lasts = steps.iter().find(|(ns, _)| {
            until += ns;
            at < until
        });
        lasts.or(steps.last()).map_or(0, |(_, memory)| *memory)
    }

    fn integral(steps: &[(u64, u64)], to: u64) -> u128 {
        let (mut from, mut sum) = (0, 0);
        for (number, (ns, memory)) in steps.iter().enumerate() {
            let until = match number + 1 == steps.len() {
                true => to,
                false => (from + ns).min(to),
            };
            sum += u128::from(until.saturating_sub(from)) * u128::from(*memory);
            from = until.max(from);
        }
        sum
    }
}
