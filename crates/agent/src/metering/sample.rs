//! What groups use: memory by samples, everything else by counters that are read at the end. How
//! often how much was used is counted from samples, too.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use burstlet_metering::ledger::AppendError;
use burstlet_metering::record::{self, Entry, Fact, SessionFact, SessionId, Used};
use burstlet_model::{BootTime, Bytes, GroupUid, NetworkUsage, Usage};

use super::Metering;

/// A sample that comes later than this after the one before says nothing of the time between.
const SAMPLE_GAP_MAX_NS: u64 = 5_000_000_000;
/// How far wall and boot clock may drift apart between two looks before labels are set anew.
const CLOCK_STEP_NS: i64 = 500_000_000;

/// The groups that are sampled.
#[derive(Debug, Default)]
pub(super) struct Samples {
    groups: HashMap<GroupUid, Sampled>,
    /// Wall clock less boot clock at the last look.
    offset: Option<i64>,
}

/// What the ledger has of a group's latest session.
struct Latest {
    id: SessionId,
    used: Used,
    closed: bool,
}

/// What is seen of a group at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) at: BootTime,
    pub(crate) memory: Bytes,
    /// Processor time since the group's cgroup was made, in nanoseconds; not read every time.
    pub(crate) cpu_ns: Option<u64>,
}

/// What was seen of one session so far.
#[derive(Clone, Debug)]
struct Sampled {
    session: u32,
    at: BootTime,
    memory: Bytes,
    byte_ns: u128,
    sampled_ns: u64,
    /// The latest reading of the processor time.
    cpu: Option<(BootTime, u64)>,
    counts: record::Samples,
}

impl Sampled {
    /// Goes on from what is written down of a session.
    const fn resume(session: u32, used: &Used, counts: record::Samples, look: Look) -> Self {
        Self {
            session,
            at: look.at,
            memory: look.memory,
            byte_ns: used.memory_byte_ns,
            sampled_ns: used.memory_sampled_ns,
            cpu: None,
            counts,
        }
    }

    /// Between two samples memory counts as the mean of both.
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

impl Metering {
    /// Takes a sample of what a group uses.
    pub(crate) fn sample(&self, uid: &GroupUid, look: Look) {
        let Some(Latest { id, used, .. }) = self.latest(uid) else {
            return;
        };
        let resume = || {
            let counts = self
                .meter
                .look(|sessions| Some(sessions.get(&id)?.samples()));
            Sampled::resume(id.start, &used, counts.unwrap_or_default(), look)
        };
        let mut samples = self.samples();
        let sampled = samples.groups.entry(uid.clone()).or_insert_with(resume);
        if sampled.session != id.start {
            *sampled = resume();
        }
        sampled.add(look);
    }

    /// Writes down what a group has used; with `is_final` its counters were read after its last
    /// process had gone.
    pub(crate) async fn used(
        &self,
        uid: &GroupUid,
        (usage, network): (Usage, NetworkUsage),
        is_final: bool,
    ) -> Result<(), AppendError> {
        let Some(Latest { id, used, closed }) = self.latest(uid) else {
            return Ok(());
        };
        // What was final is not read again: the cgroup may be another's by now.
        if used.is_final {
            return Ok(());
        }
        // A sandbox that is made anew goes on counting for the same session.
        let is_final = is_final && closed;
        let sampled = match is_final {
            true => self.samples().groups.remove(uid),
            false => self.samples().groups.get(uid).cloned(),
        };
        let sampled = sampled.filter(|sampled| sampled.session == id.start);
        let sampled = sampled.as_ref();
        let used = Used {
            cpu_us: usage.cpu_ns / 1000,
            memory_byte_ns: sampled.map_or(used.memory_byte_ns, |s| s.byte_ns),
            memory_sampled_ns: sampled.map_or(used.memory_sampled_ns, |s| s.sampled_ns),
            memory_peak: usage.memory_peak.unwrap_or(usage.memory).0,
            net_received: network.received.0,
            net_sent: network.sent.0,
            is_final,
        };
        let mut facts = vec![SessionFact::Used(used)];
        facts.extend(sampled.map(|s| SessionFact::Sampled(s.counts.clone())));
        let at = self.now();
        let entry = |fact| Entry {
            at,
            fact: Fact::Session {
                id: id.clone(),
                fact,
            },
        };
        self.append(facts.into_iter().map(entry).collect()).await
    }

    /// Notes when the wall clock was set: from then on labels follow it.
    pub(crate) async fn look_at_clocks(&self) -> Result<(), AppendError> {
        let at = self.now();
        let boot = i64::try_from(at.stamp.boot.0).unwrap_or(i64::MAX);
        let offset = at.stamp.wall.0.saturating_sub(boot);
        let before = self.samples().offset.replace(offset);
        match before {
            Some(before) if offset.abs_diff(before) > CLOCK_STEP_NS.unsigned_abs() => {
                tracing::warn!(
                    by_ns = offset.saturating_sub(before),
                    "the wall clock was set; durations are not touched by that"
                );
                let fact = Fact::ClockStepped;
                self.append(vec![Entry { at, fact }]).await
            }
            _ => Ok(()),
        }
    }

    /// The latest session of a group, and what is written down of its use.
    fn latest(&self, uid: &GroupUid) -> Option<Latest> {
        self.meter.look(|sessions| {
            let session = sessions.of_group(uid).last()?;
            Some(Latest {
                id: session.id().clone(),
                used: session.used(),
                closed: session.closed().is_some(),
            })
        })
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn look(second: u64, memory: u64, cpu_ns: Option<u64>) -> Look {
        Look {
            at: BootTime(second * S),
            memory: Bytes(memory),
            cpu_ns,
        }
    }

    fn begin() -> Sampled {
        let counts = record::Samples::default();
        Sampled::resume(1, &Used::default(), counts, look(0, 100, None))
    }

    #[test]
    fn memory_is_integrated_between_samples_and_never_over_a_gap() {
        let mut sampled = begin();
        sampled.add(look(1, 300, None));
        assert_eq!(sampled.byte_ns, 200 * u128::from(S));
        sampled.add(look(61, 500, None));
        assert_eq!(
            sampled.byte_ns,
            200 * u128::from(S),
            "nobody looked for a minute"
        );
        sampled.add(look(62, 500, None));
        assert_eq!(sampled.byte_ns, 700 * u128::from(S));
        assert_eq!(sampled.sampled_ns, 2 * S);
        assert_eq!(sampled.counts.memory.total(), 3);
        // 500 bytes are in the bucket that ends at 511.
        assert_eq!(sampled.counts.memory.percentile(95), Some(511));
    }

    #[test]
    fn the_processor_is_counted_by_what_was_used_since_the_last_reading() {
        let mut sampled = begin();
        sampled.add(look(10, 0, Some(5 * S)));
        assert!(sampled.counts.cpu.is_empty(), "one reading says nothing");
        sampled.add(look(20, 0, Some(5 * S + S / 10)));
        assert_eq!(
            sampled.counts.cpu.percentile(100),
            Some(10),
            "10 thousandths"
        );
        sampled.add(look(30, 0, Some(3)));
        assert_eq!(sampled.counts.cpu.total(), 1, "another sandbox's counter");
        sampled.add(look(40, 0, Some(3)));
        assert_eq!(sampled.counts.cpu.total(), 2);
    }
}
