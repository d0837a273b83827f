//! What groups use: memory by samples, everything else by counters that are read at the end.

use std::sync::{MutexGuard, PoisonError};

use burstlet_metering::ledger::AppendError;
use burstlet_metering::record::{Entry, Fact, SessionFact, SessionId, Used};
use burstlet_metering::sampler::{Look, Sampler};
use burstlet_model::{GroupUid, NetworkUsage, Usage};

use super::Metering;

/// How far wall and boot clock may drift apart between two looks before labels are set anew.
const CLOCK_STEP_NS: i64 = 500_000_000;

/// What is known between two looks.
#[derive(Debug, Default)]
pub(super) struct Samples {
    groups: Sampler,
    /// Wall clock less boot clock at the last look.
    offset: Option<i64>,
}

/// What the ledger has of a group's latest session.
struct Latest {
    id: SessionId,
    used: Used,
    closed: bool,
}

impl Metering {
    /// Takes a sample of what a group uses.
    pub(crate) fn sample(&self, uid: &GroupUid, look: Look) {
        self.samples().groups.note(&self.meter, uid, look);
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
            true => self.samples().groups.end(&id),
            false => self.samples().groups.of(&id).cloned(),
        };
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
