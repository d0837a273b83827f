//! What groups use: memory by samples, everything else by counters that are read at the end.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use burstlet_metering::ledger::AppendError;
use burstlet_metering::record::{Entry, Fact, SessionFact, SessionId, Used};
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

/// The memory of one session so far.
#[derive(Clone, Copy, Debug)]
struct Sampled {
    session: u32,
    at: BootTime,
    memory: Bytes,
    byte_ns: u128,
    sampled_ns: u64,
}

impl Sampled {
    /// Goes on from what is written down of a session.
    const fn resume(session: u32, used: &Used, at: BootTime, memory: Bytes) -> Self {
        Self {
            session,
            at,
            memory,
            byte_ns: used.memory_byte_ns,
            sampled_ns: used.memory_sampled_ns,
        }
    }

    /// Between two samples memory counts as the mean of both.
    fn add(&mut self, at: BootTime, memory: Bytes) {
        let ns = at.0.saturating_sub(self.at.0);
        if ns <= SAMPLE_GAP_MAX_NS {
            let doubled = u128::from(self.memory.0) + u128::from(memory.0);
            self.byte_ns = self.byte_ns.saturating_add(doubled * u128::from(ns) / 2);
            self.sampled_ns = self.sampled_ns.saturating_add(ns);
        }
        (self.at, self.memory) = (at, memory);
    }
}

impl Metering {
    /// Takes a sample of a group's memory.
    pub(crate) fn sample(&self, uid: &GroupUid, at: BootTime, memory: Bytes) {
        let Some(Latest { id, used, .. }) = self.latest(uid) else {
            return;
        };
        let mut samples = self.samples();
        let fresh = Sampled::resume(id.start, &used, at, memory);
        let sampled = samples.groups.entry(uid.clone()).or_insert(fresh);
        if sampled.session != id.start {
            *sampled = fresh;
        }
        sampled.add(at, memory);
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
            false => self.samples().groups.get(uid).copied(),
        };
        let sampled = sampled.filter(|sampled| sampled.session == id.start);
        let used = Used {
            cpu_us: usage.cpu_ns / 1000,
            memory_byte_ns: sampled.map_or(used.memory_byte_ns, |s| s.byte_ns),
            memory_sampled_ns: sampled.map_or(used.memory_sampled_ns, |s| s.sampled_ns),
            memory_peak: usage.memory_peak.unwrap_or(usage.memory).0,
            net_received: network.received.0,
            net_sent: network.sent.0,
            is_final,
        };
        let fact = Fact::Session {
            id,
            fact: SessionFact::Used(used),
        };
        let at = self.now();
        self.append(vec![Entry { at, fact }]).await
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

    #[test]
    fn memory_is_integrated_between_samples_and_never_over_a_gap() {
        let mut sampled = Sampled::resume(1, &Used::default(), BootTime(0), Bytes(100));
        sampled.add(BootTime(1_000_000_000), Bytes(300));
        assert_eq!(sampled.byte_ns, 200 * 1_000_000_000);
        sampled.add(BootTime(61_000_000_000), Bytes(500));
        assert_eq!(
            sampled.byte_ns,
            200 * 1_000_000_000,
            "nobody looked for a minute"
        );
        sampled.add(BootTime(62_000_000_000), Bytes(500));
        assert_eq!(sampled.byte_ns, 700 * 1_000_000_000);
        assert_eq!(sampled.sampled_ns, 2_000_000_000);
    }
}
