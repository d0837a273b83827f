//! The book of leases, durable before use.
//!
//! An append-only log of lines, each with a checksum, synced before the lease is shown to anybody.
//! A line that a crash cut off at the end was never shown to anybody, and is cut; damage anywhere
//! else is an error, since guessing could hand out an address twice. After a restart, addresses
//! that were released rest anew, since no clock outlives the machine.

mod log;
mod record;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use burstlet_model::{BootTime, GroupUid};
use ipnet::Ipv4Net;

use crate::NetworkError;
use crate::ipam::{Exhausted, NotClaimed, Pool};
use crate::lease::{Lease, LeaseRequest};
use log::Log;
#[cfg(feature = "fuzzing")]
pub(crate) use record::Record;
#[cfg(not(feature = "fuzzing"))]
use record::Record;

/// Every group's lease, by uid.
#[derive(Debug)]
pub(crate) struct Leases {
    log: Log,
    by_uid: BTreeMap<GroupUid, Lease>,
    pool: Option<Pool>,
}

/// Whether a lease was made by this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    New,
    Already,
}

/// A record that cannot follow those before it.
struct Contradiction;

/// Records beyond twice the living leases, before the log is written anew.
const LOG_SLACK_RECORDS: usize = 256;

/// A group that has a lease in a network's state directory, if one has. For who has no
/// [`Network`](crate::Network) open there.
///
/// # Errors
/// The log is damaged, or cannot be read.
pub fn lease_holder(state_dir: &Path) -> Result<Option<GroupUid>, NetworkError> {
    let leases = Leases::read(state_dir, None, BootTime(0))?;
    Ok(leases.by_uid.into_keys().next())
}

impl Leases {
    /// Reads the log in `dir`. With a subnet, leases have addresses from it.
    pub(crate) fn open(
        dir: &Path,
        subnet: Option<(Ipv4Net, Duration)>,
        now: BootTime,
    ) -> Result<Self, NetworkError> {
        let pool = subnet.map(|(subnet, quarantine)| Pool::new(subnet, quarantine));
        let leases = Self::read(dir, pool, now)?;
        leases.check_addresses()?;
        Ok(leases)
    }

    fn read(dir: &Path, pool: Option<Pool>, now: BootTime) -> Result<Self, NetworkError> {
        let (log, records) = Log::open(dir)?;
        let mut leases = Self {
            log,
            by_uid: BTreeMap::new(),
            pool,
        };
        for (index, record) in records.into_iter().enumerate() {
            leases
                .replay(record, now)
                .map_err(|Contradiction| leases.log.corrupt(index + 1))?;
        }
        Ok(leases)
    }

    pub(crate) fn get(&self, uid: &GroupUid) -> Option<&Lease> {
        self.by_uid.get(uid)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Lease> {
        self.by_uid.values()
    }

    /// Gives `request.uid` its lease: the one it has, or a new one, durable on return.
    pub(crate) fn grant(
        &mut self,
        request: &LeaseRequest,
        now: BootTime,
    ) -> Result<(Lease, Granted), NetworkError> {
        if let Some(lease) = self.by_uid.get(&request.uid) {
            return if lease.answers(request) {
                Ok((lease.clone(), Granted::Already))
            } else {
                Err(NetworkError::LeaseDiffers(request.uid.clone()))
            };
        }
        self.check_ports(request)?;
        let address = self.pool.as_mut().map(|pool| find(pool, now)).transpose()?;
        let lease = Lease::new(request, address);
        self.log.append(&Record::Lease(lease.clone()))?;
        if let (Some(pool), Some(address)) = (&mut self.pool, address) {
            // `find` has just shown that the address is free.
            let _ = pool.claim(address);
        }
        self.by_uid.insert(lease.uid.clone(), lease.clone());
        Ok((lease, Granted::New))
    }

    /// Ends a group's lease; a group without one is not an error.
    pub(crate) fn release(&mut self, uid: &GroupUid, now: BootTime) -> Result<(), NetworkError> {
        let Some(lease) = self.by_uid.get(uid) else {
            return Ok(());
        };
        let address = lease.address;
        self.log.append(&Record::Release {
            uid: uid.clone(),
            address,
        })?;
        self.by_uid.remove(uid);
        if let (Some(pool), Some(address)) = (&mut self.pool, address) {
            pool.give_back(address, now);
        }
        if self.log.records() > 2 * self.by_uid.len() + LOG_SLACK_RECORDS {
            self.compact(now)?;
        }
        Ok(())
    }

    fn compact(&mut self, now: BootTime) -> Result<(), NetworkError> {
        let resting = self
            .pool
            .as_mut()
            .map(|pool| pool.resting(now))
            .unwrap_or_default();
        let records: Vec<Record> = (resting.into_iter().map(Record::Resting))
            .chain(self.by_uid.values().cloned().map(Record::Lease))
            .collect();
        self.log.rewrite(&records)
    }

    fn check_ports(&self, request: &LeaseRequest) -> Result<(), NetworkError> {
        for (index, wanted) in request.ports.iter().enumerate() {
            let own = request
                .ports
                .iter()
                .take(index)
                .map(|port| (port, &request.uid));
            let others = self
                .by_uid
                .values()
                .flat_map(|lease| lease.ports.iter().map(move |port| (port, &lease.uid)));
            let taken = own
                .chain(others)
                .find(|(port, _)| port.host.overlaps(&wanted.host));
            if let Some((_, by)) = taken {
                return Err(NetworkError::PortTaken {
                    protocol: wanted.host.protocol,
                    port: wanted.host.port.get(),
                    by: by.clone(),
                });
            }
        }
        Ok(())
    }

    /// The leases of living groups must fit the configuration; those of the past need not.
    fn check_addresses(&self) -> Result<(), NetworkError> {
        for (uid, lease) in &self.by_uid {
            match (&self.pool, lease.address) {
                (Some(pool), Some(address)) if !pool.contains(address) => {
                    return Err(NetworkError::LeaseOutsideSubnet {
                        uid: uid.clone(),
                        address,
                        subnet: pool.subnet(),
                    });
                }
                (Some(_), Some(_)) | (None, None) => {}
                _ => return Err(NetworkError::LeaseOfOtherMode(uid.clone())),
            }
        }
        Ok(())
    }

    fn replay(&mut self, record: Record, now: BootTime) -> Result<(), Contradiction> {
        match record {
            Record::Lease(lease) => {
                if let (Some(pool), Some(address)) = (&mut self.pool, lease.address) {
                    match pool.claim(address) {
                        // An error only if the group still exists, which later records tell.
                        Ok(()) | Err(NotClaimed::Outside) => {}
                        Err(NotClaimed::Held) => return Err(Contradiction),
                    }
                }
                match self.by_uid.insert(lease.uid.clone(), lease) {
                    None => Ok(()),
                    Some(_) => Err(Contradiction),
                }
            }
            Record::Release { uid, address } => {
                let held = self.by_uid.remove(&uid).ok_or(Contradiction)?;
                if held.address != address {
                    return Err(Contradiction);
                }
                self.rest(address, now);
                Ok(())
            }
            Record::Resting(address) => {
                let holds = |lease: &Lease| lease.address == Some(address);
                if self.by_uid.values().any(holds) {
                    return Err(Contradiction);
                }
                self.rest(Some(address), now);
                Ok(())
            }
        }
    }

    fn rest(&mut self, address: Option<Ipv4Addr>, now: BootTime) {
        if let (Some(pool), Some(address)) = (&mut self.pool, address) {
            pool.give_back(address, now);
        }
    }
}

fn find(pool: &mut Pool, now: BootTime) -> Result<Ipv4Addr, NetworkError> {
    pool.find(now)
        .map_err(|Exhausted { held, cooling }| NetworkError::Exhausted {
            subnet: pool.subnet(),
            leased: held,
            cooling,
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
