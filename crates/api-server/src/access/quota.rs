//! What one namespace may take of the edge: open streams, and pulls in a minute.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use burstlet_model::{BootTime, Namespace};

const MINUTE: Duration = Duration::from_secs(60);
/// Namespaces whose pulls are remembered before those that have none open are forgotten.
const REMEMBERED_MAX: usize = 1024;

/// What a namespace may take; without a bound where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Streams that its callers have open at once.
    pub streams: Option<u32>,
    /// Images that are pulled for it in a minute, by request or for a new group.
    pub pulls_per_minute: Option<u32>,
}

/// What each namespace may take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RatesByNamespace {
    /// Of these namespaces.
    pub named: BTreeMap<Namespace, Rates>,
    /// Of each of the others.
    pub others: Rates,
}

/// A bound that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// As many streams as may are open.
    Streams { max: u32 },
    /// Pulls come too fast; there is room for these after a while.
    Pulls { max: u32, wait: Duration },
    /// More pulls at once than there may be in a minute.
    PullsAtOnce { max: u32, wanted: u32 },
}

/// What is taken now. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    rates: RatesByNamespace,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    streams: HashMap<Namespace, u32>,
    /// Up to when the pulls of each namespace have used up what it may.
    pulls: HashMap<Namespace, BootTime>,
}

/// A stream's place among those of its namespace.
#[derive(Debug)]
pub(crate) struct Lent {
    usage: Usage,
    namespace: Namespace,
}

impl Usage {
    pub(crate) fn new(rates: RatesByNamespace) -> Self {
        let taken = Mutex::default();
        Self(Arc::new(Inner { rates, taken }))
    }

    /// A place for one more stream.
    pub(crate) fn stream(&self, namespace: &Namespace) -> Result<Lent, Exceeded> {
        let mut taken = self.lock();
        let open = taken.streams.get(namespace).copied().unwrap_or(0);
        match self.rates(namespace).streams {
            Some(max) if open >= max => return Err(Exceeded::Streams { max }),
            _ => {}
        }
        taken.streams.insert(namespace.clone(), open + 1);
        Ok(Lent {
            usage: self.clone(),
            namespace: namespace.clone(),
        })
    }

    /// Takes note of so many pulls, or refuses all of them.
    pub(crate) fn pulls(
        &self,
        namespace: &Namespace,
        wanted: u32,
        now: BootTime,
    ) -> Result<(), Exceeded> {
        let Some(max) = self.rates(namespace).pulls_per_minute else {
            return Ok(());
        };
        let mut taken = self.lock();
        let used_until = taken.pulls.get(namespace).copied().unwrap_or_default();
        let used_until = after_pulls(used_until, now, wanted, max)?;
        if taken.pulls.len() >= REMEMBERED_MAX {
            taken.pulls.retain(|_, used_until| *used_until > now);
        }
        taken.pulls.insert(namespace.clone(), used_until);
        Ok(())
    }

    fn rates(&self, namespace: &Namespace) -> Rates {
        let rates = &self.0.rates;
        rates.named.get(namespace).copied().unwrap_or(rates.others)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut taken = self.usage.lock();
        match taken.streams.get_mut(&self.namespace) {
            Some(open) if *open > 1 => *open -= 1,
            _ => {
                taken.streams.remove(&self.namespace);
            }
        }
    }
}

/// Up to when `wanted` more pulls use up what there may be: each takes its share of a minute, and a
/// minute may be used ahead.
fn after_pulls(
    used_until: BootTime,
    now: BootTime,
    wanted: u32,
    max: u32,
) -> Result<BootTime, Exceeded> {
    if wanted > max {
        return Err(Exceeded::PullsAtOnce { max, wanted });
    }
    // `max` is 0 only if `wanted` is.
    let share = MINUTE / max.max(1);
    let used_until = used_until.max(now) + share * wanted;
    match used_until.since(now).checked_sub(MINUTE) {
        Some(wait) if !wait.is_zero() => Err(Exceeded::Pulls { max, wait }),
        _ => Ok(used_until),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn usage(rates: Rates) -> Usage {
        let shop = Namespace::new("shop").unwrap();
        Usage::new(RatesByNamespace {
            named: BTreeMap::from([(shop, rates)]),
            others: Rates::default(),
        })
    }

    fn shop() -> Namespace {
        Namespace::new("shop").unwrap()
    }

    const fn at(seconds: u64) -> BootTime {
        BootTime(seconds * 1_000_000_000)
    }

    #[test]
    fn streams_come_back() {
        let usage = usage(Rates {
            streams: Some(2),
            ..Rates::default()
        });
        let first = usage.stream(&shop()).unwrap();
        let second = usage.stream(&shop()).unwrap();
        let third = usage.stream(&shop()).unwrap_err();
        assert_eq!(third, Exceeded::Streams { max: 2 });
        let other = Namespace::new("other").unwrap();
        let many: Vec<_> = (0..100).map(|_| usage.stream(&other).unwrap()).collect();
        drop(first);
        let again = usage.stream(&shop()).unwrap();
        drop((second, again, many));
        assert!(usage.lock().streams.is_empty(), "nothing is kept");
    }

    #[test]
    fn pulls_are_spread_over_time() {
        let usage = usage(Rates {
            pulls_per_minute: Some(6),
            ..Rates::default()
        });
        usage.pulls(&shop(), 6, at(100)).unwrap();
        let wait = Duration::from_secs(10);
        let late = usage.pulls(&shop(), 1, at(100));
        assert_eq!(late, Err(Exceeded::Pulls { max: 6, wait }));
        usage.pulls(&shop(), 1, at(110)).unwrap();
        assert!(usage.pulls(&shop(), 1, at(111)).is_err());
        usage.pulls(&shop(), 6, at(1000)).unwrap();
        let all_at_once = usage.pulls(&shop(), 7, at(9000));
        assert_eq!(
            all_at_once,
            Err(Exceeded::PullsAtOnce { max: 6, wanted: 7 })
        );
        let other = Namespace::new("other").unwrap();
        usage.pulls(&other, 1_000_000, at(9000)).unwrap();
    }

    #[test]
    fn a_namespace_may_have_no_pulls() {
        let usage = usage(Rates {
            pulls_per_minute: Some(0),
            ..Rates::default()
        });
        usage.pulls(&shop(), 0, at(1)).unwrap();
        assert!(usage.pulls(&shop(), 1, at(1)).is_err());
    }
}
