//! The pool of addresses: which are free, which are held, which rest after use. Pure; time is an
//! argument, and `leases` makes it durable.
//!
//! ```text
//!        take              give_back            quarantine over
//! free ────────► held ────────────────► cooling ───────────────► free
//! ```
//!
//! Addresses are handed out in a circle, so that a released one comes round as late as possible.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use burstlet_model::BootTime;
use ipnet::Ipv4Net;

/// The addresses of a subnet but its network, gateway (first) and broadcast (last) ones.
#[derive(Debug)]
pub(crate) struct Pool {
    subnet: Ipv4Net,
    quarantine: Duration,
    first: u32,
    last: u32,
    next: u32,
    held: HashSet<Ipv4Addr>,
    cooling: HashMap<Ipv4Addr, BootTime>,
}

/// Why no address could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    pub(crate) held: usize,
    pub(crate) cooling: usize,
}

/// Why a given address could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotClaimed {
    Outside,
    Held,
}

/// The widest subnet has one address for a group; a narrower one has none.
pub(crate) const SUBNET_PREFIX_MAX: u8 = 30;

impl Pool {
    /// A pool with nothing held. `subnet` has a prefix of at most [`SUBNET_PREFIX_MAX`].
    pub(crate) fn new(subnet: Ipv4Net, quarantine: Duration) -> Self {
        let first = u32::from(subnet.network()).saturating_add(2);
        let last = u32::from(subnet.broadcast()).saturating_sub(1);
        Self {
            subnet,
            quarantine,
            first,
            last,
            next: first,
            held: HashSet::new(),
            cooling: HashMap::new(),
        }
    }

    pub(crate) const fn subnet(&self) -> Ipv4Net {
        self.subnet
    }

    /// Whether groups may have `address`.
    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&u32::from(address))
    }

    /// An address that nobody holds and that has rested long enough, without taking it.
    pub(crate) fn find(&mut self, now: BootTime) -> Result<Ipv4Addr, Exhausted> {
        self.cooling.retain(|_, until| *until > now);
        let exhausted = Exhausted {
            held: self.held.len(),
            cooling: self.cooling.len(),
        };
        (self.next..=self.last)
            .chain(self.first..self.next)
            .map(Ipv4Addr::from)
            .find(|address| !self.held.contains(address) && !self.cooling.contains_key(address))
            .ok_or(exhausted)
    }

    /// Takes one particular address, whether it rests or not.
    pub(crate) fn claim(&mut self, address: Ipv4Addr) -> Result<(), NotClaimed> {
        let number = u32::from(address);
        if !self.contains(address) {
            return Err(NotClaimed::Outside);
        }
        if !self.held.insert(address) {
            return Err(NotClaimed::Held);
        }
        self.cooling.remove(&address);
        self.next = if number == self.last {
            self.first
        } else {
            number + 1
        };
        Ok(())
    }

    /// Lets go of an address; it rests from `now` on.
    pub(crate) fn give_back(&mut self, address: Ipv4Addr, now: BootTime) {
        self.held.remove(&address);
        if self.contains(address) {
            self.cooling.insert(address, now + self.quarantine);
        }
    }

    /// The addresses that still rest at `now`.
    pub(crate) fn resting(&mut self, now: BootTime) -> Vec<Ipv4Addr> {
        self.cooling.retain(|_, until| *until > now);
        let mut resting: Vec<_> = self.cooling.keys().copied().collect();
        resting.sort_unstable();
        resting
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUARANTINE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> BootTime {
        BootTime(seconds * 1_000_000_000)
    }

    fn pool(subnet: &str) -> Pool {
        Pool::new(subnet.parse().unwrap(), QUARANTINE)
    }

    fn take(pool: &mut Pool, now: BootTime) -> Result<Ipv4Addr, Exhausted> {
        let address = pool.find(now)?;
        pool.claim(address).unwrap();
        Ok(address)
    }

    #[test]
    fn skips_network_gateway_and_broadcast() {
        let mut pool = pool("10.0.0.0/29");
        let all: Vec<String> = std::iter::from_fn(|| take(&mut pool, at(0)).ok())
            .map(|a| a.to_string())
            .collect();
        assert_eq!(
            all,
            ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
        );
        assert_eq!(
            pool.find(at(0)),
            Err(Exhausted {
                held: 5,
                cooling: 0
            })
        );
    }

    #[test]
    fn a_released_address_rests_and_comes_round_last() {
        let mut pool = pool("10.0.0.0/29");
        let first = take(&mut pool, at(0)).unwrap();
        pool.give_back(first, at(0));
        for _ in 0..4 {
            assert_ne!(take(&mut pool, at(59)).unwrap(), first);
        }
        assert_eq!(
            pool.find(at(59)),
            Err(Exhausted {
                held: 4,
                cooling: 1
            })
        );
        assert_eq!(take(&mut pool, at(60)), Ok(first));
    }

    #[test]
    fn claims_are_checked() {
        let mut pool = pool("10.0.0.0/30");
        for outside in ["10.0.0.0", "10.0.0.1", "10.0.0.3", "10.0.0.4", "9.9.9.9"] {
            assert_eq!(
                pool.claim(outside.parse().unwrap()),
                Err(NotClaimed::Outside),
                "{outside}"
            );
        }
        let only = "10.0.0.2".parse().unwrap();
        assert_eq!(pool.claim(only), Ok(()));
        assert_eq!(pool.claim(only), Err(NotClaimed::Held));
    }

    proptest! {
        /// Whatever is taken and given back, nobody gets an address that another holds or that
        /// has not rested.
        #[test]
        fn never_twice(steps in prop::collection::vec((0u8..3, 0u64..90, any::<prop::sample::Index>()), 1..200)) {
            let mut pool = pool("10.0.0.0/28");
            let mut held: Vec<Ipv4Addr> = Vec::new();
            let mut released: HashMap<Ipv4Addr, u64> = HashMap::new();
            let mut now = 0;
            for (what, wait, which) in steps {
                now += wait;
                if what == 0 && !held.is_empty() {
                    let address = held.swap_remove(which.index(held.len()));
                    pool.give_back(address, at(now));
                    released.insert(address, now);
                } else if let Ok(address) = take(&mut pool, at(now)) {
                    prop_assert!(!held.contains(&address));
                    prop_assert!(released.get(&address).is_none_or(|since| now - since >= 60));
                    held.push(address);
                } else {
                    let resting = released.iter().filter(|(a, since)| !held.contains(a) && now - **since < 60).count();
                    prop_assert_eq!(held.len() + resting, 13);
                }
            }
        }
    }
}
